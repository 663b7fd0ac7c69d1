"""See what an environment would find: how many objects, and a contact sheet of them.

python -m scenes.inspect path/to/meshes
python -m scenes.inspect procedural --split test --count 24 --out sheet.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spatial_envs.camera import direction, facing_origin, intrinsics
from spatial_envs.mesh import MeshError
from spatial_envs.objects import SPLITS, ObjectSet, open_objects
from spatial_envs.rendering.builtin import BuiltinRenderer

TILE, COLUMNS = 160, 8  # pixels, tiles
VIEWPOINT = 1.35 * direction(np.radians(35), np.radians(25))


def contact_sheet(objects: ObjectSet, count: int) -> tuple[Image.Image, list[str]]:
    """A picture of the first ``count`` objects, and what is wrong with those that are broken."""
    pose = facing_origin(VIEWPOINT)
    lens, renderer = intrinsics(50, (TILE, TILE)), BuiltinRenderer()
    count = min(count, len(objects))
    sheet = Image.new("RGB", (TILE * min(count, COLUMNS), (TILE + 16) * -(-count // COLUMNS)), (24, 26, 32))
    draw, font, faults = ImageDraw.Draw(sheet), ImageFont.load_default(10), []
    for index in range(count):
        left, top = TILE * (index % COLUMNS), (TILE + 16) * (index // COLUMNS)
        try:
            mesh = objects.load(index)
        except MeshError as error:
            faults.append(str(error))
            draw.text((left + 4, top + TILE // 2), "broken", fill=(205, 35, 60), font=font)
            continue
        view = renderer.render(mesh, pose, lens, (TILE, TILE))
        view.rgb[view.depth == 0] = (24, 26, 32)
        sheet.paste(Image.fromarray(view.rgb), (left, top))
        caption = f"{objects.names[index][-18:]}  {len(mesh.faces):,}"
        draw.text((left + 4, top + TILE), caption, fill=(150, 156, 168), font=font)
    return sheet, faults


def main(arguments: list[str] | None = None) -> None:
    """Print the counts and write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", help="procedural, a mesh file, a folder, or a scene-set YAML")
    parser.add_argument("--split", default="train", choices=SPLITS)
    parser.add_argument("--up", default="auto", choices=("auto", "y", "z"))
    parser.add_argument("--count", type=int, default=32, help="objects on the sheet (default 32)")
    parser.add_argument("--out", type=Path, default=Path("objects.png"), help="default objects.png")
    options = parser.parse_args(arguments)
    try:
        objects = open_objects(options.scenes, options.split, options.up)
    except ValueError as error:
        sys.exit(f"scenes.inspect: {error}")
    sheet, faults = contact_sheet(objects, max(options.count, 1))
    sheet.save(options.out)
    splits = "no splits: train = test" if objects.leaky else f"split {options.split}"
    print(f"{objects.label}: {len(objects)} objects, {splits}; the first are in {options.out}")
    for fault in faults:
        print(f"broken: {fault}")


if __name__ == "__main__":
    main()
