"""Decide, then record: the two steps that stand before everything that is seen or done of a person or a tenant.

1. decide: the policies answer, on facts without personal data;
2. record: the answer, allowed or refused, is durable in the audit log;
and only then does the caller read or write. When recording fails nothing was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.enricher.access.decisions import EVERY_TENANT, PURPOSES, Action, Actor, Decision, Policies, Request
from services.enricher.audit.log import AuditLog, Entry
from services.runtime.clock import Clock
from services.runtime.errors import VoileError
from services.runtime.marks import N_

__all__ = ["DAYS", "MINUTES", "NO_GRANT", "NO_GRANT_ADVICE", "Ask", "Decider", "Nobody", "Refused", "Surroundings"]

MINUTES = 30  # of a grant, unless asked otherwise; the policies allow at most 240
DAYS = 30  # of activity that a grant shows, unless asked otherwise
NO_GRANT, NO_GRANT_ADVICE = "no-such-grant", N_("You hold no grant for this; ask for access first.")
REASON_CHARACTERS_MAX = 1000  # of a reason that is kept


class Refused(VoileError):
    """The policies said no; it is in the audit log. `decision.advice` says what to do."""

    def __init__(self, decision: Decision) -> None:
        may = [f"For this one needs the role {' or '.join(decision.may)}."] if decision.may else []
        super().__init__("Refused: " + " ".join([*decision.advice, *may]))
        self.decision = decision


class Nobody(VoileError):
    """The question was in order, but nothing, or more than one, answers to it. The text is in the catalogue."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for access to the one person whose `by` (account, email, phone) is `value`, for `minutes`, to what
    they did in the `days` before `until` (None: up to when it is looked at)."""

    tenant: str
    value: str = field(repr=False)
    purpose: str
    ticket: str
    reason: str = field(repr=False)
    by: str = "account"
    minutes: int = MINUTES
    days: int = DAYS
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the gate has to know of the world: registered tenants, and restrictions in force."""

    knows_tenant: Callable[[str], bool]
    is_restricted: Callable[[str, str], bool]


class Decider:
    def __init__(self, policies: Policies, audit: AuditLog, surroundings: Surroundings, clock: Clock) -> None:
        self.policies, self.audit, self.world, self.clock = policies, audit, surroundings, clock

    def request(self, actor: Actor, action: Action, ask: Ask) -> Request:
        """The question `ask` puts; its subject is still to be filled in."""
        return Request(
            actor,
            action,
            self.clock.now(),
            tenant=ask.tenant,
            purpose=ask.purpose,
            ticket=ask.ticket,
            reason=ask.reason,
            minutes=ask.minutes,
            days=ask.days,
        )

    def audited(self, request: Request, *, grant: str = "", fields: tuple[str, ...] = ()) -> int:
        """Returns the entry's position, only when the request is allowed and recorded. Raises `Refused`."""
        decision = self.policies.decide(request)
        position = self._append(self._entry(request, decision, grant, fields))
        if not decision.allowed:
            raise Refused(_told(request, decision))
        return position

    def withdrawn(self, request: Request, grant: str) -> None:
        """Records that who asked takes it back; nobody is asked for leave."""
        entry = self._entry(request, Decision(True, ()), grant, ())
        self._append(replace(entry, outcome="withdrawn"))

    def queued(self, request: Request, *, grant: str = "") -> tuple[bool, int]:
        """As `audited`, but a request that only lacks an approval is recorded as waiting and not refused: (whether it
        waits, the entry's position)."""
        decision = self.policies.decide(request)
        if not decision.needs_approval:
            return False, self.audited(request, grant=grant)
        entry = replace(self._entry(request, decision, grant, ()), outcome="waits")
        return True, self._append(entry)

    def refusal(self, request: Request, rule: str, advice: str) -> Refused:
        """Recorded when it returns."""
        decision = Decision(False, (rule,), (advice,))
        self._append(self._entry(request, decision, "", ()))
        return Refused(_told(request, decision))

    def refuse_unknown_tenant(self, request: Request) -> None:
        """Only staff of every tenant learn which tenants exist; for others the policies answer alike."""
        if EVERY_TENANT in request.actor.tenants and not self.world.knows_tenant(request.tenant):
            raise self.refusal(request, "unknown-tenant", "There is no such tenant; see voile tenant list.")

    def subject(self, ask: Ask) -> str:
        return self.audit.subject(ask.tenant, ask.value, ask.by)

    def _append(self, entry: Entry) -> int:
        return self.audit.append([entry]) - 1

    def _entry(self, request: Request, decision: Decision, grant: str, fields: tuple[str, ...]) -> Entry:
        """Only what passed a pattern or comes from a closed set; what was typed wrongly stays out of the leaf."""
        outcome: Mapping[bool, str] = {True: "granted", False: "refused"}
        return Entry(
            actor=request.actor.name,
            role=",".join(sorted(request.actor.roles)),
            action=request.action.value,
            tenant=request.tenant if self.world.knows_tenant(request.tenant) else "",
            subject=request.subject,
            purpose=request.purpose if request.purpose in PURPOSES else "",
            ticket=request.ticket if self.policies.is_ticket(request.ticket) else "",
            fields=fields,
            outcome=outcome[decision.allowed],
            rules=decision.rules,
            policy=self.policies.digest,
            grant=grant,
            reason=request.reason.strip()[:REASON_CHARACTERS_MAX],
        )


def _told(request: Request, decision: Decision) -> Decision:
    """What who asks is told: the same of somebody else's grant as of one that never was. The log says which."""
    is_anothers = request.grant is not None and request.grant.holder != request.actor.name
    return Decision(False, (NO_GRANT,), (NO_GRANT_ADVICE,)) if is_anothers else decision
