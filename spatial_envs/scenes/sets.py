"""Sets of scenes, which ``scenes=`` names: files are listed at opening and read when they are asked for."""

from __future__ import annotations

import difflib
import logging
import os
import reprlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from spatial_envs.foundation import yaml_files
from spatial_envs.foundation.arguments import absolute, check_range, legible
from spatial_envs.foundation.errors import SceneError

logger = logging.getLogger(__name__)
T = TypeVar("T")
S_co = TypeVar("S_co", covariant=True)
F = TypeVar("F", bound="File")
L = TypeVar("L", bound="Listed")
Set = TypeVar("Set", bound="SceneSet")

PROCEDURAL = {  # first seed and number of objects; only test_category has the families of TEST_FAMILIES
    "train": (0, 4096),
    "validation": (1_000_000, 64),
    "test": (2_000_000, 128),
    "test_category": (3_000_000, 128),
}
SPLITS = tuple(PROCEDURAL)
WORDS = ("procedural", "procedural-scans")  # what ``scenes=`` may say that is no path


class FileFrame(NamedTuple):
    """What is known of how files lie: their up axis, "y", "z" or "auto", and the metres in their unit, or
    "auto"."""

    up: str = "auto"
    scale: float | str = "auto"

    def check(self, where: str = "") -> None:
        """Raises ValueError that begins with ``where``."""
        if self.up not in ("auto", "y", "z"):
            raise ValueError(f"{where}up: got {self.up!r}, expected 'auto', 'y' or 'z'")
        if self.scale != "auto":
            check_range(f"{where}scale", self.scale, 1e-6, 1e6)


class Source(Protocol[S_co]):
    """Where one scene of a set comes from."""

    def load(self) -> S_co: ...


class Listed(Protocol):
    """A source that is a file."""

    @property
    def path(self) -> str: ...


class File(Source, Listed, Protocol):
    """One with an up axis, ``up``."""

    @property
    def up(self) -> str: ...


@dataclass(frozen=True, eq=False)
class SceneSet(Generic[S_co]):
    """Scenes of one split, in a fixed order.

    names   one for each scene, without doubles
    label   what tables call the set
    leaky   True where there are no splits, so that train = test
    """

    names: tuple[str, ...]
    label: str
    leaky: bool
    sources: Sequence[Source[S_co]] = field(repr=False)
    word: ClassVar[str] = "scene"  # what errors call one
    _broken: set[int] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(legible(name) for name in self.names))
        object.__setattr__(self, "label", legible(self.label))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name_or_index: str | int) -> int:
        """The index of a scene given by its name or index; ValueError for one that is not in the set."""
        if isinstance(name_or_index, str):
            if name_or_index in self.names:
                return self.names.index(name_or_index)
            close = difflib.get_close_matches(name_or_index, self.names, 5, cutoff=0.4) or self.names[:5]
            raise ValueError(
                f"{self.word}: got {name_or_index!r}, not in {self.label}; close to it: {', '.join(close)}"
            )
        if isinstance(name_or_index, bool) or not isinstance(name_or_index, int | np.integer):
            raise ValueError(f"{self.word}: got {name_or_index!r}, expected a name or an index")
        if not 0 <= name_or_index < len(self):
            raise ValueError(
                f"{self.word}: got {name_or_index}, expected 0 to {len(self) - 1} ({self.label})"
            )
        return int(name_or_index)

    def first(self: Set, count: int) -> Set:
        """The first ``count`` scenes as a set of their own."""
        return replace(self, names=self.names[:count], sources=self.sources[:count])

    def chosen(self: Set, indices: Sequence[int]) -> Set:
        """The scenes at these indices as a set of their own."""
        names, sources = zip(*((self.names[k], self.sources[k]) for k in indices), strict=True)
        return replace(self, names=names, sources=sources)

    def only(self: Set, index: int) -> Set:
        """One scene as a set of its own."""
        return self.chosen([index])

    def load(self, index: int) -> S_co:
        """The scene; SceneError where its file is broken."""
        return self.sources[self.index(index)].load()

    def draw(
        self, rng: np.random.Generator, build: Callable[[int], T], known: Sequence[int] = ()
    ) -> tuple[int, T]:
        """The first of the indices ``known``, which were drawn before, or else a uniformly drawn one, and
        ``build(index)``, passing over files that are broken.

        ``build`` calls ``load`` and may raise SceneError: then the file is reported in one warning and
        remembered, and another index is drawn. What is drawn depends on ``rng`` and which files are broken,
        never on when that was noticed. SceneError where the only file is broken, ValueError where all are.
        """
        drawn = iter(known)
        while len(self._broken) < len(self):
            index = next(drawn, None)
            index = int(rng.integers(len(self))) if index is None else index
            if index in self._broken:
                continue
            try:
                return index, build(index)
            except SceneError as error:
                if len(self) == 1:
                    raise
                self._broken.add(index)
                skipped = f"skipped {len(self._broken)} of {len(self)} files"
                warnings.warn(f"{self.label}: {skipped}: {error}", stacklevel=2)
        raise ValueError(f"scenes: all {len(self)} files of {self.label} are broken; the warnings say why")


def open_scenes(
    kind: type[Set],
    scenes: str | Path,
    split: str,
    frame: FileFrame,
    procedural: Mapping[str, tuple[int, int]],
    made: Mapping[str, Callable[[int], Source]],
    listed: Callable[[Path, FileFrame, str], dict[str, F]],
    keys: tuple[str, ...] = ("up",),
) -> Set:
    """The scenes of a split as a ``kind`` of set: what ``open_objects`` and ``open_buildings`` share.

    procedural: first seed and count by split; made: by the word for it, seed -> the source of a scene
    listed: (path, frame, where errors begin) -> the files there by name
    keys: what of ``frame`` a scene-set YAML may say
    """
    if split not in tuple(procedural):
        raise ValueError(f"split: got {split!r}, expected one of {', '.join(procedural)}")
    frame.check()
    if (seeded := made.get(str(scenes))) is not None:
        if frame.up == "z":
            raise ValueError(f"up: got 'z', but procedural {kind.word}s are made with Y up")
        if frame.scale != "auto":
            raise ValueError(f"scale: got {frame.scale!r}, but procedural {kind.word}s are made in metres")
        first, count = procedural[split]
        seeds = range(first, first + count)
        names = tuple(f"{scenes}-{seed:07d}" for seed in seeds)
        return kind(names, f"{scenes}/{split}", False, tuple(seeded(seed) for seed in seeds))
    words = ", ".join(map(repr, made))
    if split == "test_category":
        raise ValueError(f"split: 'test_category' exists for scenes={words} only; got scenes={str(scenes)!r}")
    path = existing(scenes, "a mesh file, a folder or a scene-set YAML", words)
    has_splits = path.is_file() and path.suffix.lower() in (".yaml", ".yml")
    label = f"{path.name}/{split}" if has_splits else path.name
    named = scene_set(path, split, frame, listed, keys) if has_splits else listed(path, frame, "scenes")
    axes = " and ".join(sorted({file.up.upper() for file in named.values()}))
    logger.info("%s: %d %ss, %s up (up=%r)", label, len(named), kind.word, axes, frame.up)
    return kind(tuple(named), label, not has_splits, tuple(named.values()))


def existing(scenes: str | Path, expected: str, words: str = "'procedural'") -> Path:
    """The absolute path that ``scenes=`` names; ValueError where nothing is there, which says what is
    ``expected`` beside the ``words``."""
    path = absolute("scenes", scenes)
    if not os.path.exists(path):  # where Path.exists raises, of a name that is too long
        typo = difflib.SequenceMatcher(None, str(scenes).lower(), "procedural").ratio() > 0.7
        hint = "; did you mean 'procedural'?" if typo else ""
        raise ValueError(f"scenes: {str(scenes)!r} does not exist{hint}; expected {words}, {expected}")
    return path


def scene_set(
    path: Path,
    split: str,
    frame: FileFrame,
    listed: Callable[[Path, FileFrame, str], dict[str, L]],
    keys: tuple[str, ...] = (),
) -> dict[str, L]:
    """The scenes of a split of a scene-set YAML; all splits are listed, so that a file in two is noticed.

    frame: where it is "auto", what the file says by those ``keys`` counts
    listed: (path of an entry, frame, where errors begin) -> its files by name
    """
    content = _mapping(path, "the file", yaml_files.read(path), (*keys, "splits"))
    said = FileFrame(**{key: content[key] for key in keys if key in content})
    said.check(f"{path}: ")
    frame = FileFrame(
        said.up if frame.up == "auto" else frame.up, said.scale if frame.scale == "auto" else frame.scale
    )
    if "splits" not in content:
        raise ValueError(f"{path}: splits: missing; expected a mapping of {', '.join(SPLITS[:3])}")
    splits = _mapping(path, "splits", content["splits"], SPLITS[:3])
    if split not in splits:
        raise ValueError(f"{path}: splits: {split!r} is missing; it has {', '.join(splits) or 'none'}")
    objects: dict[str, dict[str, L]] = {}
    seen: dict[str, str] = {}
    for key, entries in splits.items():
        where = f"{path}: splits: {key}"
        if not isinstance(entries, list) or not entries or not all(isinstance(e, str) and e for e in entries):
            raise ValueError(f"{where}: got {reprlib.repr(entries)}, expected a list of paths")
        objects[key] = {}
        for entry in entries:
            place = absolute(where, path.parent / os.path.expanduser(entry))
            place = Path(os.path.realpath(place.parent), place.name)  # what is a link keeps its own ending
            if not os.path.exists(place):
                raise ValueError(f"{where}: {entry!r} does not exist (looked for at {str(place)!r})")
            for name, file in listed(place, frame, where).items():
                if (real := os.path.realpath(file.path)) in seen:
                    raise ValueError(f"{where}: {file.path} is already in {seen[real]}; expected it once")
                seen[real] = key
                objects[key][entry if place.is_file() else f"{entry.rstrip('/')}/{name}"] = file
    return objects[split]


def files_below(
    root: Path, wanted: Callable[[str, list[str]], bool]
) -> tuple[list[Path], dict[str, list[Path]]]:
    """The files in a folder and all below it, sorted, each once, whatever links lead to it, and by a path
    without links where there is one; hidden ones are passed over. And what was left out, by the reason.

    wanted: (a file's name, the names beside it) -> whether it is asked for
    """
    above = f"{os.path.realpath(root)}{os.sep}"
    found: list[Path] = []
    left: dict[str, list[Path]] = {}
    seen: set[str] = set()
    starts = [root]
    for start in starts:  # and the links that are found on the way
        for folder, inner, names in os.walk(
            start, onerror=lambda e: left.setdefault("unreadable", []).append(Path(str(e.filename)))
        ):
            real = os.path.realpath(folder)
            if real in seen or (seen and above.startswith(f"{real}{os.sep}")):
                left.setdefault("links to what is there already", []).append(Path(folder))
                inner.clear()
                continue
            seen.add(real)
            shown = [Path(folder, name) for name in sorted(inner) if not name.startswith(".")]
            inner[:] = [place.name for place in shown if not place.is_symlink()]
            starts += [place for place in shown if place.is_symlink()]
            found += [
                Path(folder, name) for name in names if not name.startswith(".") and wanted(name, names)
            ]
    reals = {file: os.path.realpath(file) for file in found}
    kept: dict[str, Path] = {}
    for file in sorted(found, key=lambda file: (reals[file] != f"{above}{file.relative_to(root)}", file)):
        if not os.path.exists(file):
            left.setdefault("links to nothing", []).append(file)
        elif kept.setdefault(reals[file], file) != file:
            left.setdefault("links to what is there already", []).append(file)
    return sorted(kept.values()), left


def warn_left_out(root: Path, left: Mapping[str, Sequence[Path]]) -> None:
    """One warning of what is not in a set although it lies in its folder: how many, why, and some names."""
    if left:
        reasons = []
        for reason, files in sorted(left.items()):
            names = ", ".join(legible(os.path.relpath(file, root)) for file in sorted(files)[:3])
            reasons.append(f"{len(files)} {reason} ({names}{', ...' if len(files) > 3 else ''})")
        warnings.warn(f"{legible(root.name)}: left out: {'; '.join(reasons)}", stacklevel=2)


def _mapping(path: Path, key: str, value: object, allowed: tuple[str, ...]) -> dict:
    """``value`` if it is a dict with allowed keys; ValueError otherwise."""
    if not isinstance(value, dict):
        raise ValueError(
            f"{path}: {key}: got {type(value).__name__}, expected a mapping of {', '.join(allowed)}"
        )
    if unknown := [k for k in value if k not in allowed]:
        raise ValueError(f"{path}: {key}: unknown key {unknown[0]!r}, expected {', '.join(allowed)}")
    return value
