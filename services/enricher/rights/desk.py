"""The desk where cases are opened, decided and carried out. Every step is decided by the policies and recorded in the
audit log before it is taken (`gate.permit`), and stands in the case's own evidence after it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from zoneinfo import ZoneInfo

from services.enricher.access.decisions import EVERY_TENANT, Action, Actor
from services.enricher.access.grants import Ask, Gate, Nobody
from services.enricher.audit.log import AuditLog
from services.enricher.persons.accounts import ACCOUNT_CHARACTERS_MAX
from services.enricher.persons.directory import LOOK_UPS, Directory
from services.enricher.rights.book import NO_CASE, CaseBook, CaseFile, Evidence, NoSuchCase, Opening
from services.enricher.rights.carrying import Carrying, Progress
from services.enricher.rights.documents import Document, Documents
from services.enricher.rights.due import due, extended
from services.enricher.rights.holds import Hold, Holds
from services.enricher.rights.package import package_name
from services.enricher.rights.states import IdentityCheck, Kind, NotNow, Refusal, State, Step
from services.runtime.clock import Clock
from services.runtime.errors import WrongUse
from services.runtime.web.languages import LANGUAGES

__all__ = ["LISTED_MAX", "CaseView", "Cases", "Wanted"]

LISTED_MAX = 200  # cases on one page; who has more open than that does not read a list
NOTE_CHARACTERS_MAX = 2000
NUMBER = re.compile(r"[A-Z][A-Z0-9]{1,9}-[0-9]{1,9}")  # no word of anybody's: it stands in topics and file names
_DIGITS = 9
_OPEN = frozenset({State.RECEIVED, State.IDENTIFIED, State.APPROVED, State.DEFERRED})
PURPOSE = "rights"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request as it came in. `by`: what `value` is (account, email, phone). `case`: a number of one's own."""

    tenant: str
    value: str = field(repr=False)
    kind: Kind
    by: str = "account"
    note: str = field(default="", repr=False)
    case: str = ""
    lift: bool = False
    language: str = "en"
    origin: str = "console"
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case with all that its page shows. `known`: whether there is, or was, such a person. `others`: cases of the
    same person that are open, too."""

    file: CaseFile
    evidence: Sequence[Evidence]
    documents: Sequence[Document]
    progress: Progress
    held: bool
    known: bool
    others: Sequence[str]


class Cases:
    def __init__(
        self,
        *,
        gate: Gate,
        audit: AuditLog,
        book: CaseBook,
        holds: Holds,
        documents: Documents,
        carrying: Carrying,
        directory: Directory,
        clock: Clock,
        zone: ZoneInfo,
        random_digits: Callable[[int], str] = lambda n: f"{secrets.randbelow(10**n):0{n}d}",
    ) -> None:
        self._gate, self._audit, self._book, self._holds = gate, audit, book, holds
        self._documents, self._carrying, self._directory = documents, carrying, directory
        self._clock, self._zone, self._random_digits = clock, zone, random_digits

    def open(self, actor: Actor, wanted: Wanted) -> CaseFile:
        """A receipt: its number, and by when it has to be answered. Raises `Refused`, `Nobody`, `WrongUse`."""
        _refuse_unusable(wanted)
        case = wanted.case or f"CASE-{self._random_digits(_DIGITS)}"
        ask = Ask(wanted.tenant, wanted.value, PURPOSE, case, wanted.note, wanted.by)
        self._gate.permit(actor, Action.OPEN_CASE, ask, kind=wanted.kind.value)
        account = wanted.value if wanted.by == "account" else self._account_of(wanted)
        return self._add(actor, replace(wanted, case=case, value=account, by="account"))

    def at_once(self, actor: Actor, wanted: Wanted, how: IdentityCheck) -> Progress:
        """Opened and carried out in one step by one person, where the policies let them (erase, restrict). The same
        again goes on where it stopped. Raises `Refused`, `WrongUse`."""
        _refuse_unusable(wanted)
        if wanted.kind.is_handed_out or not wanted.case:
            raise WrongUse("At once needs a case number (--case DSR-17), and is not for access or portability.")
        action = Action.ERASE if wanted.kind is Kind.ERASURE else Action.RESTRICT
        self._gate.permit(actor, action, Ask(wanted.tenant, wanted.value, PURPOSE, wanted.case, wanted.note))
        file = self._taken_up(actor, wanted)
        if file.state is State.RECEIVED:
            facts = {"how": how.value}
            file = self._book.move(
                file.case, State.IDENTIFIED, Step.CHECK_IDENTITY, actor.name, facts=facts, identity_check=how.value
            )
        if file.state is State.IDENTIFIED and self._is_held(file):
            return Progress(self._defer(actor, file))
        if file.state in {State.IDENTIFIED, State.APPROVED}:
            self._begin(actor, file.case)
        return self._carrying.advance(file.case)

    def check(self, actor: Actor, case: str, how: IdentityCheck, note: str = "") -> CaseFile:
        """It was made sure, `how`, that the person who asks is the one it is about."""
        self._permit(actor, Action.OPEN_CASE, case, note)
        facts = {"how": how.value}
        return self._book.move(
            case, State.IDENTIFIED, Step.CHECK_IDENTITY, actor.name, note=note, facts=facts, identity_check=how.value
        )

    def approve(self, actor: Actor, case: str, reason: str) -> CaseFile:
        """By somebody other than who opened it. Raises `Refused`, `NotNow`."""
        self._permit(actor, Action.DECIDE_CASE, case, reason)
        return self._book.move(case, State.APPROVED, Step.APPROVE, actor.name, note=reason, approved_by=actor.name)

    def refuse(self, actor: Actor, case: str, why: Refusal, reason: str) -> CaseFile:
        """With its ground in law, and in words for the person."""
        self._permit(actor, Action.DECIDE_CASE, case, reason)
        return self._book.move(
            case, State.REFUSED, Step.REFUSE, actor.name, note=reason, facts={"why": why.value}, refusal=why.value
        )

    def extend(self, actor: Actor, case: str, reason: str) -> CaseFile:
        """By two months, once, while the first month runs. Raises `NotNow`."""
        self._permit(actor, Action.DECIDE_CASE, case, reason)
        file = self._book.get(case)
        if file.extended or self._today() > file.due:
            raise NotNow(
                "Case {case} cannot be extended: that is possible once, before its due date is over.", case=case
            )
        until = extended(file.opened.astimezone(self._zone).date())
        facts = {"due": until.isoformat()}
        return self._book.note(
            case, Step.EXTEND, actor.name, "extended", note=reason, facts=facts, states=_OPEN, due=until, extended=True
        )

    def cancel(self, actor: Actor, case: str, reason: str) -> CaseFile:
        """The person takes the request back, before it is carried out."""
        self._permit(actor, Action.OPEN_CASE, case, reason)
        return self._book.move(case, State.CANCELLED, Step.CANCEL, actor.name, note=reason)

    def execute(self, actor: Actor, case: str) -> Progress:
        """Begins, and goes as far as it can now; the running service does the rest. Again: as far as it can.

        An erasure that a legal hold stands against is deferred instead."""
        file = self._permit(actor, Action.EXECUTE_CASE, case, "")
        if file.kind.is_handed_out:
            self._permit(actor, Action.EXPORT_PERSON, case, "")
        if file.state in {State.EXECUTING, State.EXECUTED}:
            return self._carrying.advance(case)
        if file.kind is Kind.ERASURE and self._is_held(file):
            return Progress(self._defer(actor, file))
        if file.state is State.DEFERRED:
            self._book.move(case, State.APPROVED, Step.RESUME, actor.name)
        self._begin(actor, case)
        return self._carrying.advance(case)

    def go_on_without(self, actor: Actor, case: str, worker: str, reason: str) -> Progress:
        """Somebody looked after a worker that does not answer: nobody waits for it now, and the certificate says so."""
        self._permit(actor, Action.DECIDE_CASE, case, reason)
        waiting = self._carrying.advance(case).waiting
        if worker not in waiting:
            raise WrongUse(
                "Case {case} does not wait for that worker; it waits for: {workers}.",
                case=case,
                workers=", ".join(waiting) or "–",
            )
        facts, states = {"worker": worker}, frozenset({State.EXECUTING})
        self._book.note(case, Step.GO_ON, actor.name, "not answered", note=reason, facts=facts, states=states)
        return self._carrying.advance(case)

    def take_package(self, actor: Actor, case: str) -> tuple[str, bytes]:
        """Name and content, this once. Raises `Gone`."""
        file = self._permit(actor, Action.EXPORT_PERSON, case, "")
        name = package_name(file)
        content = self._documents.take(case, name)
        self._book.note(case, Step.HAND_OVER, actor.name, "taken", facts={"document": name})
        self._carrying.advance(case)
        return name, content

    def listed(self, actor: Actor, *, closed: bool = False) -> Sequence[CaseFile]:
        """The actor's own tenants' cases, the first due first."""
        self._gate.permit_tenant(actor, Action.VIEW_CASES)
        own = None if EVERY_TENANT in actor.tenants else actor.tenants
        return self._book.listed(own, closed=closed, limit=LISTED_MAX)

    def count_open(self, actor: Actor) -> int:
        """For the header; shows nothing of anybody, so nothing is recorded."""
        return self._book.count_open(None if EVERY_TENANT in actor.tenants else actor.tenants)

    def view(self, actor: Actor, case: str) -> CaseView:
        """Raises `Refused`, `NoSuchCase`."""
        file = self._of(actor, case)
        self._gate.permit_tenant(actor, Action.VIEW_CASES, file.tenant)
        progress = self._carrying.standing(file)
        evidence = self._book.evidence(case)
        return CaseView(
            file=file,
            evidence=evidence,
            documents=self._documents.listed(case),
            progress=progress,
            held=self._is_held(file),
            known=self._is_known(file, evidence),
            others=self._others(file),
        )

    def of_request(self, actor: Actor, tenant: str, request_id: str) -> CaseFile:
        """The case of a request that came over OpenDSR. Raises `Refused`, `NoSuchCase`."""
        self._gate.permit_tenant(actor, Action.VIEW_CASES, tenant)
        return self._book.of_request(tenant, request_id)

    def document(self, actor: Actor, case: str, name: str) -> bytes:
        """One that is kept in clear. Raises `Gone`."""
        self._gate.permit_tenant(actor, Action.VIEW_CASES, self._of(actor, case).tenant)
        return self._documents.read(case, name)

    def hold(self, actor: Actor, tenant: str, account: str, reason: str) -> str:
        """The id of a new hold on one person's data."""
        self._gate.permit(actor, Action.HOLD_PERSON, Ask(tenant, account, "legal", "", reason))
        return self._holds.place(tenant, account, self._audit.subject(tenant, account), actor.name, reason)

    def lift(self, actor: Actor, hold: str, reason: str) -> None:
        found = self._holds.of(hold)
        self._gate.permit_known(actor, Action.HOLD_PERSON, found.tenant, found.pseudonym, reason)
        self._holds.lift(hold, actor.name, reason)

    def holds(self, actor: Actor) -> Sequence[Hold]:
        """Those that stand, of the actor's own tenants, for who may place them."""
        tenants = {found.tenant for found in self._holds.standing()}
        self._gate.permit_tenant(actor, Action.VIEW_CASES)
        own = tenants if EVERY_TENANT in actor.tenants else tenants & actor.tenants
        return [found for found in self._holds.standing() if found.tenant in own]

    def _add(self, actor: Actor, wanted: Wanted) -> CaseFile:
        return self._book.add(
            Opening(
                case=wanted.case,
                tenant=wanted.tenant,
                account=wanted.value,
                digest=self._directory.digest(wanted.tenant, "account", wanted.value),
                pseudonym=self._audit.subject(wanted.tenant, wanted.value),
                kind=wanted.kind,
                lift=wanted.lift,
                language=wanted.language,
                origin=wanted.origin,
                opened_by=actor.name,
                due=due(self._today()),
                note=wanted.note,
                request_id=wanted.request_id,
            )
        )

    def _taken_up(self, actor: Actor, wanted: Wanted) -> CaseFile:
        """The case, or the one of an earlier try at the same. Raises `WrongUse` when it is about another request."""
        try:
            return self._add(actor, wanted)
        except WrongUse:
            file = self._book.get(wanted.case)
        same = (file.tenant, file.pseudonym, file.kind, file.lift)
        if same != (wanted.tenant, self._audit.subject(wanted.tenant, wanted.value), wanted.kind, wanted.lift):
            raise WrongUse(
                "The case {case} is about another request; give this one a case of its own.", case=wanted.case
            )
        return file

    def _begin(self, actor: Actor, case: str) -> None:
        now = int(self._clock.now().timestamp() * 1000)
        self._book.move(case, State.EXECUTING, Step.EXECUTE, actor.name, signalled_ms=now)

    def _permit(self, actor: Actor, action: Action, case: str, reason: str) -> CaseFile:
        file = self._of(actor, case)
        self._gate.permit_known(
            actor,
            action,
            file.tenant,
            file.pseudonym,
            reason,
            ticket=case,
            requester=file.opened_by,
            approver=file.approved_by,
            kind=file.kind.value,
        )
        return file

    def _of(self, actor: Actor, case: str) -> CaseFile:
        """Whoever asks for another tenant's case learns no more than of one that does not exist."""
        file = self._book.get(case)
        if EVERY_TENANT not in actor.tenants and file.tenant not in actor.tenants:
            raise NoSuchCase(NO_CASE, case=case)
        return file

    def _defer(self, actor: Actor, file: CaseFile) -> CaseFile:
        if file.state is State.DEFERRED:
            return file
        return self._book.move(file.case, State.DEFERRED, Step.DEFER, actor.name, facts={"why": "legal hold"})

    def _is_held(self, file: CaseFile) -> bool:
        """On any account of the person."""
        account = self._book.account(file.case)
        names = self._directory.accounts_of(file.tenant, account) if account is not None else []
        return any(self._holds.is_held(file.tenant, name) for name in names)

    def _is_known(self, file: CaseFile, evidence: Sequence[Evidence]) -> bool:
        """A mistyped account is nobody's: what is carried out is nothing, and the person would be told it was."""
        if file.state not in _OPEN:
            return not any(e.step == Step.DESTROY_KEY.value and not any(e.facts.values()) for e in evidence)
        account = self._book.account(file.case)
        return account is None or bool(self._directory.find(file.tenant, "account", account))

    def _others(self, file: CaseFile) -> list[str]:
        """The log's pseudonym is the same for every case of an account."""
        found = self._book.listed({file.tenant}, closed=False, limit=LISTED_MAX)
        return [other.case for other in found if other.pseudonym == file.pseudonym and other.case != file.case]

    def _account_of(self, wanted: Wanted) -> str:
        """Raises `Nobody` unless exactly one person answers."""
        subjects = self._directory.find(wanted.tenant, wanted.by, wanted.value)
        profile = self._directory.profile(subjects[0]) if len(subjects) == 1 else None
        if profile is None:
            raise Nobody("Not exactly one person of this tenant has this e-mail or phone number; ask by account.")
        return profile.account

    def _today(self) -> date:
        return self._clock.now().astimezone(self._zone).date()


def _refuse_unusable(wanted: Wanted) -> None:
    """Raises `WrongUse`."""
    if wanted.case and not NUMBER.fullmatch(wanted.case):
        raise WrongUse("A case's number is like DSR-17: capital letters, a dash, digits; leave it out to get one.")
    if not wanted.value.strip() or len(wanted.value) > ACCOUNT_CHARACTERS_MAX or not wanted.value.isprintable():
        raise WrongUse("Say whose data it is about, in at most {n} characters.", n=ACCOUNT_CHARACTERS_MAX)
    if wanted.by not in LOOK_UPS:
        raise WrongUse("A person is found by one of: {known}.", known=", ".join(LOOK_UPS))
    if wanted.lift and not wanted.kind.can_be_lifted:
        raise WrongUse("What was carried out of this kind ({kind}) cannot be taken back.", kind=wanted.kind.value)
    if wanted.language not in LANGUAGES:
        raise WrongUse("Languages are: {known}.", known=", ".join(LANGUAGES))
    if len(wanted.note) > NOTE_CHARACTERS_MAX:
        raise WrongUse("A note has at most {n} characters.", n=NOTE_CHARACTERS_MAX)
