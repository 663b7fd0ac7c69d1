"""python -m scenes.capture <folder or film> --out my_room"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from scenes.capture.report import write_report
from scenes.capture.stages import CaptureError, Result, Stage, failed, run
from spatial_envs.foundation.arguments import user_path
from spatial_envs.foundation.errors import SceneError

try:
    from scenes.capture import building, certificate, depth, frames, names, poses, surface, thing, upright
except ImportError as error:
    raise SystemExit(f'{error}: pip install -e ".[capture]"') from None

SEEN = (
    Stage("frames", frames.make, ("source", "frames", "size", "depth_scale")),
    Stage("poses", poses.make, ("poses",)),
    Stage("depth", depth.make),
)
STAGES = {
    "room": (
        *SEEN,
        Stage("upright", upright.make, ("height", "marker")),
        Stage("surface", surface.make, ("voxel", "faces")),
        Stage("names", names.make, ("labels", "detector")),
        Stage("building", building.make),
        Stage("certificate", certificate.make, ("body",)),
    ),
    "object": (*SEEN, Stage("object", thing.make, ("faces",))),
}
NAMES = tuple(dict.fromkeys(stage.name for stages in STAGES.values() for stage in stages))


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(prog="python -m scenes.capture", description=__doc__)
    parser.add_argument("source", type=Path, help="a film, a folder of photographs, or a data set of depth")
    parser.add_argument("--out", type=Path, required=True, help="the folder that all is made in")
    parser.add_argument("--what", choices=tuple(STAGES), default="room",
                        help="a room to walk in, or one object that the camera went round")  # fmt: skip
    parser.add_argument("--frames", type=int, default=100, help="how many pictures are used at most")
    parser.add_argument("--size", type=int, default=960, help="pixels, the longest side of photographs")
    parser.add_argument("--poses", choices=("auto", "given", "colmap"), default="auto",
                        help="auto: those given where there are some, else COLMAP's")  # fmt: skip
    parser.add_argument("--depth-scale", type=float, help="units of the depth files in a metre")
    parser.add_argument("--height", type=float, help="metres of the camera above the floor, for photographs")
    parser.add_argument(
        "--marker", type=float, help="metres, the side of the printed markers in the pictures"
    )
    parser.add_argument("--voxel", type=float, default=0.03, help="metres, of the surface")
    parser.add_argument("--faces", type=int, default=100_000, help="triangles of the building at most")
    parser.add_argument("--labels", nargs="*", default=[], metavar="WORD=N,N",
                        help="names for the pieces in 5_surface/pieces.png, as sofa=12,13")  # fmt: skip
    parser.add_argument("--detector", metavar="FILE.onnx|MODULE:NAME",
                        help="names things: a file as FastestDet's, or a function of a picture")  # fmt: skip
    parser.add_argument("--body", nargs=2, type=float, default=(1.5, 0.1), metavar=("HEIGHT", "RADIUS"),
                        help="metres, of the agent that is to walk")  # fmt: skip
    parser.add_argument("--from", dest="anew", choices=NAMES,
                        help="make this stage and those after it again")  # fmt: skip
    return parser


def capture(argv: Sequence[str] | None = None) -> tuple[list[Result], str]:
    """Run the command: how each stage went, and what it comes to. CaptureError where a stage cannot be made;
    what was made before it stays."""
    given = vars(arguments().parse_args(argv))
    source, out = user_path("source", given["source"]), user_path("--out", given.pop("out"))
    for name, low, high in (
        ("frames", 2, 10_000),
        ("size", 64, 8192),
        ("voxel", 0.005, 0.5),
        ("faces", 1000, 10**7),
    ):
        if not low <= given[name] <= high:
            raise CaptureError(f"--{name}: got {given[name]}; expected {low} to {high}")
    if given["height"] is not None and not 0.05 <= given["height"] <= 5:
        raise CaptureError(f"--height: got {given['height']}; expected metres, 0.05 to 5")
    if given["marker"] is not None and not 0.01 <= given["marker"] <= 2:
        raise CaptureError(f"--marker: got {given['marker']}; expected metres, 0.01 to 2")
    if given["marker"] is not None and given["height"] is not None:
        raise CaptureError("--marker and --height: got both; expected one of them: each tells the scale")
    what = given.pop("what")
    stages = STAGES[what]
    if what == "object":
        for name in ("height", "marker", "voxel", "labels", "detector", "body"):
            if given[name] != arguments().get_default(name):
                raise CaptureError(f"--{name}: got {given[name]} with --what object; expected it with a room")
    if given["anew"] is not None and given["anew"] not in [stage.name for stage in stages]:
        raise CaptureError(
            f"--from: got {given['anew']}; expected one of {', '.join(s.name for s in stages)}"
        )
    given |= {"source": str(source), "body": list(given["body"])}
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise CaptureError(f"--out: got {out}, which lies in {source}; expected a folder outside of it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0):
            results = run(stages, out, given, _state(source), given.pop("anew"))
    except Timeout:
        raise CaptureError(f"--out: another capture is at work in {out}; expected another folder") from None
    except OSError as error:
        raise CaptureError(f"--out: {error.filename or out}: {error.strerror}; expected a folder") from None
    gate = failed(results[-1])
    if gate is None and what == "object":
        path = str(results[-1].folder / thing.NAME)
        verdict = f"{path}: an object of {results[-1].gates[-1].got}: scenes={path!r}"
    elif gate is None:
        fit = next(g.got for g in results[-1].gates if g.name == "fit for")
        verdict = f"{out}: a building, fit for {fit}: scenes={str(out)!r}"
    else:
        verdict = f"{results[-1].name}: {gate.name}: {gate.got}; expected {gate.wanted}. {gate.advice}"
    write_report(out / "report.html", results, verdict)
    return results, verdict


def _state(source: Path) -> str:
    """What tells whether a source has changed: names, sizes and times of its files."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    told = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """0 where an agent can walk in the room, or look at the object, that came out, 1 where not; the last line
    says why and what to film."""
    try:
        results, verdict = capture(argv)
    except (CaptureError, SceneError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(verdict, file=sys.stderr if failed(results[-1]) else sys.stdout)
    return int(failed(results[-1]) is not None)


if __name__ == "__main__":
    sys.exit(main())
