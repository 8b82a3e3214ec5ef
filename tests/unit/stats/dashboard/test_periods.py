"""Which days a page shows and compares."""

from __future__ import annotations

from datetime import date

import pytest

from services.runtime.web.languages import language
from services.runtime.web.problems import Problem
from services.stats.access.scope import Scope
from services.stats.dashboard.periods import COMPARISONS, DAYS_MAX, PERIODS, Period, Span, compared, read_period
from services.stats.queries.request import read_request

TODAY = date(2026, 3, 15)  # a Sunday


@pytest.mark.parametrize(
    ("parameters", "first", "last"),
    [
        ({}, "2026-02-14", "2026-03-15"),
        ({"period": "7d"}, "2026-03-09", "2026-03-15"),
        ({"period": "day"}, "2026-03-15", "2026-03-15"),
        ({"period": "12mo"}, "2025-03-16", "2026-03-15"),
        ({"period": "day", "date": "2026-03-01"}, "2026-03-01", "2026-03-01"),
        ({"period": "7d", "date": "2026-03-01"}, "2026-02-23", "2026-03-01"),
        ({"period": "custom", "from": "2026-01-01", "to": "2026-01-31"}, "2026-01-01", "2026-01-31"),
    ],
)
def test_an_address_names_days(parameters: dict[str, str], first: str, last: str) -> None:
    """Both ends are included; without a date the period ends today."""
    assert read_period(parameters, TODAY).span == Span(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"period": "fortnight"}, "period"),
        ({"period": "7d", "date": "yesterday"}, "date"),
        ({"period": "7d", "date": "0001-01-01"}, "date"),
        ({"period": "7d", "date": "9999-12-31"}, "date"),
        ({"period": "custom", "from": "2026-01-01"}, "to"),
        ({"period": "custom", "from": "2026-02-01", "to": "2026-01-01"}, "from"),
        ({"period": "custom", "from": "2020-01-01", "to": "2026-01-01"}, str(DAYS_MAX)),
    ],
)
def test_wrong_days_are_refused_by_name(parameters: dict[str, str], field: str) -> None:
    """400, and the text names what is wrong."""
    with pytest.raises(Problem) as caught:
        read_period(parameters, TODAY)
    assert caught.value.status_code == 400
    assert field in caught.value.text


@pytest.mark.parametrize("kind", ["day", "7d", "30d", "12mo"])
def test_an_address_leads_back_to_the_same_days(kind: str) -> None:
    """What a period puts into the address is read as the same period, today and on another day."""
    for period in (read_period({"period": kind}, TODAY), read_period({"period": kind, "date": "2026-01-31"}, TODAY)):
        assert read_period(period.parameters(TODAY), TODAY) == period


def test_the_last_days_stay_the_last_days_tomorrow() -> None:
    """A saved link to 'last 7 days' moves on with the calendar."""
    saved = read_period({"period": "7d"}, TODAY).parameters(TODAY)
    assert read_period(saved, date(2026, 3, 16)).span.last == date(2026, 3, 16)


def test_stepping_moves_by_the_own_length() -> None:
    """Earlier and later neither overlap nor leave a gap."""
    period = read_period({"period": "30d"}, TODAY)
    earlier = period.stepped(-1)
    assert (period.span.first - earlier.span.last).days == 1
    assert earlier.stepped(1) == period


def test_comparisons_have_the_same_length() -> None:
    """The days before touch the period; a year before keeps the weekdays."""
    span = read_period({"period": "7d"}, TODAY).span
    before, year = compared(span, "previous"), compared(span, "year")
    assert before == Span(date(2026, 3, 2), date(2026, 3, 8))
    assert year is not None
    assert (year.days, year.first.weekday()) == (span.days, span.first.weekday())
    assert compared(span, "none") is None


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (Period("day", Span(TODAY, TODAY)), "Today"),
        (Period("30d", Span(date(2026, 2, 14), TODAY)), "Last 30 days"),
        (Period("day", Span(date(2026, 3, 1), date(2026, 3, 1))), "1 Mar 2026"),
        (Period("7d", Span(date(2026, 2, 23), date(2026, 3, 1))), "23 Feb – 1 Mar 2026"),
        (Period("custom", Span(date(2025, 12, 30), date(2026, 1, 2))), "30 Dec 2025 – 2 Jan 2026"),
    ],
)
def test_periods_are_told_in_words(period: Period, text: str) -> None:
    """As a person would say them."""
    assert period.described(TODAY, language("en")).replace("\u2009", " ") == text


@pytest.mark.parametrize("kind", PERIODS)
@pytest.mark.parametrize("how", COMPARISONS)
@pytest.mark.parametrize("last", ["2003-01-01", "2999-12-31"])
def test_what_an_address_may_name_can_be_asked(kind: str, how: str, last: str) -> None:
    """The earliest and the latest date with every period and comparison: both spans are days that the queries take."""
    span = read_period({"period": kind, "date": last}, TODAY).span
    for days in filter(None, (span, compared(span, how))):
        asked = {"metrics": ["visitors"], "date_range": [days.first.isoformat(), days.last.isoformat()]}
        assert read_request(asked, Scope(), TODAY).first == days.first


def test_a_date_before_all_logs_is_none() -> None:
    """Refused by name, and not by what the queries say of the days before it."""
    with pytest.raises(Problem):
        read_period({"period": "12mo", "date": "2000-01-01"}, TODAY)
