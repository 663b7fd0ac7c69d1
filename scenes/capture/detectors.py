"""What is in a picture, by a detector: an object of the user's, or an ONNX file in FastestDet's form."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from scenes.capture.stages import CaptureError
from spatial_envs.foundation.arguments import user_path

SIDE = 352  # pixels of the picture that an ONNX file takes, as FastestDet's
SCORE = 0.45  # of a box of an ONNX file's
OVERLAP = 0.35  # of two boxes of one word, above which the weaker is left out
HEAD = 5  # numbers before the classes': whether there is a thing, where its middle is, how large it is


class Detection(NamedTuple):
    """A thing in a picture.

    word   what it is
    score  0 to 1, how sure that is
    box    x0, y0, x1, y1, pixels of the picture
    mask   (H, W) bool, its pixels; None where the box is all that is known
    """

    word: str
    score: float
    box: tuple[float, float, float, float]
    mask: np.ndarray | None = None


Detector = Callable[[np.ndarray], Sequence[Detection]]  # of a picture (H, W, 3) uint8, RGB


def open_detector(told: str) -> Detector:
    """The detector that ``told`` names: ``file.onnx``, or ``module:name`` of a Detector in Python.

    CaptureError where there is none of that name."""
    if told.lower().endswith(".onnx"):
        return GridDetector(user_path("--detector", told))
    module, _, name = told.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise CaptureError(
            f"--detector: got {told!r}: {error}; expected file.onnx, or module:name of a function"
        ) from None
    if not callable(found):
        raise CaptureError(
            f"--detector: {told} is a {type(found).__name__}; expected a function of a picture"
        )
    return found


class GridDetector:
    """An ONNX file whose one output is (1, 5 + classes, rows, columns) over a grid of cells, as FastestDet's
    (Ma, 2022): that there is a thing, its middle within the cell, its size, and how likely each class is.

    path  the file; beside it one ``*.names`` file has the classes' words, a line each
    Raises CaptureError for a file that OpenCV does not read, and where the words are missing or of another
    number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        named = sorted(path.parent.glob("*.names"))
        if len(named) != 1:
            raise CaptureError(
                f"--detector: {len(named)} files *.names beside {path}; expected one, a class's word a line"
            )
        try:
            lines = named[0].read_text(encoding="utf-8").splitlines()
            self.net = cv2.dnn.readNetFromONNX(str(path))
        except (cv2.error, OSError, ValueError) as error:
            said = str(error).strip().splitlines()[-1]
            raise CaptureError(f"--detector: {path}: no detector that can be read: {said}") from None
        self.words = [line.strip() for line in lines if line.strip()]

    def __call__(self, rgb: np.ndarray) -> list[Detection]:
        """The things in a picture (H, W, 3) uint8 that are at least 0.45 sure."""
        cells = self._cells(cv2.dnn.blobFromImage(rgb, 1 / 255, (SIDE, SIDE), swapRB=True))
        if cells.shape[0] != HEAD + len(self.words):
            raise CaptureError(
                f"--detector: {self.path}: {cells.shape[0] - HEAD} classes; expected as many as words: "
                f"{len(self.words)}"
            )
        (rows, columns), (height, width) = cells.shape[1:], rgb.shape[:2]
        kind = cells[HEAD:].argmax(axis=0)
        score = cells[0] * cells[HEAD:].max(axis=0)
        row, column = np.nonzero(score >= SCORE)
        if not len(row):
            return []
        _, dx, dy, wide, high = cells[:HEAD, row, column]
        middle = np.stack([(column + np.tanh(dx)) / columns, (row + np.tanh(dy)) / rows], axis=1)
        half = 0.5 / (1 + np.exp(-np.stack([wide, high], axis=1)))
        low, high = (np.clip(middle + sign * half, 0, 1) * [width, height] for sign in (-1, 1))
        kinds, scores = kind[row, column], score[row, column]
        boxes = np.concatenate([low, high - low], axis=1)
        kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), kinds.tolist(), SCORE, OVERLAP)
        return [
            Detection(
                self.words[kinds[k]], float(scores[k]), (*low[k].tolist(), *high[k].tolist())
            )
            for k in np.ravel(kept)
        ]  # fmt: skip

    def _cells(self, picture: np.ndarray) -> np.ndarray:
        try:
            self.net.setInput(picture)
            found = self.net.forward()
        except cv2.error as error:
            said = str(error).strip().splitlines()[-1]
            raise CaptureError(
                f"--detector: {self.path}: takes no picture of {SIDE} x {SIDE} pixels: {said}"
            ) from None
        if found.ndim != 4 or found.shape[0] != 1 or found.shape[1] <= HEAD:
            raise CaptureError(
                f"--detector: {self.path}: its output is {found.shape}; expected (1, 5 + classes, rows, "
                "columns), as FastestDet's, or module:name of a function that calls it"
            )
        return found[0]
