"""What all tests share: no window, no audio, and the real data beside the checkout where it is there."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _own_key(tmp_path_factory):
    """Trainings of the tests sign their files with a key of their own, not with the user's."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("user_data"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What the tests build is kept in a folder of their own, not in the user's."""
    os.environ["SPATIAL_ENVS_CACHE"] = str(tmp_path_factory.mktemp("user_cache"))


@pytest.fixture(scope="session", autouse=True)
def _one_process():
    """Scenes are built where they are needed; tests/core/test_prefetch.py has second processes of its own."""
    from spatial_envs.core import prefetch

    prefetch._WORKER.switch_off()


@pytest.fixture
def no_film(monkeypatch):
    """Trainings within the test leave no film, which takes longer than they do."""
    monkeypatch.setattr("agents.training.train._film", lambda *_: None)


@pytest.fixture(scope="session")
def meshes() -> Path:
    """The folder with spot and bob, two real textured meshes."""
    folder = SHARED / "meshes"
    if not folder.is_dir():
        pytest.skip(f"needs the meshes spot and bob in {folder}")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with what the real PyTorch3D and habitat-sim answered."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip(f"needs the reference data in {folder}")
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A small untrained encoder of fits with its bank of three prototypes."""
    import torch

    from spatial_envs.prototypes.bank import BankSizes, PrototypeBank
    from spatial_envs.prototypes.encoder import EncoderSizes, SlotEncoder

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "encoder.safetensors"
    bank = PrototypeBank(BankSizes(prototypes=3, subdivisions=2))
    SlotEncoder(EncoderSizes((8, 8, 16), 16, 1), bank).save(path)
    return path
