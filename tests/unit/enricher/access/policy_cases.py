"""The access policy as a table: who asks for what under which circumstances, and which rule decides.

A row starts from the ordinary case of its action (`BASE`) and says what differs. `why` is the rule that must be
among those that decided. The table is read by `test_decisions.py`, which also holds it against `policy_oracle`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from services.enricher.access.decisions import Action, Actor, GrantFacts, Request

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
CONSOLE_OPERATOR = Actor("olga", frozenset({"operator"}), frozenset({"*"}))
OPERATOR_OF_CHOIR = Actor("otto", frozenset({"operator"}), frozenset({"choir"}))
CLUB_ADMIN = Actor("carl", frozenset({"tenant-admin"}), frozenset({"club"}))
CHOIR_ADMIN = Actor("cora", frozenset({"tenant-admin"}), frozenset({"choir"}))
ACTORS = (SUPPORT, SUPPORT_OF_CLUB, SUPPORT_OF_CHOIR, DPO, DPO_OF_CHOIR, OPERATOR, CONSOLE_OPERATOR, CLUB_ADMIN, CHOIR_ADMIN,
          BOTH, PRODUCT, NOBODY)  # fmt: skip

REASON = "cannot log in, was robbed"


class Case(NamedTuple):
    actor: Actor
    action: Action
    allowed: bool
    why: str
    differs: Mapping[str, Any] = MappingProxyType({})


def request_of(actor: Actor, action: Action, **differs: Any) -> Request:
    base = Request(
        actor, action, NOON, "club", "a1", purpose="support", ticket="SUP-1", reason=REASON, minutes=30, days=30
    )
    if action in {Action.ERASE, Action.RESTRICT}:
        base = replace(base, purpose="rights")
    if action in {Action.APPROVE, Action.REVIEW_BREAK_GLASS, Action.DECIDE_CASE}:
        base = replace(base, requester="somebody")
    if action in {Action.EXECUTE_CASE, Action.EXPORT_PERSON}:
        base = replace(base, kind="erasure", requester="somebody", approver="another")
    if action is Action.BREAK_GLASS:
        base = replace(base, purpose="security", minutes=15, ticket="")
    if action in {Action.VIEW_ACTIVITY, Action.REVEAL_FIELD, Action.WRITE_NOTE, Action.END_ACCESS}:
        base = replace(base, grant=grant_of(actor.name))
    return replace(base, **differs)


def grant_of(holder: str, **differs: Any) -> GrantFacts:
    return replace(GrantFacts(holder, "a1", NOON - HALF_HOUR / 2, NOON + HALF_HOUR / 2), **differs)


A = Action
SECOND = "legal-and-security-need-a-second-person"
SEEING = (A.VIEW_ACTIVITY, A.REVEAL_FIELD, A.WRITE_NOTE)
UNDER_GRANT = (*SEEING, A.END_ACCESS)
EXECUTING = (A.EXECUTE_CASE, A.EXPORT_PERSON)
ADMINISTERING = (A.VIEW_CASES, A.VIEW_RETENTION, A.SET_RETENTION, A.VIEW_TENANTS, A.MANAGE_TENANTS)
WEIGHS = "cases-that-weigh-need-a-second-person"
EXPIRED = {"starts": NOON - HALF_HOUR, "ends": NOON}
QUARTER = {"starts": NOON - timedelta(minutes=5), "ends": NOON + timedelta(minutes=10), "break_glass": True}
HALF_BROKEN = {"break_glass": True}  # a grant of half an hour that says it was broken open: nobody makes such a one
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
    Case(OPERATOR, A.ASK_ACCESS, True, "operator-looks-for-every-purpose"),
    Case(OPERATOR, A.ASK_ACCESS, True, "operator-looks-for-every-purpose", {"purpose": "rights"}),
    Case(CONSOLE_OPERATOR, A.ASK_ACCESS, False, "not-permitted"),
    Case(CONSOLE_OPERATOR, A.ASK_ACCESS, False, "not-permitted", {"purpose": "rights"}),
    Case(CLUB_ADMIN, A.ASK_ACCESS, False, "not-permitted"),
    # a second person
    *(Case(who, A.ASK_ACCESS, False, SECOND, {"purpose": purpose})
      for who in (DPO, OPERATOR, BOTH) for purpose in ("legal", "security")),
    *(Case(DPO, A.ASK_ACCESS, True, "dpo-looks-for-every-purpose", {"purpose": purpose, "approver": "dave"})
      for purpose in ("legal", "security")),
    Case(OPERATOR, A.ASK_ACCESS, True, "operator-looks-for-every-purpose", {"purpose": "legal", "approver": "dora"}),
    Case(DPO, A.ASK_ACCESS, False, SECOND, {"purpose": "legal", "approver": "dora"}),
    Case(SUPPORT, A.ASK_ACCESS, False, "not-permitted", {"purpose": "legal", "approver": "dora"}),
    Case(SUPPORT, A.ASK_ACCESS, True, "support-helps-with-support", {"approver": "dora"}),
    Case(DPO, A.ASK_ACCESS, False, "a-ticket-is-named", {"purpose": "legal", "approver": "dave", "ticket": ""}),
    Case(DPO_OF_CHOIR, A.ASK_ACCESS, False, "own-tenants-only", {"purpose": "legal", "approver": "dora"}),
    # window of data
    *(Case(SUPPORT, A.ASK_ACCESS, days in {1, 366}, "support-helps-with-support" if days in {1, 366} else
           "at-most-a-year-back", {"days": days}) for days in (-1, 0, 1, 366, 367)),
    *(Case(DPO, A.BREAK_GLASS, False, "at-most-a-year-back", {"days": days}) for days in (0, 367)),
    # breaking the glass
    *(Case(who, A.BREAK_GLASS, True, "glass-is-broken-by-who-may-look", {"purpose": purpose})
      for who in (SUPPORT, SUPPORT_OF_CLUB, DPO, OPERATOR, BOTH)
      for purpose in ("support", "security", "legal", "rights")),
    *(Case(who, A.BREAK_GLASS, False, "not-permitted") for who in (CONSOLE_OPERATOR, CLUB_ADMIN, PRODUCT)),
    *(Case(who, A.BREAK_GLASS, False, "own-tenants-only")
      for who in (SUPPORT_OF_CHOIR, DPO_OF_CHOIR, CHOIR_ADMIN, NOBODY)),
    *(Case(SUPPORT, A.BREAK_GLASS, False, "a-purpose-is-named", {"purpose": purpose}) for purpose in ("", "marketing")),
    *(Case(SUPPORT, A.BREAK_GLASS, False, "broken-glass-is-explained", {"reason": reason})
      for reason in ("", "ten chars!", "nineteen characters" + " " * 9)),
    Case(SUPPORT, A.BREAK_GLASS, True, "glass-is-broken-by-who-may-look", {"reason": "twenty characters ok"}),
    *(Case(SUPPORT, A.BREAK_GLASS, minutes in {1, 15}, "glass-is-broken-by-who-may-look" if minutes in {1, 15} else
           "broken-glass-for-a-quarter-of-an-hour", {"minutes": minutes}) for minutes in (-1, 0, 1, 15, 16, 240)),
    *(Case(who, A.BREAK_GLASS, False, "restricted-data-is-for-the-dpo", {"restricted": True})
      for who in (SUPPORT, OPERATOR)),
    Case(DPO, A.BREAK_GLASS, True, "glass-is-broken-by-who-may-look", {"restricted": True}),
    # under a grant that was broken open
    *(Case(SUPPORT, action, True, "broken-glass-opens", {"grant": grant_of("sam", **QUARTER), "purpose": "security"})
      for action in UNDER_GRANT),
    *(Case(SUPPORT, action, False, "only-while-the-grant-runs",
           {"grant": grant_of("sam", **HALF_BROKEN), "purpose": "security"}) for action in SEEING),
    *(Case(CLUB_ADMIN, action, False, "not-permitted", {"grant": grant_of("carl", **QUARTER)})
      for action in UNDER_GRANT),
    *(Case(CONSOLE_OPERATOR, action, False, "not-permitted", {"grant": grant_of("olga", **QUARTER)})
      for action in UNDER_GRANT),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "not-permitted", {"purpose": "security"}),
    Case(SUPPORT, A.VIEW_ACTIVITY, False, "restricted-data-is-for-the-dpo",
         {"grant": grant_of("sam", **QUARTER), "restricted": True}),
    # notes
    Case(SUPPORT, A.WRITE_NOTE, True, "support-helps-with-support"),
    Case(DPO, A.WRITE_NOTE, True, "dpo-looks-for-every-purpose", {"restricted": True}),
    Case(SUPPORT, A.WRITE_NOTE, False, "restricted-data-is-for-the-dpo", {"restricted": True}),
    Case(SUPPORT, A.WRITE_NOTE, False, "only-with-a-grant-of-ones-own", {"grant": None}),
    Case(SUPPORT, A.WRITE_NOTE, False, "only-with-a-grant-of-ones-own", {"grant": grant_of("dora")}),
    Case(SUPPORT, A.WRITE_NOTE, False, "only-while-the-grant-runs", {"grant": grant_of("sam", **EXPIRED)}),
    Case(SUPPORT_OF_CHOIR, A.WRITE_NOTE, False, "own-tenants-only"),
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
    # ending another's
    Case(DPO, A.REVOKE_ACCESS, True, "dpo-watches-over-grants", {"grant": grant_of("sam")}),
    Case(DPO, A.REVOKE_ACCESS, False, "a-reason-is-given", {"grant": grant_of("sam"), "reason": "no"}),
    Case(DPO_OF_CHOIR, A.REVOKE_ACCESS, False, "own-tenants-only", {"grant": grant_of("sam")}),
    *(Case(who, A.REVOKE_ACCESS, False, "not-permitted", {"grant": grant_of("dora")})
      for who in (SUPPORT, OPERATOR, CONSOLE_OPERATOR, CLUB_ADMIN, PRODUCT)),
    Case(DPO, A.REVIEW_BREAK_GLASS, True, "dpo-watches-over-grants"),
    Case(DPO, A.REVIEW_BREAK_GLASS, False, "nobody-reviews-themselves", {"requester": "dora"}),
    Case(DPO, A.REVIEW_BREAK_GLASS, False, "nobody-reviews-themselves", {"requester": ""}),
    Case(DPO, A.REVIEW_BREAK_GLASS, False, "a-reason-is-given", {"reason": "fine"}),
    Case(DPO_OF_CHOIR, A.REVIEW_BREAK_GLASS, False, "own-tenants-only"),
    *(Case(who, A.REVIEW_BREAK_GLASS, False, "not-permitted") for who in (SUPPORT, OPERATOR, CONSOLE_OPERATOR, CLUB_ADMIN)),
    # cases
    *(Case(who, A.OPEN_CASE, True, "cases-are-opened-by-every-role", {"ticket": "", "reason": ""})
      for who in (SUPPORT, SUPPORT_OF_CLUB, DPO, OPERATOR, CONSOLE_OPERATOR, CLUB_ADMIN)),
    *(Case(who, A.OPEN_CASE, False, "own-tenants-only")
      for who in (SUPPORT_OF_CHOIR, DPO_OF_CHOIR, CHOIR_ADMIN, OPERATOR_OF_CHOIR)),
    Case(PRODUCT, A.OPEN_CASE, False, "not-permitted"),
    *(Case(who, A.OPEN_CASE, True, "cases-are-opened-by-every-role", {"requester": "another"})
      for who in (DPO, OPERATOR, CLUB_ADMIN, BOTH)),
    Case(SUPPORT, A.OPEN_CASE, True, "cases-are-opened-by-every-role", {"requester": "sam"}),
    *(Case(who, A.OPEN_CASE, False, "a-case-is-its-openers-or-the-officers", {"requester": "another"})
      for who in (SUPPORT, SUPPORT_OF_CLUB, CONSOLE_OPERATOR)),
    *(Case(who, A.DECIDE_CASE, True, "cases-are-decided-by-dpo") for who in (DPO, OPERATOR, BOTH)),
    *(Case(who, A.DECIDE_CASE, False, "not-permitted") for who in (SUPPORT, CONSOLE_OPERATOR, CLUB_ADMIN, PRODUCT)),
    Case(DPO, A.DECIDE_CASE, False, "nobody-approves-their-own-request", {"requester": "dora"}),
    Case(OPERATOR, A.DECIDE_CASE, False, "nobody-approves-their-own-request", {"requester": "os:root"}),
    Case(DPO, A.DECIDE_CASE, False, "nobody-approves-their-own-request", {"requester": ""}),
    Case(DPO, A.DECIDE_CASE, False, "a-reason-is-given", {"reason": "yes"}),
    Case(DPO_OF_CHOIR, A.DECIDE_CASE, False, "own-tenants-only"),
    *(Case(who, action, True, "cases-are-executed-by-dpo-or-operator")
      for who in (DPO, OPERATOR) for action in EXECUTING),
    *(Case(who, action, False, "not-permitted")
      for who in (SUPPORT, CONSOLE_OPERATOR, CLUB_ADMIN, PRODUCT) for action in EXECUTING),
    *(Case(DPO, action, False, WEIGHS, {"kind": kind, "approver": ""})
      for kind in ("", "erasure", "access", "portability", "Objection") for action in EXECUTING),
    *(Case(DPO, action, False, WEIGHS, {"requester": "dave", "approver": "dave"}) for action in EXECUTING),
    *(Case(DPO, action, False, WEIGHS, {"requester": ""}) for action in EXECUTING),
    *(Case(DPO, A.EXECUTE_CASE, True, "cases-are-executed-by-dpo-or-operator", {"kind": kind, "approver": ""})
      for kind in ("objection", "linking-objection", "restriction", "withdrawal")),
    *(Case(DPO_OF_CHOIR, action, False, "own-tenants-only") for action in EXECUTING),
    Case(CLUB_ADMIN, A.EXPORT_PERSON, True, "packages-go-to-the-tenant-that-asked", {"requester": "carl"}),
    Case(CLUB_ADMIN, A.EXPORT_PERSON, False, WEIGHS, {"requester": "carl", "approver": ""}),
    Case(CLUB_ADMIN, A.EXPORT_PERSON, False, WEIGHS, {"requester": "carl", "approver": "carl"}),
    Case(CHOIR_ADMIN, A.EXPORT_PERSON, False, "own-tenants-only", {"requester": "cora"}),
    Case(SUPPORT, A.EXPORT_PERSON, False, "not-permitted", {"requester": "sam"}),
    Case(CLUB_ADMIN, A.EXECUTE_CASE, False, "not-permitted", {"requester": "carl"}),
    Case(DPO, A.HOLD_PERSON, True, "dpo-holds", {"restricted": True}),
    Case(DPO, A.HOLD_PERSON, False, "a-reason-is-given", {"reason": "court"}),
    Case(DPO_OF_CHOIR, A.HOLD_PERSON, False, "own-tenants-only"),
    *(Case(who, A.HOLD_PERSON, False, "not-permitted") for who in (SUPPORT, OPERATOR, CONSOLE_OPERATOR, CLUB_ADMIN)),
    # lists
    *(Case(who, A.VIEW_CASES, True, "cases-are-seen-by-dpo-operator-tenant-admin", {"tenant": tenant})
      for who in (DPO, OPERATOR, CLUB_ADMIN) for tenant in ("", "club")),
    *(Case(who, action, True, "retention-is-seen-by-dpo-operator-tenant-admin", {"tenant": tenant})
      for who in (DPO, CONSOLE_OPERATOR, CLUB_ADMIN) for tenant in ("", "club")
      for action in (A.VIEW_RETENTION, A.VIEW_TENANTS)),
    *(Case(who, action, False, "own-tenants-administered-only")
      for who in (CHOIR_ADMIN, DPO_OF_CHOIR, OPERATOR_OF_CHOIR) for action in ADMINISTERING),
    *(Case(who, action, False, "not-permitted", {"tenant": ""})
      for who in (SUPPORT, PRODUCT, NOBODY) for action in (A.VIEW_CASES, A.VIEW_RETENTION, A.VIEW_TENANTS)),
    *(Case(who, A.SET_RETENTION, True, "retention-is-set-by-operator-or-tenant-admin")
      for who in (CONSOLE_OPERATOR, OPERATOR, CLUB_ADMIN)),
    *(Case(who, A.SET_RETENTION, False, "not-permitted") for who in (SUPPORT, DPO, PRODUCT)),
    *(Case(CLUB_ADMIN, A.SET_RETENTION, False, "own-tenants-administered-only", {"tenant": tenant})
      for tenant in ("", "*", "choir", "club2")),
    Case(CLUB_ADMIN, A.SET_RETENTION, False, "a-reason-is-given", {"reason": "shorter"}),
    *(Case(who, A.MANAGE_TENANTS, True, "operator-manages-tenants") for who in (CONSOLE_OPERATOR, OPERATOR)),
    *(Case(who, A.MANAGE_TENANTS, False, "not-permitted") for who in (SUPPORT, DPO, CLUB_ADMIN, PRODUCT)),
    Case(OPERATOR, A.MANAGE_TENANTS, False, "a-reason-is-given", {"reason": ""}),
    *(Case(DPO_OF_CHOIR, action, True, "dpo-watches-over-grants", {"tenant": ""})
      for action in (A.VIEW_GRANTS, A.VIEW_UNUSUAL)),
    *(Case(who, action, False, "not-permitted", {"tenant": ""})
      for who in (SUPPORT, OPERATOR, CONSOLE_OPERATOR, CLUB_ADMIN, PRODUCT, NOBODY)
      for action in (A.VIEW_GRANTS, A.VIEW_UNUSUAL)),
    *(Case(who, A.EXPORT_AUDIT, True, "audit-is-read-by-dpo-or-operator", {"tenant": ""})
      for who in (DPO, OPERATOR, CONSOLE_OPERATOR)),
    *(Case(who, A.EXPORT_AUDIT, False, "not-permitted", {"tenant": ""})
      for who in (SUPPORT, CLUB_ADMIN, PRODUCT, NOBODY)),
    Case(CLUB_ADMIN, A.VIEW_AUDIT, False, "not-permitted"),
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
