"""Which pictures of a capture are used: the sharpest of each stretch, none dark, none twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from scenes.capture.footage import Footage, Source
from scenes.capture.pose_files import Camera
from scenes.capture.sources import open_footage
from scenes.capture.stages import CaptureError, Gate, damaged

FEWEST = 8  # pictures
SMALL = 320  # pixels, the longest side at which pictures are judged
DARK, BRIGHT = 12.0, 243.0  # grey levels of a picture in which nothing can be seen
BLURRED = 0.008  # of the variance of grey levels that is in their Laplacian: 3 to 4 pixels of 640
SAME = 1.5  # grey levels by which a picture differs from the one before where the camera moved
DEPTHS = (0.2, 15.0)  # metres, what the middle depth of a room is within
MM = 1000.0
BESIDE = "film beside the pictures"


class Judged(NamedTuple):
    """A picture at full size, and how it is."""

    source: Source
    rgb: np.ndarray
    small: np.ndarray  # (h, w) float32, grey levels
    sharpness: float


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture that was chosen: its file, the depth map's or None, what is known of the camera or None."""

    name: str
    picture: Path
    depth: Path | None
    camera: Camera | None

    def read_depth(self) -> np.ndarray:
        """(H, W) float32, metres, 0 = not measured."""
        assert self.depth is not None
        millimetres = cv2.imread(str(self.depth), cv2.IMREAD_UNCHANGED)
        if millimetres is None:
            raise CaptureError(f"{self.depth}: no PNG of 16 bits that can be read")
        return millimetres.astype(np.float32) / MM


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with pictures/, depth/ and frames.json."""
    footage = open_footage(Path(options["source"]), options["depth_scale"])
    lost: Counter[str] = Counter()
    (folder / "pictures").mkdir()
    (folder / "depth").mkdir()
    entries: list[dict[str, Any]] = []
    kept: list[Judged] = []
    middles: list[float] = []
    for judged in _chosen(footage, options["frames"], lost):
        if not DARK < judged.small.mean() < BRIGHT:
            lost["black or white"] += 1
        elif kept and _differ(kept[-1].small, judged.small) < SAME:
            lost["the same as the one before"] += 1
        else:
            try:
                entry, middle = _written(folder, len(kept), judged, options["size"])
            except CaptureError:
                lost["with broken depth"] += 1
                continue
            entries.append(entry)
            middles.append(middle)
            kept.append(judged._replace(rgb=judged.rgb[:0]))
    lost[BESIDE] += footage.beside
    sharpest = float(np.median([judged.sharpness for judged in kept])) if kept else 0.0
    content = {
        "kind": footage.kind,
        "ordered": footage.ordered,
        "upright": footage.upright,
        "frames": entries,
    }
    (folder / "frames.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    if kept:
        _sheet(folder / "sheet.jpg", [judged.small for judged in kept])
    left = ", ".join(f"{count} {why}" for why, count in sorted((+lost).items())) or "none left out"
    gates = [
        Gate(
            "pictures", len(kept) >= FEWEST, f"{len(kept)} of {footage.count} ({left})", f"at least {FEWEST}",
            _advice(footage, len(kept), lost), "sheet.jpg" if kept else "",
        ),
        Gate(
            "sharpness", sharpest >= BLURRED, f"{sharpest:.4f} in the middle", f"at least {BLURRED}",
            "The pictures are blurred: move slower, hold still for each, and put more light on.",
        ),
    ]  # fmt: skip
    if footage.kind == "rgbd" and kept:
        middle = float(np.median(middles))
        gates.append(
            Gate(
                "depth unit", DEPTHS[0] <= middle <= DEPTHS[1], f"{middle:.3g} m in the middle",
                f"{DEPTHS[0]:g} to {DEPTHS[1]:g} m",
                "The depth is in another unit: pass --depth-scale, how many of its units are a metre."
                if middle
                else "The depth maps are empty: was the sensor covered, or everything out of its reach?",
            )
        )  # fmt: skip
    return gates


def read_frames(folder: Path) -> tuple[list[Frame], str, bool]:
    """What the stage wrote: the frames, the kind of footage, and whether they are in the order of time.
    CaptureError where that cannot be read."""
    try:
        content = json.loads((folder / "frames.json").read_text(encoding="utf-8"))
        frames = [_frame(folder, entry) for entry in content["frames"]]
        return frames, content["kind"], content["ordered"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(folder / "frames.json", "frames", error) from None


def _frame(folder: Path, entry: Mapping[str, Any]) -> Frame:
    camera = None
    if (told := entry["camera"]) is not None:
        pose = None if told["cam_to_world"] is None else np.array(told["cam_to_world"])
        camera = Camera(
            entry["name"], tuple(told["size"]), tuple(told["intrinsics"]), pose, tuple(told["distortion"])
        )
    depth = folder / entry["depth"] if entry["depth"] else None
    return Frame(entry["name"], folder / "pictures" / entry["name"], depth, camera)


def _chosen(footage: Footage, most: int, lost: Counter[str]) -> Iterator[Judged]:
    """Of pictures in order the sharpest of each stretch, of others all; ``most`` at most."""
    spread, number = min(most, footage.count), -1
    if not footage.ordered:
        picked = set(np.linspace(0, footage.count - 1, spread).round().astype(int).tolist())
        lost["beyond --frames"] += footage.count - spread
        for number, source in enumerate(footage.sources()):
            if number in picked and (judged := _judged(source, lost)) is not None:
                yield judged
        return
    best, stretch = None, 0
    for number, source in enumerate(footage.sources()):
        if (mine := number * spread // footage.count) != stretch and best is not None:
            yield best
            best = None
        stretch = mine
        judged = _judged(source, lost)
        if judged is not None and (best is None or judged.sharpness > best.sharpness):
            best = judged
    if best is not None:
        yield best
    lost[footage.missing] += max(footage.count - number - 1, 0)


def _judged(source: Source, lost: Counter[str]) -> Judged | None:
    try:
        rgb = source.read()
    except CaptureError:
        lost["broken"] += 1
        return None
    small = _fitted(rgb, SMALL)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var() / max(float(grey.var()), 1.0))
    return Judged(source, rgb, grey, sharpness)


def _differ(one: np.ndarray, other: np.ndarray) -> float:
    """The mean difference of two pictures, grey levels; those of other shapes differ."""
    return float(np.abs(one - other).mean()) if one.shape == other.shape else np.inf


def _written(folder: Path, number: int, judged: Judged, longest: int) -> tuple[dict[str, Any], float]:
    """A picture and its depth in the stage's folder: the entry of frames.json, and the middle depth."""
    source, rgb, camera, depth, middle = judged.source, judged.rgb, judged.source.camera, "", 0.0
    name = f"{number:04d}.jpg"
    if source.depth is not None:
        metres = source.depth()
        rgb = cv2.resize(rgb, metres.shape[::-1], interpolation=cv2.INTER_AREA)  # the camera is the depth's
        depth = f"depth/{number:04d}.png"
        if not cv2.imwrite(str(folder / depth), np.clip(metres * MM, 0, 65535).round().astype(np.uint16)):
            raise OSError(28, "No space left on device")
        middle = float(np.median(metres[metres > 0])) if (metres > 0).any() else 0.0
    else:
        rgb = _fitted(rgb, longest)
    Image.fromarray(rgb).save(folder / "pictures" / name, quality=95)
    told = None
    if camera is not None:
        size = rgb.shape[1], rgb.shape[0]
        across, down = size[0] / camera.size[0], size[1] / camera.size[1]
        if abs(across / down - 1) > 0.02:
            raise CaptureError(
                f"{source.name}: is {judged.rgb.shape[1]} x {judged.rgb.shape[0]} pixels; its camera is of "
                f"{camera.size[0]} x {camera.size[1]}: expected the same shape"
            )
        fx, fy, cx, cy = camera.intrinsics
        pose = camera.cam_to_world
        told = {
            "size": size,
            "intrinsics": [fx * across, fy * down, cx * across, cy * down],
            "distortion": camera.distortion,
            "cam_to_world": None if pose is None else pose.tolist(),
        }
    return {"name": name, "source": source.name, "depth": depth, "camera": told}, middle


def _advice(footage: Footage, kept: int, lost: Counter[str]) -> str:
    why, count = max(lost.items(), key=lambda item: item[1], default=("", 0))
    known = {
        "black or white": "The pictures are black or white: switch the light on and film again.",
        "the same as the one before": "The camera stood still: walk through the room while you film.",
        "broken": "Most of the files are damaged: copy them from the camera again.",
        "with broken depth": "Most depth files are damaged or not those of the pictures: export again.",
        footage.missing: f"Most of what should be there is missing, {footage.missing}: copy all of it again.",
    }
    if count >= kept and why in known:
        return known[why]
    return (
        f"{kept} pictures say too little: take at least 30 while you walk round the room, each half the same "
        "as the last."
    )


def _sheet(path: Path, pictures: list[np.ndarray], columns: int = 10, tile: int = 120) -> None:
    """A contact sheet of grey pictures."""
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * tile, min(columns, len(pictures)) * tile), 255, np.uint8)
    for k, picture in enumerate(pictures):
        small = _fitted(picture, tile - 4).astype(np.uint8)
        y, x = tile * (k // columns), tile * (k % columns)
        sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
    Image.fromarray(sheet).save(path, quality=85)


def _fitted(image: np.ndarray, longest: int) -> np.ndarray:
    """The image with its longest side at most so many pixels."""
    height, width = image.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return image
    size = max(round(width * share), 1), max(round(height * share), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
