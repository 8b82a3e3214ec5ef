"""Carrying a case out, step by step. Every step may be done twice; the running service takes up what was left.

An erasure: 1. the signal, from which on every worker drops what comes, and 2. the key destroyed, the rows deleted, the
bytes taken out of the files and the account tombstoned (`execution`); 3. every worker of the other planes answers;
4. every table of this plane is counted; 5. the certificate; 6. what ends by itself has ended; 7. the certificate,
completed. A signal (objection, restriction, withdrawal): 1 and 3. A package: made, then taken or over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from services.enricher.rights.book import CaseBook, CaseFile
from services.enricher.rights.certificate import COMPLETED, ISSUED, Erased, documents_of
from services.enricher.rights.documents import Documents
from services.enricher.rights.execution import NotErased, Rights, summed
from services.enricher.rights.later import ends_later, overdue, still_there
from services.enricher.rights.receipts import Receipts, waited_for
from services.enricher.rights.states import CLOSED, Kind, State, Step
from services.runtime.clock import Clock
from services.runtime.database import Lease
from services.runtime.errors import Fatal
from services.runtime.keys import KeyService
from services.runtime.log.interface import EventLog
from services.runtime.receipts import Receipt

__all__ = ["SYSTEM", "Carrying", "Progress"]

SYSTEM = "voile"  # who acts, in the evidence, when no person does
LINKING = "linking-objection"  # a signal that no other plane answers
DONE = "done"  # what `execution` says of a case
_SIGNALS: Mapping[Kind, Sequence[tuple[str, str]]] = {  # kind -> (what the signal's case is called, its kind)
    Kind.OBJECTION: [("", "objection")],
    Kind.LINKING_OBJECTION: [("", "linking-objection")],
    Kind.RESTRICTION: [("", "restriction")],
    Kind.WITHDRAWAL: [("/linking", "linking-objection"), ("", "objection")],
}
PackageOf = Callable[[CaseFile, str], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a case is: `waiting` for these workers, `later`: stores that still keep something."""

    file: CaseFile
    waiting: Sequence[str] = ()
    later: Sequence[str] = ()


class Carrying:
    def __init__(
        self,
        *,
        book: CaseBook,
        rights: Rights,
        receipts: Receipts,
        documents: Documents,
        make_package: PackageOf,
        turn: Lease,
        keys: KeyService,
        log: EventLog,
        clock: Clock,
    ) -> None:
        """`make_package` makes the package of a case and its account, and adds it to the documents. `turn`: of several
        processes one carries on at a time."""
        self._book, self._rights, self._receipts = book, rights, receipts
        self._documents, self._make_package = documents, make_package
        self._turn, self._keys, self._log, self._clock = turn, keys, log, clock

    def advance(self, case: str) -> Progress:
        """As far as it goes now; not at all while another process is at it. Raises `Transient`, `NotErased`."""
        if not self._turn.acquire(self._clock.now()):
            return self.standing(self._book.get(case))
        try:
            file = self._book.get(case)
            if file.state is State.EXECUTING:
                return self._execute(file)
            return self._finish(file) if file.state is State.EXECUTED else Progress(file)
        finally:
            self._turn.release()

    def standing(self, file: CaseFile) -> Progress:
        """Where the case is, without doing anything."""
        if file.state is State.EXECUTING:
            return Progress(file, self._waiting(file))
        if file.state is State.EXECUTED:
            return Progress(file, later=still_there(self._log, file.later, self._clock.now()))
        return Progress(file)

    def open_cases(self) -> Sequence[CaseFile]:
        """Those that something is still to be done for by itself."""
        return self._book.in_state(State.EXECUTING, State.EXECUTED)

    def overdue(self) -> int:
        """How many cases are past their date: to be answered, or with data that should have ended by itself."""
        now = self._clock.now()
        return sum(self._is_overdue(file, now) for file in self._book.in_state(*set(State) - CLOSED))

    def _is_overdue(self, file: CaseFile, now: datetime) -> bool:
        if file.state is State.EXECUTED:
            return bool(overdue(self._log, file.later, now))
        return file.due < now.date()

    def _execute(self, file: CaseFile) -> Progress:
        account = self._book.account(file.case)
        if account is None:
            raise Fatal(f"The key of case {file.case} is missing; restore the identity plane's key folder.")
        if file.kind.is_handed_out:
            self._make_package(file, account)
            return Progress(self._book.move(file.case, State.EXECUTED, Step.PACKAGE, SYSTEM))
        self._act(file, account)
        if waiting := self._waiting(file):
            return Progress(file, waiting)
        self._write_answers(file)
        return self._certify(file) if file.kind is Kind.ERASURE else self._complete(file)

    def _act(self, file: CaseFile, account: str) -> None:
        """What this plane does itself; again, nothing."""
        if file.kind is Kind.ERASURE:
            done = self._rights.erase(file.tenant, account, file.case)
            if not self._book.has(file.case, Step.DELETE):
                counts = summed(part.counts for part in self._rights.parts(file.case))
                self._write_deletion(file.case, done.cutoff, counts)
            return
        if self._book.has(file.case, Step.SIGNAL):
            return
        for suffix, kind in _SIGNALS[file.kind]:
            self._rights.signal(file.tenant, account, file.case + suffix, kind=kind, active=not file.lift)
        self._book.note(file.case, Step.SIGNAL, SYSTEM, "lifted" if file.lift else "in force")

    def _write_deletion(self, case: str, cutoff: datetime, counts: Mapping[str, int]) -> None:
        self._book.note(case, Step.SIGNAL, SYSTEM, "in force", facts={"covers_until": _stamp(cutoff)})
        keys = {"person_keys": counts.get("person_keys", 0)}
        self._book.note(case, Step.DESTROY_KEY, SYSTEM, DONE, facts=keys)
        self._book.note(case, Step.TOMBSTONE, SYSTEM, DONE)
        self._book.note(case, Step.DELETE, SYSTEM, DONE, facts=dict(counts))

    def _waiting(self, file: CaseFile) -> list[str]:
        self._receipts.follow()
        answered = self._answered(file.case) | set(self.without(file.case))
        signalled = file.signalled or file.opened
        return waited_for(file.kind, self._receipts.known(), answered, signalled, self._clock.now())

    def _answered(self, case: str) -> set[str]:
        """The workers that have answered for every account of the person."""
        asked = [part.case for part in self._rights.parts(case) if part.kind != LINKING]
        return set.intersection(*({r.worker for r in self._receipts.of(part)} for part in asked)) if asked else set()

    def _said(self, case: str) -> list[Receipt]:
        """What they answered, for all accounts."""
        return [receipt for part in self._rights.parts(case) for receipt in self._receipts.of(part.case)]

    def without(self, case: str) -> list[str]:
        """The workers that somebody decided not to wait for."""
        return [e.facts["worker"] for e in self._book.evidence(case) if e.step == Step.GO_ON.value]

    def _write_answers(self, file: CaseFile) -> None:
        if self._book.has(file.case, Step.ANSWERED):
            return
        for receipt in self._said(file.case):
            facts = {"store": receipt.store, "deleted": receipt.deleted, "remaining": receipt.remaining}
            facts["at"] = _stamp(receipt.at)
            self._book.note(file.case, Step.ANSWERED, receipt.worker, receipt.state, facts=facts)

    def _certify(self, file: CaseFile) -> Progress:
        remaining = self._rights.remaining(file.case)
        if any(remaining.values()):
            raise NotErased(f"Rows are left after the erasure of case {file.case}; the service deletes them again.")
        self._book.note(file.case, Step.VERIFY, SYSTEM, "nothing left", facts=dict(remaining))
        answers = [receipt.at for receipt in self._said(file.case)]
        later = ends_later(self._log, max([*answers, self._clock.now()]))
        self._documents.add(file.case, self._certificate(file, ISSUED, later))
        facts, text = {"status": ISSUED}, orjson.dumps(later).decode()
        file = self._book.move(file.case, State.EXECUTED, Step.CERTIFY, SYSTEM, facts=facts, later=text)
        self._book.forget_account(file.case)
        return Progress(file, later=[entry["store"] for entry in later])

    def _certificate(self, file: CaseFile, status: str, later: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
        erased = Erased(
            file=file,
            cutoff=self._rights.case(file.case).cutoff,
            deleted=summed(part.counts for part in self._rights.parts(file.case)),
            remaining=self._rights.remaining(file.case),
            receipts=self._said(file.case),
            without=self.without(file.case),
            later=later,
            status=status,
            at=self._clock.now(),
        )
        return documents_of(erased, self._keys)

    def _finish(self, file: CaseFile) -> Progress:
        if file.kind.is_handed_out:
            return self._complete(file) if self._documents.end(file.case) else Progress(file)
        self._book.forget_account(file.case)  # the process was killed between the certificate and this
        if left := still_there(self._log, file.later, self._clock.now()):
            return Progress(file, later=left)
        if any(self._rights.remaining(file.case).values()):
            raise NotErased(f"Rows came back after the erasure of case {file.case}; look at its evidence.")
        self._documents.add(file.case, self._certificate(file, COMPLETED, file.later))
        return self._complete(file)

    def _complete(self, file: CaseFile) -> Progress:
        if file.state is State.EXECUTING:  # a signal: nothing of it ends later
            file = self._book.move(file.case, State.EXECUTED, Step.VERIFY, SYSTEM)
        file = self._book.move(file.case, State.COMPLETED, Step.COMPLETE, SYSTEM)
        self._book.forget_account(file.case)
        return Progress(file)


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
