"""The states of a case are a closed set, and so are the ways between them."""

from __future__ import annotations

from datetime import date

import pytest

from services.enricher.rights.due import add_months, due, extended
from services.enricher.rights.states import ALLOWED, CLOSED, NotNow, State, check_move


def test_every_state_is_in_the_table_and_reached_from_the_first() -> None:
    """Nothing is a dead end by mistake: what has no way out is closed."""
    assert set(ALLOWED) == set(State)
    reached, todo = {State.RECEIVED}, [State.RECEIVED]
    while todo:
        fresh = ALLOWED[todo.pop()] - reached
        reached |= fresh
        todo += fresh
    assert reached == set(State)
    assert {State.COMPLETED, State.REFUSED, State.CANCELLED} == CLOSED


@pytest.mark.parametrize("now", State)
@pytest.mark.parametrize("then", State)
def test_only_the_tables_moves_are_possible(now: State, then: State) -> None:
    """Every pair; the refusal says what the case waits for."""
    if then in ALLOWED[now]:
        check_move("C-1", now, then)
    else:
        with pytest.raises(NotNow, match="C-1"):
            check_move("C-1", now, then)


def test_nothing_is_undone_once_it_is_carried_out() -> None:
    """No way leads from `executing` to a refusal or a cancellation."""
    assert ALLOWED[State.EXECUTING] == {State.EXECUTED}
    assert ALLOWED[State.EXECUTED] == {State.COMPLETED}


@pytest.mark.parametrize(
    ("received", "answered_by", "at_the_latest"),
    [
        (date(2026, 1, 31), date(2026, 2, 28), date(2026, 4, 30)),
        (date(2028, 1, 31), date(2028, 2, 29), date(2028, 4, 30)),
        (date(2026, 11, 23), date(2026, 12, 23), date(2027, 2, 23)),
        (date(2026, 12, 31), date(2027, 1, 31), date(2027, 3, 31)),
        (date(2026, 6, 1), date(2026, 7, 1), date(2026, 9, 1)),
    ],
)
def test_a_month_is_one_of_the_calendar(received: date, answered_by: date, at_the_latest: date) -> None:
    """Ends of months, leap years, turns of the year."""
    assert (due(received), extended(received)) == (answered_by, at_the_latest)
    assert add_months(received, 0) == received
