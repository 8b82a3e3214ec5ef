"""What a newly assigned partition needs, as pure functions."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.log.interface import Committed, Partition
from services.runtime.plans import Note, Plan
from services.runtime.recovery import Range, Recovery, holes, overlaps, recover

PARTITION = Partition("t", 0)


def _plan(first: int, last: int) -> Plan:
    return Plan(PARTITION, "id", first, last, date(2026, 1, 2), "v1")


def _recover(
    ledger: list[Range], bounds: Range, *, offset: int | None = None, base: int = 0, plan: Plan | None = None
) -> Recovery:
    committed = None if offset is None else Committed(offset, "")
    note = None if offset is None else Note("id", base, plan)
    return recover(note, committed, ledger, bounds)


def test_a_first_start_begins_where_the_log_begins() -> None:
    """Nothing committed, nothing stored: from the oldest record on, nothing is called lost."""
    assert _recover([], (7, 30)) == Recovery(None, [], [], resume=7, base=7)


def test_a_clean_restart_goes_on_behind_the_ledger() -> None:
    """The ledger is the authority for where to go on."""
    assert _recover([(0, 9), (10, 19)], (0, 30), offset=20) == Recovery(None, [], [], resume=20, base=0)


def test_an_open_plan_is_redone_whole() -> None:
    """A planned range without a ledger row is written again, exactly that range."""
    plan = _plan(20, 25)
    assert _recover([(0, 19)], (0, 30), offset=20, plan=plan) == Recovery(plan, [], [], resume=26, base=0)


def test_a_plan_that_was_stored_is_not_redone() -> None:
    """Killed between the write and the confirmation: final is final."""
    found = _recover([(0, 19), (20, 25)], (0, 30), offset=20, plan=_plan(20, 25))
    assert found == Recovery(None, [], [], resume=26, base=0)


def test_a_hole_in_the_ledger_is_a_gap() -> None:
    """A maximum offset alone would hide the lost part in the middle."""
    assert _recover([(0, 9), (20, 29)], (0, 40), offset=30).gaps == [(10, 19)]


def test_a_lost_first_part_is_a_gap() -> None:
    """The base in the commit shows that the ledger once began earlier."""
    assert _recover([(10, 19)], (0, 40), offset=20).gaps == [(0, 9)]


def test_a_lost_last_part_is_a_gap() -> None:
    """What the group has confirmed but the ledger does not hold is read again."""
    assert _recover([(0, 9)], (0, 40), offset=20) == Recovery(None, [], [(10, 19)], resume=20, base=0)


def test_an_emptied_store_is_filled_again() -> None:
    """Every part lost: all the log still has is read again."""
    assert _recover([], (5, 40), offset=20).gaps == [(5, 19)]


def test_what_expired_before_it_was_stored_is_lost() -> None:
    """Down for longer than the log's term: the range is named lost, never silently skipped."""
    assert _recover([(0, 9)], (25, 40), offset=10) == Recovery(None, [(10, 24)], [], resume=25, base=0)


def test_an_expired_hole_is_lost_and_the_rest_of_it_a_gap() -> None:
    """Retention went through the middle of a hole."""
    found = _recover([(0, 9), (30, 39)], (20, 50), offset=40)
    assert (found.lost, found.gaps) == ([(10, 19)], [(20, 29)])


def test_ledger_rows_that_had_their_term_are_not_lost() -> None:
    """Ledger rows expire a day after the log's records: what lies below the oldest row is over, not missing."""
    assert _recover([(30, 39)], (35, 50), offset=40) == Recovery(None, [], [], resume=40, base=0)
    assert _recover([], (40, 40), offset=40) == Recovery(None, [], [], resume=40, base=0)


def test_an_offset_set_by_an_operator_is_honoured_within_the_log() -> None:
    """No note, no ledger, an offset: somebody's tool set it."""
    assert recover(None, Committed(12, ""), [], (0, 20)).resume == 12
    assert recover(None, Committed(99, ""), [], (0, 20)).resume == 0


def test_overlaps_are_counted() -> None:
    """A batch counted twice is an alarm."""
    assert overlaps([(0, 9), (10, 19)]) == 0
    assert overlaps([(0, 9), (5, 19), (19, 30)]) == 2


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=8), st.integers(0, 70), st.integers(0, 70))
def test_holes_are_exactly_what_is_not_covered(spans: list[Range], first: int, end: int) -> None:
    """Against a set of offsets."""
    ranges = [(a, a + n) for a, n in spans]
    covered = {o for a, b in ranges for o in range(a, b + 1)}
    found = [o for a, b in holes(ranges, first, end) for o in range(a, b + 1)]
    assert found == [o for o in range(first, end) if o not in covered]


@given(
    cuts=st.lists(st.integers(1, 9), max_size=8),
    keep=st.lists(st.booleans(), min_size=8, max_size=8),
    start=st.integers(0, 60),
    open_plan=st.booleans(),
)
def test_every_offset_is_accounted_for_once(cuts: list[int], keep: list[bool], start: int, open_plan: bool) -> None:
    """Ledger, redone plan, gaps and lost ranges tile everything from the oldest kept row up to `resume`."""
    edges = [sum(cuts[:i]) for i in range(len(cuts) + 1)]
    ledger = [(a, b - 1) for a, b, kept in zip(edges, edges[1:], keep, strict=False) if kept]
    done = edges[-1]
    plan = _plan(done, done + 4) if open_plan else None
    found = _recover(ledger, (start, 100), offset=done, plan=plan)
    pieces = [*ledger, *found.lost, *found.gaps, *([(found.redo.first, found.redo.last)] if found.redo else [])]
    offsets = sorted(o for a, b in pieces for o in range(a, b + 1))
    oldest = min([start, *(a for a, _ in ledger)])
    assert len(offsets) == len(set(offsets))
    assert set(range(oldest, found.resume)) <= set(offsets)
    assert all(a >= start for a, _ in found.gaps)
    assert all(b < start for _, b in found.lost)
