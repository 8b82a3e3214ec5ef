"""Builds what carries cases out, and the desk before it, once, in one place."""

from __future__ import annotations

import secrets
import socket
from datetime import timedelta

from services.enricher.access.grants import Gate
from services.enricher.access.notes import Notes
from services.enricher.audit.log import AuditLog, checkpoint_path
from services.enricher.audit.reading import looks_at
from services.enricher.rights.book import CaseBook, CaseFile
from services.enricher.rights.callbacks import Callbacks
from services.enricher.rights.carrying import Carrying
from services.enricher.rights.desk import Cases
from services.enricher.rights.documents import Documents
from services.enricher.rights.opendsr import Signer
from services.enricher.rights.package import Known, package_name, packed
from services.enricher.rights.sealing import CaseSeal
from services.enricher.service import Identity
from services.runtime.database import Lease
from services.runtime.retention.kinds import KINDS
from services.runtime.web.outbound import Sender

__all__ = ["PACKAGE_TERM", "open_callbacks", "open_carrying", "open_cases", "open_signer"]

PACKAGE_TERM = timedelta(days=14)  # how long a package waits to be taken
LEASE_NAME = "rights-cases"
_OF_A_PERSON = ("linked", "accounts", "raw", "open-days", "cases")  # types of data that a person is in


def open_carrying(identity: Identity) -> Carrying:
    """What the running service calls again and again, and a command once."""
    seal = CaseSeal(identity.keys)
    documents = Documents(identity.engine, seal, identity.clock)
    audit = AuditLog(identity.engine, identity.keys, identity.clock, checkpoint_path(identity.settings.data.absolute()))

    def make_package(file: CaseFile, account: str) -> None:
        content = packed(file, _known(identity, audit, file, account), identity.clock.now())
        documents.add_sealed(file.case, package_name(file), content, identity.clock.now() + PACKAGE_TERM)

    return Carrying(
        book=CaseBook(identity.engine, seal, identity.clock),
        rights=identity.rights,
        receipts=identity.receipts,
        documents=documents,
        make_package=make_package,
        turn=Lease(identity.engine, LEASE_NAME, f"{socket.gethostname()}/{secrets.token_hex(4)}"),
        keys=identity.keys,
        log=identity.log,
        clock=identity.clock,
    )


def open_callbacks(identity: Identity, sender: Sender | None = None) -> Callbacks:
    book = CaseBook(identity.engine, CaseSeal(identity.keys), identity.clock)
    return Callbacks(identity.engine, book, open_signer(identity), sender or Sender(), identity.clock)


def open_signer(identity: Identity) -> Signer:
    """Signs as the first of the names that people reach the service by."""
    return Signer(identity.keys, next(iter(identity.settings.identity.hosts), "localhost"))


def open_cases(identity: Identity, gate: Gate, audit: AuditLog) -> Cases:
    seal = CaseSeal(identity.keys)
    return Cases(
        gate=gate,
        audit=audit,
        book=CaseBook(identity.engine, seal, identity.clock),
        holds=identity.holds,
        documents=Documents(identity.engine, seal, identity.clock),
        carrying=open_carrying(identity),
        directory=identity.directory,
        clock=identity.clock,
        zone=identity.settings.zone,
    )


def _known(identity: Identity, audit: AuditLog, file: CaseFile, account: str) -> Known:
    subjects = identity.directory.find(file.tenant, "account", account)
    notes = Notes(identity.engine, identity.vault)
    return Known(
        profile=identity.directory.profile(subjects[0]) if subjects else None,
        days=identity.activity.whole(subjects[0]) if subjects else iter(()),
        looks=looks_at(audit, identity.directory, file.tenant, account),
        terms=_terms(identity, file.tenant),
        notes=[(note.written, note.text) for subject in subjects for note in notes.of(subject)],
    )


def _terms(identity: Identity, tenant: str) -> dict[str, int]:
    """What of a person is kept -> days, as they are in force for this tenant."""
    terms = identity.terms()
    return {KINDS[kind].what: terms.of(kind, tenant).days for kind in _OF_A_PERSON}
