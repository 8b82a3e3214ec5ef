"""Looks that stand out: each rule finds what it names at its limit, and not one below."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.enricher.audit.unusual import RULES, Finding, Limits, unusual

ZONE = ZoneInfo("Europe/Paris")
TUESDAY = datetime(2026, 3, 10, 9, tzinfo=UTC)
LIMITS = Limits(people_a_day=3, viewers_a_week=3, days_of_one=3, reveals_a_grant=3, refusals_a_day=3, members_a_day=3)
Leaf = dict[str, object]


def leaf(actor: str = "sam", subject: str = "p1", at: datetime = TUESDAY, **differs: object) -> Leaf:
    return {
        "time": at.isoformat(timespec="milliseconds"), "actor": actor, "action": "viewActivity", "tenant": "club",
        "subject": subject, "outcome": "granted", "grant": "g1",
    } | differs  # fmt: skip


def found(leaves: list[Leaf], bound: dict[str, list[str]] | None = None) -> list[Finding]:
    return unusual(enumerate(leaves), ZONE, bound or {}, LIMITS)


DAY = timedelta(days=1)
SCENES: dict[str, list[Leaf]] = {  # what finds nothing without its last entry
    "broken-glass": [leaf(action="askAccess"), leaf(action="breakGlass")],
    "many-people": [leaf(subject=f"p{n}") for n in range(3)],
    "many-viewers": [leaf(actor=f"a{n}", at=TUESDAY + n * DAY) for n in range(3)],
    "one-person-often": [leaf(at=TUESDAY + n * DAY) for n in range(3)],
    "many-reveals": [leaf(action="revealField") for _ in range(3)],
    "many-refusals": [leaf(outcome="refused", subject="") for _ in range(3)],
    "off-hours": [leaf(), leaf(at=TUESDAY.replace(hour=19))],  # 20:00 in Paris
    "own-members": [leaf(actor="cleo", subject=f"p{n}") for n in range(3)],
}


def test_every_rule_has_its_scene() -> None:
    assert set(SCENES) == set(RULES)


@pytest.mark.parametrize("rule", SCENES)
def test_a_rule_finds_what_it_names_at_its_limit(rule: str) -> None:
    """One entry fewer and it is silent; the finding rests on the newest entry."""
    leaves = SCENES[rule]
    bound = {"cleo": ["club"]}
    assert rule not in {finding.rule for finding in found(leaves[:-1], bound)}
    (finding,) = [finding for finding in found(leaves, bound) if finding.rule == rule]
    assert finding.position == len(leaves) - 1
    assert finding.count >= 1


def test_days_and_hours_are_of_the_installations_zone() -> None:
    """23:30 in London is the next day in Paris, and a Saturday there."""
    friday = datetime(2026, 3, 13, 23, 30, tzinfo=UTC)
    (finding,) = found([leaf(at=friday)])
    assert (finding.rule, finding.day) == ("off-hours", date(2026, 3, 14))


def test_repeated_looks_at_one_person_are_one_person() -> None:
    """A reload is no other person, and refused looks are none at all."""
    assert found([leaf(), leaf(), leaf(), leaf(outcome="refused")]) == []


def test_staff_of_every_tenant_are_nobodys_own() -> None:
    leaves = [leaf(subject=f"p{n}", at=TUESDAY + timedelta(minutes=n)) for n in range(3)]
    assert "own-members" not in {finding.rule for finding in found(leaves, {"cleo": ["club"]})}


def test_an_empty_log_has_nothing_unusual() -> None:
    assert found([]) == []
