"""A desk of rights cases on an identity plane, people who use it, and workers of the other planes that answer."""

from __future__ import annotations

from typing import Any

from services.enricher.access.decisions import EVERY_TENANT, Actor
from services.enricher.access.service import open_access
from services.enricher.persons.directory import Profile
from services.enricher.rights.book import CaseFile
from services.enricher.rights.desk import Cases, Wanted
from services.enricher.rights.service import open_cases
from services.enricher.rights.states import IdentityCheck, Kind
from services.enricher.service import Identity
from services.runtime.receipts import COMPLETED, PRESENT, Receipt, receipt_message
from tests.parts.identity import TENANT, access, apply_accounts, batch, link, send

__all__ = ["ANN", "CLEO", "DORA", "SAM", "answer", "approved", "fill", "open_desk", "opened_case", "present"]

ANN = Profile("ann", "Ann Martin", "ann@example.org", "1 rue X", "+33612345678")
SAM = Actor("sam", frozenset({"support"}), frozenset({EVERY_TENANT}))
DORA = Actor("dora", frozenset({"dpo"}), frozenset({EVERY_TENANT}))
CLEO = Actor("cleo", frozenset({"dpo"}), frozenset({"choir"}))  # of another tenant


def open_desk(plane: Identity) -> Cases:
    controlled = open_access(plane)
    return open_cases(plane, controlled.gate, controlled.audit)


def fill(plane: Identity) -> None:
    """Ann with a profile and an access, Bob with an access."""
    plane.accounts.put(TENANT, ANN)
    apply_accounts(plane)
    send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
    link(plane)


def opened_case(desk: Cases, kind: Kind = Kind.ERASURE, **differs: Any) -> CaseFile:
    """Taken in by support, the person's identity checked."""
    wanted = Wanted(TENANT, differs.pop("account", "ann"), kind, note="asked by e-mail on Monday", **differs)
    case = desk.open(SAM, wanted).case
    return desk.check(SAM, case, IdentityCheck.KNOWN_CONTACT, "rang back")


def approved(desk: Cases, kind: Kind = Kind.ERASURE, **differs: Any) -> CaseFile:
    return desk.approve(DORA, opened_case(desk, kind, **differs).case, "identity and request are in order")


def present(plane: Identity, *workers: str) -> None:
    """These say that they run."""
    now = plane.clock.now()
    plane.log.send([receipt_message(Receipt("", worker, PRESENT, now)) for worker in workers])
    plane.receipts.follow()


def answer(plane: Identity, case: str, worker: str, store: str = "statistics events", deleted: int = 3) -> None:
    plane.log.send([receipt_message(Receipt(case, worker, COMPLETED, plane.clock.now(), store, deleted))])
