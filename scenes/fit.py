"""Explain one depth map with a few shapes, and write them as a scene that any viewer opens.

python -m scenes.fit depth.png --intrinsics 532.7 532.7 640 380 --out scene.glb
python -m scenes.fit depth.png --intrinsics 532.7 532.7 640 380 --slots 12 --max-depth 40 --picture fit.png

Depth alone is enough. The ground is found and taken out first; the slots are the shipped encoder's, made
better by gradient on this one depth map. The scene is in metres, +Y up, as glTF has it, each shape an object
of its own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from spatial_envs.core.drawing import slot_colors
from spatial_envs.foundation.arguments import user_path
from spatial_envs.foundation.threads import set_threads
from spatial_envs.prototypes.encoder import SHIPPED, SlotEncoder, encoded
from spatial_envs.prototypes.refine import refined
from spatial_envs.prototypes.scores import score_fit
from spatial_envs.prototypes.slots import Shapes, SlotState
from spatial_envs.prototypes.target import make_target
from spatial_envs.scene_fit.picture import draw_fit
from spatial_envs.scenes.depth_forms import READERS, stored
from spatial_envs.scenes.depth_frames import DepthFrame, open_depth

HEIGHT = 72  # pixels that the depth map is sampled at, from top to bottom
HELD_OUT = 0.1  # of the pixels, for the score


def fit_frame(
    frame: DepthFrame, slots: int, steps: int, weights: Path = SHIPPED
) -> tuple[SlotState, dict[str, float]]:
    """The frame explained by up to ``slots`` shapes, after ``steps`` steps of refinement, and its scores,
    some of them on pixels that no fit was shown (``fitting_scores``)."""
    target = make_target(frame, HELD_OUT)
    encoder = SlotEncoder.load(weights)
    given = encoded(encoder, [target], slots)[0]
    if steps:
        given = refined(encoder.bank, target, given, steps)
    state = SlotState(target, Shapes.of(encoder.bank), given.double().numpy(), len(target.points))
    return state, score_fit(target, state.fit())


def as_scene(state: SlotState) -> trimesh.Scene:
    """The shapes that are present, in the world's frame, each in a colour of its own."""
    topology, place = state.shapes.topology, state.target.frame_to_world
    colors = (255 * slot_colors(len(state.slots))).astype(np.uint8)
    scene = trimesh.Scene()
    for k in np.flatnonzero(state.present):
        vertices = state.vertices[k] @ place[:3, :3].T + place[:3, 3]
        tint = np.tile(np.append(colors[k], 255), (len(vertices), 1))
        mesh = trimesh.Trimesh(vertices, topology.faces, vertex_colors=tint, process=False)
        scene.add_geometry(mesh, node_name=f"slot_{k}", geom_name=f"slot_{k}")
    return scene


def _path(given: str) -> Path:
    return user_path("path", given)


def main(arguments: list[str] | None = None) -> None:
    """Fit, write, and print what the fit is worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "depth", type=_path, help=f"a depth map, {' '.join(READERS)}: whole numbers are mm, floats m"
    )
    parser.add_argument(
        "--intrinsics", type=float, nargs=4, required=True, help="fx fy cx cy, pixels of the file"
    )
    parser.add_argument(
        "--out", type=_path, default=Path("scene.glb"), help="a .glb, or any ending trimesh knows"
    )
    parser.add_argument("--slots", type=int, default=8, help="shapes at most (default 8)")
    parser.add_argument(
        "--steps", type=int, default=100, help="of refinement (default 100); 0 = the encoder's own"
    )
    parser.add_argument("--max-depth", type=float, help="metres: what is farther is left out")
    parser.add_argument(
        "--depth-scale", type=float, help="units of the file that are a metre, as 5000 of TUM"
    )
    parser.add_argument(
        "--invalid", type=float, help="the file's value for no measurement, beside 0 and 65535"
    )
    parser.add_argument("--picture", type=_path, help="also a picture of target and fit")
    options = parser.parse_args(arguments)
    set_threads()
    torch.manual_seed(0)
    try:
        if options.slots < 1 or options.steps < 0:
            raise ValueError(
                f"slots, steps: got {options.slots}, {options.steps}; expected from 1 and from 0"
            )
        height, width = stored(options.depth).shape[:2]
        size = (HEIGHT, max(16, round(HEIGHT * width / height)))
        frames = open_depth(
            options.depth, intrinsics=options.intrinsics, image_size=size, max_depth=options.max_depth,
            depth_scale=options.depth_scale, invalid=options.invalid,
        )  # fmt: skip
        frame = frames.load(0)
        state, figures = fit_frame(frame, options.slots, options.steps)
    except (ValueError, OSError) as error:
        sys.exit(f"scenes.fit: {error}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    as_scene(state).export(options.out)
    if options.picture is not None:
        Image.fromarray(draw_fit(frame.view, state, figures, options.steps)).save(options.picture)
    if frame.ground is None:
        print(
            f"{options.depth}: no ground was found: all that is measured is explained, floors and walls too"
        )
    print(
        f"{options.depth}: {figures['slots']} shapes in {options.out}; distance of the depth map to them "
        f"{100 * figures['one_directional']:.1f} cm, of pixels held out {100 * figures['held_out']:.1f} cm, "
        f"with occlusion {100 * figures['occlusion_aware']:.1f} cm; {figures['fsv']:.0%} in free space; "
        f"{figures['depth_agreement']:.0%} of the pixels within 5 cm"
    )


if __name__ == "__main__":
    main()
