"""A running identity console with two tenants, one person's activity, and people of every kind who sign in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from services.enricher.access.service import Access, open_access
from services.enricher.console.app import create_console
from services.enricher.persons.directory import Profile
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import Clock, FixedClock
from services.runtime.web.server import serving
from tests.parts.identity import NOON, TENANT, access, apply_accounts, batch, link, opened, send

__all__ = ["CLEAR", "PEOPLE", "Console", "a_console", "ask_form", "csrf_of"]

# Everything of the person that no page may show before it was revealed.
CLEAR = ("203.0.113.7", "Mozilla/5.0", "google.com", "q=invoice", "Mueller", "anna@example.org", "Hill Street", "33612")
ANNA = Profile("42", "Anna Mueller", "anna@example.org", "1 Hill Street", "+33612345678")
PEOPLE = {
    "sam": (["support"], ["*"]),
    "cleo": (["support"], ["choir"]),
    "dora": (["dpo"], ["*"]),
    "dirk": (["dpo"], ["choir"]),
    "pia": (["product"], ["*"]),
    "nil": (["support"], []),
    "dave": (["dpo"], ["*"]),
    "olga": (["operator"], ["*"]),
    "carl": (["tenant-admin"], [TENANT]),
}


@dataclass(frozen=True)
class Console:
    url: str
    identity: Identity
    access: Access
    clock: Clock

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"accept": "text/html", **headers})

    @contextlib.contextmanager
    def signed_in(self, user: str) -> Iterator[httpx.Client]:
        with self.client() as client:
            assert client.post(f"/login/{self.access.sessions.login_link(user)}").status_code == 303
            yield client

    def entries(self) -> list[dict[str, object]]:
        """The audit log's leaves, oldest first."""
        return [entry.leaf for entry in self.access.audit.newest(10_000)][::-1]


@contextlib.contextmanager
def a_console(data: Path, clock: Clock | None = None) -> Iterator[Console]:
    clock = clock or FixedClock(NOON)
    with opened(data, clock) as identity:
        _fill(identity)
        opened_access = open_access(identity)
        for name, (roles, tenants) in PEOPLE.items():
            opened_access.sessions.put_user(name, roles, tenants)
        with serving(create_console(identity, opened_access), "127.0.0.1:0") as (host, port):
            yield Console(f"http://{host}:{port}", identity, opened_access, clock)


def ask_form(client: httpx.Client, **differs: str) -> dict[str, str]:
    """The look-up form, filled in as somebody of support does."""
    form = {
        "tenant": TENANT,
        "by": "account",
        "value": "42",
        "purpose": "support",
        "ticket": "SUP-1",
        "reason": "cannot open the invoice",
        "minutes": "30",
    }
    return form | {"csrf": csrf_of(client)} | differs


def csrf_of(client: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/grants").text)
    assert found is not None
    return found[1]


def _fill(identity: Identity) -> None:
    identity.registry.add(Tenant("choir", "Choir", identity.clock.now()))
    identity.accounts.put(TENANT, ANNA)
    apply_accounts(identity)
    now = identity.clock.now()
    old, new = now - timedelta(days=2), now - timedelta(minutes=5)
    rows = [
        access("42", "/login", at=old, referrer="https://www.google.com/", query="q=invoice"),
        access("42", "/invoices", at=new, status=500),
        access("42", "/<script>alert(1)</script>", at=new + timedelta(minutes=1)),
    ]
    send(identity, batch(rows))
    link(identity)
