"""The files of a MapAnything checkpoint: where they are, and whether they are what they should be.

Neither the package nor the weights are loaded: of a safetensors file the header says what is in it, and
whether it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from safetensors import SafetensorError, safe_open

from spatial_envs.foundation.arguments import user_path

PAGE = "https://github.com/facebookresearch/map-anything#installation"
V1 = "facebook/map-anything-apache-v1"
WIDTHS = {  # of the published checkpoints; any other's stands in its config.json
    V1: 768,
    "facebook/map-anything-v1": 768,
    "facebook/map-anything-apache": 1536,
    "facebook/map-anything": 1536,
}
DEFAULT_WIDTH = 768  # of a config.json that names none
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PARTS = ("encoder_config", "info_sharing_config", "pred_head_config", "geometric_input_config")
NORM = "info_sharing.norm.weight"  # as wide as the tokens, in every MapAnything


@dataclass(frozen=True)
class Checkpoint:
    """config: config.json; weights: the safetensors files that make up the model; width: D of its tokens."""

    folder: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    width: int


def open_checkpoint(folder: Path) -> Checkpoint:
    """The files of a folder, whose headers agree with its config.json.

    FileNotFoundError for a missing file, ValueError, with the file's name, for one that is not what it should
    be.
    """
    config = _read_json(folder / CONFIG)
    for part in PARTS:
        if not isinstance(config.get(part), dict):
            raise ValueError(f"{folder / CONFIG}: got {part} = {config.get(part)!r}; expected an object")
    arguments = config["info_sharing_config"].get("module_args")
    width = arguments.get("dim", DEFAULT_WIDTH) if isinstance(arguments, dict) else None
    if type(width) is not int or width < 1:
        raise ValueError(
            f"{folder / CONFIG}: got info_sharing_config.module_args = {arguments!r}; expected an object "
            "with the tokens' width, dim, an integer above 0"
        )
    files = [folder / WEIGHTS]
    expected: Mapping[str, str] = {}
    if not files[0].is_file():
        if not (folder / INDEX).is_file():
            raise FileNotFoundError(f"{folder}: has no weights; expected {WEIGHTS}, or {INDEX} and its files")
        expected = _shards(folder / INDEX)
        files = [folder / name for name in sorted(set(expected.values()))]
    shapes = {path: _shapes(path) for path in files}
    for name, file in expected.items():
        if name not in shapes[folder / file]:
            raise ValueError(f"{folder / file}: has no tensor {name}, which {folder / INDEX} says it holds")
    norms = {path: held[NORM] for path, held in shapes.items() if NORM in held}
    for path, shape in norms.items():
        if shape != (width,):
            raise ValueError(
                f"{path}: got {NORM} of shape {shape}; expected ({width},), by dim in {folder / CONFIG}"
            )
    if not norms:
        raise ValueError(f"{files[0]}: has no tensor {NORM}; expected a MapAnything checkpoint")
    return Checkpoint(folder, config, tuple(files), width)


def local_folder(checkpoint: str) -> Path | None:
    """A folder as it is, or that of a hub name whose config.json and weights were downloaded before; else
    None."""
    folder = user_path("backbone_kwargs['checkpoint']", checkpoint)
    if folder.is_dir():
        return folder
    try:
        from huggingface_hub import try_to_load_from_cache

        kept = try_to_load_from_cache(checkpoint, CONFIG)
    except Exception:  # a folder's name that is no hub name, or no such package
        return None
    return Path(kept).parent if isinstance(kept, str) and _complete(Path(kept).parent) else None


def is_here(checkpoint: str) -> bool:
    """Whether config.json and weights are on the disk; nothing is read."""
    folder = local_folder(checkpoint)
    return folder is not None and _complete(folder)


def width(checkpoint: str) -> int:
    """D of a checkpoint, from its config.json or constants; no weights are read. For a folder raises what
    ``open_checkpoint`` does."""
    folder = local_folder(checkpoint)
    if folder is not None:
        return open_checkpoint(folder).width
    if checkpoint in WIDTHS:
        return WIDTHS[checkpoint]
    raise FileNotFoundError(
        f"backbone_kwargs['checkpoint']: got {checkpoint!r}; expected a folder with {CONFIG} and {WEIGHTS}, "
        f"a name on the Hugging Face hub that was downloaded before, or one of {', '.join(WIDTHS)}; {PAGE} "
        "says where the weights are, and backbone='compact' needs none"
    )


def check_hub(checkpoint: str) -> None:
    """FileNotFoundError where the hub cannot be asked, or has no such checkpoint; nothing is downloaded."""
    try:
        from huggingface_hub import model_info

        model_info(checkpoint, timeout=10)
    except Exception as error:
        raise _absent(checkpoint, error) from error


def download(checkpoint: str) -> Path:
    """Fetch a checkpoint from the Hugging Face hub; its folder. FileNotFoundError where that fails."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(checkpoint, allow_patterns=[CONFIG, "model*.safetensors", INDEX]))
    except Exception as error:
        raise _absent(checkpoint, error) from error


def _absent(checkpoint: str, error: Exception) -> FileNotFoundError:
    return FileNotFoundError(
        f"backbone_kwargs['checkpoint']: the weights of {checkpoint!r} are not here and could not be "
        f"fetched ({type(error).__name__}: {shorten(str(error), 200)}); {PAGE} says where they are. Without "
        "them, there is backbone='compact'"
    )


def _complete(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in (WEIGHTS, INDEX))


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected the {path.name} of a MapAnything checkpoint")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: got a {type(value).__name__}; expected an object")
    return value


def _shards(path: Path) -> dict[str, str]:
    """File names by tensor."""
    files = _read_json(path).get("weight_map")
    if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
        raise ValueError(f"{path}: got no weight_map; expected one from tensors to files")
    return files


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """By name, the shapes of a safetensors file's tensors."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected weights as safetensors")
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not safetensors, or not whole: {error}") from error
