"""Keys by name: the same for everyone who asks, gone for good when destroyed, never readable by others."""

from __future__ import annotations

import concurrent.futures
import errno
import os
from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.runtime.keys import KEY_BYTES, FileKeyService, open_keys


def test_a_key_is_made_once_and_read_back(tmp_path: Path) -> None:
    """Also by another process on the same folder."""
    key = FileKeyService(tmp_path / "k").get_or_create("day/a/2026-11-01")
    assert len(key) == KEY_BYTES
    assert FileKeyService(tmp_path / "k").get("day/a/2026-11-01") == key


def test_racing_makers_get_one_key(tmp_path: Path) -> None:
    """Several workers share a day's key."""
    service = FileKeyService(tmp_path / "k")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: service.get_or_create("one"), range(64)))
    assert len(keys) == 1
    assert [p.name for p in (tmp_path / "k").iterdir()] == ["one.key"]


def test_a_key_that_finds_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file of that name nor what it was to become."""
    service = FileKeyService(tmp_path / "k")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left"):
        service.get_or_create("one")
    assert list((tmp_path / "k").iterdir()) == []


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_destroyed_key_is_in_no_file(tmp_path: Path) -> None:
    """And a key made later under its name is another one."""
    service = FileKeyService(tmp_path / "k")
    key = service.get_or_create("one")
    assert service.destroy("one")
    assert not service.destroy("one")
    assert service.get("one") is None
    assert all(key not in p.read_bytes() for p in (tmp_path / "k").rglob("*"))
    assert service.get_or_create("one") != key


def test_a_key_file_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    """The sentence names the file and the command."""
    service = FileKeyService(tmp_path / "k")
    service.get_or_create("one")
    (tmp_path / "k" / "one.key").chmod(0o644)
    with pytest.raises(Fatal, match="chmod go-rwx"):
        service.get("one")


def test_a_folder_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    """Names alone would tell which days are open."""
    (tmp_path / "k").mkdir(mode=0o755)
    os.chmod(tmp_path / "k", 0o755)  # noqa: PTH101  # whatever the umask is
    with pytest.raises(Fatal, match="can be read by others"):
        open_keys(f"file://{tmp_path}/k")


def test_a_truncated_key_file_is_named(tmp_path: Path) -> None:
    """Never used short."""
    service = FileKeyService(tmp_path / "k")
    service.get_or_create("one")
    (tmp_path / "k" / "one.key").write_bytes(b"short")
    with pytest.raises(Fatal, match="damaged"):
        service.get("one")


def test_names_are_listed_by_prefix_and_kept_apart_from_paths(tmp_path: Path) -> None:
    """A slash or two dots in a name is no path."""
    service = FileKeyService(tmp_path / "k")
    for name in ("day/a/1", "day/b/1", "../evil", "kek/1"):
        service.get_or_create(name)
    assert service.names("day/") == ["day/a/1", "day/b/1"]
    assert not (tmp_path / "evil.key").exists()
