"""The access policy told a second time, in Python, from the design's sentences: what `deploy/policies` must answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from services.enricher.access.decisions import Action, Request

__all__ = ["oracle"]

A = Action
REGISTER = {  # lists and tenants: who may, by role
    A.VIEW_GRANTS: {"dpo"},
    A.VIEW_UNUSUAL: {"dpo"},
    A.VIEW_AUDIT: {"dpo", "operator"},
    A.EXPORT_AUDIT: {"dpo", "operator"},
    A.VIEW_CASES: {"dpo", "operator", "tenant-admin"},
    A.VIEW_RETENTION: {"dpo", "operator", "tenant-admin"},
    A.VIEW_TENANTS: {"dpo", "operator", "tenant-admin"},
    A.SET_RETENTION: {"operator", "tenant-admin"},
    A.MANAGE_TENANTS: {"operator"},
}
OF_ONE_TENANT = {A.VIEW_CASES, A.VIEW_RETENTION, A.VIEW_TENANTS, A.SET_RETENTION, A.MANAGE_TENANTS}
LISTS = {A.VIEW_CASES, A.VIEW_RETENTION, A.VIEW_TENANTS}
HARMLESS = {"objection", "linking-objection", "restriction", "withdrawal"}
KNOWN = {"support", "rights", "security", "legal"}


def oracle(request: Request) -> bool:
    if request.action in REGISTER:
        return _register(request)
    if not _own(request):
        return False
    answers: Mapping[Action, Callable[[Request], bool]] = {
        A.FIND_PERSON: _find,
        A.ASK_ACCESS: _ask,
        A.BREAK_GLASS: _break_glass,
        A.APPROVE: lambda r: "dpo" in r.actor.roles and _reason(r) and _somebody_elses(r),
        A.REVOKE_ACCESS: lambda r: "dpo" in r.actor.roles and _reason(r),
        A.REVIEW_BREAK_GLASS: lambda r: "dpo" in r.actor.roles and _reason(r) and _somebody_elses(r),
        A.ERASE: _at_once,
        A.RESTRICT: _at_once,
        A.OPEN_CASE: _open_case,
        A.DECIDE_CASE: lambda r: _handles_cases(r) and _reason(r) and _somebody_elses(r),
        A.EXECUTE_CASE: lambda r: _handles_cases(r) and _two_agree(r),
        A.EXPORT_PERSON: lambda r: (_handles_cases(r) or _asked_for_it(r)) and _two_agree(r),
        A.HOLD_PERSON: lambda r: "dpo" in r.actor.roles and _reason(r),
    }
    return answers.get(request.action, _under_grant)(request)


def _register(request: Request) -> bool:
    action = request.action
    if not request.actor.roles & REGISTER[action]:
        return False
    if action in {A.SET_RETENTION, A.MANAGE_TENANTS} and not _reason(request):
        return False
    return action not in OF_ONE_TENANT or (action in LISTS and not request.tenant) or _own(request)


def _own(request: Request) -> bool:
    tenants = request.actor.tenants
    return "*" in tenants or (request.tenant in tenants and request.tenant != "*")


def _find(request: Request) -> bool:
    return _looks(request) and _reason(request) and _ticket(request)


def _ask(request: Request) -> bool:
    weighs = request.purpose in {"legal", "security"}
    second = request.approver not in {"", request.actor.name}
    return (
        _find(request)
        and 1 <= request.minutes <= 240
        and 1 <= request.days <= 366
        and not _kept_from(request)
        and (second or not weighs)
    )


def _break_glass(request: Request) -> bool:
    in_order = 1 <= request.minutes <= 15 and 1 <= request.days <= 366 and len(request.reason.strip()) >= 20
    return _is_of_us(request) and request.purpose in KNOWN and in_order and not _kept_from(request)


def _under_grant(request: Request) -> bool:
    grant, action = request.grant, request.action
    if grant is None or grant.holder != request.actor.name or grant.subject != request.subject:
        return False
    if not (_looks(request) or (grant.break_glass and _is_of_us(request) and request.purpose in KNOWN)):
        return False
    if action is A.END_ACCESS:
        return True
    runs = not grant.ended and grant.starts <= request.now < grant.ends
    longest = timedelta(minutes=15) if grant.break_glass else timedelta(hours=4)
    if not runs or grant.ends - grant.starts > longest or _kept_from(request):
        return False
    return action in {A.VIEW_ACTIVITY, A.WRITE_NOTE} or (action is A.REVEAL_FIELD and _reason(request))


def _at_once(request: Request) -> bool:
    roles = request.actor.roles & {"dpo", "operator"}
    return bool(roles) and request.purpose == "rights" and _reason(request) and _ticket(request)


def _open_case(request: Request) -> bool:
    """To open one is everybody's; to go on with one that is there is its opener's, or theirs who care for cases."""
    cares = _handles_cases(request) or "tenant-admin" in request.actor.roles
    mine = request.requester in {"", request.actor.name}
    return bool(request.actor.roles & {"support", "dpo", "operator", "tenant-admin"}) and (mine or cares)


def _two_agree(request: Request) -> bool:
    two = bool(request.approver and request.requester) and request.approver != request.requester
    return request.kind in HARMLESS or two


def _asked_for_it(request: Request) -> bool:
    return "tenant-admin" in request.actor.roles and request.requester == request.actor.name


def _handles_cases(request: Request) -> bool:
    return "dpo" in request.actor.roles or _operates_here(request)


def _operates_here(request: Request) -> bool:
    return "operator" in request.actor.roles and request.actor.name.startswith("os:")


def _is_of_us(request: Request) -> bool:
    return bool(request.actor.roles & {"support", "dpo"}) or _operates_here(request)


def _looks(request: Request) -> bool:
    if "dpo" in request.actor.roles or _operates_here(request):
        return request.purpose in KNOWN
    return "support" in request.actor.roles and request.purpose == "support"


def _kept_from(request: Request) -> bool:
    return request.restricted and "dpo" not in request.actor.roles


def _somebody_elses(request: Request) -> bool:
    return request.requester not in {"", request.actor.name}


def _reason(request: Request) -> bool:
    return len(request.reason.strip()) >= 10


def _ticket(request: Request) -> bool:
    head, dash, number = request.ticket.partition("-")
    letters = 2 <= len(head) <= 10 and head[0].isupper() and all(c.isupper() or c.isdigit() for c in head)
    return bool(dash) and letters and head.isascii() and number.isascii() and number.isdigit() and len(number) <= 9
