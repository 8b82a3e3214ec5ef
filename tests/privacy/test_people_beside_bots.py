"""One person at a site that many bots visit: what is told of the bots must not give the person away.

Bots come from enough networks to pass the rule. When people and bots merged into one `(other)`, subtracting the bots,
who are told by reason too, left what the one person did.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.stats.closing import gathering
from services.stats.closing.close import close_through
from services.stats.figures import cubes
from services.stats.figures.disclosure import PublishedCells
from services.stats.today.snapshot import take_snapshot
from tests.parts.closing import FIRST, World, crowd, new_world, rows

SENT = {"quiet": 3, "busy": 143}  # tenant -> requests of its one person


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = new_world(tmp_path)
    yield made
    made.close()


def _told(world: World) -> dict[str, int]:
    """What an attacker works out of each tenant: the requests that are told, less those of bots by reason."""
    for tenant, sent in SENT.items():
        bots = crowd(25, bot_class="declared", bot_reason="search-engine") * 2
        person = [{"visitor": 999, "network": 999, "second": 200 * n} for n in range(sent)]
        world.put(rows(tenant, FIRST, [*bots, *person]))
    take_snapshot(world.snapshotter)
    snapshot = world.cells(provisional=1)
    close_through(world.closer, FIRST)
    left = dict.fromkeys(SENT, 0)
    for cells in (snapshot, world.cells()):
        for tenant, cube, value in cells.select("tenant", "cube", "value").iter_rows():
            left[tenant] += {"bot_class": 1, "bot_reason": -1}.get(cube, 0) * value
    return left


def test_bots_hide_no_person(world: World) -> None:
    """Whether the one person asked three times or 143 times makes no difference to any figure."""
    assert _told(world) == {"quiet": 0, "busy": 0}
    shown = world.cells().select("tenant", "cube", "dim1", "measure").unique()
    assert {cube for _, cube, *_ in shown.iter_rows()} == {"bot_class", "bot_reason"}
    assert {name for _, _, name, _ in shown.iter_rows()} == {"declared", "search-engine"}


def test_merged_with_bots_the_person_shows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weaker design: people and bots are rows of one counted cube, whose small rows merge."""
    monkeypatch.setitem(cubes._ROWS, cubes.TOLD, "1")
    monkeypatch.setattr(gathering, "TOLD", "")
    monkeypatch.setattr(gathering, "bot_classes", lambda cells: PublishedCells(cells.clear()))
    assert _told(world)["busy"] > 250  # twice 143, in the snapshot and at the close, but for the rounding
