"""Who may do what: requests are decided by the Cedar policies in `deploy/policies/`, and by nothing else.

What no rule permits is refused, and so is every request the engine has any trouble with: Cedar skips a policy that
fails to evaluate, and a skipped `forbid` would permit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import cedarpy

from services.runtime.errors import Fatal
from services.runtime.marks import N_

__all__ = ["EVERY_TENANT", "PURPOSES", "SHIPPED", "Action", "Actor", "Decision", "GrantFacts", "Policies", "Request"]

SHIPPED = Path(__file__).parents[3] / "deploy" / "policies"  # Voile runs from its checkout
SCHEMA = SHIPPED / "voile.cedarschema"
PURPOSES = ("support", "rights", "security", "legal")
EVERY_TENANT = "*"  # as `runtime.web.sessions` writes it
MACHINE = "os:"  # as `runtime.web.people` keeps it for the command line
TROUBLE = "engine-trouble"
NOT_PERMITTED = "not-permitted"
_ROLE = re.compile(r'"type":"Role","id":"([^"]+)"')  # as the engine writes a policy out, without its comments
_SOMEBODY = "somebody else"  # no person: only asked for whether an approver would be enough
_ADVICE = {
    TROUBLE: N_("The policies could not decide this; tell the operator to run: voile doctor"),
    NOT_PERMITTED: N_("Your role does not permit this."),
}


class Action(StrEnum):
    """What can be done; `deploy/policies/voile.cedarschema` says of each what it is."""

    FIND_PERSON = "findPerson"
    ASK_ACCESS = "askAccess"
    BREAK_GLASS = "breakGlass"
    VIEW_ACTIVITY = "viewActivity"
    REVEAL_FIELD = "revealField"
    WRITE_NOTE = "writeNote"
    END_ACCESS = "endAccess"
    APPROVE = "approve"
    VIEW_GRANTS = "viewGrants"
    REVOKE_ACCESS = "revokeAccess"
    REVIEW_BREAK_GLASS = "reviewBreakGlass"
    VIEW_UNUSUAL = "viewUnusual"
    VIEW_AUDIT = "viewAudit"
    EXPORT_AUDIT = "exportAudit"
    ERASE = "erase"
    RESTRICT = "restrict"
    OPEN_CASE = "openCase"
    VIEW_CASES = "viewCases"
    DECIDE_CASE = "decideCase"
    EXECUTE_CASE = "executeCase"
    EXPORT_PERSON = "exportPerson"
    HOLD_PERSON = "holdPerson"
    VIEW_RETENTION = "viewRetention"
    SET_RETENTION = "setRetention"
    VIEW_TENANTS = "viewTenants"
    MANAGE_TENANTS = "manageTenants"


# What is done with a list (the actor's own tenants of it are shown), and what is done with one tenant. Both: the list
# when a request names no tenant.
_REGISTERS = frozenset(
    {
        Action.VIEW_GRANTS,
        Action.VIEW_UNUSUAL,
        Action.VIEW_AUDIT,
        Action.EXPORT_AUDIT,
        Action.VIEW_CASES,
        Action.VIEW_RETENTION,
        Action.VIEW_TENANTS,
    }
)
_OF_TENANTS = frozenset(
    {Action.VIEW_CASES, Action.VIEW_RETENTION, Action.SET_RETENTION, Action.VIEW_TENANTS, Action.MANAGE_TENANTS}
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `tenants` are names, or EVERY_TENANT."""

    name: str
    roles: frozenset[str]
    tenants: frozenset[str]

    @property
    def on_machine(self) -> bool:
        """Uses the command line where the installation runs; nobody who signs in can have such a name."""
        return self.name.startswith(MACHINE)


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """What the policies know of a grant; times with their zone."""

    holder: str
    subject: str
    starts: datetime
    ends: datetime
    ended: bool = False
    break_glass: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `subject` is the audit log's pseudonym: policies see no personal data.

    About a list: without a `tenant`. `requester` asked or opened the case (of `kind`), `approver` agreed to it.
    """

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
    days: int = 0
    grant: GrantFacts | None = None
    requester: str = ""
    approver: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """`rules`: ids of the policies that decided. `advice`: for a refusal, sentences that say what to do.
    `needs_approval`: an approver is all that is missing. `may`: the roles that would be permitted the same, when the
    actor's own is what stands in the way."""

    allowed: bool
    rules: tuple[str, ...]
    advice: tuple[str, ...] = ()
    needs_approval: bool = False
    may: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    id: str
    advice: str
    needs_approval: bool

    @property
    def says(self) -> str:
        return self.advice or f"The rule {self.id} refuses this."


class Policies:
    """The policies in force. `digest` (SHA-256, hex) names them in every audit entry."""

    def __init__(self, text: str, ticket_pattern: str, schema: str | None = None) -> None:
        """Raises `Fatal` with the first mistake in the policies."""
        schema = SCHEMA.read_text("utf-8") if schema is None else schema
        _refuse_invalid(text, schema)
        self._policies = cedarpy.PolicySet.from_str(text)
        self._schema = cedarpy.Schema.from_str(schema)
        self._rules = _rules_of(text)
        self._roles = sorted(set(_ROLE.findall(cedarpy.policies_to_json_str(text))))
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
        decision = self._decide(request)
        if decision.rules == (NOT_PERMITTED,):
            return replace(decision, may=self._permitted(request))
        if not decision.needs_approval:
            return decision
        # A forbid hides whether anything permits it: nobody shall approve what would then be refused all the same.
        approved = self._decide(replace(request, approver=_SOMEBODY))
        return decision if approved.allowed else approved

    def _permitted(self, request: Request) -> tuple[str, ...]:
        """Of the roles that the policies name, those of whom the same question would be answered with yes."""
        actor = request.actor
        asked = {role: replace(request, actor=replace(actor, roles=frozenset({role}))) for role in self._roles}
        return tuple(role for role, question in asked.items() if self._decide(question).allowed)

    def _decide(self, request: Request) -> Decision:
        try:
            answer = cedarpy.is_authorized(self._question(request), self._policies, _entities(request), self._schema)
            decisive = [self._rules[reason] for reason in answer.diagnostics.reasons]
        except (ValueError, TypeError, KeyError):
            return _refused(TROUBLE)
        if answer.diagnostics.errors:
            return _refused(TROUBLE)
        names = tuple(sorted({rule.id for rule in decisive}))
        if answer.allowed:
            return Decision(True, names)
        if not decisive:
            return _refused(NOT_PERMITTED)
        # The advice is in the order of the files: the first is what to mend first.
        ordered = [rule for rule in self._rules.values() if rule in decisive]
        return Decision(False, names, tuple(r.says for r in ordered), all(r.needs_approval for r in ordered))

    def _question(self, request: Request) -> dict[str, Any]:
        return {
            "principal": _uid("User", request.actor.name),
            "action": _uid("Action", request.action.value),
            "resource": _resource(request),
            "context": self._circumstances(request),
        }

    def _circumstances(self, request: Request) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "now": int(request.now.timestamp()),
            "ticketWellFormed": self.is_ticket(request.ticket),
            "reasonLength": len(request.reason.strip()),
            "minutes": request.minutes,
            "days": request.days,
        }
        if request.purpose in PURPOSES:
            facts["purpose"] = _entity("Purpose", request.purpose)
        if request.grant is not None:
            facts["grant"] = _grant(request.grant)
        if request.kind:
            facts["kind"] = request.kind
        people = {"requester": request.requester, "approver": request.approver}
        return facts | {part: _entity("User", name) for part, name in people.items() if name}


def _refuse_invalid(text: str, schema: str) -> None:
    try:
        result = cedarpy.validate_policies(text, schema)
    except ValueError as error:
        raise Fatal(f"The access policies cannot be read: {error}") from None
    if not result.validation_passed:
        raise Fatal(f"The access policies are not usable: {result.errors[0]}")


def _rules_of(text: str) -> Mapping[str, _Rule]:
    """By the engine's own name, in the order of the text. Raises `Fatal` on a rule without an id."""
    static = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    notes = {policy: rule.get("annotations", {}) for policy, rule in static.items()}
    ids = [note.get("id") for note in notes.values()]
    if not all(ids) or len(set(ids)) != len(ids):
        raise Fatal("Every access policy needs an @id of its own: the audit log names rules by it.")
    ordered = sorted(notes, key=lambda policy: int(policy.removeprefix("policy")))
    return {policy: _rule(notes[policy]) for policy in ordered}


def _rule(note: Mapping[str, str]) -> _Rule:
    return _Rule(note["id"], note.get("advice", ""), note.get("needs") == "approval")


def _resource(request: Request) -> dict[str, str]:
    of_tenant, of_list = request.action in _OF_TENANTS, request.action in _REGISTERS
    if of_tenant and (request.tenant or not of_list):
        return _uid("Tenant", request.tenant)
    return _uid("Register", "all") if of_list else _uid("Person", request.subject)


def _refused(rule: str) -> Decision:
    return Decision(False, (rule,), (_ADVICE[rule],))


def _entities(request: Request) -> list[dict[str, Any]]:
    actor = request.actor
    user = {
        "tenants": sorted(actor.tenants - {EVERY_TENANT}),
        "everyTenant": EVERY_TENANT in actor.tenants,
        "onMachine": actor.on_machine,
    }
    person = {"tenant": request.tenant, "restricted": request.restricted}
    return [
        {
            "uid": _uid("User", actor.name),
            "attrs": user,
            "parents": [_uid("Role", role) for role in sorted(actor.roles)],
        },
        {"uid": _uid("Person", request.subject), "attrs": person, "parents": []},
        {"uid": _uid("Tenant", request.tenant), "attrs": {"tenant": request.tenant}, "parents": []},
        *({"uid": _uid("Role", role), "attrs": {}, "parents": []} for role in sorted(actor.roles)),
    ]


def _grant(grant: GrantFacts) -> dict[str, Any]:
    return {
        "holder": _entity("User", grant.holder),
        "person": _entity("Person", grant.subject),
        "starts": int(grant.starts.timestamp()),
        "ends": int(grant.ends.timestamp()),
        "ended": grant.ended,
        "breakGlass": grant.break_glass,
    }


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _entity(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": _uid(kind, name)}
