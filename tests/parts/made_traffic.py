"""Traffic of a few small sites over two days, drawn from a seed: what a property test feeds the worker and the reference."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.parts.counting import access
from tests.parts.reference_events import AGENTS, BLOCKS, EVENTS, PATHS, REFERRERS

__all__ = ["Batch", "Site", "batches_of"]

Row = dict[str, Any]
Batch = tuple[str, list[Row]]  # origin, rows


@dataclass(frozen=True, slots=True)
class Site:
    """`one_network`: everybody comes from one office. `busy`: one visitor goes far over what a cell takes of one."""

    seed: int
    people: int
    hits: int
    accounts: bool
    one_network: bool
    busy: bool
    batches: int


def batches_of(tenant: str, site: Site, days: Sequence[date], zone: ZoneInfo) -> list[Batch]:
    """In the order in which they are sent: shuffled, some sent twice, some cut otherwise the second time."""
    draw = random.Random(f"{tenant} {site}")
    rows = [row for n in range(site.people) for row in _person(n, tenant, site, days, zone, draw)]
    if site.busy:
        rows += [_row(_client(0, site, draw), tenant, days[0], zone, draw) for _ in range(70)]
    draw.shuffle(rows)
    for position, row in enumerate(rows):
        row["position"] = position
    size = max(1, -(-len(rows) // site.batches))
    cut = [rows[at : at + size] for at in range(0, len(rows), size)]
    draw.shuffle(cut)
    again = [rows[at : at + size] for at in range(size // 2, len(rows), 3 * size)]  # over the edges of what was sent
    return [(f"log of {tenant}", batch) for batch in [*cut, *again, *cut[:1]]]


def _person(
    number: int, tenant: str, site: Site, days: Sequence[date], zone: ZoneInfo, draw: random.Random
) -> Iterator[Row]:
    client = _client(number, site, draw)
    for day in days:
        for _ in range(draw.randint(0, site.hits)):
            yield _row(client, tenant, day, zone, draw)


def _client(number: int, site: Site, draw: random.Random) -> Row:
    block = next(iter(BLOCKS)) if site.one_network else draw.choices(list(BLOCKS), [7, 2, 1, 2])[0]
    address = block.format(3, number + 1) if site.one_network else block.format(number, draw.randint(1, 2))
    agent = draw.choices(list(AGENTS), [6, 3, 2, 1, 0.5])[0]
    return {"client_address": address, "user_agent": agent, "name": f"m-{number}" if site.accounts else None}


def _row(client: Row, tenant: str, day: date, zone: ZoneInfo, draw: random.Random) -> Row:
    midnight = datetime.combine(day, time(0), zone).astimezone(UTC)
    length = (datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC) - midnight).total_seconds()
    # often at the edges: midnight is where a zone goes wrong
    second = draw.choice((draw.random() * length, draw.random() * 60, length - 1 - draw.random() * 60))
    when = midnight + timedelta(milliseconds=int(second * 1000))
    return access(
        timestamp=when.replace(tzinfo=None), tenant=tenant, source=f"web-{tenant}",
        client_address=client["client_address"], user_agent=client["user_agent"],
        account=client["name"] if draw.random() < 0.4 else None,
        path=draw.choices(list(PATHS), [8, 5, 4, 2, 1, 4])[0], route=draw.choice((None, None, None, "/shop/{id}")),
        referrer=draw.choice(list(REFERRERS)), event=draw.choices(list(EVENTS), [12, 1, 0.5])[0],
        method=draw.choices(("GET", "POST", "PROPFIND"), [12, 2, 0.5])[0],
        status=draw.choices((200, 304, 404, 500, None), [12, 2, 1, 0.5, 0.5])[0],
        response_bytes=draw.choice((None, 0, draw.randint(1, 900_000))), duration_ms=draw.choice((None, draw.randint(0, 20_000))),
    )  # fmt: skip
