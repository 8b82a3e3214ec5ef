"""The disclosure rule: what may be shown, and how."""

from __future__ import annotations

import polars as pl
import pytest

from services.stats.figures.cubes import OTHER, Cube, Measure
from services.stats.figures.disclosure import KEYS, publish
from tests.parts.people import PAIR, SINGLE, TOTAL, Person, crowd, keys_of, people, shown

ALWAYS = 14  # k + the largest h: passes under every key
NEVER = 9


def test_a_total_of_fourteen_is_shown_under_every_key_and_one_of_nine_under_none() -> None:
    """k = 10, h in 0..4."""
    for key in range(30):
        assert ("", "") in shown(crowd(ALWAYS), TOTAL, key)
        assert shown(crowd(NEVER), TOTAL, key) == {}


def test_between_ten_and_thirteen_the_key_decides() -> None:
    """About one key in five shows ten visitors, all but one in five show thirteen."""
    ten, thirteen = (sum(bool(shown(crowd(n), TOTAL, key)) for key in range(200)) for n in (10, 13))
    assert 15 < ten < 75
    assert 125 < thirteen < 185


def test_values_are_multiples_of_five_and_right_on_average() -> None:
    """5 * floor((n + u) / 5), u in 0..4: unbiased over the keys."""
    values = [shown(crowd(23), TOTAL, key)["", ""] for key in range(400)]
    assert set(values) == {20, 25}
    assert abs(sum(values) / len(values) - 23) < 0.5


def test_many_visitors_of_one_network_are_not_shown() -> None:
    """One address with a hundred user agents is one network."""
    assert shown([Person(n, network=7) for n in range(100)], TOTAL) == {}


def test_many_accounts_stand_in_for_networks() -> None:
    """An office behind one address whose members log in."""
    assert shown([Person(n, network=7, account=n + 1) for n in range(100)], TOTAL) == {("", ""): 100}


def test_small_rows_are_shown_as_one_other_row() -> None:
    """Seven and eight people make fifteen."""
    cells = shown([*crowd(40, "FR"), *crowd(7, "BE", first=100), *crowd(8, "LU", first=200)], SINGLE)
    assert set(cells) == {("FR", ""), (OTHER, "")}
    assert cells[OTHER, ""] in {15, 10}


def test_other_takes_in_the_next_smallest_row_until_it_passes() -> None:
    """Three people hidden: the row of twenty loses its name, the one of forty keeps it."""
    cells = shown([*crowd(40, "FR"), *crowd(20, "BE", first=100), *crowd(3, "LU", first=200)], SINGLE)
    assert set(cells) == {("FR", ""), (OTHER, "")}
    assert cells[OTHER, ""] >= 20


def test_a_person_in_two_merged_rows_counts_once() -> None:
    """Nine people who each saw two rare pages are nine people, not eighteen."""
    rare = [*crowd(9, "/a"), *crowd(9, "/b")]
    assert shown(rare, SINGLE) == {}


def test_a_cube_in_which_nothing_passes_is_absent() -> None:
    """Nine people in all: no row, no other."""
    assert shown([*crowd(5, "FR"), *crowd(4, "BE", first=100)], SINGLE) == {}


def test_what_one_visitor_adds_is_capped_after_merging_too() -> None:
    """60 page views on two rare pages count 50."""
    cube = Cube("route", ("route",), "pages", (Measure("page_views", "sum"),), 50)
    persons = [Person(1, "/a"), Person(1, "/b"), *crowd(20, "/a", first=2)]
    frame = people(persons).with_columns(page_views=pl.Series([30, 30, *[0] * 20], dtype=pl.Int64))
    rare = frame.with_columns(dim1=pl.when(pl.col("visitor") < 12).then(pl.col("dim1")).otherwise(pl.lit("/b")))
    cells = publish(rare, cube, keys_of())
    assert cells["dim1"].to_list() == [OTHER]
    assert cells["value"].to_list() == [50]


def test_visits_of_a_visitor_in_two_merged_rows_are_united() -> None:
    """One visit that saw two rare pages is one visit."""
    cube = Cube("route", ("route",), "pages", (Measure("visits", "visits"),), 50)
    frame = people([*crowd(20, "/a"), *crowd(20, "/b")]).with_columns(visits=pl.lit(1, pl.UInt64))
    split = frame.with_columns(dim1=pl.concat_str("dim1", (pl.col("visitor") % 4).cast(pl.String)))
    cells = publish(split, cube, keys_of())
    assert cells["dim1"].to_list() == [OTHER]
    assert cells["value"].to_list() == [20]


@pytest.mark.parametrize("key", range(5))
def test_a_pair_hides_a_second_cell_in_the_row_and_in_the_column(key: int) -> None:
    """Three people are hidden: whoever subtracts along either dimension finds them among others."""
    full = {("FR", "desktop"): 60, ("FR", "mobile"): 50, ("BE", "desktop"): 40, ("BE", "mobile"): 30}
    persons = [p for n, (dims, size) in enumerate(full.items()) for p in crowd(size, *dims, first=1000 * (n + 1))]
    cells = shown([*persons, *crowd(3, "BE", "tablet", first=9000)], PAIR, key)
    assert ("BE", "tablet") not in cells
    assert ("BE", OTHER) in cells
    assert ("BE", "mobile") not in cells  # it was the smallest of Belgium's
    assert (OTHER, "mobile") in cells


def test_a_day_without_a_key_shows_nothing() -> None:
    """Without the key nothing can be rounded."""
    assert publish(people(crowd(100)), TOTAL, {}).is_empty()


def test_what_is_published_has_no_one_in_it() -> None:
    """Names of cells and values, nothing else."""
    columns = publish(people(crowd(100)), TOTAL, keys_of()).columns
    assert columns == ["tenant", "day", "cube", "dim1", "dim2", "measure", "value"]
    assert set(KEYS) < set(columns)
