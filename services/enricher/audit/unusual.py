"""Looks that stand out, by named rules over the audit log. A finding is a question to somebody, not a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

__all__ = ["RULES", "Finding", "Limits", "unusual"]


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something stands out. Starting values for a support team of some ten people, to be tuned by use.

    Hours are of the installation's zone; work is from `work_from` to `work_until`, Monday to Friday.
    """

    people_a_day: int = 20  # one person sees this many people: a ticket takes a quarter of an hour
    viewers_a_week: int = 4  # this many people see one person: curiosity about somebody known
    days_of_one: int = 5  # one person sees another on this many days: a ticket is closed by then
    reveals_a_grant: int = 8  # as many masked fields as there are, once each
    refusals_a_day: int = 5  # somebody tries what they may not
    members_a_day: int = 5  # an organisation's own staff see this many of its members, whom they may know
    work_from: int = 7
    work_until: int = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """`day` is of the installation's zone; `count` is what the rule counts; `subject` a pseudonym, empty where several
    people are meant. `position` is the newest entry that it rests on."""

    rule: str
    actor: str
    tenant: str
    subject: str
    day: date
    count: int
    position: int


_SCHEMA = {
    "position": pl.Int64(),
    "time": pl.String(),
    "actor": pl.String(),
    "action": pl.String(),
    "tenant": pl.String(),
    "subject": pl.String(),
    "outcome": pl.String(),
    "grant": pl.String(),
}
_SEEN = (pl.col("action") == "viewActivity") & (pl.col("outcome") == "granted")


def unusual(
    leaves: Iterable[tuple[int, Mapping[str, Any]]],
    zone: ZoneInfo,
    bound: Mapping[str, Sequence[str]],
    limits: Limits | None = None,
) -> list[Finding]:
    """Newest first. `leaves` are (position, leaf); `bound`: staff that see some tenants only, and which."""
    rows = [
        {"position": position, **{name: leaf[name] for name in _SCHEMA if name != "position"}}
        for position, leaf in leaves
    ]
    local = pl.col("time").str.to_datetime(time_unit="ms", time_zone="UTC").dt.convert_time_zone(zone.key)
    frame = (
        pl.DataFrame(rows, schema=_SCHEMA)
        .with_columns(local.alias("at"))
        .with_columns(pl.col("at").dt.date().alias("day"))
    )
    found = [
        Finding(
            rule,
            row["actor"] or "",
            row["tenant"] or "",
            row["subject"] or "",
            row["day"],
            row["count"],
            row["position"],
        )
        for rule, look in RULES.items()
        for row in look(frame, limits or Limits(), bound).to_dicts()
    ]
    return sorted(found, key=lambda finding: finding.position, reverse=True)


def _many_people(frame: pl.DataFrame, limits: Limits, _: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    count = pl.col("subject").n_unique().alias("count")
    return _by(frame.filter(_SEEN), ["actor", "day"], count).filter(pl.col("count") >= limits.people_a_day)


def _many_viewers(frame: pl.DataFrame, limits: Limits, _: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    seen = frame.filter(_SEEN).with_columns(pl.col("day").dt.truncate("1w").alias("week"))
    count = pl.col("actor").n_unique().alias("count")
    return _by(seen, ["tenant", "subject", "week"], count).filter(pl.col("count") >= limits.viewers_a_week)


def _one_often(frame: pl.DataFrame, limits: Limits, _: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    count = pl.col("day").n_unique().alias("count")
    found = _by(frame.filter(_SEEN), ["actor", "tenant", "subject"], count)
    return found.filter(pl.col("count") >= limits.days_of_one)


def _many_reveals(frame: pl.DataFrame, limits: Limits, _: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    revealed = frame.filter((pl.col("action") == "revealField") & (pl.col("outcome") == "granted"))
    found = _by(revealed, ["actor", "tenant", "subject", "grant"], pl.len().alias("count"))
    return found.filter(pl.col("count") >= limits.reveals_a_grant)


def _many_refusals(frame: pl.DataFrame, limits: Limits, _: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    refused = frame.filter(pl.col("outcome") == "refused")
    return _by(refused, ["actor", "day"], pl.len().alias("count")).filter(pl.col("count") >= limits.refusals_a_day)


def _off_hours(frame: pl.DataFrame, limits: Limits, _: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    at = pl.col("at")
    works = at.dt.hour().is_between(limits.work_from, limits.work_until - 1) & (at.dt.weekday() <= 5)
    return _by(frame.filter(_SEEN & ~works), ["actor", "day"], pl.len().alias("count"))


def _broken_glass(frame: pl.DataFrame, _: Limits, __: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    broken = frame.filter(
        (pl.col("action") == "breakGlass") & (pl.col("outcome") == "granted") & (pl.col("grant") != "")
    )
    return _by(broken, ["actor", "tenant", "subject", "grant"], pl.len().alias("count"))


def _own_members(frame: pl.DataFrame, limits: Limits, bound: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    own = frame.filter(_SEEN & pl.col("actor").is_in(list(bound)))
    count = pl.col("subject").n_unique().alias("count")
    return _by(own, ["actor", "tenant", "day"], count).filter(pl.col("count") >= limits.members_a_day)


def _by(frame: pl.DataFrame, keys: Sequence[str], count: pl.Expr) -> pl.DataFrame:
    """One row a group, with the columns of a `Finding`; what is no key of the group is empty."""
    newest = {name: pl.col(name).sort_by("position").last() for name in ("day", "position") if name not in keys}
    found = frame.group_by(keys).agg(count.cast(pl.Int64), **newest)
    missing = [pl.lit("").alias(name) for name in ("actor", "tenant", "subject") if name not in keys]
    return found.with_columns(missing)


RULES: Mapping[str, Callable[[pl.DataFrame, Limits, Mapping[str, Sequence[str]]], pl.DataFrame]] = {
    "broken-glass": _broken_glass,
    "many-people": _many_people,
    "many-viewers": _many_viewers,
    "one-person-often": _one_often,
    "many-reveals": _many_reveals,
    "many-refusals": _many_refusals,
    "off-hours": _off_hours,
    "own-members": _own_members,
}
