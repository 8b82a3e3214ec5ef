"""Keys by name, behind one interface; a plane's `KeyService` is the only place its keys live."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from services.runtime.errors import Fatal
from services.runtime.settings import local_path

__all__ = ["KEY_BYTES", "FileKeyService", "KeyService", "lasting_key", "open_keys", "refuse_lost"]

KEY_BYTES = 32  # 256 bits: AES-256-GCM, keyed BLAKE2b and HMAC-SHA-256 all take it whole


class KeyService(Protocol):
    """Named random keys. Names are not secret and carry no personal data."""

    def get_or_create(self, name: str) -> bytes:
        """The key of that name, made (32 random bytes) and durable first when it does not exist.
        Several processes asking at once get the same key."""
        ...

    def get(self, name: str) -> bytes | None: ...

    def names(self, prefix: str = "") -> Sequence[str]: ...

    def destroy(self, name: str) -> bool:
        """Overwrite and delete; True when it existed. After it returns nobody can have the key again."""
        ...


class FileKeyService:
    """One file a key (0600) in one folder (0700). The folder belongs in no backup of data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_wide(folder)

    def get_or_create(self, name: str) -> bytes:
        existing = self.get(name)
        if existing is not None:
            return existing
        path = self._path(name)
        fresh = path.with_name(f".new-{secrets.token_hex(8)}")
        try:
            _write_durably(fresh, secrets.token_bytes(KEY_BYTES))
            os.link(fresh, path)  # fails when another process was first: then theirs is the key
        except FileExistsError:
            pass
        finally:  # also on a full disk: nothing half done is left
            with contextlib.suppress(OSError):
                _overwrite_if_alone(fresh)
            fresh.unlink(missing_ok=True)
            self._sync_folder()
        key = self.get(name)
        if key is None:
            raise Fatal(f"The key {name!r} was destroyed while it was being made; start again.")
        return key

    def get(self, name: str) -> bytes | None:
        path = self._path(name)
        try:
            _refuse_wide(path)
            key = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(key) != KEY_BYTES:
            raise Fatal(f"The key file {path} is damaged ({len(key)} bytes, not {KEY_BYTES}); restore it.")
        return key

    def names(self, prefix: str = "") -> Sequence[str]:
        found = (unquote(p.name.removesuffix(".key")) for p in self._folder.glob("*.key"))
        return sorted(name for name in found if name.startswith(prefix))

    def destroy(self, name: str) -> bool:
        path = self._path(name)
        try:
            with path.open("r+b", buffering=0) as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                os.fsync(file.fileno())
            path.unlink()
        except FileNotFoundError:
            return False
        self._sync_folder()
        return True

    def _path(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='')}.key"

    def _sync_folder(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def lasting_key(keys: KeyService, name: str, is_used: Callable[[], bool]) -> bytes:
    """The key of that name, made when it is missing and nothing was stored under it yet.

    Raises `Fatal` when it is lost: see `refuse_lost`.
    """
    refuse_lost(keys, name, is_used)
    return keys.get_or_create(name)


def refuse_lost(keys: KeyService, name: str, is_used: Callable[[], bool]) -> None:
    """Raises `Fatal` when the key is missing and `is_used()`: a new one would open nothing that is there, and
    recognise nothing that was taken."""
    if keys.get(name) is None and is_used():
        raise Fatal(
            f"The key {name!r} is missing from its folder, but the records were written with it; restore the key "
            "folder from its own backup, or check the setting `keys` of this plane."
        )


def open_keys(url: str) -> KeyService:
    """`file:///absolute/folder`. Raises `Fatal` on another scheme or on wide permissions."""
    scheme, found, _ = url.partition("://")
    if not found or scheme != "file":
        raise Fatal("Keys are a URL like file:///keys/ingest, in the data folder, or file:////var/lib/voile/keys.")
    return FileKeyService(local_path(url))


def _write_durably(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def _overwrite_if_alone(path: Path) -> None:
    """The loser of a race leaves no key material behind; the winner's bytes are the key itself."""
    if path.stat().st_nlink == 1:
        path.write_bytes(secrets.token_bytes(KEY_BYTES))


def _refuse_wide(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Fatal(f"{path} can be read by others (mode {mode:04o}); run: chmod go-rwx {path}")
