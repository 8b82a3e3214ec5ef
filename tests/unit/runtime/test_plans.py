"""Plans beside a committed offset, and what a loop has in hand."""

from __future__ import annotations

from datetime import date

import pytest

from services.runtime.log.interface import METADATA_BYTES_MAX, Committed, Partition, Record
from services.runtime.plans import Note, Plan, read_note, write_note
from services.runtime.work import ATTEMPTS_TOGETHER, BatchPolicy, Work, cut, next_attempt

PARTITION = Partition("access-log.v1", 3)
PLAN = Plan(PARTITION, "uuid", 100, 163, date(2026, 11, 23), "dbip-2026-11:r7", attempt=2)


def _records(*offsets: int, size: int = 10) -> list[Record]:
    return [Record(PARTITION, offset, b"k", b"x" * size, {}, 0) for offset in offsets]


def test_a_note_comes_back_as_it_was_written() -> None:
    """With and without an open plan."""
    for note in (Note("uuid", 7, None), Note("uuid", 7, PLAN)):
        assert read_note(Committed(100, write_note(note)), PARTITION) == note


def test_a_note_fits_with_room_for_look_ups() -> None:
    """2 kB of look-up versions still fit under the log's limit."""
    plan = Plan(PARTITION, "u" * 36, 2**62, 2**62, date(2026, 11, 23), "v" * 2048)
    assert len(write_note(Note("u" * 36, 2**62, plan))) < METADATA_BYTES_MAX


@pytest.mark.parametrize("metadata", ["", "{}", "[]", "3", "other tool", '{"t":"x"}', '{"t":1,"b":"y"}'])
def test_metadata_of_another_tool_is_no_note(metadata: str) -> None:
    """An operator's tool that resets offsets writes none or its own."""
    assert read_note(Committed(5, metadata), PARTITION) is None
    assert read_note(None, PARTITION) is None


def test_batches_tile_the_plan() -> None:
    """Cut by count and by bytes; offsets that never were belong to the batch before the next record."""
    records = _records(101, 102, 105, 106, 110)
    works = cut(PLAN, records, BatchPolicy(records_max=2))
    assert [(w.plan.first, w.plan.last) for w in works] == [(100, 102), (103, 106), (107, 163)]
    works = cut(PLAN, _records(100, 101, 102, size=10), BatchPolicy(bytes_max=15))
    assert [len(w.records or ()) for w in works] == [2, 1]


def test_an_empty_range_is_one_batch_of_nothing() -> None:
    """Compaction took all of it: the ledger still needs its row."""
    (work,) = cut(PLAN, [], BatchPolicy())
    assert (work.plan, work.records) == (PLAN, [])


def test_after_three_attempts_records_go_one_by_one() -> None:
    """The same range first; then each record alone, tiling it."""
    work = Work(PLAN, _records(100, 101, 163))
    (again,) = next_attempt(work)
    assert (again.plan.first, again.plan.last, again.plan.attempt) == (100, 163, ATTEMPTS_TOGETHER)
    alone = next_attempt(again)
    assert [(w.plan.first, w.plan.last, w.plan.attempt) for w in alone] == [(100, 100, 4), (101, 101, 4), (102, 163, 4)]


def test_a_record_alone_is_not_cut_further() -> None:
    """It only counts its attempts up."""
    work = Work(PLAN, _records(100))
    for attempt in (3, 4, 5, 6, 7):
        (work,) = next_attempt(work)
        assert work.plan.attempt == attempt
