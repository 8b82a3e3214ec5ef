"""A plane with three persons and their accesses, its gate, and those who ask."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from services.enricher.access.decisions import Actor
from services.enricher.access.grants import Ask
from services.enricher.access.service import Access
from services.enricher.audit.log import Logged
from services.enricher.persons.directory import Profile
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import FixedClock
from tests.parts.identity import NOON, TENANT, access, apply_accounts, batch, link, opened, send

SUPPORT = Actor("sam", frozenset({"support"}), frozenset({"*"}))
CHOIR_SUPPORT = Actor("chris", frozenset({"support"}), frozenset({"choir"}))
DPO = Actor("dora", frozenset({"dpo"}), frozenset({"*"}))
REASON = "cannot open the invoice of Anna"
ASK = Ask(TENANT, "42", "support", "SUP-1", REASON)
ANNA = Profile("42", "Anna Mueller", "anna@example.org", "1 Hill Street", "+33612345678")
CLEAR = ("203.0.113.7", "Mozilla/5.0", "google.com", "q=invoice", "Mueller", "anna@example.org", "Hill Street", "33612")
DAVE = Actor("dave", frozenset({"dpo"}), frozenset({"*"}))
CHOIR_DPO = Actor("dirk", frozenset({"dpo"}), frozenset({"choir"}))


def people(folder: Path) -> None:
    """Three persons of the club and their accesses; the choir is empty."""
    with opened(folder) as plane:
        plane.registry.add(Tenant("choir", "Choir", NOON))
        for profile in (ANNA, Profile("43", "Bob", "shared@example.org"), Profile("44", "Bea", "shared@example.org")):
            plane.accounts.put(TENANT, profile)
        apply_accounts(plane)
        old, now = NOON - timedelta(hours=3), NOON - timedelta(minutes=5)
        send(plane, batch([
            access("42", "/login", at=old, referrer="https://www.google.com/", query="q=invoice"),
            access("42", "/invoices", at=now, status=500),
            access("42", "/help", at=now + timedelta(minutes=1)),
            access("43", "/bobs-page", at=now),
        ]))  # fmt: skip
        link(plane)


@contextlib.contextmanager
def a_copy(peopled: Path, folder: Path) -> Iterator[Identity]:
    shutil.copytree(peopled, folder, dirs_exist_ok=True)
    with opened(folder) as identity:
        yield identity


def leaves(gate: Access) -> list[Logged]:
    return gate.audit.newest(1000)[::-1]


def clock(plane: Identity) -> FixedClock:
    assert isinstance(plane.clock, FixedClock)
    return plane.clock
