"""The documents of a package that people read: `privacy.json` and the README datasheet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from fractions import Fraction
from importlib import resources
from string import Template
from typing import Any

from services.stats.releases.contents import PLATFORM, Contents
from services.stats.releases.person import PSEUDONYMS, fraction, guess_accuracy, person
from services.stats.releases.split import Measure, Split

__all__ = ["as_json", "datasheet", "privacy", "second", "whose"]

_MISSING_SHOWN_MAX = 31  # a month's; the platform may miss some of each of hundreds of tenants
NOT_PROTECTED = (
    "That the tenant exists, opted in to releases, and which days are missing.",
    "A person who visits on several days, or under several addresses or browsers a day, is several units; "
    "person_level gives what that costs.",
    "A person who visits several tenants is several units. A tenant's own releases and the platform's sums add up the "
    "same noisy days: both together cost no more than one.",
    "What a visitor does beyond the bounds is not in the figures; the intervals cover noise, not this.",
    "An administrator may have chosen the route table after seeing earlier statistics; "
    "it is fixed before the day that it counts on.",
    "Bots that pass for people are counted as people.",
)


def privacy(name: str, version: str, contents: Contents, split: Split) -> bytes:
    """What the release promises, in numbers a reader can check."""
    rho, epsilon = _of_a_unit(contents)
    document = {
        "release": f"{name} {version}",
        "unit": "everything one visitor pseudonym does at one tenant in one day",
        "tenants": list(contents.tenants),
        "neighbouring": "add or remove every event of one unit",
        "mechanism": "discrete Gaussian on integers, drawn once when a day closes (OpenDP make_gaussian); "
        "a release sums stored noisy days, which costs nothing more",
        "guarantee_of_a_unit": {
            "rho_zcdp": fraction(rho),
            "epsilon": epsilon,
            "delta": float(split.delta),
            "best_guess_right": guess_accuracy(rho),
        },
        "bounds": [_bound(m) for m in _told(contents, split)],
        "person_level": [person(rho, len(contents.days), pseudonyms) for pseudonyms in PSEUDONYMS],
        "budget": {
            "rho_of_a_day_at_most": fraction(split.rho_day_max),
            "days_charged_at_most": contents.days_charged_max,
            "rho_charged_at_most": fraction(contents.days_charged_max * split.rho_day_max),
            "as_of": second(contents.created),
        },
        "interval": {"of": "value_lo to value_hi", "level": 0.95, "covers": "the noise, not what the bounds take away"},
        "days_in_release": len(contents.days),
        "missing_days": [
            {"tenant": tenant, "day": day.isoformat(), "reason": reason} for tenant, day, reason in contents.missing
        ],
        "not_protected": list(NOT_PROTECTED),
    }
    return as_json(document)


def datasheet(name: str, version: str, contents: Contents, split: Split) -> bytes:
    """README.md of the package."""
    rho, epsilon = _of_a_unit(contents)
    template = Template(resources.files(__package__).joinpath("datasheet.md").read_text("utf-8"))
    text = template.substitute(
        name=name,
        version=version,
        tenant=whose(contents),
        first=contents.period.first,
        last=contents.period.last,
        created=second(contents.created),
        days=len(contents.days),
        days_of_period=len(contents.period.days),
        rho=fraction(rho),
        epsilon=f"{epsilon:.2f}",
        delta=f"{float(split.delta):.0e}",
        right=f"{guess_accuracy(rho):.1%}",
        measures="\n".join(f"| {m.name} | {m.title} | {m.sigma} |" for m in _told(contents, split)),
        not_protected="\n".join(f"- {sentence}" for sentence in NOT_PROTECTED),
        missing=_missing(contents),
    )
    return text.encode()


def whose(contents: Contents) -> str:
    """In a sentence."""
    return "the platform" if contents.tenant == PLATFORM else contents.tenant


def second(stamp: str) -> str:
    """An ISO 8601 stamp of the ledger, in UTC, to the second."""
    return datetime.fromisoformat(stamp).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_json(document: Mapping[str, Any]) -> bytes:
    """As packages have it: the same bytes for the same document."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _told(contents: Contents, split: Split) -> list[Measure]:
    return [measure for measure in split.measures if measure.name in contents.measures]


def _missing(contents: Contents) -> str:
    if len(contents.missing) > _MISSING_SHOWN_MAX:
        return f"{len(contents.missing)}, in `missing_days.csv`."
    return "\n".join(f"- {_missed(contents, *missing)}" for missing in contents.missing) or "None."


def _missed(contents: Contents, tenant: str, day: date, reason: str) -> str:
    return f"{day}, {tenant}: {reason}" if contents.tenant == PLATFORM else f"{day}: {reason}"


def _of_a_unit(contents: Contents) -> tuple[Fraction, float]:
    """The largest cost of one of its days: units of two days are two units, so costs do not add up."""
    worst = max(contents.charges, key=lambda charge: charge.rho)
    assert worst.epsilon is not None
    return worst.rho, round(worst.epsilon, 4)


def _bound(measure: Measure) -> dict[str, Any]:
    return {
        "measure": measure.name,
        "title": measure.title,
        "cells_of_a_unit_at_most": measure.cells_max,
        "contribution_to_a_cell_at_most": measure.contribution_max,
        "rho_zcdp": fraction(measure.rho),
        "sigma_of_a_day": measure.sigma,
    }
