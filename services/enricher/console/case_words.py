"""How the pages of cases call kinds, states, steps and grounds. Each text is in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from services.enricher.rights.states import IdentityCheck, Kind, Refusal, State, Step
from services.runtime.marks import N_

__all__ = ["CASE_WORDS"]

_KINDS: Mapping[str, str] = {
    Kind.ACCESS: N_("access"),
    Kind.PORTABILITY: N_("portability"),
    Kind.ERASURE: N_("erasure"),
    Kind.OBJECTION: N_("objection to statistics"),
    Kind.LINKING_OBJECTION: N_("objection to linking"),
    Kind.RESTRICTION: N_("restriction"),
    Kind.WITHDRAWAL: N_("withdrawal of consent"),
}
_STATES: Mapping[str, str] = {
    State.RECEIVED: N_("received"),
    State.IDENTIFIED: N_("identity checked"),
    State.APPROVED: N_("approved"),
    State.DEFERRED: N_("deferred: legal hold"),
    State.EXECUTING: N_("being carried out"),
    State.EXECUTED: N_("carried out"),
    State.COMPLETED: N_("completed"),
    State.REFUSED: N_("refused"),
    State.CANCELLED: N_("taken back"),
}
_STEPS: Mapping[str, str] = {
    Step.OPEN: N_("taken in"),
    Step.CHECK_IDENTITY: N_("identity checked"),
    Step.APPROVE: N_("approved"),
    Step.EXTEND: N_("extended"),
    Step.REFUSE: N_("refused"),
    Step.CANCEL: N_("taken back"),
    Step.DEFER: N_("deferred"),
    Step.RESUME: N_("taken up again"),
    Step.EXECUTE: N_("begun"),
    Step.SIGNAL: N_("signal to every worker"),
    Step.DESTROY_KEY: N_("key destroyed"),
    Step.DELETE: N_("rows deleted"),
    Step.TOMBSTONE: N_("account tombstoned"),
    Step.ANSWERED: N_("worker answered"),
    Step.GO_ON: N_("worker not waited for"),
    Step.VERIFY: N_("verified"),
    Step.CERTIFY: N_("certificate issued"),
    Step.PACKAGE: N_("package made"),
    Step.HAND_OVER: N_("package taken"),
    Step.COMPLETE: N_("completed"),
}
_CHECKS: Mapping[str, str] = {
    IdentityCheck.SIGNED_IN: N_("asked from within their own account"),
    IdentityCheck.KNOWN_CONTACT: N_("answered at the address or number we know"),
    IdentityCheck.DOCUMENT: N_("showed a document (keep no copy)"),
    IdentityCheck.TENANT: N_("their organisation vouches for them"),
    IdentityCheck.REPRESENTATIVE: N_("somebody acts for them"),
}
_GROUNDS: Mapping[str, str] = {
    Refusal.NOT_IDENTIFIED: N_("we cannot tell who asks (articles 11, 12)"),
    Refusal.UNFOUNDED: N_("manifestly unfounded (article 12)"),
    Refusal.EXCESSIVE: N_("excessive (article 12)"),
    Refusal.LEGAL_DUTY: N_("a law obliges us to keep it (article 17)"),
    Refusal.LEGAL_CLAIMS: N_("needed for legal claims (articles 17, 21)"),
    Refusal.OTHERS_RIGHTS: N_("it would harm others’ rights (articles 15, 20)"),
    Refusal.NOT_OURS: N_("nothing of this person is here"),
}
CASE_WORDS: Mapping[str, Mapping[str, str]] = {
    "kind": {str(name): text for name, text in _KINDS.items()},
    "state": {str(name): text for name, text in _STATES.items()},
    "step": {str(name): text for name, text in _STEPS.items()},
    "check": {str(name): text for name, text in _CHECKS.items()},
    "ground": {str(name): text for name, text in _GROUNDS.items()},
}
