"""The documents of a package: `datapackage.json`, `privacy.json` and the README datasheet."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from importlib import resources
from string import Template
from typing import Any

from services.stats.releases.contents import Contents
from services.stats.releases.split import Measure, Split
from services.stats.releases.tables import OBS_STATUS, TABLES, Table

__all__ = ["datapackage", "datasheet", "guess_accuracy", "privacy"]

_MEDIA = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "md": "text/markdown",
}
_FIELDS = {
    "day": "Day, in the installation's time zone",
    "measure": "What is counted; see privacy.json",
    "days": "Days of the period that are in the sum",
    "value": "Noisy sum; may be negative, which keeps sums unbiased",
    "value_lo": "Lower end of the 95 % interval, noise only",
    "value_hi": "Upper end of the 95 % interval, noise only",
    "obs_status": "SDMX CL_OBS_STATUS: " + "; ".join(f"{code} {text}" for code, text in OBS_STATUS.items()),
}
NOT_PROTECTED = (
    "That the tenant exists, opted in to releases, and which days are missing.",
    "A person who visits on several days, or under several addresses or browsers a day, is several units; "
    "person_level gives what that costs.",
    "Page views of a visitor beyond the bound are not in the figures; the intervals cover noise, not this.",
    "Bots that pass for people are counted as people.",
)


def datapackage(name: str, version: str, contents: Contents, files: Mapping[str, bytes]) -> bytes:
    """Data Package v2: every other file of the package (name -> bytes) as a resource with size and hash."""
    tables = {f"{table.name}.{kind}": table for table in TABLES for kind in ("csv", "parquet")}
    package = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": name,
        "version": version,
        "title": f"Use of {contents.tenant}, {contents.period.first} to {contents.period.last}",
        "created": _second(contents.created),
        "resources": [_resource(path, files[path], tables.get(path)) for path in sorted(files)],
    }
    return _json(package)


def privacy(name: str, version: str, contents: Contents, split: Split) -> bytes:
    """What the release promises, in numbers a reader can check."""
    rho, epsilon = _of_a_unit(contents)
    document = {
        "release": f"{name} {version}",
        "unit": "everything one visitor pseudonym does at this tenant in one day",
        "neighbouring": "add or remove every event of one unit",
        "mechanism": "discrete Gaussian on integers, drawn once when a day closes (OpenDP make_gaussian); "
        "a release sums stored noisy days, which costs nothing more",
        "guarantee_of_a_unit": {
            "rho_zcdp": _fraction(rho),
            "epsilon": epsilon,
            "delta": float(split.delta),
            "best_guess_right": guess_accuracy(rho),
        },
        "bounds": [_bound(m) for m in split.drawn if m.name in contents.measures],
        "person_level": [_person(rho, len(contents.days), pseudonyms) for pseudonyms in (1, 2)],
        "budget": {
            "rho_of_a_day_at_most": _fraction(split.rho_day_max),
            "days_charged_so_far": contents.days_charged,
            "rho_charged_so_far": _fraction(contents.rho_charged),
            "as_of": _second(contents.created),
        },
        "days_in_release": len(contents.days),
        "missing_days": [{"day": day.isoformat(), "reason": reason} for day, reason in contents.missing],
        "not_protected": list(NOT_PROTECTED),
    }
    return _json(document)


def datasheet(name: str, version: str, contents: Contents, split: Split) -> bytes:
    """README.md of the package."""
    rho, epsilon = _of_a_unit(contents)
    template = Template(resources.files(__package__).joinpath("datasheet.md").read_text("utf-8"))
    text = template.substitute(
        name=name,
        version=version,
        tenant=contents.tenant,
        first=contents.period.first,
        last=contents.period.last,
        created=_second(contents.created),
        days=len(contents.days),
        days_of_period=len(contents.period.days),
        rho=_fraction(rho),
        epsilon=f"{epsilon:.2f}",
        delta=f"{float(split.delta):.0e}",
        right=f"{guess_accuracy(rho):.1%}",
        measures="\n".join(f"| {m.name} | {m.title} | {m.sigma} |" for m in split.drawn if m.name in contents.measures),
        not_protected="\n".join(f"- {sentence}" for sentence in NOT_PROTECTED),
        missing="\n".join(f"- {day}: {reason}" for day, reason in contents.missing) or "None.",
    )
    return text.encode()


def guess_accuracy(rho: Fraction) -> float:
    """How often the best attacker is right who guesses, from even odds, whether a unit is in: Phi(sqrt(2 rho) / 2).

    Source: Dong, Roth, Su, "Gaussian Differential Privacy", 2022: a rho-zCDP Gaussian has mu = sqrt(2 rho).
    """
    return round(0.5 * (1 + math.erf(math.sqrt(2 * rho) / 2 / math.sqrt(2))), 4)


def _of_a_unit(contents: Contents) -> tuple[Fraction, float]:
    """The largest cost of one of its days: units of two days are two units, so costs do not add up."""
    worst = max(contents.days, key=lambda charge: charge.rho)
    assert worst.epsilon is not None
    return worst.rho, round(worst.epsilon, 4)


def _person(rho: Fraction, days: int, pseudonyms: int) -> dict[str, Any]:
    """Group privacy of zCDP: g units a day cost g^2 rho; days add up (Bun, Steinke 2016, Proposition 27)."""
    cost = rho * pseudonyms**2 * days
    return {
        "pseudonyms_a_day": pseudonyms,
        "days": days,
        "rho_zcdp": _fraction(cost),
        "best_guess_right": guess_accuracy(cost),
    }


def _bound(measure: Measure) -> dict[str, Any]:
    return {
        "measure": measure.name,
        "title": measure.title,
        "cells_of_a_unit_at_most": measure.cells_max,
        "contribution_to_a_cell_at_most": measure.contribution_max,
        "rho_zcdp": _fraction(measure.rho),
        "sigma_of_a_day": measure.sigma,
    }


def _resource(path: str, data: bytes, table: Table | None) -> dict[str, Any]:
    stem, _, kind = path.rpartition(".")
    resource: dict[str, Any] = {
        "name": f"{stem}-{kind}".lower(),
        "path": path,
        "format": kind,
        "mediatype": _MEDIA[kind],
        "bytes": len(data),
        "hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
    }
    if table is not None:
        fields = [{"name": n, "type": t, "description": _FIELDS[n]} for n, t in table.columns.items()]
        resource |= {"type": "table", "title": table.title, "schema": {"fields": fields, "primaryKey": list(table.key)}}
    return resource


def _fraction(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _second(stamp: str) -> str:
    return datetime.fromisoformat(stamp).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
