"""What a case can be about, in which states it can be, and which steps lead from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from services.runtime.errors import WrongUse
from services.runtime.marks import N_

__all__ = ["ALLOWED", "CLOSED", "IdentityCheck", "Kind", "NotNow", "Refusal", "State", "Step", "check_move"]


class Kind(StrEnum):
    """What a person asks for. `objection`: to statistics; `withdrawal`: of consent, to both uses."""

    ACCESS = "access"
    PORTABILITY = "portability"
    ERASURE = "erasure"
    OBJECTION = "objection"
    LINKING_OBJECTION = "linking-objection"
    RESTRICTION = "restriction"
    WITHDRAWAL = "withdrawal"

    @property
    def is_handed_out(self) -> bool:
        return self in {Kind.ACCESS, Kind.PORTABILITY}

    @property
    def can_be_lifted(self) -> bool:
        return not self.is_handed_out and self is not Kind.ERASURE


class State(StrEnum):
    RECEIVED = "received"
    IDENTIFIED = "identified"  # it was checked that the person is who they say
    APPROVED = "approved"
    DEFERRED = "deferred"  # a legal hold stands against it
    EXECUTING = "executing"  # under way; workers are still to answer
    EXECUTED = "executed"  # carried out and verified; something of it ends by itself later, or waits to be taken
    COMPLETED = "completed"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What stands in the evidence."""

    OPEN = "open"
    CHECK_IDENTITY = "check identity"
    APPROVE = "approve"
    EXTEND = "extend"
    REFUSE = "refuse"
    CANCEL = "cancel"
    DEFER = "defer"
    RESUME = "resume"
    EXECUTE = "execute"
    SIGNAL = "signal"
    DESTROY_KEY = "destroy the key"
    DELETE = "delete"
    TOMBSTONE = "tombstone the account"
    ANSWERED = "worker answered"
    GO_ON = "go on without a worker"
    VERIFY = "verify"
    CERTIFY = "certify"
    PACKAGE = "make the package"
    HAND_OVER = "hand over the package"
    COMPLETE = "complete"


class IdentityCheck(StrEnum):
    """How it was made sure that the person who asks is the person it is about."""

    SIGNED_IN = "signed-in"  # asked from within their own account
    KNOWN_CONTACT = "known-contact"  # answered at the address or number that is known of them
    DOCUMENT = "document"  # showed a document; no copy is kept
    TENANT = "tenant"  # their organisation vouches for them
    REPRESENTATIVE = "representative"  # somebody with a power of attorney


class Refusal(StrEnum):
    """Why a request is not carried out (GDPR articles 11, 12, 17, 20, 21). Details are sealed beside it."""

    NOT_IDENTIFIED = "not-identified"  # article 11(2), 12(6)
    UNFOUNDED = "unfounded"  # article 12(5): manifestly unfounded
    EXCESSIVE = "excessive"  # article 12(5): repetitive
    LEGAL_DUTY = "legal-duty"  # article 17(3)(b)
    LEGAL_CLAIMS = "legal-claims"  # article 17(3)(e), 21(1)
    OTHERS_RIGHTS = "others-rights"  # article 15(4), 20(4)
    NOT_OURS = "not-ours"  # nothing of this person is processed here, or by somebody else


ALLOWED: Mapping[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.IDENTIFIED, State.REFUSED, State.CANCELLED}),
    # The policies say for which kinds an approval is needed on the way to `executing`.
    State.IDENTIFIED: frozenset({State.APPROVED, State.EXECUTING, State.DEFERRED, State.REFUSED, State.CANCELLED}),
    State.APPROVED: frozenset({State.EXECUTING, State.DEFERRED, State.REFUSED, State.CANCELLED}),
    State.DEFERRED: frozenset({State.APPROVED, State.REFUSED, State.CANCELLED}),
    State.EXECUTING: frozenset({State.EXECUTED}),
    State.EXECUTED: frozenset({State.COMPLETED}),
    State.COMPLETED: frozenset(),
    State.REFUSED: frozenset(),
    State.CANCELLED: frozenset(),
}
CLOSED = frozenset(state for state, following in ALLOWED.items() if not following)

_NEXT = {
    State.RECEIVED: N_("Case {case}: record first how the person's identity was checked (voile rights check)."),
    State.IDENTIFIED: N_("Case {case} has to be approved or executed next."),
    State.APPROVED: N_("Case {case} is approved: execute it."),
    State.DEFERRED: N_("A legal hold stands against case {case}; lift that first."),
    State.EXECUTING: N_("Case {case} is being carried out and cannot be stopped."),
    State.EXECUTED: N_("Case {case} was carried out."),
}
_CLOSED = N_("Case {case} is closed.")


class NotNow(WrongUse):
    """The case is in a state in which this cannot be done; the text says what can."""


def check_move(case: str, now: State, then: State) -> None:
    """Raises `NotNow`."""
    if then not in ALLOWED[now]:
        raise NotNow(_NEXT.get(now, _CLOSED), case=case)
