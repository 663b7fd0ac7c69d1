"""Stages that are run once: each writes a folder whole, with what it was made from and how it passed."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECORD = "stage.json"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Gate:
    """Something that a capture has to be.

    got, wanted  in words, with units
    advice       what to film, or to pass, so that it passes: one sentence
    picture      a file in the stage's folder that shows it; "" for none
    required     whether the capture ends here where it does not pass
    """

    name: str
    passed: bool
    got: str
    wanted: str
    advice: str = ""
    picture: str = ""
    required: bool = True


class CaptureError(ValueError):
    """A capture that cannot become a building; the message says what is wrong and what to film or pass."""


def damaged(file: Path, stage: str, error: Exception) -> CaptureError:
    """The error for a file of a stage's folder that cannot be read."""
    return CaptureError(f"{file}: cannot be read: {error}: --from {stage} makes it again")


@dataclass(frozen=True)
class Stage:
    """name: of its folder, ``<number>_<name>``; options: what of the command it depends on;
    make: (the folder to fill, the folders before by name, options) -> gates."""

    name: str
    make: Callable[[Path, Mapping[str, Path], Mapping[str, Any]], list[Gate]]
    options: tuple[str, ...] = ()


@dataclass
class Result:
    """How a stage went; seconds of wall clock; reused: it was there already."""

    name: str
    folder: Path
    gates: list[Gate]
    seconds: float
    reused: bool = False


def run(
    stages: Sequence[Stage],
    out: Path,
    options: Mapping[str, Any],
    source: str,
    anew: str | None = None,
    tell: Callable[[str], None] = print,
) -> list[Result]:
    """Run the stages in ``out`` up to the first gate that is required and not passed.

    A stage whose folder was made from the same options and stages before is kept. source: says what the first
    is made from, as names, sizes and times of files; anew: the stage to begin again from. A stage that fails
    or is killed leaves its folder as it was.
    """
    folders: dict[str, Path] = {}
    results: list[Result] = []
    key, fresh = source, False
    for number, stage in enumerate(stages, 1):
        folder = out / f"{number}_{stage.name}"
        mine = {name: options[name] for name in stage.options}
        key = hashlib.sha256(json.dumps([key, stage.name, mine], default=str).encode()).hexdigest()
        fresh = fresh or stage.name == anew
        result = None if fresh else _kept(stage.name, folder, key)
        if result is None:
            fresh = True
            tell(f"{number}/{len(stages)} {stage.name} ...")
            result = _made(stage, folder, folders, mine, key)
        tell(f"{number}/{len(stages)} {stage.name}: " + _said(result))
        for gate in result.gates:
            if not gate.passed and not gate.required:
                tell(f"    {gate.name}: {gate.got}; expected {gate.wanted}. {gate.advice}")
        folders[stage.name] = folder
        results.append(result)
        if failed(result):
            break
    return results


def failed(result: Result) -> Gate | None:
    """The first required gate that a stage did not pass."""
    return next((gate for gate in result.gates if gate.required and not gate.passed), None)


def _said(result: Result) -> str:
    passed = sum(gate.passed for gate in result.gates)
    how = "kept" if result.reused else f"{result.seconds:.1f} s"
    return f"{how}, {passed} of {len(result.gates)} gates passed"


def _made(
    stage: Stage, folder: Path, folders: Mapping[str, Path], options: Mapping[str, Any], key: str
) -> Result:
    unfinished = folder.with_name(f".unfinished_{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    began = time.perf_counter()
    try:
        gates = stage.make(unfinished, folders, options)
        seconds = time.perf_counter() - began
        record = {"key": key, "seconds": seconds, "gates": [asdict(gate) for gate in gates]}
        (unfinished / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except OSError as error:
        short = error.errno in FULL or "requested and" in str(error)  # NumPy's words for a full disk
        full = "; free some space, or pass another --out" if short else ""
        raise CaptureError(f"{error.filename or folder}: {error.strerror or error}{full}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Result(stage.name, folder, gates, seconds)


def _kept(name: str, folder: Path, key: str) -> Result | None:
    """A stage that was made already from the same things, or None."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["key"] != key:
            return None
        gates = [Gate(**gate) for gate in record["gates"]]
        return Result(name, folder, gates, float(record["seconds"]), reused=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
