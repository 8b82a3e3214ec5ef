"""Several workers count the same day: they must have the same key, or one person is two visitors."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from services.runtime.database import open_records, upgrade
from services.runtime.keys import FileKeyService
from services.stats.days.states import CLOSED, Days, TenantDay
from services.stats.pseudonyms.keyring import Keyring
from services.stats.records import MIGRATIONS
from tests.parts.closing import START
from tests.parts.keys_process import DAYS, FIRST


def test_two_processes_that_ask_at_once_get_the_same_keys(tmp_path: Path) -> None:
    """Insert if absent, read back; days that are closed give none to either."""
    days = _records(tmp_path)
    days.seen([TenantDay("club", FIRST)], START)
    days.advance([TenantDay("club", FIRST)], CLOSED)
    one, other = _keys_of_two(tmp_path, "real")
    assert one == other
    assert one[0] == "late"
    assert len(set(one)) == DAYS
    kept = Keyring(FileKeyService(tmp_path / "keys"), days)
    assert kept.days("club") == [FIRST + timedelta(days=n) for n in range(1, DAYS)]
    assert not list((tmp_path / "keys").glob(".new-*"))  # the loser of a race leaves nothing behind


def test_without_it_they_do_not(tmp_path: Path) -> None:
    """The test above depends on the mechanism."""
    _records(tmp_path)
    one, other = _keys_of_two(tmp_path, "careless")
    assert one != other


def _records(folder: Path) -> Days:
    engine = open_records(f"sqlite:///{folder}/records.db")
    upgrade(engine, MIGRATIONS)
    return Days(engine)


def _keys_of_two(folder: Path, kind: str) -> list[list[str]]:
    """What each of two processes got, after both are up."""
    command = [sys.executable, "-m", "tests.parts.keys_process", str(folder), kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, who], **pipes) for who in ("one", "other")]  # type: ignore[call-overload]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [process.communicate(timeout=60)[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    return found
