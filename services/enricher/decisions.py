"""Who may do what: requests are decided by the Cedar policies in `policies/`, and by nothing else.

What no rule permits is refused, and so is every request the engine has any trouble with: Cedar skips a policy that
fails to evaluate, and a skipped `forbid` would permit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import cedarpy

from services.runtime.errors import Fatal

__all__ = ["EVERY_TENANT", "PURPOSES", "SHIPPED", "Action", "Actor", "Decision", "GrantFacts", "Policies", "Request"]

SHIPPED = Path(__file__).parent / "policies"
SCHEMA = SHIPPED / "voile.cedarschema"
PURPOSES = ("support", "rights", "security", "legal")
EVERY_TENANT = "*"  # as `runtime.web.sessions` writes it
TROUBLE = "engine-trouble"
NOT_PERMITTED = "not-permitted"
_ADVICE = {
    TROUBLE: "The policies could not decide this; tell the operator to run: voile doctor",
    NOT_PERMITTED: "Your role does not permit this.",
}


class Action(StrEnum):
    FIND_PERSON = "findPerson"
    ASK_ACCESS = "askAccess"
    VIEW_ACTIVITY = "viewActivity"
    REVEAL_FIELD = "revealField"
    END_ACCESS = "endAccess"
    APPROVE = "approve"
    ERASE = "erase"
    RESTRICT = "restrict"
    VIEW_AUDIT = "viewAudit"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `tenants` are names, or EVERY_TENANT."""

    name: str
    roles: frozenset[str]
    tenants: frozenset[str]


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """What the policies know of a grant; times with their zone."""

    holder: str
    subject: str
    starts: datetime
    ends: datetime
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `subject` is the audit log's pseudonym: policies see no personal data."""

    actor: Actor
    action: Action
    now: datetime
    tenant: str = ""
    subject: str = ""
    restricted: bool = False
    purpose: str = ""
    ticket: str = ""
    reason: str = field(default="", repr=False)
    minutes: int = 0
    grant: GrantFacts | None = None
    requester: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """`rules`: ids of the policies that decided. `advice`: for a refusal, sentences that say what to do."""

    allowed: bool
    rules: tuple[str, ...]
    advice: tuple[str, ...] = ()


class Policies:
    """The policies in force. `digest` (SHA-256, hex) names them in every audit entry."""

    def __init__(self, text: str, ticket_pattern: str, schema: str | None = None) -> None:
        """Raises `Fatal` with the first mistake in the policies."""
        schema = SCHEMA.read_text("utf-8") if schema is None else schema
        _refuse_invalid(text, schema)
        self._policies = cedarpy.PolicySet.from_str(text)
        self._schema = cedarpy.Schema.from_str(schema)
        self._names = _names(text)
        self._ticket = re.compile(ticket_pattern)
        self.digest = sha256(f"{schema}\x00{text}".encode()).hexdigest()

    @classmethod
    def load(cls, folder: str, ticket_pattern: str) -> Policies:
        """The `.cedar` files of `folder` in the order of their names; the shipped ones when it is empty."""
        path = Path(folder) if folder else SHIPPED
        files = sorted(path.glob("*.cedar"))
        if not files:
            raise Fatal(f"There are no .cedar files in {path}; set identity.policies, or leave it out.")
        return cls("\n".join(file.read_text("utf-8") for file in files), ticket_pattern)

    def is_ticket(self, text: str) -> bool:
        return self._ticket.fullmatch(text) is not None

    def decide(self, request: Request) -> Decision:
        """Never raises: what goes wrong is a refusal."""
        try:
            answer = cedarpy.is_authorized(self._question(request), self._policies, _entities(request), self._schema)
            rules = tuple(sorted({self._names[reason][0] for reason in answer.diagnostics.reasons}))
        except (ValueError, TypeError, KeyError):
            return _refused(TROUBLE)
        if answer.diagnostics.errors:
            return _refused(TROUBLE)
        if answer.allowed:
            return Decision(True, rules)
        return Decision(False, rules, self._advice(answer.diagnostics.reasons)) if rules else _refused(NOT_PERMITTED)

    def _question(self, request: Request) -> dict[str, Any]:
        is_log = request.action is Action.VIEW_AUDIT
        resource = _uid("AuditLog", "log") if is_log else _uid("Person", request.subject)
        return {
            "principal": _uid("User", request.actor.name),
            "action": _uid("Action", request.action.value),
            "resource": resource,
            "context": self._circumstances(request),
        }

    def _circumstances(self, request: Request) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "now": int(request.now.timestamp()),
            "ticketWellFormed": self.is_ticket(request.ticket),
            "reasonLength": len(request.reason.strip()),
            "minutes": request.minutes,
        }
        if request.purpose in PURPOSES:
            facts["purpose"] = _entity("Purpose", request.purpose)
        if request.grant is not None:
            facts["grant"] = _grant(request.grant)
        if request.requester:
            facts["requester"] = _entity("User", request.requester)
        return facts

    def _advice(self, reasons: list[str]) -> tuple[str, ...]:
        """In the order of the files: the first is what to mend first."""
        ordered = [name for policy, name in self._names.items() if policy in reasons]
        return tuple(advice or f"The rule {rule} refuses this." for rule, advice in ordered)


def _refuse_invalid(text: str, schema: str) -> None:
    try:
        result = cedarpy.validate_policies(text, schema)
    except ValueError as error:
        raise Fatal(f"The access policies cannot be read: {error}") from None
    if not result.validation_passed:
        raise Fatal(f"The access policies are not usable: {result.errors[0]}")


def _names(text: str) -> Mapping[str, tuple[str, str]]:
    """Policy -> (its @id, its @advice), in the order of the text. Raises `Fatal` on a rule without an id."""
    static = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    notes = {policy: rule.get("annotations", {}) for policy, rule in static.items()}
    ids = [note.get("id") for note in notes.values()]
    if not all(ids) or len(set(ids)) != len(ids):
        raise Fatal("Every access policy needs an @id of its own: the audit log names rules by it.")
    number = {policy: int(policy.removeprefix("policy")) for policy in notes}
    return {policy: (notes[policy]["id"], notes[policy].get("advice", "")) for policy in sorted(notes, key=number.get)}  # type: ignore[arg-type]  # every key is in it


def _refused(rule: str) -> Decision:
    return Decision(False, (rule,), (_ADVICE[rule],))


def _entities(request: Request) -> list[dict[str, Any]]:
    actor = request.actor
    user = {"tenants": sorted(actor.tenants - {EVERY_TENANT}), "everyTenant": EVERY_TENANT in actor.tenants}
    person = {"tenant": request.tenant, "restricted": request.restricted}
    return [
        {
            "uid": _uid("User", actor.name),
            "attrs": user,
            "parents": [_uid("Role", role) for role in sorted(actor.roles)],
        },
        {"uid": _uid("Person", request.subject), "attrs": person, "parents": []},
        *({"uid": _uid("Role", role), "attrs": {}, "parents": []} for role in sorted(actor.roles)),
    ]


def _grant(grant: GrantFacts) -> dict[str, Any]:
    return {
        "holder": _entity("User", grant.holder),
        "person": _entity("Person", grant.subject),
        "starts": int(grant.starts.timestamp()),
        "ends": int(grant.ends.timestamp()),
        "ended": grant.ended,
    }


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _entity(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": _uid(kind, name)}
