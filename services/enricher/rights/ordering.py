"""Erasure and everything that stores a person are ordered by one row: which privacy signals are in force here.

See docs/adr/0032: a batch that was sealed before an erasure is never stored after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

import sqlalchemy as sa

from services.enricher import records
from services.enricher.retention.records import departures
from services.enricher.rights.signals import Signals
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from services.runtime.logs import get_logger

__all__ = [
    "SignalsMoved",
    "bring_into_force",
    "departed",
    "in_order",
    "let_storing_end",
    "make_position",
    "require_current",
]

T = TypeVar("T")
TRIES_MAX = 50  # with WAIT_S: how long a log may take to show a signal that it has confirmed
WAIT_S = 0.1
_PREFIX = "signal-position/"  # and the topic's id: a topic that is made again counts from 0 again


class SignalsMoved(Exception):
    """A signal came into force since the last `follow`: follow, then decide again."""


def make_position(engine: sa.Engine, signals: Signals) -> None:
    """At start: the row must be there to be locked."""
    table = records.counters
    with transaction(engine) as connection:
        others = table.c.name.startswith(_PREFIX) & (table.c.name != _name(signals)) & (table.c.value > 0)
        if connection.execute(sa.select(sa.func.count()).where(others)).scalar_one():
            get_logger().warning("privacy signals begin anew", topic=signals.topic_id, reason="topic_made_again")
        insert = records.insert(connection, table).values(name=_name(signals), value=0)
        connection.execute(insert.on_conflict_do_nothing(index_elements=["name"]))


def require_current(connection: sa.Connection, signals: Signals) -> None:
    """Call first in every transaction that stores something of a person: until it ends no erasure can take
    place, and none has that `signals` does not know. Raises `SignalsMoved` otherwise."""
    table = records.counters
    query = sa.select(table.c.value).where(table.c.name == _name(signals)).with_for_update(read=True)
    if connection.execute(query).scalar_one() > signals.position:
        raise SignalsMoved


def departed(connection: sa.Connection, tenants: Collection[str]) -> frozenset[str]:
    """Those of `tenants` whose data is being deleted, or is: nothing more of theirs may be stored. Call it after
    `require_current` in the same transaction."""
    query = sa.select(departures.c.tenant).where(departures.c.tenant.in_(sorted(tenants))).distinct()
    return frozenset(connection.execute(query).scalars())


def let_storing_end(connection: sa.Connection, signals: Signals) -> None:
    """Call it in the transaction that notes a departure: every transaction that stores somebody's data and did not see
    it is over when this one commits."""
    bring_into_force(connection, signals, 0)


def bring_into_force(connection: sa.Connection, signals: Signals, position: int) -> None:
    """Call first in the transaction that erases: from here to the commit no other transaction stores anything of
    a person, and none later does before it has followed the signals up to `position`."""
    table = records.counters
    newer = sa.case((table.c.value < position, position), else_=table.c.value)
    connection.execute(sa.update(table).where(table.c.name == _name(signals)).values(value=newer))


def in_order(signals: Signals, clock: Clock, act: Callable[[], T]) -> T:
    """`act` with every signal followed, and again when one came into force meanwhile.

    Raises `Fatal` when the log does not have signals that were in force here.
    """
    for _ in range(TRIES_MAX):
        signals.follow()
        try:
            return act()
        except SignalsMoved:
            clock.sleep(WAIT_S)
    raise Fatal(
        "The event log lacks privacy signals that these records have honoured: it was restored from an older backup. "
        "Restore a newer one, or give the missing requests again (voile rights open, each with its own case)."
    )


def _name(signals: Signals) -> str:
    return _PREFIX + signals.topic_id
