"""Things that a detector's boxes and masks, of many pictures, vote into the mesh."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from scenes.capture.detectors import Detection, Detector
from scenes.capture.pose_files import Camera
from scenes.capture.stages import CaptureError
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.rendering.builtin import BuiltinRenderer

ALIVE = ("person", "cat", "dog", "bird")  # what does not stay where it was
FLOOR = 0.05  # metres, above which faces are a thing's
WIDTH = 320  # pixels of the pictures that tell which faces a camera sees
HIDDEN = 0.06  # metres that a face is behind what is seen, at most
DEEP = 0.6  # of a box's longer side, metres: how far its thing reaches before and behind its middle
SHARE = 0.08  # of a face's views, each as sure as the detector was, that have to name it, for it misses much
CORE = 0.5  # of that share of a thing's best faces, that its others have, too: the rest is what is behind it
VIEWS = 2  # pictures that have to
APART = 0.1  # metres between two things of one word
FILLS = 0.3  # of what a picture shows in a box or mask, that is the thing's; in two pictures at least
COLOURS = ((230, 60, 50), (40, 130, 230), (50, 180, 80), (240, 170, 30), (150, 80, 210), (30, 190, 190))
ACROSS, ROWS = 400, 5  # pixels across a picture of the sheet, and its rows


class Looked(NamedTuple):
    """What a detector found in a camera's picture once that was turned upright: what was at (u, v) is at
    ``turn`` (2, 3) @ (u, v, 1) then, and so are the detections."""

    camera: Camera  # of the picture's size
    turn: np.ndarray
    found: list[Detection]


def looked(pictures: Path, camera: Camera, detector: Detector) -> Looked:
    """What a detector finds in a camera's picture, in the folder of them."""
    with Image.open(pictures / camera.name) as image:
        rgb = np.asarray(image.convert("RGB"))
    camera = camera.resized((rgb.shape[1], rgb.shape[0]))
    turn, size = upright_turn(camera)
    shown = cv2.warpAffine(rgb, turn, size, flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128))
    return Looked(camera, turn, [_checked(one, shown) for one in detector(shown)])


def _checked(found: Any, picture: np.ndarray) -> Detection:
    """What a detector returned, its word as a category's. CaptureError where it is no Detection."""
    try:
        word, score, box, mask = Detection(*found)
        x0, y0, x1, y1 = (float(n) for n in box)
        mask = None if mask is None else np.asarray(mask, bool)
        if mask is None or mask.shape == picture.shape[:2]:
            return Detection(_word(word), float(score), (x0, y0, x1, y1), mask)
        said = f"a mask {mask.shape} of a picture {picture.shape[:2]}"
    except (TypeError, ValueError, AttributeError):
        said = str(found)[:80]
    raise CaptureError(
        f"--detector: got {said}; expected Detection(word, score, (x0, y0, x1, y1), mask (H, W) or None)"
    )


def upright_turn(camera: Camera) -> tuple[np.ndarray, tuple[int, int]]:
    """(2, 3): where a camera's pixels (u, v, 1) are in its picture turned so that the world's up is up, by
    what it rolls; and that picture's size (W, H). Not turned where it rolls less than 15 degrees, or looks
    nearly straight up or down."""
    right, down = camera.pose[1, 0], camera.pose[1, 1]  # of the world's up in the camera's axes
    angle = float(np.degrees(np.arctan2(right, -down))) if np.hypot(right, down) > 0.3 else 0.0
    width, height = camera.size
    if abs(angle) < 15:
        return np.eye(2, 3), (width, height)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ turn.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    turn[:, 2] -= low
    across, along = (round(n) for n in (high - low).tolist())
    return turn, (across, along)


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_")


def voted(mesh: Mesh, views: Sequence[Looked]) -> list[tuple[str, np.ndarray]]:
    """The word and the faces (F,) bool of each thing that views vote into the mesh, the largest of each word
    first.

    A face may be a word's where two views name it, and 8 % of those that see it, each counted as sure as it
    was. Of faces of one word that hang together those are a thing that have half of the share of the best;
    it has to fill 30 % of what two views show in a box or mask of it."""
    middles = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
    words = sorted({d.word for view in views for d in view.found} - set(ALIVE))
    seen = np.zeros(len(middles))
    sure, times = np.zeros((2, len(words), len(middles)))
    boxes: list[list[np.ndarray]] = [[] for _ in words]
    for view in views:
        number, pixels, z = seen_faces(mesh, middles, view.camera)
        pixels = pixels @ view.turn[:, :2].T + view.turn[:, 2]
        seen[number] += 1
        mine = np.zeros((len(words), len(number)))
        for detection in view.found:
            if detection.word in words:
                inside = _within(detection, pixels, z, view.camera)
                row = words.index(detection.word)
                mine[row, inside] = np.maximum(mine[row, inside], detection.score)
                boxes[row].append(number[inside])
        sure[:, number] += mine
        times[:, number] += mine > 0
    enough = (times >= VIEWS) & (sure >= SHARE * np.maximum(seen, 1)) & (middles[:, 1] > FLOOR)
    share = np.where(enough, sure / np.maximum(seen, 1), 0)
    best = share.argmax(axis=0) if words else seen
    found = []
    for row, word in enumerate(words):
        around = _grouped(middles, (best == row) & (share[row] > 0))
        core = np.zeros(len(middles), bool)
        for k in range(1, around.max() + 1):
            core |= (around == k) & (share[row] >= CORE * np.percentile(share[row, around == k], 95))
        group = _grouped(middles, core)
        for k in np.argsort(-np.bincount(group, mesh.areas)):
            fills = sorted(
                mesh.areas[box[group[box] == k]].sum() / mesh.areas[box].sum()
                for box in boxes[row]
                if mesh.areas[box].sum() > 0
            )
            if k and len(fills) >= VIEWS and fills[-VIEWS] >= FILLS:
                found.append((word, group == k))
    return found


def seen_faces(mesh: Mesh, middles: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The faces whose middles (F, 3) a camera sees: their numbers (N,), the pixels u, v (N, 2) where they
    are, and their depth (N,)."""
    share = min(WIDTH / max(camera.size), 1.0)
    small = camera.resized((round(camera.size[0] * share), round(camera.size[1] * share)))
    depth = BuiltinRenderer(lit=False).render(mesh, small.pose, small.matrix, small.size[::-1]).depth
    inside, z = small.in_picture(middles)
    number = np.flatnonzero(inside)
    u, v, z = small.project(middles[number])
    there = depth[v.astype(int), u.astype(int)]
    clear = (there > 0) & (z - there < HIDDEN)
    u, v, _ = camera.project(middles[number[clear]])
    return number[clear], np.stack([u, v], axis=1), z[clear]


def _within(detection: Detection, pixels: np.ndarray, z: np.ndarray, camera: Camera) -> np.ndarray:
    """(N,) bool: which of the places (N, 2) in the picture, of depth (N,), are the thing's: those of its mask
    or those in its box that are about as far as the middle of the box is."""
    if detection.mask is not None:
        height, width = detection.mask.shape
        column, row = np.floor(pixels).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        return inside & detection.mask[np.where(inside, row, 0), np.where(inside, column, 0)]
    low, high = np.array(detection.box[:2]), np.array(detection.box[2:])
    inside = ((pixels >= low) & (pixels < high)).all(axis=1)
    middle = inside & (np.abs(pixels - (low + high) / 2) < (high - low) / 4).all(axis=1)
    if not middle.any():
        return middle
    far = float(np.median(z[middle]))
    side = float((high - low).max()) * far / camera.intrinsics[0]
    return inside & (np.abs(z - far) < DEEP * side)


def _grouped(middles: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """(F,): the number of the thing that each of some faces (F,) bool is of, from 1, 0 for the others; those
    whose cells of 0.1 m touch are one."""
    group = np.zeros(len(middles), int)
    if mine.any():
        cell = np.floor(middles[mine] / APART).astype(int)
        cell -= cell.min(axis=0)
        taken = np.zeros(cell.max(axis=0) + 1, bool)
        taken[tuple(cell.T)] = True
        group[mine] = ndimage.label(taken, np.ones((3, 3, 3)))[0][tuple(cell.T)]
    return group


def coloured(mesh: Mesh, segment: np.ndarray, others: np.ndarray) -> Mesh:
    """The mesh with a colour for each thing of segment (F,), from 2 on; all else as ``others`` (F, 3)."""
    colours = np.where((segment > 1)[:, None], np.array(COLOURS)[(segment - 2) % len(COLOURS)], others)
    corners = np.arange(3 * len(mesh.faces), dtype=np.int32).reshape(-1, 3)
    return Mesh(
        mesh.vertices[mesh.faces.reshape(-1)], corners, np.repeat(colours.astype(np.uint8), 3, axis=0)
    )


def draw_votes(
    path: Path,
    mesh: Mesh,
    segment: np.ndarray,
    named: Mapping[int, tuple[str, str]],
    views: Sequence[Looked],
    pictures: Path,
) -> None:
    """Write the pictures in which most was found, with the boxes, each beside the mesh as its camera saw it
    with the things coloured and named: segment (F,) from 1, named: (name, category) by number."""
    apart = coloured(mesh, segment, np.full((len(mesh.faces), 3), 190, np.uint8))
    rows, renderer = [], BuiltinRenderer()
    order = sorted(range(len(views)), key=lambda k: -len(views[k].found))
    for k in sorted(order[:ROWS]):
        view = views[k]
        high = round(ACROSS * view.camera.size[1] / view.camera.size[0])
        small = view.camera.resized((ACROSS, high))
        with Image.open(pictures / view.camera.name) as image:
            photo = image.convert("RGB").resize((ACROSS, high))
        draw, back = ImageDraw.Draw(photo), cv2.invertAffineTransform(view.turn)
        for word, score, (x0, y0, x1, y1), _ in view.found:
            ring = np.array([[x0, y0, 1], [x1, y0, 1], [x1, y1, 1], [x0, y1, 1]]) @ back.T
            ring = ring * (ACROSS / view.camera.size[0])
            draw.polygon([tuple(corner) for corner in ring.tolist()], outline=(255, 220, 40), width=2)
            draw.text(tuple(ring.mean(axis=0).tolist()), f"{word} {score:.2f}", (255, 220, 40), anchor="mm")
        drawn = Image.fromarray(renderer.render(apart, small.pose, small.matrix, (high, ACROSS)).rgb)
        draw = ImageDraw.Draw(drawn)
        middles = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
        for key, (name, _) in named.items():
            if key > 1:
                centre = middles[segment == key].mean(axis=0, keepdims=True)
                u, v, z = (float(n[0]) for n in small.project(centre))
                if z > 0 and 0 < u < ACROSS and 0 < v < high:
                    draw.text((u, v), name, (0, 0, 0), anchor="mm", stroke_width=2, stroke_fill="white")
        rows.append(np.concatenate([np.asarray(photo), np.asarray(drawn)], axis=1))
    Image.fromarray(np.concatenate(rows)).save(path, quality=88)
