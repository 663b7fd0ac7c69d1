"""Caches: what is kept is found again, on disk by others too, and no fault of theirs ends the work."""

import errno
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from spatial_envs.foundation import caches, compilation
from spatial_envs.foundation.compilation import njit
from spatial_envs.foundation.files import replacing
from spatial_envs.geometry.mesh import Mesh
from spatial_envs.navigation.settings import NavigationSettings
from spatial_envs.nbv.settings import NBVSettings
from spatial_envs.reconstruction.reference import kept


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(caches, "_WARNED", set())


def fail(number):
    """What stands in for a call that the disk refuses."""

    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    return refused


# ---- files


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_has_the_mode_that_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "a") as path:
            path.write_bytes(b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("stopped", [OSError, KeyboardInterrupt])
def test_a_writing_that_is_stopped_leaves_what_was_there(tmp_path, stopped):
    (tmp_path / "a").write_bytes(b"old")

    def write_half():
        with replacing(tmp_path / "a") as path:
            path.write_bytes(b"half of the n")
            assert (tmp_path / "a").read_bytes() == b"old"  # what a kill would leave
            raise stopped

    with pytest.raises(stopped):
        write_half()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}
    with replacing(tmp_path / "a") as path:
        path.write_bytes(b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new"}


# ---- references


TETRA = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def triangle(size: float) -> Mesh:
    return Mesh(TETRA[:3] * np.float32(size), np.array([[0, 1, 2]]), np.zeros((3, 3), np.uint8))


def built():
    return TETRA, TETRA + 1, 0.5


def beside_a_file(folder, monkeypatch):
    (folder / "file").write_bytes(b"")
    return folder / "file" / "kept"


def on_a_full_disk(folder, monkeypatch):
    monkeypatch.setattr(np, "savez", fail(errno.ENOSPC))
    return folder / "kept"


def read_only(folder, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", fail(errno.EROFS))
    return folder / "kept"


@pytest.mark.parametrize("place", [beside_a_file, on_a_full_disk, read_only])
def test_where_nothing_can_be_kept_one_warning_says_so(tmp_path, monkeypatch, caplog, place):
    cache_dir = place(tmp_path, monkeypatch)
    for size in (1, 2):
        points, dense, attainable = kept(triangle(size), "recipe", cache_dir, built)
        np.testing.assert_array_equal(points, TETRA)
        np.testing.assert_array_equal(dense, TETRA + 1)
        assert attainable == 0.5
    (said,) = caplog.messages
    assert said.startswith(f"cache_dir {cache_dir} cannot be used: ")
    assert said.endswith("; what is built is kept in memory alone")
    assert not [path for path in tmp_path.rglob("*") if path.name not in ("file", "kept")]


def test_what_may_not_be_read_is_replaced(tmp_path, monkeypatch, caplog):
    kept(triangle(1), "recipe", tmp_path, lambda: (TETRA * 0, TETRA, 0.1))
    with monkeypatch.context() as other:
        other.setattr(np, "load", fail(errno.EACCES))  # somebody else's file
        kept(triangle(1), "recipe", tmp_path, built)
    points, _, attainable = kept(triangle(1), "recipe", tmp_path, None)
    np.testing.assert_array_equal(points, TETRA)
    assert attainable == 0.5
    assert not caplog.messages


# ---- the user's folder


def test_the_folder_is_the_users_or_the_one_that_the_variable_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "system"))
    monkeypatch.setenv(caches.VARIABLE, "~/mine")
    assert caches.user_cache() == tmp_path / "mine"
    assert caches.folder_of(NBVSettings().cache_dir) == tmp_path / "mine"
    assert caches.folder_of(NavigationSettings(cache_dir="auto").cache_dir) == tmp_path / "mine"
    assert caches.folder_of(NBVSettings(cache_dir=None).cache_dir) is None
    assert caches.folder_of(NBVSettings(cache_dir="~/other").cache_dir) == tmp_path / "other"
    for unset in (
        lambda: monkeypatch.setenv(caches.VARIABLE, ""),
        lambda: monkeypatch.delenv(caches.VARIABLE),
    ):
        unset()
        assert caches.user_cache().name == "spatial_envs"
        if sys.platform.startswith("linux"):
            assert caches.user_cache() == tmp_path / "system" / "spatial_envs"
    monkeypatch.setattr(
        caches.platformdirs, "user_cache_dir", lambda *_: "~no-such-user/spatial_envs"
    )  # no home
    assert caches.user_cache() is None


@pytest.fixture
def users(tmp_path, monkeypatch):
    """The user's folder, in which there is room for ten references, and is looked at each time."""
    kept(triangle(1), "recipe", tmp_path / "one", built)
    (size,) = (path.stat().st_size for path in (tmp_path / "one").iterdir())
    monkeypatch.setattr(caches, "LIMIT", 10 * size)
    monkeypatch.setattr(caches, "EVERY", 1)
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def fill(folder, count):
    """References that were used a day ago and since, the first first; their paths."""
    paths = []
    for number in range(count):
        before = set(folder.glob("reference-*"))
        kept(triangle(number + 1), "recipe", folder, built)
        (path,) = set(folder.glob("reference-*")) - before
        os.utime(path, (time.time() - 86400 + number,) * 2)
        paths.append(path)
    return paths


def test_the_users_folder_stays_small_and_what_was_used_last_stays(users):
    paths = fill(users, 10)
    others = [users / name for name in ("reference.txt", "notes-1.npz")]
    for path in others:
        path.write_bytes(b"x" * 100_000)
    assert all(path.exists() for path in paths)
    kept(triangle(1), "recipe", users, None)  # read again
    kept(triangle(99), "recipe", users, built)
    assert [path.exists() for path in paths] == [True, False, False, *[True] * 7]
    assert all(path.exists() for path in others)


def test_a_folder_of_ones_own_is_not_tidied(users, tmp_path):
    assert all(path.exists() for path in fill(tmp_path / "own", 15))


def test_what_nobody_will_finish_goes(users):
    fill(users, 1)
    old, new = users / "unfinished_1_reference-2.npz", users / "unfinished_2_reference-2.npz"
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 2 * caches.HOUR,) * 2)
    kept(triangle(99), "recipe", users, built)
    assert (old.exists(), new.exists()) == (False, True)


def test_what_another_process_removed_first_is_no_fault(users, monkeypatch, caplog):
    fill(users, 10)
    real = os.unlink

    def late(path, **_):
        real(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "unlink", late)
    kept(triangle(99), "recipe", users, built)
    assert not caplog.messages
    caches.make_room(users / "nowhere", "reference", 1)


# ---- compiled kernels


def half(x):
    return x / 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where numba keeps what it compiles."""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def hits(kernel) -> int:
    return sum(kernel.stats.cache_hits.values())


def files(folder) -> list:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_kernel_is_compiled_once(folder, caplog):
    assert njit(half)(3.0) == 1.5
    again = njit(half)
    assert again(5.0) == 2.5
    assert hits(again) == 1
    never = njit(cache=False)(half)
    assert never(5.0) == 2.5
    assert hits(never) == 0
    assert not caplog.messages


def test_the_first_kernel_that_is_compiled_is_announced(folder, caplog):
    compilation._say_once.cache_clear()
    with caplog.at_level(logging.INFO, "spatial_envs.foundation.compilation"):
        njit(half)(3.0)
        assert caplog.messages == ["compiling kernels, once: later processes find them compiled"]
        njit(half)(3)  # of another type
        assert len(caplog.messages) == 1
        compilation._say_once.cache_clear()
        njit(half)(3.0)
        assert len(caplog.messages) == 1  # found, not compiled


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"garbage", None], ids=["empty", "garbage", "half"])
def test_a_damaged_kernel_is_compiled_again_and_mended(folder, caplog, ending, content):
    njit(half)(3.0)
    (path,) = (path for path in files(folder) if path.suffix == ending)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert njit(half)(3.0) == 1.5
    (said,) = caplog.messages
    assert str(path.parent) in said
    assert said.endswith("; such files are made again")
    mended = njit(half)
    assert mended(3.0) == 1.5
    assert hits(mended) == 1


def test_kernels_are_compiled_where_nothing_can_be_written(folder, monkeypatch, caplog):
    monkeypatch.setattr(tempfile, "TemporaryFile", fail(errno.EROFS))  # by which numba tries a folder
    for _ in range(2):
        assert njit(half)(3.0) == 1.5
    (said,) = caplog.messages
    assert "no locator available" in said
    assert said.endswith("compiled anew in each process, for about a minute; "
                         "set NUMBA_CACHE_DIR to a folder that can be written")  # fmt: skip
    assert not files(folder)


def test_kernels_are_compiled_on_a_full_disk(folder, monkeypatch, caplog):
    with monkeypatch.context() as full:
        full.setattr(os, "replace", fail(errno.ENOSPC))
        for _ in range(2):
            assert njit(half)(3.0) == 1.5
    (said,) = caplog.messages
    assert "No space left on device" in said
    assert not files(folder)
    njit(half)(3.0)
    assert len(files(folder)) == 2  # once there is room again


# ---- memory


def test_what_was_used_last_is_kept():
    cache, made = caches.Recent(2), []

    def get(key):
        return cache.get(key, lambda: made.append(key) or len(made))

    assert [get(key) for key in "abab"] == [1, 2, 1, 2]
    assert [get(key) for key in "acab"] == [1, 3, 1, 4]  # b was the one used longest ago
    assert made == ["a", "b", "c", "b"]


def test_what_cannot_be_made_is_not_kept():
    cache = caches.Recent(2)
    with pytest.raises(OSError, match="refused"):
        cache.get("a", lambda: (_ for _ in ()).throw(OSError("refused")))
    assert cache.get("a", lambda: 1) == 1
