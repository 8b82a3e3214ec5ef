"""The access policy as a table: who asks for what under which circumstances, and which rule decides.

A row starts from the ordinary case of its action (`BASE`) and says what differs. `why` is the rule that must be
among those that decided. The table is read by `test_decisions.py`, which also holds it against `oracle`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from services.enricher.decisions import Action, Actor, GrantFacts, Request

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TICKET_PATTERN = r"[A-Z][A-Z0-9]{1,9}-[0-9]{1,9}"
HALF_HOUR = timedelta(minutes=30)

SUPPORT = Actor("sam", frozenset({"support"}), frozenset({"*"}))
SUPPORT_OF_CLUB = Actor("cleo", frozenset({"support"}), frozenset({"club"}))
SUPPORT_OF_CHOIR = Actor("chris", frozenset({"support"}), frozenset({"choir"}))
DPO = Actor("dora", frozenset({"dpo"}), frozenset({"*"}))
DPO_OF_CHOIR = Actor("dirk", frozenset({"dpo"}), frozenset({"choir"}))
OPERATOR = Actor("os:root", frozenset({"operator"}), frozenset({"*"}))
BOTH = Actor("bo", frozenset({"support", "dpo"}), frozenset({"*"}))
PRODUCT = Actor("pia", frozenset({"product"}), frozenset({"*"}))
NOBODY = Actor("nil", frozenset(), frozenset())
ACTORS = (SUPPORT, SUPPORT_OF_CLUB, SUPPORT_OF_CHOIR, DPO, DPO_OF_CHOIR, OPERATOR, BOTH, PRODUCT, NOBODY)

MINE = "mine"  # a running grant of the actor's own, on this person


class Case(NamedTuple):
    actor: Actor
    action: Action
    allowed: bool
    why: str
    differs: Mapping[str, Any] = MappingProxyType({})


def request_of(actor: Actor, action: Action, **differs: Any) -> Request:
    base = Request(
        actor, action, NOON, "club", "a1", purpose="support", ticket="SUP-1", reason="cannot log in", minutes=30
    )
    if action in {Action.ERASE, Action.RESTRICT}:
        base = replace(base, purpose="rights")
    if action is Action.APPROVE:
        base = replace(base, requester="somebody")
    if action in {Action.VIEW_ACTIVITY, Action.REVEAL_FIELD, Action.END_ACCESS}:
        base = replace(base, grant=grant_of(actor.name))
    return replace(base, **differs)


def grant_of(holder: str, **differs: Any) -> GrantFacts:
    return replace(GrantFacts(holder, "a1", NOON - HALF_HOUR / 2, NOON + HALF_HOUR / 2), **differs)


A = Action
EXPIRED = {"starts": NOON - HALF_HOUR, "ends": NOON}
CASES: tuple[Case, ...] = (
    # asking for access: role and purpose
    Case(SUPPORT, A.ASK_ACCESS, True, "support-helps-with-support"),
    Case(SUPPORT, A.ASK_ACCESS, False, "not-permitted", {"purpose": "rights"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "not-permitted", {"purpose": "security"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "not-permitted", {"purpose": "legal"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-purpose-is-named", {"purpose": ""}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-purpose-is-named", {"purpose": "marketing"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-purpose-is-named", {"purpose": "Support"}),
    Case(DPO, A.ASK_ACCESS, True, "dpo-looks-for-every-purpose"),
    Case(DPO, A.ASK_ACCESS, True, "dpo-looks-for-every-purpose", {"purpose": "rights"}),
    Case(DPO, A.ASK_ACCESS, True, "dpo-looks-for-every-purpose", {"purpose": "legal"}),
    Case(OPERATOR, A.ASK_ACCESS, True, "operator-looks-for-every-purpose", {"purpose": "security"}),
    Case(BOTH, A.ASK_ACCESS, True, "dpo-looks-for-every-purpose", {"purpose": "rights"}),
    Case(PRODUCT, A.ASK_ACCESS, False, "not-permitted"),
    Case(NOBODY, A.ASK_ACCESS, False, "own-tenants-only"),
    # ticket, reason, time
    Case(SUPPORT, A.ASK_ACCESS, False, "a-ticket-is-named", {"ticket": ""}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-ticket-is-named", {"ticket": "SUP1234"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-ticket-is-named", {"ticket": "sup-1234"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-ticket-is-named", {"ticket": "SUP-1 and more"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-ticket-is-named", {"ticket": "SUP-1\n"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-reason-is-given", {"reason": ""}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-reason-is-given", {"reason": "too short"}),
    Case(SUPPORT, A.ASK_ACCESS, True, "support-helps-with-support", {"reason": "ten chars!"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "a-reason-is-given", {"reason": "   blank    \n   "}),
    Case(SUPPORT, A.ASK_ACCESS, False, "at-most-four-hours", {"minutes": 0}),
    Case(SUPPORT, A.ASK_ACCESS, False, "at-most-four-hours", {"minutes": -30}),
    Case(SUPPORT, A.ASK_ACCESS, True, "support-helps-with-support", {"minutes": 240}),
    Case(SUPPORT, A.ASK_ACCESS, False, "at-most-four-hours", {"minutes": 241}),
    Case(DPO, A.ASK_ACCESS, False, "a-ticket-is-named", {"ticket": ""}),
    Case(OPERATOR, A.ASK_ACCESS, False, "a-reason-is-given", {"reason": "because"}),
    # tenants
    Case(SUPPORT_OF_CLUB, A.ASK_ACCESS, True, "support-helps-with-support"),
    Case(SUPPORT_OF_CHOIR, A.ASK_ACCESS, False, "own-tenants-only"),
    Case(DPO_OF_CHOIR, A.ASK_ACCESS, False, "own-tenants-only"),
    Case(SUPPORT_OF_CLUB, A.ASK_ACCESS, False, "own-tenants-only", {"tenant": "club2"}),
    Case(SUPPORT_OF_CLUB, A.ASK_ACCESS, False, "own-tenants-only", {"tenant": ""}),
    Case(SUPPORT_OF_CLUB, A.ASK_ACCESS, False, "own-tenants-only", {"tenant": "*"}),
    # restricted data
    Case(SUPPORT, A.ASK_ACCESS, False, "restricted-data-is-for-the-dpo", {"restricted": True}),
    Case(OPERATOR, A.ASK_ACCESS, False, "restricted-data-is-for-the-dpo", {"restricted": True}),
    Case(DPO, A.ASK_ACCESS, True, "dpo-looks-for-every-purpose", {"restricted": True}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "restricted-data-is-for-the-dpo", {"restricted": True}),
    # finding a person
    Case(SUPPORT, A.FIND_PERSON, True, "support-helps-with-support"),
    Case(SUPPORT, A.FIND_PERSON, False, "a-ticket-is-named", {"ticket": "?"}),
    Case(SUPPORT_OF_CHOIR, A.FIND_PERSON, False, "own-tenants-only"),
    Case(PRODUCT, A.FIND_PERSON, False, "not-permitted"),
    # seeing activity under a grant
    Case(SUPPORT, A.VIEW_ACTIVITY, True, "support-helps-with-support"),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "only-with-a-grant-of-ones-own", {"grant": None}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "only-with-a-grant-of-ones-own", {"grant": grant_of("cleo")}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "only-with-a-grant-of-ones-own", {"grant": grant_of("sam", subject="b2")}),
    Case(DPO, A.VIEW_ACTIVITY, False, "only-with-a-grant-of-ones-own", {"grant": grant_of("sam")}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "only-while-the-grant-runs", {"grant": grant_of("sam", **EXPIRED)}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "only-while-the-grant-runs", {"grant": grant_of("sam", ended=True)}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "only-while-the-grant-runs",
         {"grant": grant_of("sam", starts=NOON + timedelta(seconds=1))}),
    Case(SUPPORT, A.VIEW_ACTIVITY, True, "support-helps-with-support",
         {"grant": grant_of("sam", ends=NOON + timedelta(seconds=1))}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "only-while-the-grant-runs",
         {"grant": grant_of("sam", ends=NOON + timedelta(hours=4))}),
    Case(SUPPORT_OF_CHOIR, A.VIEW_ACTIVITY, False, "own-tenants-only"),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "not-permitted", {"purpose": "legal"}),
    Case(PRODUCT, A.VIEW_ACTIVITY, False, "not-permitted"),
    # revealing a field
    Case(SUPPORT, A.REVEAL_FIELD, True, "support-helps-with-support"),
    Case(SUPPORT, A.REVEAL_FIELD, False, "a-reason-is-given", {"reason": "need it"}),
    Case(SUPPORT, A.REVEAL_FIELD, False, "only-with-a-grant-of-ones-own", {"grant": grant_of("dora")}),
    Case(SUPPORT, A.REVEAL_FIELD, False, "only-while-the-grant-runs", {"grant": grant_of("sam", **EXPIRED)}),
    Case(DPO, A.REVEAL_FIELD, True, "dpo-looks-for-every-purpose", {"restricted": True}),
    # giving back
    Case(SUPPORT, A.END_ACCESS, True, "support-helps-with-support"),
    Case(SUPPORT, A.END_ACCESS, True, "support-helps-with-support", {"grant": grant_of("sam", **EXPIRED)}),
    Case(DPO, A.END_ACCESS, False, "only-with-a-grant-of-ones-own", {"grant": grant_of("sam")}),
    # rights
    Case(DPO, A.ERASE, True, "rights-are-carried-out-by-dpo-or-operator"),
    Case(OPERATOR, A.ERASE, True, "rights-are-carried-out-by-dpo-or-operator"),
    Case(SUPPORT, A.ERASE, False, "not-permitted"),
    Case(DPO, A.ERASE, False, "not-permitted", {"purpose": "support"}),
    Case(DPO, A.ERASE, False, "a-ticket-is-named", {"ticket": ""}),
    Case(DPO_OF_CHOIR, A.ERASE, False, "own-tenants-only"),
    Case(DPO, A.RESTRICT, True, "rights-are-carried-out-by-dpo-or-operator", {"restricted": True}),
    Case(SUPPORT, A.RESTRICT, False, "not-permitted"),
    # approving
    Case(DPO, A.APPROVE, True, "dpo-approves"),
    Case(DPO, A.APPROVE, False, "nobody-approves-their-own-request", {"requester": "dora"}),
    Case(DPO, A.APPROVE, False, "nobody-approves-their-own-request", {"requester": ""}),
    Case(SUPPORT, A.APPROVE, False, "not-permitted"),
    Case(DPO_OF_CHOIR, A.APPROVE, False, "own-tenants-only"),
    # the audit log
    Case(DPO, A.VIEW_AUDIT, True, "audit-is-read-by-dpo-or-operator"),
    Case(OPERATOR, A.VIEW_AUDIT, True, "audit-is-read-by-dpo-or-operator", {"ticket": "", "reason": "", "purpose": ""}),
    Case(SUPPORT, A.VIEW_AUDIT, False, "not-permitted"),
    Case(PRODUCT, A.VIEW_AUDIT, False, "not-permitted"),
    Case(NOBODY, A.VIEW_AUDIT, False, "not-permitted"),
)  # fmt: skip


LOOKS = {A.FIND_PERSON, A.ASK_ACCESS, A.VIEW_ACTIVITY, A.REVEAL_FIELD, A.END_ACCESS}
RIGHTS = {A.ERASE, A.RESTRICT}


def oracle(request: Request) -> bool:
    """The policy told a second time, in Python, by someone who did not read the Cedar files."""
    roles, action = request.actor.roles, request.action
    if action is A.VIEW_AUDIT:
        return bool(roles & {"dpo", "operator"})
    if not request.actor.tenants & {"*", request.tenant}:
        return False
    if request.tenant == "*" and "*" not in request.actor.tenants:
        return False
    long_enough = len(request.reason.strip()) >= 10
    if action is A.APPROVE:
        return "dpo" in roles and long_enough and request.requester not in {"", request.actor.name}
    known_purpose = request.purpose in {"support", "rights", "security", "legal"}
    if action in RIGHTS:
        return bool(roles & {"dpo", "operator"}) and request.purpose == "rights" and long_enough and _ticket(request)
    role_may = bool(roles & {"dpo", "operator"}) or ("support" in roles and request.purpose == "support")
    if action not in LOOKS or not role_may or not known_purpose:
        return False
    return _look_is_in_order(request, long_enough)


def _look_is_in_order(request: Request, long_enough: bool) -> bool:
    action = request.action
    restricted = request.restricted and "dpo" not in request.actor.roles
    if action is A.FIND_PERSON:
        return long_enough and _ticket(request)
    if action is A.ASK_ACCESS:
        return long_enough and _ticket(request) and 1 <= request.minutes <= 240 and not restricted
    grant = request.grant
    if grant is None or grant.holder != request.actor.name or grant.subject != request.subject:
        return False
    if action is A.END_ACCESS:
        return True
    runs = not grant.ended and grant.starts <= request.now < grant.ends
    short = grant.ends - grant.starts <= timedelta(hours=4)
    return runs and short and not restricted and (action is A.VIEW_ACTIVITY or long_enough)


def _ticket(request: Request) -> bool:
    head, dash, number = request.ticket.partition("-")
    letters = 2 <= len(head) <= 10 and head[0].isupper() and all(c.isupper() or c.isdigit() for c in head)
    return bool(dash) and letters and head.isascii() and number.isascii() and number.isdigit() and len(number) <= 9
