"""Everything that is known of one person, as a ZIP they can read without a network and a program can read without us.

access: `index.html` (no scripts), `profile.json`, `activity.ndjson`, `activity.csv`, `looks.json` (who looked at the
data: when, why, in which role; not their names), `processing.json` (purposes, terms, recipients).
portability: the machine-readable three of them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jinja2
import orjson
import polars as pl

from services.enricher.activity.blocks import LINKED
from services.enricher.persons.directory import FIELDS, Profile
from services.enricher.rights.book import CaseFile
from services.enricher.rights.states import Kind
from services.runtime.web.languages import N_, Language, html, html_many, language

__all__ = ["Known", "package_name", "packed"]

ROWS_SHOWN_MAX = 20_000  # on the page; a browser shows more only slowly, and the files hold all of it
_FIXED = (1980, 1, 1, 0, 0, 0)  # the time of every file in the ZIP: the same contents are the same bytes
_FORMULA = r"^([=+\-@\t\r])"  # what spreadsheets run when a cell begins with it (OWASP, CSV injection)

# Obligations S1 to S6 and S14: what is done with the data, and why.
PURPOSES: Sequence[tuple[str, str]] = (
    ("support", N_("To answer questions of yours, or of your organisation, about problems you met.")),
    ("security", N_("To find out about attacks and misuse.")),
    ("quality", N_("To keep the service working: statuses and times of answers, counted without names.")),
    ("statistics", N_("To count how the service is used, in figures that single nobody out.")),
    ("rights", N_("To answer your own requests, as this one.")),
    ("legal", N_("To keep what a law or a court demands, while it does.")),
)
RECIPIENTS: Sequence[tuple[str, str]] = (
    (N_("Your organisation"), N_("decides about the data; its staff see it only for a ticket and for a while.")),
    (N_("The operator of the software"), N_("processes the data on your organisation's behalf; the same rules hold.")),
    (N_("Partner companies"), N_("get statistics only, from which nobody can be told; never your data.")),
)


@dataclass(frozen=True, slots=True)
class Known:
    """All of one person. `days`: their activity, a frame a day (columns LINKED), the oldest first. `looks`: entries of
    the audit log about them. `terms`: type of data -> days it is kept. `notes`: (when, text) written to tickets."""

    profile: Profile | None
    days: Iterator[pl.DataFrame] = field(repr=False)
    looks: Sequence[Mapping[str, Any]]
    terms: Mapping[str, int]
    notes: Sequence[tuple[datetime, str]] = field(default=(), repr=False)


def package_name(file: CaseFile) -> str:
    return f"{file.kind.value}-{file.case}.zip"


def packed(file: CaseFile, known: Known, at: datetime) -> bytes:
    """The ZIP of an access or portability case, made at `at`."""
    ndjson, table = io.BytesIO(), io.BytesIO()
    rows: list[dict[str, Any]] = []
    table.write((",".join(LINKED) + "\r\n").encode())
    for day in known.days:
        ndjson.write(day.write_ndjson().encode())
        table.write(_csv(day).encode())
        rows += day.head(max(0, ROWS_SHOWN_MAX - len(rows))).to_dicts()
    files = {
        "profile.json": _json(_profile(known.profile)),
        "activity.ndjson": ndjson.getvalue(),
        "activity.csv": table.getvalue(),
    }
    if file.kind is Kind.ACCESS:
        files |= {
            "looks.json": _json(_looks(known.looks)),
            "notes.json": _json([{"at": when.isoformat(), "text": text} for when, text in known.notes]),
            "processing.json": _json(_processing(known.terms, language(file.language))),
            "index.html": _page(file, known, rows, at).encode(),
        }
    return _zip(files)


def _profile(profile: Profile | None) -> dict[str, str | None]:
    if profile is None:
        return {}
    return {"account": profile.account, **{name: getattr(profile, name) for name in FIELDS}}


def _looks(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Who is named by role: staff have rights of their own (CJEU, C-579/21)."""
    shown = ("time", "role", "action", "purpose", "ticket", "fields", "outcome")
    return [{name: entry.get(name) for name in shown} for entry in entries]


def _processing(terms: Mapping[str, int], chosen: Language) -> dict[str, Any]:
    return {
        "purposes": [{"purpose": name, "why": chosen.say(why)} for name, why in PURPOSES],
        "kept_days": dict(terms),
        "recipients": [{"recipient": chosen.say(who), "what": chosen.say(what)} for who, what in RECIPIENTS],
    }


def _csv(day: pl.DataFrame) -> str:
    """Text that a spreadsheet would run as a formula gets a quote before it."""
    texts = [name for name, dtype in LINKED.items() if dtype == pl.String()]
    harmless = day.with_columns(pl.col(texts).str.replace(_FORMULA, "'$1"))
    return harmless.write_csv(include_header=False, line_terminator="\r\n")


def _page(file: CaseFile, known: Known, rows: Sequence[Mapping[str, Any]], at: datetime) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("services.enricher.rights"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"_": html, "_many": html_many}
    return environment.get_template("package.html").render(
        language=language(file.language),
        file=file,
        profile=_profile(known.profile),
        rows=rows,
        rows_max=ROWS_SHOWN_MAX,
        looks=_looks(known.looks),
        notes=known.notes,
        purposes=PURPOSES,
        recipients=RECIPIENTS,
        terms=known.terms,
        at=at,
    )


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _zip(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _FIXED), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()
