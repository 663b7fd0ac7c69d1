"""Which files of a run folder are one's own: pickles run code, so those of others are not read unasked.

model.zip, checkpoints/*.zip, vecnormalize.pkl and replay_buffer.pkl are Stable-Baselines3's and hold pickles:
whoever wrote such a file decides what runs when it is read. So a training signs every one that it writes with
a random key, which is made for each user at the first training and never leaves this computer, and a file
without a valid signature is read with ``--trust`` alone. The same holds for the policy of config.yaml, a
class's path, and for an environment that is module:id: they are imported.

That a folder is owned by the user says nothing: what was downloaded is, too. A signature is the HMAC-SHA256
of a file's content, so a folder of one's own that came back with another model in it is noticed. A folder
that was moved or copied on this computer is still one's own; on another one, or for another user, it is not.
Signatures are in signatures.json, each there before the file itself is, so that a kill at any moment leaves a
file with a valid one. Where the key cannot be kept (a home that is read-only), nothing is signed, which one
line says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sys
from pathlib import Path

from spatial_envs.foundation.caches import warn_once
from spatial_envs.foundation.files import replacing

FILE = "signatures.json"
KEY_SIZE, BLOCK = 32, 2**20  # bytes
KEPT = 2  # signatures of each name: of the file that is there, and of the one that takes its place


def key_path() -> Path:
    """Where this user's key is."""
    home, given = Path.home(), os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(given):
        base = Path(given)
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = home / ".local" / "share"
    return base / "spatial_envs" / "run_key"


def sign_file(folder: Path, name: str, unfinished: Path) -> None:
    """To be called before the unfinished file takes its name in the run folder."""
    if (key := _key(make=True)) is not None:
        _add(folder, name, _of_file(key, unfinished))


def sign_name(folder: Path, what: str, name: str) -> None:
    """Sign what the run that is begun there, or gone on with, has imported: its "policy", or "env"."""
    if (key := _key(make=True)) is not None:
        _add(folder, what, _of_name(key, name))


def check_own(flag: str, folder: Path, files: list[Path], policy: str) -> None:
    """ValueError, which begins with the flag, where one of the files or the policy's path in config.yaml was
    not written by a training of this user's on this computer."""
    key = _key(make=False)
    for path in files:
        if key is None or not _is_known(folder, _of_file(key, path)):
            raise ValueError(
                f"{flag}: got {path}, which no training of yours on this computer wrote (or something has "
                "changed it since); it is a pickle, and to read it runs whatever code its author put in. "
                "Expected one of your own, a folder that python -m agents.export made, which holds no code, "
                "or --trust, where you trust whoever made it"
            )
    check_name(flag, folder, "policy", policy)


def check_name(flag: str, folder: Path, what: str, name: str) -> None:
    """ValueError, which begins with the flag, where a name in config.yaml that is imported, of a "policy" or
    an "env", was not written by a training of this user's on this computer."""
    key = _key(make=False)
    if key is None or not _is_known(folder, _of_name(key, name)):
        raise ValueError(
            f"{flag}: got {folder / 'config.yaml'} with the {what} {name!r}, which no training of yours on "
            "this computer wrote; it is imported, which runs its code. Expected one of your own, or --trust, "
            "where you trust whoever made it"
        )


def _key(make: bool) -> bytes | None:
    """This user's key; None, where there is none or, with ``make``, where none can be kept."""
    path: Path | None = None
    try:
        path = key_path()
        if make and not path.exists():
            _make_key(path)
        key = path.read_bytes()
        if len(key) == KEY_SIZE:
            return key
        raise OSError(f"it has {len(key)} bytes; expected {KEY_SIZE}")
    except (OSError, RuntimeError) as error:  # the last where there is no home
        if make:
            what = "the key by which your own runs are known" + ("" if path is None else f", {path},")
            warn_once(what, error, "this run has to be read with --trust")
        return None


def _make_key(path: Path) -> None:
    """Make the key: of several trainings that begin at once one makes it, whole, and all others find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"unfinished_{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_SIZE))
        os.link(unfinished, path)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink(missing_ok=True)


def _of_file(key: bytes, path: Path) -> str:
    mac = hmac.new(key, b"file\0", hashlib.sha256)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            mac.update(block)
    return mac.hexdigest()


def _of_name(key: bytes, name: str) -> str:
    return hmac.new(key, b"policy\0" + name.encode(), hashlib.sha256).hexdigest()


def _is_known(folder: Path, signature: str) -> bool:
    known = (each for kept in _signatures(folder).values() for each in kept)
    return any(hmac.compare_digest(signature, other) for other in known)


def _signatures(folder: Path) -> dict[str, list[str]]:
    """By name those that the folder holds; what is none is left out."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="ascii"))
        return {
            str(name): [each for each in kept if isinstance(each, str) and each.isascii()]
            for name, kept in found.items()
            if isinstance(kept, list)
        }
    except (AttributeError, OSError, RecursionError, ValueError):
        return {}


def _add(folder: Path, name: str, signature: str) -> None:
    found = _signatures(folder)
    others = [each for each in found.get(name, ()) if each != signature]
    found[name] = [*others, signature][-KEPT:]
    with replacing(folder / FILE) as path:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
