"""The types of data that Voile keeps, each with its term and what happens at its end: the one list.

A plane has a `Keeper` for each of its own (`keeping.py`); a test fails when one has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from services.runtime.settings import Settings
from services.runtime.topics import TOPICS

__all__ = ["KINDS", "SETTABLE", "End", "Kind", "kinds_of"]


class End(StrEnum):
    """What becomes of data whose term is over."""

    DELETE = "delete"
    ANONYMISE = "anonymise"  # what could lead to a person goes, counts without a link stay
    ISOLATE = "isolate"  # kept apart, for the data protection officer alone, for a term of its own


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of data. `term`: the longest that the operator's settings allow. `by_tenant`: it is told whose it is.
    `settable`: a tenant may have a shorter term. `ends`: what may happen at the end; the first unless set."""

    name: str
    plane: str
    what: str
    term: Callable[[Settings], timedelta]
    by_tenant: bool = True
    settable: bool = False
    ends: tuple[End, ...] = (End.DELETE,)


def _days(section: str, name: str) -> Callable[[Settings], timedelta]:
    return lambda settings: timedelta(days=getattr(getattr(settings, section), name))


def _fixed(**term: float) -> Callable[[Settings], timedelta]:
    return lambda _: timedelta(**term)


def _topic(topic: str) -> Callable[[Settings], timedelta]:
    return _fixed(hours=TOPICS[topic].kept_hours or 0)


_LINKED_ENDS = (End.DELETE, End.ANONYMISE, End.ISOLATE)
_ALL = (
    Kind("raw", "ingest", "accesses as the servers sent them (access-log.v1)", _topic("access-log"), by_tenant=False),
    Kind("raw-lines", "ingest", "lines of collectors (access-log.raw.v1)", _topic("access-log-raw"), by_tenant=False),
    Kind("dead-letters", "ingest", "what could not be read, without its text", _topic("dead-letter"), by_tenant=False),
    Kind("claims", "ingest", "which requests were taken already", _fixed(hours=72)),
    Kind("source-counts", "ingest", "lines of each log source, by five minutes", _fixed(days=14)),
    Kind("account-words", "identity", "accounts as they were sent (account.v1)", _topic("account"), by_tenant=False),
    Kind("linked", "identity", "linked activity", _days("identity", "linked_days"), settable=True, ends=_LINKED_ENDS),
    Kind("isolated", "identity", "linked activity kept apart", _days("retention", "isolated_days")),
    Kind("accounts", "identity", "accounts nothing is heard of", _days("retention", "accounts_days"), settable=True),
    Kind("grants", "identity", "who was allowed to look", _days("retention", "audit_days")),
    Kind(
        "audit",
        "identity",
        "the reasons in the audit log; its entries stay",
        _days("retention", "audit_days"),
        by_tenant=False,
        ends=(End.ANONYMISE,),
    ),
    Kind("cases", "identity", "rights cases that are closed", _days("retention", "cases_days"), by_tenant=False),
    Kind("open-days", "statistics", "pseudonymised events of open days", _fixed(hours=48)),
    Kind("active-accounts", "statistics", "keyed accounts of open weeks and months", _fixed(days=33)),
    Kind("figures", "statistics", "published figures", _days("retention", "figures_days"), settable=True),
    Kind("releases", "statistics", "noisy figures of releases", _days("retention", "releases_days"), settable=True),
    Kind(
        "deliveries",
        "statistics",
        "what partners took, and what was done for them",
        _days("retention", "deliveries_days"),
        by_tenant=False,
    ),
    Kind("collection", "statistics", "lines of each log source, as reported", _fixed(days=14)),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
SETTABLE = tuple(kind.name for kind in _ALL if kind.settable)


def kinds_of(plane: str) -> tuple[Kind, ...]:
    return tuple(kind for kind in _ALL if kind.plane == plane)
