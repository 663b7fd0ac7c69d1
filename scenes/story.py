"""Film how a capture became a building that an agent walks in: about a minute.

python -m scenes.story my_room --find chair
python -m scenes.story my_room --run runs/objectnav-ppo-seed0 --find tv_monitor --out story.mp4

Photographs with their cameras beside the mesh that grows from them; the mesh with its things named; the
certificate; the agent's view beside its map. ``--run`` is a run of ObjectNav or the name of a baseline.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from spatial_envs.core.drawing import BACKGROUND, DIM_INK, INK, font
from spatial_envs.foundation.arguments import user_path
from spatial_envs.foundation.errors import SceneError
from spatial_envs.geometry.camera import direction, facing_origin, pinhole
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.builtin import BuiltinRenderer

try:
    import imageio.v2 as imageio

    from agents.families import env_type, family
    from agents.run_folder import load
    from agents.runs import single_env
    from scenes.capture.names import read_names
    from scenes.capture.pose_files import Camera, read_transforms
    from scenes.capture.poses import FILE
    from scenes.capture.stages import CaptureError
    from scenes.capture.surface import compact, load_mesh
    from scenes.capture.votes import coloured, seen_faces
except ImportError as error:
    raise SystemExit(f'{error}: pip install -e ".[capture,train]"') from None

ENV = "ObjectNav-Habitat-v0"
FPS = 10
WIDTH, HEIGHT, BAR = 1104, 480, 48  # pixels of a picture, and of the line of text below it
GROW, NAMES, PROOF, END = 22, 9, 7, 3  # seconds of each part, and that the last picture is held
AGENT = 10, 22  # seconds at least and at most
CUT = 2.0  # metres: what is higher is not shown from above
SIDE = WIDTH - 640  # pixels of what is beside a photograph
PASSED, FAILED = (110, 200, 130), (235, 110, 90)


class Capture:
    """What the stages of a capture wrote. CaptureError where one of them is missing."""

    def __init__(self, root: Path) -> None:
        folders = {folder.name[2:]: folder for folder in root.glob("[1-9]_*")}
        needed = ("frames", "poses", "upright", "surface", "names", "building", "certificate")
        if missing := [name for name in needed if name not in folders]:
            raise CaptureError(f"{root}: has no stage {', '.join(missing)}; expected a capture of a room")
        self.root, self.folders = root, folders
        self.cameras = read_transforms(folders["upright"] / FILE)
        self.mesh = load_mesh(folders["surface"] / "mesh.npz")
        self.things = read_names(folders["names"])
        self.gates = [
            gate
            for folder in sorted(folders.values())
            for gate in json.loads((folder / "stage.json").read_text(encoding="utf-8"))["gates"]
        ]
        path = folders["certificate"] / "certificate.json"
        self.body = json.loads(path.read_text(encoding="utf-8"))["body"] if path.is_file() else [1.5, 0.1]


class Overview:
    """A mesh from outside and above, cut open: what is high or faces away is not drawn."""

    def __init__(self, mesh: Mesh, size: tuple[int, int]) -> None:
        self.mesh, self.size = mesh, size
        self.middles = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
        low, high = np.percentile(mesh.vertices, (1, 99), axis=0)
        self.centre = np.array([(low[0] + high[0]) / 2, 0.4, (low[2] + high[2]) / 2])
        wide = size[1] > size[0]  # of a tall picture the whole length has to fit into its width
        self.away = (1.1 if wide else 1.46) * float(np.linalg.norm((high - low)[[0, 2]]))
        self.intrinsics = pinhole(40, size)
        self.renderer = BuiltinRenderer()

    def draw(self, azimuth: float, shown: np.ndarray) -> tuple[Image.Image, Camera]:
        """The faces ``shown`` (F,) bool from an azimuth, radians; and the camera that sees them so."""
        pose = facing_origin(self.away * direction(azimuth, np.radians(48)))
        pose[:3, 3] += self.centre
        towards = ((pose[:3, 3] - self.middles) * self.mesh.face_normals).sum(axis=1) > 0
        rgb = np.full((*self.size, 3), BACKGROUND, np.uint8)
        keep = shown & towards & (self.middles[:, 1] < CUT)
        if keep.any():
            part = compact(self.mesh, self.mesh.faces[keep])
            view = self.renderer.render(part, pose, self.intrinsics, self.size)
            rgb = np.where((view.depth > 0)[..., None], view.rgb, rgb)
        (fx, _, cx), (_, fy, cy), _ = self.intrinsics.tolist()
        return Image.fromarray(rgb), Camera("", self.size[::-1], (fx, fy, cx, cy), pose)


def growing(capture: Capture) -> Iterator[Image.Image]:
    """Each photograph beside the mesh as far as the cameras so far have seen it."""
    over, cameras = Overview(capture.mesh, (HEIGHT, SIDE)), capture.cameras
    first = np.full(len(over.middles), len(cameras))
    for k, camera in enumerate(cameras):
        number = seen_faces(capture.mesh, over.middles, camera)[0]
        first[number] = np.minimum(first[number], k)
    count = GROW * FPS
    for n in range(count):
        k = n * len(cameras) // count
        picture, outside = over.draw(0.6 + 0.5 * n / count, first <= k)
        draw = ImageDraw.Draw(picture)
        for camera in cameras[: k + 1]:
            _cone(draw, outside, camera, newest=camera is cameras[k])
        with Image.open(capture.folders["poses"] / "pictures" / cameras[k].name) as image:
            photo = image.convert("RGB")
            photo.thumbnail((640, HEIGHT))
        canvas = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
        canvas.paste(photo, ((640 - photo.width) // 2, (HEIGHT - photo.height) // 2))
        canvas.paste(picture, (640, 0))
        yield _under(canvas, f"Picture {k + 1} of {len(cameras)}, its camera, and the surface so far")


def _cone(draw: ImageDraw.ImageDraw, outside: Camera, camera: Camera, newest: bool) -> None:
    """A camera as a small pyramid."""
    (width, height), (fx, fy, cx, cy) = camera.size, camera.intrinsics
    corners = [((u - cx) / fx, (v - cy) / fy, 1.0) for u in (0, width) for v in (0, height)]
    reach = 0.3 if newest else 0.12
    points = np.array([(0.0, 0.0, 0.0), *corners]) * reach @ camera.pose[:3, :3].T + camera.pose[:3, 3]
    u, v, z = outside.project(points)
    if (z > 0).all():
        tip, *ring = zip(u.tolist(), v.tolist(), strict=True)
        ink = (255, 196, 64) if newest else (110, 150, 220)
        for a, b in ((0, 1), (1, 3), (3, 2), (2, 0)):
            draw.line([ring[a], ring[b]], ink)
        for corner in ring:
            draw.line([tip, corner], ink)


def named(capture: Capture) -> Iterator[Image.Image]:
    """Round the mesh, its things in colour and with their names."""
    mesh, (segment, words) = capture.mesh, capture.things
    plain = mesh.colors[mesh.faces].mean(axis=1) * 0.6 + 70
    over = Overview(coloured(mesh, segment, plain), (HEIGHT, WIDTH))
    places = {
        name: over.middles[segment == number].mean(axis=0)
        for number, (name, _) in words.items()
        if number > 1
    }
    told = ", ".join(places) or "nothing has a name"
    for n in range(NAMES * FPS):
        picture, outside = over.draw(1.1 + 1.2 * n / (NAMES * FPS), np.ones(len(over.middles), bool))
        draw = ImageDraw.Draw(picture)
        for name, place in places.items():
            u, v, z = (float(value[0]) for value in outside.project(place[None]))
            if z > 0:
                draw.text((u, v), name, INK, font(15), anchor="mm", stroke_width=2, stroke_fill=BACKGROUND)
        yield _under(picture, f"Things: {told}")


def certified(capture: Capture) -> Image.Image:
    """The gates that a capture had to pass, and how it did."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    draw, step = ImageDraw.Draw(canvas), min(27, (HEIGHT - 30) // len(capture.gates))
    for row, gate in enumerate(capture.gates):
        y = 20 + step * row
        draw.text((40, y), gate["name"], PASSED if gate["passed"] else FAILED, font(15))
        draw.text((230, y), gate["got"][:104], INK, font(15))
    return _under(canvas, f"The certificate, for a body of {capture.body[0]:g} x {2 * capture.body[1]:g} m")


def walked(capture: Capture, run: str, category: str) -> Iterator[Image.Image]:
    """The agent's view beside its map, of one episode. ValueError for a category that the building has not,
    and for what is neither a baseline nor a run of ObjectNav."""
    kind = family(ENV)
    body = {"agent_height": capture.body[0], "agent_radius": capture.body[1]}
    given: dict[str, Any] = {"scenes": str(capture.root), "categories": [category], **body}
    if run in kind.baselines:
        env = env_type(ENV)(render_mode="rgb_array", backbone=None, image_size=256, **given)
        policy = kind.baselines[run](env)
    else:
        described, policy = load(user_path("--run", run), "--run")
        if described["env"] != ENV:
            raise ValueError(f"--run: {run} is of {described['env']}; expected a run of {ENV}")
        env = single_env(described, "rgb_array", split="test", **given)
    pictures = list(kind.reel(env, policy, 0))
    least, most = (seconds * FPS for seconds in AGENT)
    stride, hold = -(-len(pictures) // most), max(least // len(pictures), 1)
    fast = f", every {stride}th step" if stride > 1 else ""
    for picture in [*pictures[:-1:stride], pictures[-1]]:
        canvas = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
        canvas.paste(Image.fromarray(picture), ((WIDTH - picture.shape[1]) // 2, 0))
        for _ in range(hold):
            yield _under(canvas, f"{run} looks for the {category.replace('_', ' ')}{fast}")


def _under(picture: Image.Image, text: str) -> Image.Image:
    """The picture over a line of text."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT + BAR), BACKGROUND)
    canvas.paste(picture, (0, 0))
    ImageDraw.Draw(canvas).text((20, HEIGHT + BAR // 2), text[:130], DIM_INK, font(17), anchor="lm")
    return canvas


def story(root: Path, run: str, category: str, out: Path) -> int:
    """Write the film; the number of its pictures. CaptureError or ValueError for what cannot be filmed."""
    capture = Capture(root)
    count = 0
    walk = list(walked(capture, run, category))  # what fails, fails before the film is drawn
    writer: Any = imageio.get_writer(out, fps=FPS, macro_block_size=16, ffmpeg_log_level="error")
    with writer:
        proof = [certified(capture)] * (PROOF * FPS)
        parts = (growing(capture), named(capture), proof, walk, walk[-1:] * (END * FPS))
        for part in parts:
            for picture in part:
                writer.append_data(np.asarray(picture))
                count += 1
    return count


def main(argv: Sequence[str] | None = None) -> int:
    """0 where the film was written, 1 where not; the last line says where or why."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path, help="the folder that scenes.capture made")
    parser.add_argument("--find", required=True, help="what the agent looks for, as chair")
    parser.add_argument("--run", default="nearest-frontier", help="a run of ObjectNav, or a baseline")
    parser.add_argument("--out", type=Path, default=Path("story.mp4"))
    options = parser.parse_args(argv)
    try:
        out = user_path("--out", options.out)
        count = story(user_path("capture", options.capture), options.run, options.find, out)
    except (CaptureError, SceneError, ValueError, OSError) as error:
        print(f"scenes.story: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {count / FPS:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
