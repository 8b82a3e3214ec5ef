"""A demo's folder: dates fixed at its first run, logs written once, keys for its owner alone."""

from __future__ import annotations

import csv
import gzip
import stat
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from services.demo.files import accounts_file, log_file
from services.demo.live import live_batches
from services.demo.people import busiest_account
from services.demo.run import _added_up
from services.demo.state import DAYS, load_state, save_state
from services.demo.tenants import CLUBS
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal

TODAY = date(2026, 11, 16)
HARBOUR, ORCHARD, LANTERN = CLUBS


def test_dates_are_those_of_the_first_run(tmp_path: Path) -> None:
    """Else a second run would make other logs and import them."""
    first = load_state(tmp_path, TODAY, own_logs=False)
    assert (first.first_day, first.last_day) == (date(2026, 11, 2), date(2026, 11, 15))
    assert load_state(tmp_path, TODAY + timedelta(days=9), own_logs=False) == first


def test_keys_are_kept_for_the_owner_alone(tmp_path: Path) -> None:
    """The file holds keys that ingest accepts."""
    state = replace(load_state(tmp_path, TODAY, own_logs=False), keys={"web": "vsk_x"}, looked=True)
    save_state(tmp_path, state)
    assert load_state(tmp_path, TODAY, own_logs=False) == state
    assert [stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()] == [0o600]


def test_a_folder_is_for_one_kind_of_logs(tmp_path: Path) -> None:
    """Made-up members among one's own would puzzle anybody."""
    load_state(tmp_path, TODAY, own_logs=True)
    with pytest.raises(Fatal, match="--data"):
        load_state(tmp_path, TODAY, own_logs=False)


def test_one_s_own_logs_are_closed_through_today(tmp_path: Path) -> None:
    """A log that was just written is of today."""
    assert load_state(tmp_path, TODAY, own_logs=True).last_day == TODAY


def test_logs_are_the_same_bytes_in_another_folder(tmp_path: Path) -> None:
    """Plain and zipped; and a file that is there is not written again."""
    for club in (LANTERN, replace(ORCHARD, people=50, members=5, visits_a_day=20, robots_a_day=5)):
        one, two = (log_file(tmp_path / name, club, TODAY, DAYS) for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        written = one.stat().st_mtime_ns
        assert log_file(tmp_path / "one", club, TODAY, DAYS).stat().st_mtime_ns == written
    assert gzip.decompress(one.read_bytes()).startswith(b'{"time_iso8601"')


def test_accounts_are_a_csv_of_the_documented_columns(tmp_path: Path) -> None:
    """And the person to look up is one of them."""
    with accounts_file(tmp_path, HARBOUR).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["account", "name", "email", "postal_address", "phone"]
    assert len({row["account"] for row in rows}) == HARBOUR.members
    assert busiest_account(HARBOUR) in {row["account"] for row in rows}


def test_live_lines_carry_the_time_they_are_sent() -> None:
    """A few at a time, for ever, past midnight too."""
    clock = FixedClock(datetime(2026, 11, 16, 23, 59, 58, tzinfo=UTC))
    stream = live_batches(LANTERN, clock)
    seen = []
    for text in islice(stream, 200):
        seen.append(text)
        clock.sleep(1)
    assert "[16/Nov/2026:23:59:58 +0000]" in seen[0]
    assert "[17/Nov/2026:00:0" in seen[199]
    assert max(text.count("\n") for text in seen) == 1


def test_summaries_add_up_over_sources() -> None:
    """lines = accepted + duplicates + rejected holds for the sum when it holds for each."""
    one = {"lines": 10, "accepted": 7, "duplicates": 1, "rejected": {"no_match": 2}}
    two = {"lines": 5, "accepted": 3, "duplicates": 0, "rejected": {"bad_time": 1, "no_match": 1}}
    total = _added_up([one, two])
    assert total == {"lines": 15, "accepted": 10, "duplicates": 1, "rejected": {"bad_time": 1, "no_match": 3}}
