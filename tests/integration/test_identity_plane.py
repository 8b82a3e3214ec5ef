"""The identity plane as `voile up` runs it: loops and web service together, until stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.enricher import plane as plane_module
from services.enricher import records
from services.enricher.persons.directory import Profile
from services.enricher.plane import run
from services.enricher.rights.signals import Signal
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from tests.parts.identity import NOON, TENANT, access, batch, count, linked, opened, send
from tests.parts.processes import free_ports


def test_everything_happens_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts, accesses, an erasure that another process only signalled, and terms that are over."""
    monkeypatch.setattr(plane_module, "LOOK_S", 0.05)
    clock = FixedClock(NOON)
    stop = Stop()
    settings = _settings(tmp_path)
    with opened(tmp_path, clock) as outside:
        send(outside, batch([access(who, f"/{who}") for who in ("ann", "bob")]))
        thread = threading.Thread(target=run, args=(settings, clock, stop))
        thread.start()
        try:
            _until(lambda: _status(settings, "/readyz") == 200)
            outside.accounts.put(TENANT, Profile("ann", "Ann", "ann@example.org"))
            _until(lambda: bool(outside.directory.find(TENANT, "email", "ann@example.org")))
            _until(lambda: linked(outside, "ann") == ["/ann"])
            assert outside.status().lag == 0
            assert outside.status().events_linked == 2
            outside.signals.publish(Signal("C-1", TENANT, "ann", "erasure", True, NOON))
            _until(lambda: linked(outside, "ann") == [] and linked(outside, "bob") == ["/bob"])
            _until(lambda: outside.rights.case("C-1").state == "done")
            clock.advance(timedelta(days=100))
            _until(lambda: count(outside, records.activity) == 0)
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()


def test_an_error_in_one_loop_ends_the_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plane that links no longer must not look alive."""

    def broken(*_: object) -> None:
        raise Fatal("stop here")

    monkeypatch.setattr(plane_module, "housekeep", broken)
    with pytest.raises(Fatal, match="stop here"):
        run(_settings(tmp_path), FixedClock(NOON), Stop())


def _settings(data: Path) -> Settings:
    return Settings.model_validate({"data": data, "identity": {"listen": f"127.0.0.1:{free_ports(1)[0]}"}})


def _status(settings: Settings, path: str) -> int:
    """Of a GET; 0 while nobody answers."""
    try:
        return httpx.get(f"http://{settings.identity.listen}{path}").status_code
    except httpx.TransportError:
        return 0


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
