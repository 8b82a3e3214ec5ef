"""Live totals: requests of today, by the disclosure rule, from the parts of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.stats.figures.disclosure import Rule, publish_sums
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.today import live
from services.stats.today.live import LiveCounter, LiveTotals
from tests.parts.closing import FIRST, World, crowd, rows

ZONE = ZoneInfo("UTC")


@pytest.fixture
def counter(world: World) -> LiveCounter:
    world.clock.advance(datetime(2026, 11, 1, 12, tzinfo=UTC) - world.clock.now())
    return _counter(world)


def _counter(world: World) -> LiveCounter:
    totals = LiveTotals(world.closer.records)
    return LiveCounter(
        world.analytics, totals, world.keyring, lambda t: world.objecting.get(t, []), clock=world.clock, zone=ZONE
    )


def told(world: World, tenant: str = "a") -> int | None:
    return LiveTotals(world.closer.records).of(tenant, world.clock.now().date())


def test_the_total_follows_what_comes(world: World, counter: LiveCounter) -> None:
    """Every batch is counted once, bots and other days not at all, and merged parts do not count twice."""
    counter.look()
    assert told(world) is None
    world.put(rows("a", FIRST, crowd(100)))
    world.put(rows("a", FIRST, crowd(50, first=500, bot_class="declared")))
    world.put(rows("a", FIRST - timedelta(days=1), crowd(50, first=600)))
    counter.look()
    first = told(world)
    assert first == 100  # a multiple of 5 stays
    world.put(rows("a", FIRST, crowd(100)))
    counter.look()
    assert told(world) == first + 100
    world.analytics.command("OPTIMIZE TABLE events FINAL")
    counter.look()
    assert told(world) == first + 100
    afresh = _counter(world)  # a process that starts anew says the same
    afresh.look()
    assert told(world) == first + 100


def test_a_total_of_few_people_is_not_told(world: World, counter: LiveCounter) -> None:
    """Nine people with a thousand requests stay unsaid, beside a tenant of many; five more and they are told."""
    world.put(rows("a", FIRST, crowd(9) * 100))
    world.put(rows("b", FIRST, crowd(40)))
    counter.look()
    assert told(world) is None
    assert told(world, "b") == 40
    world.put(rows("a", FIRST, crowd(6, first=100)))
    counter.look()
    assert told(world) in (905, 910)


def test_the_rule_is_what_hides_few_people(world: World, counter: LiveCounter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: with a threshold of one person the test above would see the total."""
    weak = Rule(threshold=1, margin=1, networks=False)
    monkeypatch.setattr(
        live, "publish_sums", lambda sums, people, cube, keys: publish_sums(sums, people, cube, keys, weak)
    )
    world.put(rows("a", FIRST, crowd(9) * 100))
    counter.look()
    assert told(world) is not None


def test_who_objects_leaves_the_total(world: World, counter: LiveCounter) -> None:
    """From the next look at the objections on, with everything their account asked for today."""
    digest = account_pseudonym(world.key("a", FIRST), "a", "nina")
    world.put(rows("a", FIRST, [*crowd(40), *crowd(1, first=900, account=digest) * 60]))
    counter.look()
    assert told(world) == 100
    world.objecting["a"] = ["nina"]
    world.clock.advance(timedelta(seconds=live.OBJECTORS_S))
    counter.look()
    assert told(world) == 40


def test_a_new_day_begins_with_nothing(world: World, counter: LiveCounter) -> None:
    """Yesterday's total is gone, and so are erased rows of today."""
    world.put(rows("a", FIRST, crowd(40)))
    counter.look()
    world.clock.advance(timedelta(days=1))
    assert told(world) is None
    world.put(rows("a", FIRST + timedelta(days=1), crowd(60, first=200)))
    counter.look()
    assert told(world) == 60
    world.analytics.command(
        "ALTER TABLE events DELETE WHERE kind = 'event' AND visitor < 250 SETTINGS mutations_sync = 2"
    )
    counter.look()
    assert told(world) == 10
