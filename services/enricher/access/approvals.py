"""The second person: requests that wait, the answer to them, and taking an approved one up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.enricher.access.deciding import Decider, Nobody
from services.enricher.access.decisions import EVERY_TENANT, Action, Actor, Request
from services.enricher.access.grant_book import Grant, GrantBook
from services.enricher.access.grants import new_grant
from services.enricher.access.request_book import (
    APPROVED,
    REFUSED,
    STARTED,
    WAITING,
    WITHDRAWN,
    AccessRequest,
    RequestBook,
)
from services.enricher.persons.directory import Directory
from services.runtime.database import transaction
from services.runtime.marks import N_

__all__ = ["Approvals", "Queued"]

ASKED_SINCE = timedelta(days=1)  # how long a request stays in the list of who asked
_OVER = N_("This request was answered, taken up or withdrawn meanwhile, or its day is over.")


@dataclass(frozen=True, slots=True)
class Queued:
    """A request with the reasons that were given; `mine`: nobody answers their own."""

    request: AccessRequest
    reason: str
    answer: str
    mine: bool


class Approvals:
    def __init__(self, decider: Decider, requests: RequestBook, grants: GrantBook, directory: Directory) -> None:
        self._decider, self._requests, self._grants = decider, requests, grants
        self._directory, self._clock = directory, decider.clock

    def asked(self, actor: Actor) -> Sequence[Queued]:
        """The actor's own requests of the last day, newest first, but for those taken up."""
        found = self._requests.asked_by(actor.name, self._clock.now() - ASKED_SINCE)
        return [self._with_reasons(actor, request) for request in found if request.state != STARTED]

    def waiting(self, actor: Actor) -> Sequence[Queued]:
        """What waits in the actor's tenants, with the reasons. The caller has decided `viewGrants`."""
        return [self._with_reasons(actor, request) for request in self._of(actor)]

    def count(self, actor: Actor) -> int:
        """How many requests wait for this actor: those of others."""
        return sum(request.actor != actor.name for request in self._of(actor))

    def answer(self, actor: Actor, request_id: str, agrees: bool, reason: str) -> None:
        """Agree or refuse. Raises `Refused` (one's own among them), `Nobody` when somebody was faster."""
        found = self._found(request_id)
        question = Request(
            actor,
            Action.APPROVE,
            self._clock.now(),
            tenant=found.tenant,
            subject=found.pseudonym,
            purpose=found.purpose,
            ticket=found.ticket,
            reason=reason,
            requester=found.actor,
        )
        outcome = APPROVED if agrees else REFUSED
        entry = self._decider.audited(question, grant=found.id, fields=(outcome,))
        values = {"approver": actor.name, "answer_entry": entry}
        if not self._requests.move(found.id, WAITING, outcome, question.now, **values):
            raise Nobody(_OVER)

    def withdraw(self, actor: Actor, request_id: str) -> None:
        """Take one's own request back, which nobody has answered yet. Opens nothing, so it needs no leave; it is
        recorded all the same."""
        found, now = self._found(request_id), self._clock.now()
        if found.actor != actor.name or found.state != WAITING or not found.is_open(now):
            raise Nobody(_OVER)
        question = Request(actor, Action.ASK_ACCESS, now, tenant=found.tenant, subject=found.pseudonym,
                           purpose=found.purpose, ticket=found.ticket)  # fmt: skip
        self._decider.withdrawn(question, found.id)
        if not self._requests.move(found.id, WAITING, WITHDRAWN, now):
            raise Nobody(_OVER)

    def start(self, actor: Actor, request_id: str) -> Grant:
        """Take an approved request up: the policies are asked once more, on the facts of now. Raises `Refused`,
        `Nobody`, `Transient`."""
        found = self._found(request_id)
        if found.actor != actor.name or found.state != APPROVED:
            raise Nobody(_OVER)
        request = self._question(actor, found)
        entry = self._decider.audited(request, grant=found.id)
        grant = new_grant(found.id, found.subject, request, found.until, entry)
        with transaction(self._requests.engine) as connection:
            if not self._requests.move_with(connection, found.id, APPROVED, STARTED, request.now):
                raise Nobody(_OVER)
            self._grants.add_with(connection, grant)
        return grant

    def _question(self, actor: Actor, found: AccessRequest) -> Request:
        profile = self._directory.profile(found.subject)
        if profile is None:
            raise Nobody("This person's data is gone: it was erased, or its term is over.")
        return Request(
            actor,
            Action.ASK_ACCESS,
            self._clock.now(),
            tenant=found.tenant,
            subject=found.pseudonym,
            restricted=self._decider.world.is_restricted(found.tenant, profile.account),
            purpose=found.purpose,
            ticket=found.ticket,
            reason=self._decider.audit.reason(found.asked_entry),
            minutes=found.minutes,
            days=found.days,
            approver=found.approver,
        )

    def _found(self, request_id: str) -> AccessRequest:
        found = self._requests.get(request_id)
        if found is None:
            raise Nobody("There is no such request.")
        return found

    def _of(self, actor: Actor) -> Sequence[AccessRequest]:
        every = EVERY_TENANT in actor.tenants
        waiting = self._requests.waiting(self._clock.now())
        return [request for request in waiting if every or request.tenant in actor.tenants]

    def _with_reasons(self, actor: Actor, request: AccessRequest) -> Queued:
        audit = self._decider.audit
        answer = "" if request.answer_entry is None else audit.reason(request.answer_entry)
        return Queued(request, audit.reason(request.asked_entry), answer, request.actor == actor.name)
