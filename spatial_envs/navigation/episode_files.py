"""Episodes from files in the form of habitat-lab's datasets, and files of that form.

A file ``.json`` or ``.json.gz`` holds ``{"episodes": [...]}``; one of ObjectNav also ``goals_by_category``.
One without episodes has a folder ``content`` beside it, with a file for each scene, which is read when an
episode in that scene begins.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from spatial_envs.foundation.arguments import absolute, check_range

GZIPPED = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class Listed:
    """What a file says of an episode.

    name            its ``episode_id``; scene: its ``scene_id``
    start, yaw      (3,), metres, and radians about +Y
    goal, goal_yaw  (3,), or (G, 3) the view points of a category, None for Explore; radians, of the picture
                    that ImageNav seeks: the file's where it has one, else drawn from the name
    category        "" where no object is sought
    """

    name: str
    scene: str
    start: np.ndarray
    yaw: float
    goal: np.ndarray | None
    goal_yaw: float
    category: str


class EpisodeFile:
    """The episodes of a file, by the scenes of a set.

    path    the file; kind: of goal, "point", "image", "object" or "none"
    files   of the set's scenes, by their names; a scene's name where it has none
    scenes  the names of those that have episodes

    What lies in the folder ``content`` is read as it is asked for. ValueError that names the file for what is
    no such file, and where no scene of the set has an episode.
    """

    def __init__(self, path: Path | str, kind: str, files: Mapping[str, str]) -> None:
        self.path, self.kind, self.files = absolute("episodes", path), kind, files
        self._listed: dict[str, list[Listed]] = {}
        self._content: dict[str, Path] = {}
        whole = _read(self.path)
        folder = self.path.parent / "content"
        if whole["episodes"] or not folder.is_dir():
            said = self._take(whole, self.path)
        else:
            said = []
            for file in sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")]):
                said.append(file.name.removesuffix(".gz").removesuffix(".json"))
                self._content |= dict.fromkeys(self._meant(said[-1]), file)
        self.scenes = {*self._listed, *self._content}
        if not self.scenes:
            few = ", ".join(sorted(set(said))[:5]) or "none"
            raise ValueError(
                f"episodes: {self.path} has episodes in {few}, and scenes= has {', '.join([*files][:5])}; "
                "expected some in one of these"
            )

    def of(self, scene: str) -> list[Listed]:
        """The episodes in a scene of the set, in the file's order."""
        if scene in self._content:
            file = self._content.pop(scene)
            self._take(_read(file), file)
        return self._listed.get(scene, [])

    def drawn(self, scene: str, rng: np.random.Generator) -> list[Listed]:
        """The same, from a random one on."""
        listed = self.of(scene)
        first = int(rng.integers(max(len(listed), 1)))
        return [*listed[first:], *listed[:first]]

    def named(self, episode: str | int, scene: str | None = None) -> tuple[str, Listed]:
        """The scene and the episode of an ``episode_id``, or of a number from 0 on in a scene. ValueError
        where there is none, or more than one."""
        scenes = sorted(self.scenes) if scene is None else [scene]
        listed = [(name, each) for name in scenes for each in self.of(name)]
        if isinstance(episode, str):
            found = [pair for pair in listed if pair[1].name == episode]
            if len(found) == 1:
                return found[0]
            fault = f"which {self.path.name} has {len(found)} times in {scene or 'these scenes'}"
        else:
            check_range("options['episode']", episode, 0, len(listed) - 1, int)
            if scene is not None:
                return listed[episode]
            fault = "and no building"
        raise ValueError(
            f"options['episode']: got {episode!r}, {fault}; expected the episode_id of one, or with "
            "options['building'] its number there, from 0 on"
        )

    def _take(self, whole: dict[str, Any], file: Path) -> list[str]:
        """Keep the episodes of a file's content; the scenes that it names."""
        meant: dict[str, list[str]] = {}
        goals = _Goals(whole.get("goals_by_category") or {})
        for place, raw in enumerate(whole["episodes"]):
            try:
                listed = _episode(raw, self.kind, goals)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise ValueError(
                    f"{file}: episodes[{place}]: {type(error).__name__}: {error}; expected "
                    f"habitat-lab's form of an episode with {_NEEDED[self.kind]}"
                ) from None
            if listed.scene not in meant:
                meant[listed.scene] = self._meant(listed.scene)
            for name in meant[listed.scene]:
                self._listed.setdefault(name, []).append(listed)
        return [*meant]

    def _meant(self, scene: str) -> list[str]:
        """The names of the set's scenes that an id means: that of this name, or those whose file has the same
        name but for its endings; of several those whose folders agree longest."""
        wanted = PurePosixPath(scene)
        agree: dict[str, int] = {}
        for name, path in self.files.items():
            own = PurePosixPath(path.replace("\\", "/"))
            if _stem(wanted) in (_stem(own), PurePosixPath(name).name) or scene == name:
                pairs = zip(reversed(wanted.parts[:-1]), reversed(own.parts[:-1]), strict=False)
                agree[name] = len([*itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)])
        return [name for name, count in agree.items() if count == max(agree.values())]


def write_episodes(path: Path, kind: str, episodes: Iterable[Listed]) -> None:
    """Write episodes in habitat-lab's form, gzipped where the path ends in .gz; the same bytes each time."""
    raws: list[dict[str, Any]] = []
    by_category: dict[str, list[dict[str, Any]]] = {}
    for each in episodes:
        raw: dict[str, Any] = {
            "episode_id": each.name, "scene_id": each.scene, "start_position": _numbers(each.start),
            "start_rotation": _quaternion(each.yaw), "info": {}, "goals": [],
        }  # fmt: skip
        if kind in ("point", "image") and each.goal is not None:
            turned = {"rotation": _quaternion(each.goal_yaw)} if kind == "image" else {}
            raw["goals"] = [{"position": _numbers(each.goal), "radius": None, **turned}]
        elif kind == "object" and each.goal is not None:
            raw["object_category"] = each.category
            points = [{"agent_state": {"position": _numbers(point)}} for point in each.goal]
            key = f"{PurePosixPath(each.scene).name}_{each.category}"
            by_category[key] = [{"object_category": each.category, "view_points": points}]
        raws.append(raw)
    whole = {"episodes": raws, **({"goals_by_category": by_category} if kind == "object" else {})}
    data = json.dumps(whole, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


_NEEDED = {
    "point": "goals[0].position", "image": "goals[0].position", "none": "start_position and start_rotation",
    "object": "object_category and view points, in goals or in goals_by_category",
}  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    """A file's content; ValueError for what is no such file."""
    try:
        data = path.read_bytes()
        whole = json.loads(gzip.decompress(data) if data.startswith(GZIPPED) else data)
    except FileNotFoundError:
        raise ValueError(f"episodes: {path} does not exist; expected a file .json or .json.gz") from None
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise ValueError(
            f"{path}: {type(error).__name__}: {error}; expected habitat-lab's JSON, gzipped or not"
        ) from None
    if not isinstance(whole, dict) or not isinstance(whole.get("episodes"), list):
        raise ValueError(f"{path}: no list under 'episodes'; expected habitat-lab's form of a dataset")
    return whole


class _Goals:
    """The view points of ObjectNav's goals; those of a file's ``goals_by_category`` are read once."""

    def __init__(self, by_category: dict[str, Any]) -> None:
        self.by_category = by_category
        self.known: dict[str, np.ndarray] = {}

    def of(self, raw: dict[str, Any], scene: str, category: str) -> np.ndarray:
        """(G, 3): an episode's."""
        if raw.get("goals"):
            return self._points(raw["goals"])
        key = f"{PurePosixPath(scene).name}_{category}"
        if key not in self.known:
            self.known[key] = self._points(self.by_category[key])
        return self.known[key]

    @staticmethod
    def _points(things: list[dict[str, Any]]) -> np.ndarray:
        points = [point["agent_state"]["position"] for thing in things for point in thing["view_points"]]
        return np.stack([_point(point) for point in points])


def _episode(raw: dict[str, Any], kind: str, goals: _Goals) -> Listed:
    name, scene = str(raw["episode_id"]), str(raw["scene_id"])
    category, goal = "", None
    goal_yaw = 0.0
    if kind in ("point", "image"):
        goal = _point(raw["goals"][0]["position"])
        turned = raw["goals"][0].get("rotation") if kind == "image" else None
        drawn = np.random.default_rng(zlib.crc32(name.encode())).uniform(-math.pi, math.pi)
        goal_yaw = float(drawn) if turned is None else _yaw(turned)
    elif kind == "object":
        category = str(raw["object_category"])
        goal = goals.of(raw, scene, category)
    start, yaw = _point(raw["start_position"]), _yaw(raw["start_rotation"])
    return Listed(name, scene, start, yaw, goal, goal_yaw, category)


def _stem(path: PurePosixPath) -> str:
    """A file's name without its endings; .basis is habitat's for compressed textures."""
    name = path.name
    for ending in (".glb", ".gltf", ".ply", ".obj", ".scene_instance.json", ".basis"):
        name = name.removesuffix(ending)
    return name


def _point(value: Any) -> np.ndarray:
    point = np.asarray(value, np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise ValueError(f"got {value!r}; expected (x, y, z), finite, metres")
    return point


def _yaw(value: Any) -> float:
    """Radians about +Y of a quaternion (x, y, z, w)."""
    x, y, z, w = np.asarray(value, np.float64)
    if not math.isfinite(x + y + z + w) or math.hypot(x, y, z, w) < 1e-6:
        raise ValueError(f"got {value!r}; expected a quaternion (x, y, z, w)")
    return math.atan2(2 * (w * y + x * z), 1 - 2 * (x * x + y * y))


def _quaternion(yaw: float) -> list[float]:
    return [0.0, round(math.sin(yaw / 2), 9), 0.0, round(math.cos(yaw / 2), 9)]


def _numbers(point: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in point]
