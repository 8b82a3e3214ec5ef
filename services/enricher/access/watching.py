"""Watching over who looks: running grants, ending another's, and the review of every broken glass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.enricher.access.deciding import Decider, Nobody
from services.enricher.access.decisions import EVERY_TENANT, Action, Actor, Request
from services.enricher.access.grant_book import NOT_JUSTIFIED, VERDICTS, Grant, GrantBook

__all__ = ["REVIEWED_SHOWN", "Watch", "Watched"]

REVIEWED_SHOWN = timedelta(days=30)  # how long a review stays on the page


@dataclass(frozen=True, slots=True)
class Watched:
    """What the data protection officer's page lists, of the actor's tenants; `reasons` by grant."""

    running: Sequence[Grant]
    broken: Sequence[Grant]
    reasons: Mapping[str, str]


class Watch:
    def __init__(self, decider: Decider, grants: GrantBook) -> None:
        self._decider, self._grants, self._clock = decider, grants, decider.clock

    def look(self, actor: Actor) -> Watched:
        """Raises `Refused`, `Transient`."""
        now = self._clock.now()
        self._decider.audited(Request(actor, Action.VIEW_GRANTS, now))
        running, broken = self._grants.running(now), self._grants.broken(now - REVIEWED_SHOWN)
        running, broken = _own(actor, running), _own(actor, broken)
        return Watched(running, broken, {grant.id: self._reason(grant) for grant in (*running, *broken)})

    def unreviewed(self, actor: Actor) -> int:
        """How many broken glasses wait for a review in the actor's tenants: a number, so it is not a look."""
        every = EVERY_TENANT in actor.tenants
        return sum(every or tenant in actor.tenants for tenant in self._grants.unreviewed())

    def revoke(self, actor: Actor, grant_id: str, reason: str) -> None:
        """End another's grant: their open page is cut within seconds. Raises `Refused`, `Nobody`, `Transient`."""
        grant = self._found(grant_id)
        question = self._about(actor, Action.REVOKE_ACCESS, grant, reason)
        self._decider.audited(question, grant=grant.id)
        self._grants.end(grant.id, question.now, actor.name)

    def review(self, actor: Actor, grant_id: str, verdict: str, reason: str) -> None:
        """Say whether breaking the glass was right; what was not ends at once.

        Raises `Refused`, `Nobody`, `Transient`."""
        grant = self._found(grant_id)
        if verdict not in VERDICTS or not grant.break_glass:
            raise Nobody("A broken glass is found justified or not justified.")
        question = self._about(actor, Action.REVIEW_BREAK_GLASS, grant, reason)
        self._decider.audited(question, grant=grant.id, fields=(verdict,))
        if not self._grants.review(grant.id, question.now, actor.name, verdict):
            raise Nobody("Somebody reviewed this meanwhile.")
        if verdict == NOT_JUSTIFIED and grant.runs(question.now):
            self._grants.end(grant.id, question.now, actor.name)

    def _reason(self, grant: Grant) -> str:
        return "" if grant.entry is None else self._decider.audit.reason(grant.entry)

    def _found(self, grant_id: str) -> Grant:
        grant = self._grants.get(grant_id)
        if grant is None:
            raise Nobody("There is no such grant.")
        return grant

    def _about(self, actor: Actor, action: Action, grant: Grant, reason: str) -> Request:
        return Request(
            actor,
            action,
            self._clock.now(),
            tenant=grant.tenant,
            subject=grant.pseudonym,
            purpose=grant.purpose,
            ticket=grant.ticket,
            reason=reason,
            grant=grant.facts(),
            requester=grant.actor,
        )


def _own(actor: Actor, grants: Sequence[Grant]) -> Sequence[Grant]:
    every = EVERY_TENANT in actor.tenants
    return [grant for grant in grants if every or grant.tenant in actor.tenants]
