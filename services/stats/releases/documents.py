"""The documents of a package: `datapackage.json`, `privacy.json` and the README datasheet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import date, datetime
from fractions import Fraction
from importlib import resources
from string import Template
from typing import Any

from services.stats.releases.contents import PLATFORM, Contents
from services.stats.releases.person import PSEUDONYMS, fraction, guess_accuracy, person
from services.stats.releases.split import Measure, Split
from services.stats.releases.tables import OBS_STATUS, Table

__all__ = ["datapackage", "datasheet", "privacy"]

_MEDIA = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "md": "text/markdown",
}
_FIELDS = {
    "day": "Day, in the installation's time zone",
    "measure": "What is counted; see privacy.json",
    "days": "Days of the period that are in the sum; of a platform's sum, days of each tenant",
    "route": "Route template, of the tenant's table as it stood before each day",
    "country": "ISO 3166-1 alpha-2; ZZ: unknown",
    "device": "desktop, mobile, tablet or other",
    "referrer_class": "How the visitor's first page of the day was reached",
    "latency_class": "Upper bound of the duration in ms; more: above the last one",
    "value": "Noisy sum; may be negative, which keeps sums unbiased",
    "value_lo": "Lower end of the 95 % interval, noise only",
    "value_hi": "Upper end of the 95 % interval, noise only",
    "obs_status": "SDMX CL_OBS_STATUS: " + "; ".join(f"{code} {text}" for code, text in OBS_STATUS.items()),
}
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


def datapackage(
    name: str, version: str, contents: Contents, files: Mapping[str, bytes], declared: Collection[Table]
) -> bytes:
    """Data Package v2: every other file of the package (name -> bytes) as a resource with size and hash."""
    tables = {f"{table.name}.{kind}": table for table in declared for kind in ("csv", "parquet")}
    package = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": name,
        "version": version,
        "title": f"Use of {_whose(contents)}, {contents.period.first} to {contents.period.last}",
        "created": _second(contents.created),
        "resources": [_resource(path, files[path], tables.get(path)) for path in sorted(files)],
    }
    return _json(package)


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
            "days_charged_so_far": contents.days_charged,
            "rho_charged_so_far": fraction(contents.rho_charged),
            "as_of": _second(contents.created),
        },
        "days_in_release": len(contents.days),
        "missing_days": [
            {"tenant": tenant, "day": day.isoformat(), "reason": reason} for tenant, day, reason in contents.missing
        ],
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
        tenant=_whose(contents),
        first=contents.period.first,
        last=contents.period.last,
        created=_second(contents.created),
        days=len(contents.days),
        days_of_period=len(contents.period.days),
        rho=fraction(rho),
        epsilon=f"{epsilon:.2f}",
        delta=f"{float(split.delta):.0e}",
        right=f"{guess_accuracy(rho):.1%}",
        measures="\n".join(f"| {m.name} | {m.title} | {m.sigma} |" for m in _told(contents, split)),
        not_protected="\n".join(f"- {sentence}" for sentence in NOT_PROTECTED),
        missing="\n".join(f"- {_missed(contents, *missing)}" for missing in contents.missing) or "None.",
    )
    return text.encode()


def _told(contents: Contents, split: Split) -> list[Measure]:
    return [measure for measure in split.measures if measure.name in contents.measures]


def _whose(contents: Contents) -> str:
    return "the platform" if contents.tenant == PLATFORM else contents.tenant


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


def _second(stamp: str) -> str:
    return datetime.fromisoformat(stamp).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
