"""Small blocks of a person and day become one: the same rows for the same term."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.activity import merging
from services.enricher.activity.blocks import Block
from services.enricher.activity.merging import Merged
from services.enricher.rights.execution import NotErased
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from services.runtime.clock import FixedClock
from services.runtime.database import transaction
from services.runtime.stop import Stop
from tests.parts.identity import (
    NOON,
    TENANT,
    access,
    batch,
    count,
    link,
    linked,
    linked_removed,
    opened,
    send,
    stop_now,
)

BOTH = ("ann", "bob")


def test_small_blocks_of_a_day_become_one(plane: Identity) -> None:
    """One block a person and day, with the rows of all; a second run finds nothing to do."""
    _fill(plane, 5)
    before = _everything(plane)
    assert plane.merging.run(Stop()) == Merged(blocks=10, into=2)
    assert count(plane, records.activity) == len(BOTH)
    assert _everything(plane).equals(before)
    assert plane.merging.run(Stop()) == Merged()


def test_what_comes_later_for_the_day_joins_in(plane: Identity) -> None:
    """A late import of an old log: the next run takes the merged block up again."""
    _fill(plane, 3)
    plane.merging.run(Stop())
    _fill(plane, 1, first=30)
    before = _everything(plane)
    assert plane.merging.run(Stop()) == Merged(blocks=4, into=2)
    assert _everything(plane).equals(before)


@pytest.mark.parametrize(("rows_max", "window"), [(4, 20), (8, 100), (20, 9)])
def test_any_blocks_give_the_same_answer_before_and_after(
    plane: Identity, monkeypatch: pytest.MonkeyPatch, rows_max: int, window: int
) -> None:
    """Days, tenants with other terms, limits on a block and windows in any mixture; every row is there once."""
    rng = random.Random(rows_max)
    monkeypatch.setattr(merging, "ROWS_MAX", rows_max)
    monkeypatch.setattr(merging, "WINDOW_BLOCKS", window)
    plane.registry.add(Tenant("other", "Other", NOON, retention={"linked": 7}))
    for number in range(16):
        at = NOON - timedelta(hours=rng.randrange(60))
        rows = [
            access(rng.choice(BOTH), f"/{number}/{n}", at=at, tenant=rng.choice([TENANT, "other"])) for n in range(4)
        ]
        send(plane, batch(rows, first=4 * number))
        link(plane)
    before, terms, blocks = _everything(plane), _terms(plane), count(plane, records.activity)
    assert plane.merging.run(Stop()).blocks > 0
    assert count(plane, records.activity) < blocks
    assert _everything(plane).equals(before)
    assert _terms(plane) == terms


def test_a_merged_block_keeps_its_term(tmp_path: Path) -> None:
    """Rows that came under another term of the tenant stay apart, and each goes on its day."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        for number, days in enumerate((7, 7, 30, 30)):
            plane.registry.add(Tenant(TENANT, "Chess Club", NOON, retention={"linked": days}))
            send(plane, batch([access("ann", f"/{number}")], first=number))
            link(plane)
        assert plane.merging.run(Stop()) == Merged(blocks=4, into=2)
        clock.advance(timedelta(days=8))
        assert linked_removed(plane) == 2
        assert linked(plane, "ann") == ["/2", "/3"]


def test_an_erasure_in_the_middle_brings_nobody_back(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found to be merged is gone when its turn comes; the other people's blocks are merged all the same."""
    _fill(plane, 3)
    _before_the_chunk(plane, monkeypatch, lambda: plane.rights.erase(TENANT, "ann", "C-1"))
    assert plane.merging.run(Stop()).into == 1
    assert _numbers_of(plane) == {1}
    assert (linked(plane, "ann"), len(linked(plane, "bob"))) == ([], 6)


def test_an_erasure_waits_for_the_chunk_and_finds_its_rows(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins when the blocks are locked and not yet replaced: it must not miss the new one."""
    _fill(plane, 3)
    erasing = erase_while_locked(plane, monkeypatch)
    plane.merging.run(Stop())
    erasing[0].join(30)
    assert plane.rights.case("C-1").state == "done"
    assert (count(plane, records.activity), len(linked(plane, "bob"))) == (1, 6)


def test_without_looking_again_an_erased_person_would_be_back(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: rows as they were found, not as they stand."""
    _fill(plane, 3)
    subject = plane.directory.find(TENANT, "account", "ann")
    with transaction(plane.engine) as connection:
        every = connection.execute(sa.select(records.activity)).all()
        keys = plane.vault.load(connection, subject)
    stale = [
        Block(r.block, r.tenant, r.subject, r.day.isoformat(), r.expires.isoformat(), r.rows, r.sealed) for r in every
    ]
    monkeypatch.setattr(merging, "_locked", lambda *_: sorted((b for b in stale if b.subject in keys), reverse=True))
    monkeypatch.setattr(plane.vault, "load", lambda *_: keys)
    _before_the_chunk(plane, monkeypatch, lambda: plane.rights.erase(TENANT, "ann", "C-1"))
    plane.merging.run(Stop())
    assert _numbers_of(plane) == {1, 3}, "the erased person's row is back beside the other's three"


def test_a_restricted_person_s_blocks_stay_whole(plane: Identity) -> None:
    """A restriction stops new rows; what is kept may lie in one block or in three."""
    _fill(plane, 3)
    before = _everything(plane)
    plane.rights.signal(TENANT, "ann", "C-1", kind="restriction")
    plane.merging.run(Stop())
    assert _everything(plane).equals(before)


@pytest.mark.parametrize("step", ["_replace", "_looked_at"])
def test_a_run_that_dies_is_gone_on_with(plane: Identity, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Before a chunk is written, and before its end is noted: no row is lost or doubled."""
    _fill(plane, 4)
    before = _everything(plane)
    with monkeypatch.context() as patch:
        patch.setattr(merging if step == "_replace" else merging.Merging, step, _die)
        with pytest.raises(RuntimeError):
            plane.merging.run(Stop())
    plane.merging.run(Stop())
    assert _everything(plane).equals(before)
    assert count(plane, records.activity) == len(BOTH)


def test_a_stop_leaves_the_rest_for_the_next_run(plane: Identity) -> None:
    """A service that is stopped does not wait for a night's work."""
    _fill(plane, 2)
    assert plane.merging.run(stop_now()) == Merged()
    assert plane.merging.run(Stop()) == Merged(blocks=4, into=2)


def test_a_block_that_does_not_open_is_reported_and_left(plane: Identity) -> None:
    """The night's work notices what was changed, and hides no trace of it; others are merged."""
    _fill(plane, 2)
    table = records.activity
    (subject,) = plane.directory.find(TENANT, "account", "ann")
    with transaction(plane.engine) as connection:
        connection.execute(sa.update(table).where(table.c.subject == subject).values(sealed=b"\0" * 80))
    assert plane.merging.run(Stop()) == Merged(blocks=2, into=1, tampered=1)
    assert _numbers_of(plane) == {1, 2}


def test_an_older_block_without_a_column_is_joined(plane: Identity) -> None:
    """What an older version did not write is null in its rows, and stays in those of the others."""
    joined = merging._joined([b'{"timestamp":[2],"path":["/b"]}', b'{"timestamp":[1],"path":["/a"],"status":[200]}'])
    assert joined == b'{"timestamp":[2,1],"path":["/b","/a"],"status":[null,200]}'


def test_every_column_of_a_block_is_taken_along() -> None:
    """A column added to the table must be decided on here: merging would lose it."""
    assert tuple(column.name for column in records.activity.c) == Block._fields


def erase_while_locked(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Erases ann in another thread, which begins once the blocks of the first chunk are locked."""
    real, erasing = merging._locked, list[threading.Thread]()

    def lock_and_erase(*args: Any) -> Any:
        found = real(*args)
        if not erasing:
            erasing.append(threading.Thread(target=_erase_ann, args=(plane,)))
            erasing[0].start()
            erasing[0].join(0.5)  # as far as it gets while this transaction is open
        return found

    monkeypatch.setattr(merging, "_locked", lock_and_erase)
    return erasing


def _erase_ann(plane: Identity) -> None:
    with contextlib.suppress(NotErased):  # what is left over is noticed, and the case stays open
        plane.rights.erase(TENANT, "ann", "C-1")


def _before_the_chunk(plane: Identity, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """`act` once, when it is decided what to merge."""
    pending, real = [act], plane.merging._merge

    def merge(groups: Any) -> Any:
        if pending:
            pending.pop()()
        return real(groups)

    monkeypatch.setattr(plane.merging, "_merge", merge)


def _fill(plane: Identity, batches: int, first: int = 0) -> None:
    """Two accesses a batch and person, all of one day, with rows of the same moment."""
    for number in range(first, first + batches):
        rows = [access(name, f"/{number}/{n}", at=NOON - timedelta(minutes=n)) for name in BOTH for n in range(2)]
        send(plane, batch(rows, first=number * len(rows)))
        link(plane)


def _everything(plane: Identity) -> pl.DataFrame:
    """Every person's activity as a look-up gives it."""
    frames = []
    for tenant in (TENANT, "other"):
        for name in BOTH:
            for subject in plane.directory.find(tenant, "account", name):
                frame = plane.activity.read(subject, NOON - timedelta(days=9), NOON + timedelta(days=9))
                frames.append(frame.with_columns(who=pl.lit(f"{tenant}/{name}")))
    return pl.concat(frames).sort("who", "timestamp", "path") if frames else pl.DataFrame()


def _terms(plane: Identity) -> dict[date, int]:
    table = records.activity
    query = sa.select(table.c.expires, sa.func.sum(table.c.rows)).group_by(table.c.expires)
    with transaction(plane.engine) as connection:
        return {expires: int(rows) for expires, rows in connection.execute(query)}


def _numbers_of(plane: Identity) -> set[int]:
    """How many blocks the people have that have any."""
    table = records.activity
    query = sa.select(sa.func.count(table.c.block)).group_by(table.c.subject)
    with transaction(plane.engine) as connection:
        return set(connection.execute(query).scalars())


def _die(*_: Any) -> None:
    raise RuntimeError
