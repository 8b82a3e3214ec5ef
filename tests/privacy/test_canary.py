"""Canaries: identifiers go in by every input and come out nowhere (`reliability.md`, C1)."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.runtime.topics import TOPICS
from tests.e2e.installation import Installation
from tests.parts.profiles import PROFILES
from tests.privacy import planting_console, planting_lines, planting_pages, planting_people
from tests.privacy.canaries import CANARIES
from tests.privacy.leaky_planes import LEAKS
from tests.privacy.planting import Planted, settings_of
from tests.privacy.planting_lines import DAMAGED
from tests.privacy.scan import Hit
from tests.privacy.searching import KINDS, search, search_backup, search_backup_log, search_topics, told

BANK = frozenset({"card", "iban"})
# What passes Luhn's check, as every IMEI does and one number in ten by chance, is cut like a card.
LIKE_A_CARD = {"imei:490154203237518", "0049-151-37361684"}


def _planted(folder: Path, settings: dict[str, str]) -> Planted:
    now = datetime.now(UTC).replace(microsecond=0)
    made = Planted(Installation(folder, settings), past=now - timedelta(days=2), now=now)
    made.set_up()
    return made


def _plant(planted: Planted) -> None:
    planting_people.accounts(planted)
    for by in (
        planting_lines.files,
        planting_lines.bodies,
        planting_lines.packed_bodies,
        planting_lines.open_telemetry,
        planting_lines.syslog,
        planting_lines.raw_topic,
        planting_lines.refused_bodies,
        planting_people.refused_accounts,
        planting_lines.undecodable_records,
        planting_pages.error_pages,
    ):
        by(planted)
    planted.made.catch_up()
    planting_people.looks(planted)
    planting_console.console(planted)
    planting_console.members_requests(planted)
    planting_pages.queries(planted)
    planting_people.rights(planted)


def _backup(planted: Planted) -> Path:
    """As somebody makes one while the services run. Who it holds back by name are those whose signals are kept."""
    folder = planted.made.folder / "backup"
    planted.made.voile("backup", str(folder))
    return folder


def _found(planted: Planted) -> list[Hit]:
    """In every place, and in what was answered since it was last asked."""
    made, answers = planted.made, planted.answers
    planted.answers = []
    return search(settings_of(made), made.logs, answers, made.folder / "release")


# Each takes minutes; the servers' profile has more kinds of places to look in.
WHERE = [pytest.param("embedded", marks=pytest.mark.full), PROFILES[1]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("profile", WHERE, indirect=True)
def test_no_canary_comes_out_anywhere(tmp_path: Path, profile: dict[str, str]) -> None:
    """Two hundred identifiers by every input; no store, topic, log, metric, answer, page, release, backup or file name has
    one: not while the day is open, not after it is closed and released."""
    assert len(CANARIES) == 200
    planted = _planted(tmp_path, profile)
    made = planted.made
    with made.running():
        _plant(planted)
        made.stop()
        open_day = _found(planted)
        assert not open_day, f"while the day is open:\n{told(open_day)}"

        made.start()
        made.voile("stats", "close", "--through", planted.day.isoformat())
        planting_pages.release(planted)
        planting_pages.pages(planted)
        backup = _backup(planted)
        made.stop()
        closed_day = [*_found(planted), *search_backup(backup)]
        assert not closed_day, f"after the day was closed:\n{told(closed_day)}"
        signals = {hit.canary for hit in search_backup_log(backup, clear=True)}
        assert {canary.text for canary in CANARIES if canary.kind == "account"} <= signals, "the backup holds nothing"
    _assert_they_went_in(planted)


def _assert_they_went_in(planted: Planted) -> None:
    """A test whose canaries stay outside proves nothing: what was taken in carries each of them, but for what looks like bank data,
    which the edge cuts from accesses. Records that the test wrote itself do not count."""
    settings = settings_of(planted.made)
    for topic, expected in (("access-log", expected_of_accesses()), ("account", set(KINDS))):
        arrived = {hit.canary for hit in search_topics(settings, [TOPICS[topic]], without_header=DAMAGED)}
        assert expected <= arrived, f"{topic}: {expected - arrived}"


def expected_of_accesses() -> set[str]:
    """The canaries that accesses carry: all but bank data."""
    return {text for text, kind in KINDS.items() if kind not in BANK and text not in LIKE_A_CARD}


@pytest.mark.timeout(900)
def test_steps_that_are_taken_out_are_noticed(tmp_path: Path) -> None:
    """The same search on planes that keep paths, keys and input: each leak is found where it leads to."""
    planted = _planted(tmp_path, {})
    made = planted.made
    made.runner = (sys.executable, "-m", "tests.privacy.leaky_planes"), ()
    with made.running():
        planting_people.accounts(planted)
        planting_lines.files(planted)
        planting_lines.bodies(planted)  # of a day that stays open
        planting_people.refused_accounts(planted)
        planting_lines.undecodable_records(planted)
        planting_pages.error_pages(planted)
        made.catch_up()
        made.voile("stats", "close", "--through", planted.day.isoformat())
        planted.ask("identity", "GET", "/metrics")
        backup = _backup(planted)
        made.stop()
        places = [hit.place for hit in (*_found(planted), *search_backup(backup))]
    missed = {leak for leak, where in LEAKS.items() if not any(place.startswith(where) for place in places)}
    assert not missed, sorted(set(places))
