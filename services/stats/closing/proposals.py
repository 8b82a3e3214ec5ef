"""Route templates that Voile proposes, and what the tenant's administrators decide about them.

A proposal is read off published cells alone: a route in which a crowded prefix lost its children (`/blog/{*}`) and
that was told by the disclosure rule. So it holds no raw path and no word that fewer than ten people saw. A decision
holds from the following day, so that a day has one shape. ADR 0144.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import insert_into, transaction
from services.stats.closing.prefixes import ANY_CHILD
from services.stats.counting.routes import NAME, REST
from services.stats.figures.disclosure import PublishedCells
from services.stats.records import route_proposals as table

__all__ = ["ACCEPTED", "PROPOSED", "REFUSED", "AcceptedRoutes", "Proposal", "Proposals"]

PROPOSED: Final = "proposed"
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
WAITING_MAX = 100  # of one tenant: more is no list that somebody reads, and no site has so many crowded prefixes
READ_AGAIN = timedelta(seconds=30)  # how soon each worker knows of a decision

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Proposal:
    """`proposed_on`: the first day whose figures led to it. The template holds on days from `holds_from` on, and
    before `holds_to`; None: it never held, and without an end."""

    tenant: str
    template: str
    state: str
    proposed_on: date
    holds_from: date | None
    holds_to: date | None


class Proposals:
    """Every call is one transaction; a store that is away is `Transient`."""

    def __init__(self, records: sa.Engine) -> None:
        self._records = records

    def propose(self, cells: PublishedCells) -> None:
        """Notes the templates of `cells` that nobody has been asked about yet. Doing it again changes nothing."""
        wanted = _templates(cells)
        if not wanted:
            return
        with transaction(self._records) as connection:
            waiting: dict[str, int] = {row[0]: row[1] for row in connection.execute(_WAITING)}
            known = {tuple(row) for row in connection.execute(sa.select(table.c.tenant, table.c.template))}
            rows = []
            for (tenant, template), day in sorted(wanted.items()):
                if (tenant, template) not in known and waiting.get(tenant, 0) < WAITING_MAX:
                    waiting[tenant] = waiting.get(tenant, 0) + 1
                    rows.append({"tenant": tenant, "template": template, "state": PROPOSED, "proposed_on": day})
            if rows:
                connection.execute(insert_into(connection, table).on_conflict_do_nothing(), rows)

    def listed(self, tenants: Collection[str] | None = None) -> list[Proposal]:
        """Of `tenants`, or of all: what waits first, then by tenant and template."""
        query = sa.select(table).order_by(table.c.state != PROPOSED, table.c.tenant, table.c.template)
        if tenants is not None:
            query = query.where(table.c.tenant.in_(list(tenants)))
        with transaction(self._records) as connection:
            return [Proposal(**row._mapping) for row in connection.execute(query)]

    def accept(self, tenant: str, template: str, now: datetime, zone: ZoneInfo) -> Proposal | None:
        """From the following day on requests that fit are that route. None when it was never proposed."""
        return self._decide(tenant, template, ACCEPTED, _following_day(now, zone))

    def refuse(self, tenant: str, template: str, now: datetime, zone: ZoneInfo) -> Proposal | None:
        """It is not proposed again; if it was accepted, it ends with this day. None when it was never proposed."""
        return self._decide(tenant, template, REFUSED, _following_day(now, zone))

    def _decide(self, tenant: str, template: str, state: str, following: date) -> Proposal | None:
        this = (table.c.tenant == tenant) & (table.c.template == template)
        with transaction(self._records) as connection:
            found = connection.execute(sa.select(table).where(this)).one_or_none()
            if found is None:
                return None
            before = Proposal(**found._mapping)
            holds = _accepted(before, following) if state == ACCEPTED else _refused(before, following)
            connection.execute(sa.update(table).where(this).values(state=state, **holds))
        return Proposal(tenant, template, state, before.proposed_on, **holds)


class AcceptedRoutes:
    """The templates in force, as the worker reads them; `version` changes with them. Use from one thread."""

    def __init__(self, records: sa.Engine, clock: Clock) -> None:
        self._proposals, self._clock = Proposals(records), clock
        self._next: datetime | None = None
        self._by_tenant: Mapping[str, Sequence[Proposal]] = {}
        self.version = 0

    def follow(self) -> None:
        """Reads them again when it is time. Raises `Transient` when the records are away."""
        now = self._clock.now()
        if self._next is not None and now < self._next:
            return
        found: dict[str, list[Proposal]] = {}
        for proposal in self._proposals.listed():
            if proposal.holds_from is not None:
                found.setdefault(proposal.tenant, []).append(proposal)
        self.version += found != self._by_tenant
        self._by_tenant, self._next = found, now + READ_AGAIN

    @property
    def tenants(self) -> Collection[str]:
        return self._by_tenant.keys()

    def on(self, tenant: str, day: date) -> list[str]:
        """The tenant's templates that hold on `day`."""
        return [
            p.template
            for p in self._by_tenant.get(tenant, ())
            if p.holds_from is not None and p.holds_from <= day and (p.holds_to is None or day < p.holds_to)
        ]


_WAITING = (
    sa.select(table.c.tenant, sa.func.count()).where(table.c.state == PROPOSED).group_by(table.c.tenant)
)  # fmt: skip


def _templates(cells: PublishedCells) -> dict[_Key, date]:
    """(tenant, template) of the published routes that lost a segment, with the first day of each. A template has the
    whole path: a route that was cut after six segments is none."""
    route = pl.col("dim1")
    wanted = (pl.col("cube") == "route") & route.str.contains(ANY_CHILD, literal=True)
    shown = cells.filter(wanted & route.str.starts_with("/") & ~route.str.contains(REST, literal=True))
    named = shown.with_columns(route.str.replace_all(ANY_CHILD, NAME, literal=True))
    first = named.group_by("tenant", "dim1").agg(pl.col("day").min())
    return {(tenant, template): day for tenant, template, day in first.iter_rows()}


def _following_day(now: datetime, zone: ZoneInfo) -> date:
    """In the last moments of a day workers may not know of it before midnight: then it is the day after the next."""
    return (now + 2 * READ_AGAIN).astimezone(zone).date() + timedelta(days=1)


def _accepted(before: Proposal, following: date) -> dict[str, Any]:
    """One that still holds today goes on without a gap."""
    holds = before.holds_from is not None and (before.holds_to is None or before.holds_to >= following)
    return {"holds_from": before.holds_from if holds else following, "holds_to": None}


def _refused(before: Proposal, following: date) -> dict[str, Any]:
    """One that would have held from tomorrow on never does."""
    if before.holds_from is None or before.holds_from >= following:
        return {"holds_from": None, "holds_to": None}
    return {"holds_from": before.holds_from, "holds_to": before.holds_to or following}
