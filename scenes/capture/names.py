"""Which faces of the surface are which thing: by a detector's votes, by hand, or both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scenes.capture.detectors import open_detector
from scenes.capture.pose_files import read_transforms
from scenes.capture.poses import FILE
from scenes.capture.stages import CaptureError, Gate, damaged
from scenes.capture.surface import load_mesh
from scenes.capture.votes import ALIVE, Looked, draw_votes, looked, voted
from spatial_envs.geometry.mesh import Mesh

SHEET = "named.jpg"


class Things(NamedTuple):
    """The object of every face, (F,) int32 from 1, and (name, category) of each; 1 is all that has no name,
    of the category "wall"."""

    segment: np.ndarray
    named: dict[int, tuple[str, str]]


def make(folder: Path, before: Mapping[str, Path], options: Mapping[str, Any]) -> list[Gate]:
    """The stage: fills ``folder`` with segment.npy and names.json. Names by hand go before a detector's."""
    mesh = load_mesh(before["surface"] / "mesh.npz")
    found = by_hand(np.load(before["surface"] / "pieces.npy"), parse_labels(options["labels"]))
    views: list[Looked] = []
    if options["detector"] is not None:
        detector, pictures = open_detector(options["detector"]), before["poses"] / "pictures"
        cameras = read_transforms(before["upright"] / FILE)
        views = [looked(pictures, camera, detector) for camera in cameras]
        found += voted(mesh, views)
    things = numbered(mesh, found)
    np.save(folder / "segment.npy", things.segment)
    (folder / "names.json").write_text(json.dumps(things.named, indent=1), encoding="utf-8")
    gates = []
    if views:
        draw_votes(folder / SHEET, mesh, things.segment, things.named, views, pictures)
        gates = _looks(views)
    count = Counter(word for number, (_, word) in things.named.items() if number > 1)
    gates.append(
        Gate(
            "names", bool(count), ", ".join(f"{n} {word}" for word, n in count.items()) or "nothing",
            "something that ObjectNav can seek",
            "Name things by the numbers in pieces.png, --labels sofa=3 chair=5,6, or pass --detector.",
            SHEET if views else "", required=False,
        )
    )  # fmt: skip
    return gates


def _looks(views: Sequence[Looked]) -> list[Gate]:
    """What a detector saw in the pictures."""
    counts = Counter(detection.word for view in views for detection in view.found)
    alive = sum(any(detection.word in ALIVE for detection in view.found) for view in views)
    told = ", ".join(f"{count} {word}" for word, count in counts.most_common()) or "nothing"
    return [
        Gate(
            "detector", bool(counts), f"{told} in {len(views)} pictures", "something",
            "The detector found nothing: name things by hand, --labels.", required=False,
        ),
        Gate(
            "nobody there", alive <= len(views) / 4, f"somebody in {alive} of {len(views)} pictures",
            "in at most a quarter", "Film while nobody is in the room.", required=False,
        ),
    ]  # fmt: skip


def read_names(folder: Path) -> Things:
    """What the stage wrote; CaptureError where that cannot be read."""
    try:
        told = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        named = {int(number): (name, word) for number, (name, word) in told.items()}
        return Things(np.load(folder / "segment.npy"), named)
    except (OSError, EOFError, ValueError, AttributeError) as error:
        raise damaged(folder / "names.json", "names", error) from None


def parse_labels(labels: Sequence[str]) -> dict[str, list[int]]:
    """{"sofa": [12, 13]} of ["sofa=12,13"]; CaptureError for another form."""
    found: dict[str, list[int]] = {}
    for label in labels:
        word, _, numbers = label.partition("=")
        try:
            mine = [int(number) for number in numbers.split(",")]
        except ValueError:
            mine = []
        if not word.isidentifier() or not mine or min(mine) < 1:
            raise CaptureError(
                f"--labels: got {label!r}; expected a word and numbers of pieces, as sofa=12,13"
            )
        found.setdefault(word.lower(), []).extend(mine)
    return found


def by_hand(pieces: np.ndarray, labels: Mapping[str, Sequence[int]]) -> list[tuple[str, np.ndarray]]:
    """The word and the faces (F,) bool of each piece that a label names. CaptureError for a number that is no
    piece, or is named twice."""
    taken: dict[int, str] = {}
    found = []
    for word, numbers in labels.items():
        for number in numbers:
            if not (pieces == number).any():
                raise CaptureError(
                    f"--labels: {word}={number}: expected a piece, 1 to {pieces.max(initial=0)}"
                )
            if number in taken:
                raise CaptureError(
                    f"--labels: piece {number} is {taken[number]} and {word}; expected one of them"
                )
            taken[number] = word
            found.append((word, pieces == number))
    return found


def numbered(mesh: Mesh, found: Sequence[tuple[str, np.ndarray]]) -> Things:
    """Things, each a word and faces (F,) bool, numbered within each word in their order; a face that is of
    two is the first's."""
    segment, named = np.ones(len(mesh.faces), np.int32), {1: ("wall_1", "wall")}
    count: Counter[str] = Counter()
    for word, faces in found:
        mine = faces & (segment == 1)
        if mine.any():
            count[word] += 1
            segment[mine] = len(named) + 1
            named[len(named) + 1] = (f"{word}_{count[word]}", word)
    return Things(segment, named)
