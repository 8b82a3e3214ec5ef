"""The gate: nobody sees anything of a person but through here.

Every look takes the same three steps (`_audited`, then the read):
1. decide: the policies answer, on facts without personal data;
2. record: the answer, allowed or refused, is durable in the audit log;
3. only then read. When recording fails nothing was read.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from services.enricher.activity import Activity
from services.enricher.audit import AuditLog, Entry, Logged
from services.enricher.decisions import EVERY_TENANT, PURPOSES, Action, Actor, Decision, Policies, Request
from services.enricher.directory import LOOK_UPS, Directory
from services.enricher.grant_book import Grant, GrantBook
from services.enricher.timeline import PERSON_FIELDS, VISIT_FIELDS, Cell, Revealed, Visit, profile_cells, visits
from services.enricher.timeline import masked_name as _masked_name
from services.runtime.clock import Clock
from services.runtime.errors import VoileError

__all__ = ["DAYS_SHOWN", "MINUTES", "Ask", "Gate", "Nobody", "Refused", "Surroundings", "View"]

MINUTES = 30  # of a grant, unless asked otherwise; the policies allow at most 240
DAYS_SHOWN = 30  # of activity on one page, unless asked otherwise
ROWS_SHOWN = 2000  # of one page: more than anybody reads, little enough to render in a second
DAYS_MAX = 366  # no linked activity is kept longer
REASON_CHARACTERS_MAX = 1000  # of a reason that is kept
HELD_SINCE = timedelta(days=1)  # how long a grant stays in its holder's list
ID_BYTES = 16


class Refused(VoileError):
    """The policies said no; it is in the audit log. `decision.advice` says what to do."""

    def __init__(self, decision: Decision) -> None:
        super().__init__("Refused: " + " ".join(decision.advice))
        self.decision = decision


class Nobody(VoileError):
    """The question was in order, but nobody, or more than one, answers to it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for access to the one person whose `by` (account, email, phone) is `value`."""

    tenant: str
    value: str = field(repr=False)
    purpose: str
    ticket: str
    reason: str = field(repr=False)
    by: str = "account"
    minutes: int = MINUTES


@dataclass(frozen=True, slots=True, repr=False)
class View:
    """What may be shown: masked, but for `revealed`. `complete` is False when older accesses were left out."""

    grant: Grant
    name_hint: str
    profile: Mapping[str, Cell]
    visits: Sequence[Visit]
    days: int
    complete: bool
    revealed: Collection[Revealed] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the gate has to know of the world: registered tenants, and restrictions in force."""

    knows_tenant: Callable[[str], bool]
    is_restricted: Callable[[str, str], bool]


class Gate:
    def __init__(
        self,
        *,
        policies: Policies,
        audit: AuditLog,
        book: GrantBook,
        directory: Directory,
        activity: Activity,
        surroundings: Surroundings,
        clock: Clock,
    ) -> None:
        self._policies, self._audit, self._book = policies, audit, book
        self._directory, self._activity = directory, activity
        self._world, self._clock = surroundings, clock

    def ask(self, actor: Actor, ask: Ask) -> Grant:
        """A grant to one person's data. Raises `Refused`, `Nobody`, `Transient`."""
        if ask.by not in LOOK_UPS:
            raise Nobody("A person is found by account, email or phone.")
        request = self._request(actor, ask)
        self._refuse_unknown_tenant(request)
        account = ask.value if ask.by == "account" else self._found_account(request, ask)
        request = replace(
            request,
            action=Action.ASK_ACCESS,
            subject=self._audit.subject(ask.tenant, account),
            restricted=self._world.is_restricted(ask.tenant, account),
        )
        grant_id = secrets.token_hex(ID_BYTES)
        self._audited(request, grant=grant_id)
        subjects = self._directory.find(ask.tenant, "account", account)
        if not subjects:
            raise Nobody("There is no such account in this tenant; check its spelling.")
        ends = request.now + timedelta(minutes=ask.minutes)
        grant = Grant(
            grant_id, actor.name, ask.tenant, subjects[0], request.subject, ask.purpose, ask.ticket, request.now, ends
        )
        self._book.add(grant)
        return grant

    def view(self, actor: Actor, grant_id: str, days: int = DAYS_SHOWN) -> View:
        """The person's last `days` of activity, masked. Raises `Refused`, `Nobody`, `Transient`."""
        grant, request = self._under_grant(actor, Action.VIEW_ACTIVITY, grant_id)
        self._audited(request, grant=grant.id, fields=("activity",))
        return self._read(grant, days, ())

    def reveal(
        self, actor: Actor, grant_id: str, what: Collection[Revealed], reason: str, days: int = DAYS_SHOWN
    ) -> View:
        """The same view with these fields in clear, this once. Raises as `view` does."""
        if not all(one.exists for one in what):
            fields = ", ".join((*PERSON_FIELDS, *VISIT_FIELDS))
            raise Nobody(f"There is no such field to reveal; there are: {fields}.")
        grant, request = self._under_grant(actor, Action.REVEAL_FIELD, grant_id)
        self._audited(
            replace(request, reason=reason), grant=grant.id, fields=tuple(sorted({one.field for one in what}))
        )
        return self._read(grant, days, what)

    def end(self, actor: Actor, grant_id: str) -> None:
        """Give a grant back. Raises `Refused`, `Transient`."""
        grant, request = self._under_grant(actor, Action.END_ACCESS, grant_id)
        self._audited(request, grant=grant.id)
        self._book.end(grant.id, request.now)

    def runs(self, actor: Actor, grant_id: str) -> bool:
        """Whether the actor's page may stay open. Shows nothing of the person, so nothing is recorded."""
        grant = self._book.get(grant_id)
        return grant is not None and grant.actor == actor.name and grant.runs(self._clock.now())

    def held(self, actor: Actor) -> Sequence[Grant]:
        return self._book.held_by(actor.name, self._clock.now() - HELD_SINCE)

    def entries(self, actor: Actor, limit: int, equal: Mapping[str, str] | None = None) -> Sequence[Logged]:
        """The newest entries of the audit log whose fields are `equal` to these, of the actor's tenants alone."""
        own = self._audited(Request(actor, Action.VIEW_AUDIT, self._clock.now())) - 1
        everything, wanted = EVERY_TENANT in actor.tenants, (equal or {}).items()

        def shown(leaf: dict[str, str]) -> bool:
            ours = everything or leaf["tenant"] in actor.tenants
            return ours and all(leaf.get(name) == value for name, value in wanted)

        newest = self._audit.newest(limit + 1, shown)
        return [entry for entry in newest if entry.position != own][:limit]  # this very look is not what was asked for

    def permit(
        self, actor: Actor, action: Action, ask: Ask, *, requester: str = "", approver: str = "", kind: str = ""
    ) -> None:
        """For what is done to one person elsewhere (rights, holds): decided and recorded here, before it is done.

        `requester` opened the case of `kind` that this is about, `approver` agreed to it. Raises `Refused` (whose
        decision says whether an approval is all that is missing), `Transient`.
        """
        request = replace(self._request(actor, ask), requester=requester, approver=approver, kind=kind)
        self._refuse_unknown_tenant(request)
        self._audited(replace(request, action=action, subject=self._audit.subject(ask.tenant, ask.value, ask.by)))

    def permit_known(
        self,
        actor: Actor,
        action: Action,
        tenant: str,
        pseudonym: str,
        reason: str,
        *,
        ticket: str = "",
        requester: str = "",
        approver: str = "",
        kind: str = "",
    ) -> None:
        """As `permit`, for a person of whom no more than the log's pseudonym is known: their case or their hold."""
        request = self._request(actor, Ask(tenant, "", "rights", ticket, reason))
        request = replace(request, action=action, subject=pseudonym)
        self._audited(replace(request, requester=requester, approver=approver, kind=kind))

    def permit_tenant(self, actor: Actor, action: Action, tenant: str = "", reason: str = "") -> None:
        """For what is seen or changed of one tenant, or, without one, of all that are the actor's own (show them no
        other): decided and recorded here. A tenant that is to be made may be unknown. Raises as `permit` does."""
        self._audited(Request(actor, action, self._clock.now(), tenant=tenant, reason=reason))

    def _request(self, actor: Actor, ask: Ask) -> Request:
        return Request(
            actor,
            Action.FIND_PERSON,
            self._clock.now(),
            tenant=ask.tenant,
            purpose=ask.purpose,
            ticket=ask.ticket,
            reason=ask.reason,
            minutes=ask.minutes,
            days=DAYS_SHOWN,
        )

    def _found_account(self, request: Request, ask: Ask) -> str:
        """Searching for a person is a look as well. Raises `Nobody` unless exactly one answers."""
        self._audited(replace(request, subject=self._audit.subject(ask.tenant, ask.value, ask.by)), fields=(ask.by,))
        subjects = self._directory.find(ask.tenant, ask.by, ask.value)
        if len(subjects) > 1:
            raise Nobody(f"{len(subjects)} persons share this; ask by account.")
        profile = self._directory.profile(subjects[0]) if subjects else None
        if profile is None:
            raise Nobody("Nobody in this tenant has this e-mail or phone number; check its spelling.")
        return profile.account

    def _under_grant(self, actor: Actor, action: Action, grant_id: str) -> tuple[Grant, Request]:
        now = self._clock.now()
        grant = self._book.get(grant_id)
        if grant is None:
            advice = "There is no such grant; ask for access first."
            raise self._refusal(Request(actor, action, now), "no-such-grant", advice)
        request = Request(
            actor,
            action,
            now,
            tenant=grant.tenant,
            subject=grant.pseudonym,
            restricted=self._is_restricted(grant),
            purpose=grant.purpose,
            ticket=grant.ticket,
            grant=grant.facts(),
        )
        return grant, request

    def _is_restricted(self, grant: Grant) -> bool:
        """A restriction may come while a grant runs. Opens the profile for its account id, and shows nothing of it."""
        profile = self._directory.profile(grant.subject)
        return profile is not None and self._world.is_restricted(grant.tenant, profile.account)

    def _read(self, grant: Grant, days: int, revealed: Collection[Revealed]) -> View:
        profile = self._directory.profile(grant.subject)
        if profile is None:
            raise Nobody("This person's data is gone: it was erased, or its term is over.")
        now, days = self._clock.now(), min(max(days, 1), DAYS_MAX)
        frame = self._activity.read(grant.subject, now - timedelta(days=days), now, ROWS_SHOWN + 1)
        complete = frame.height <= ROWS_SHOWN
        shown = visits(frame.head(ROWS_SHOWN), revealed)
        return View(
            grant, _masked_name(profile.name), profile_cells(profile, revealed), shown, days, complete, revealed
        )

    def _refuse_unknown_tenant(self, request: Request) -> None:
        """Only staff of every tenant learn which tenants exist; for others the policies answer alike."""
        if EVERY_TENANT in request.actor.tenants and not self._world.knows_tenant(request.tenant):
            raise self._refusal(request, "unknown-tenant", "There is no such tenant; see voile tenant list.")

    def _refusal(self, request: Request, rule: str, advice: str) -> Refused:
        """Recorded when it returns."""
        decision = Decision(False, (rule,), (advice,))
        self._audit.append([self._entry(request, decision)])
        return Refused(decision)

    def _audited(self, request: Request, *, grant: str = "", fields: tuple[str, ...] = ()) -> int:
        """Steps 1 and 2. Returns, with the log's size, only when allowed and recorded."""
        decision = self._policies.decide(request)
        size = self._audit.append([self._entry(request, decision, grant, fields)])
        if not decision.allowed:
            raise Refused(decision)
        return size

    def _entry(self, request: Request, decision: Decision, grant: str = "", fields: tuple[str, ...] = ()) -> Entry:
        """Only what passed a pattern or comes from a closed set; what was typed wrongly stays out of the leaf."""
        return Entry(
            actor=request.actor.name,
            role=",".join(sorted(request.actor.roles)),
            action=request.action.value,
            tenant=request.tenant if self._world.knows_tenant(request.tenant) else "",
            subject=request.subject,
            purpose=request.purpose if request.purpose in PURPOSES else "",
            ticket=request.ticket if self._policies.is_ticket(request.ticket) else "",
            fields=fields,
            outcome="granted" if decision.allowed else "refused",
            rules=decision.rules,
            policy=self._policies.digest,
            grant=grant,
            reason=request.reason.strip()[:REASON_CHARACTERS_MAX],
        )
