"""What a set of depth frames holds, for `python -m scenes.inspect`: statistics, a sheet and a point cloud."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image, ImageDraw, ImageFont

from spatial_envs.core.drawing import BACKGROUND, depth_picture
from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import unproject
from spatial_envs.scenes.depth_frames import DepthFrame, DepthSet

INK = (150, 156, 168)
GROUND_COLOUR = (70, 74, 84)
CAPTION = 18  # pixels
GOLDEN = 0.618034  # of the circle of hues between one object and the next


def read_frames(frames: DepthSet, count: int) -> tuple[list[DepthFrame], list[str]]:
    """The first ``count`` frames that can be read, and what is wrong with those passed over."""
    found: list[DepthFrame] = []
    faults = []
    for index in range(len(frames)):
        if len(found) == count:
            break
        try:
            found.append(frames.load(index))
        except SceneError as error:
            faults.append(str(error))
    return found, faults


def statistics(frames: DepthSet, read: Sequence[DepthFrame]) -> list[str]:
    """Lines of text: how many there are, and the depth of those that were read."""
    lines = [f"{len(frames)} frames in {len(frames.sequences)} sequences; of {len(read)} that were read:"]
    depths = np.concatenate([frame.view.depth[frame.view.depth > 0] for frame in read])
    measured = np.mean([(frame.view.depth > 0).mean() for frame in read])
    quantiles = ", ".join(f"{value:.2f}" for value in np.percentile(depths, [0, 5, 50, 95, 100]))
    lines.append(f"depth (least, 5 %, median, 95 %, most): {quantiles} m; {measured:.1%} of pixels measured")
    ground = sum(frame.ground is not None for frame in read)
    target = np.mean([frame.target.mean() for frame in read])
    lines.append(f"ground found in {ground}; {target:.1%} of pixels are left to be explained")
    intrinsics, (height, width) = read[0].view.intrinsics, read[0].view.image_size
    across, up = (
        2 * np.degrees(np.arctan(n / 2 / f))
        for n, f in ((width, intrinsics[0, 0]), (height, intrinsics[1, 1]))
    )
    posed = sum(frame.posed for frame in read)
    lines.append(f"field of view {across:.1f} x {up:.1f} degrees; {posed} with a pose")
    return lines


def sheet(read: Sequence[DepthFrame]) -> Image.Image:
    """A row for each frame: its picture, its depth, and what is to be explained, in the objects' colours
    where they are known; the ground is dark."""
    height, width = read[0].view.image_size
    canvas = Image.new("RGB", (3 * width, (height + CAPTION) * len(read)), BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for row, frame in enumerate(read):
        top = row * (height + CAPTION)
        for k, picture in enumerate([frame.view.rgb, depth_picture(frame.view.depth), explained(frame)]):
            canvas.paste(Image.fromarray(picture), (k * width, top))
        known = f"  {len(frame.truth.categories)} objects" if frame.truth else ""
        draw.text((4, top + height + 2), f"{frame.name[-90:]}{known}", fill=INK, font=font)
    return canvas


def explained(frame: DepthFrame) -> np.ndarray:
    """(H, W, 3) uint8: the target's pixels by object, or as they are where objects are not known."""
    picture = np.empty((*frame.target.shape, 3), np.uint8)
    picture[:] = BACKGROUND
    picture[(frame.view.depth > 0) & ~frame.target] = GROUND_COLOUR
    colours = frame.view.rgb if frame.view.segment is None else object_colours(frame.view.segment)
    picture[frame.target] = colours[frame.target]
    return picture


def object_colours(ids: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 of ids (...): neighbours in number are far apart in hue."""
    hue = (ids[..., None] * GOLDEN + np.array([0, 2 / 3, 1 / 3])) % 1.0
    return np.rint(255 * np.clip(np.abs(hue * 6 - 3) - 1, 0.15, 1)).astype(np.uint8)


def cloud(read: Sequence[DepthFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) float32, metres, Y up, and colours (N, 3) uint8: of the first frame, and of those others
    of its sequence that have poses to put them beside it."""
    first = read[0]
    shown = [first]
    if first.posed:
        shown += [frame for frame in read[1:] if frame.sequence == first.sequence and frame.posed]
    points, colours = [], []
    for frame in shown:
        view, hit = frame.view, frame.view.depth > 0
        points.append(unproject(view.depth, view.intrinsics, view.cam_to_world)[hit])
        colours.append(view.rgb[hit])
    return np.concatenate(points), np.concatenate(colours)


def write_cloud(path: Path, points: np.ndarray, colours: np.ndarray) -> None:
    """The cloud as .ply, and beside it as a rerun recording (.rrd) where rerun is installed."""
    trimesh.PointCloud(points, np.concatenate([colours, np.full((len(colours), 1), 255)], axis=1)).export(
        path
    )
    if find_spec("rerun") is not None:
        import rerun

        recording = rerun.RecordingStream("spatial_envs")
        recording.save(path.with_suffix(".rrd"))
        recording.log("world", rerun.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)
        recording.log("world/points", rerun.Points3D(points, colors=colours), static=True)
        recording.flush()
