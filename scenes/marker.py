"""Draw a page with a marker to print, by which a capture of photographs knows how large the room is.

python -m scenes.marker --out marker.pdf
python -m scenes.marker --side 0.1 --paper letter --out marker.png

Print it at 100 %, measure the black square, lay the page flat where several photographs show it, and pass
the side to ``python -m scenes.capture photographs --marker 0.13 --out my_room``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from spatial_envs.foundation.arguments import user_path

try:
    import cv2

    from scenes.capture.marker import DICTIONARY
except ImportError as error:
    raise SystemExit(f'{error}: pip install -e ".[capture]"') from None

PAPERS = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}  # mm
DOTS = 300  # an inch
CELLS = 6  # of a marker's side: four of its code and the border's two
EDGE = 12.0  # mm of the page that nothing is printed on
RULER = 100  # mm
SMALLEST = 0.04  # metres


def largest_side(paper: str) -> float:
    """Metres: of the largest marker that has a white cell round it on the page."""
    return (PAPERS[paper][0] - 2 * EDGE) / (CELLS + 2) * CELLS / 1000


def page(side: float, number: int, paper: str) -> Image.Image:
    """The page, grey levels, 300 dots an inch: the marker ``number``, its side in metres, and a ruler.

    ValueError for a side that is not on the page."""
    if not SMALLEST <= side <= largest_side(paper):
        raise ValueError(
            f"--side: got {side:g}; expected metres, {SMALLEST:g} to {largest_side(paper):.3f} on {paper}"
        )
    width, height = (_dots(mm) for mm in PAPERS[paper])
    sheet = Image.new("L", (width, height), 255)
    cells = cv2.aruco.generateImageMarker(cv2.aruco.getPredefinedDictionary(DICTIONARY), number, CELLS)
    marker = Image.fromarray(cells).resize((_dots(1000 * side),) * 2, Image.Resampling.NEAREST)
    top = _dots(EDGE + 1000 * side / CELLS)
    sheet.paste(marker, ((width - marker.width) // 2, top))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_dots(5))
    below = top + marker.height + _dots(1000 * side / CELLS)
    for row, text in enumerate(
        (
            f"Marker {number}: the black square is {1000 * side:.1f} mm wide.",
            f"Print at 100 %. The line below is {RULER} mm long: measure it.",
            f"python -m scenes.capture photographs --marker {side:g} --out my_room",
        )
    ):
        draw.text((width // 2, below + _dots(8 * row)), text, 0, font=font, anchor="mt")
    left, line = (width - _dots(RULER)) // 2, below + _dots(32)
    draw.line([left, line, left + _dots(RULER), line], fill=0, width=3)
    for x in (left, left + _dots(RULER)):
        draw.line([x, line - _dots(2), x, line + _dots(2)], fill=0, width=3)
    return sheet


def _dots(mm: float) -> int:
    return round(mm / 25.4 * DOTS)


def main(argv: Sequence[str] | None = None) -> int:
    """0 where the page was written, 1 where not; the last line says what it is or why not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=float, default=0.13, help="metres, of the black square")
    parser.add_argument("--number", type=int, default=0, choices=range(50), metavar="0..49", help="which one")
    parser.add_argument("--paper", choices=tuple(PAPERS), default="a4")
    parser.add_argument("--out", type=Path, default=Path("marker.pdf"), help=".pdf or .png")
    options = parser.parse_args(argv)
    try:
        out = user_path("--out", options.out)
        if out.suffix.lower() not in (".pdf", ".png"):
            raise ValueError(f"--out: got {out}; expected a .pdf or .png")
        sheet = page(options.side, options.number, options.paper)
        if out.suffix.lower() == ".pdf":
            sheet.save(out, resolution=DOTS)
        else:
            sheet.save(out, dpi=(DOTS, DOTS))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    size = f"{1000 * options.side:.1f} mm on {options.paper}"
    print(f"{out}: a marker of {size}: print it at 100 % and measure it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
