"""The identity plane on a real Kafka broker and a real PostgreSQL: the production profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.enricher import records
from services.enricher.persons.directory import Profile
from services.enricher.service import Identity, open_identity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import SystemClock
from services.runtime.settings import Settings
from tests.parts.identity import MEMBER, TENANT, access, batch, count, linked, send

TURNS_MAX = 200  # a group's first assignment takes a few seconds


@pytest.fixture
def plane(tmp_path: Path, kafka_servers: str, postgres_url: str) -> Iterator[Identity]:
    values = {"data": tmp_path, "events": f"kafka://{kafka_servers}", "identity": {"records": postgres_url}}
    identity = open_identity(Settings.model_validate(values), SystemClock())
    yield identity
    identity.close()


def test_accounts_accesses_and_an_erasure(plane: Identity) -> None:
    """What the embedded profile does, through the other log and the other database."""
    now = plane.clock.now()
    plane.registry.add(Tenant(TENANT, "Chess Club", now))
    plane.accounts.put(TENANT, Profile("ann", "Ann", "ann@example.org"))
    send(plane, batch([access("ann", "/ann", at=now), access("bob", "/bob", at=now)]), b"damaged")
    feed, linker = plane.account_feed(MEMBER), plane.linker(MEMBER)
    try:
        _turn_until(feed.step, lambda: bool(plane.directory.find(TENANT, "email", "ann@example.org")))
        _turn_until(linker.step, lambda: plane.status().events_linked == 2)
        assert linked(plane, "ann") == ["/ann"]
        plane.rights.erase(TENANT, "ann", "C-1")
        send(plane, batch([access("ann", "/late", at=now), access("bob", "/later", at=now)], first=2))
        _turn_until(linker.step, lambda: plane.status().events_linked == 3)
        _turn_until(feed.step, lambda: plane.status().lag == 0)
        assert linked(plane, "ann") == []
        assert sorted(linked(plane, "bob")) == ["/bob", "/later"]
        assert count(plane, records.subjects) == 1
    finally:
        feed.close()
        linker.close()


def _turn_until(step: Callable[[float], bool], condition: Callable[[], bool]) -> None:
    for _ in range(TURNS_MAX):
        step(0.2)
        if condition():
            return
    raise AssertionError("it did not happen in time")
