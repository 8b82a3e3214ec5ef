"""The audit log as files: NDJSON and CSV, a line an entry, oldest first."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from services.enricher.audit.log import Logged

__all__ = ["FORMS", "write"]

FORMS: Mapping[str, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_COLUMNS = (
    "position", "time", "actor", "role", "action", "outcome", "tenant", "subject", "purpose", "ticket", "fields",
    "grant", "rules", "policy", "reason", "reason_sha256",
)  # fmt: skip
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"


def write(entries: Iterable[Logged], form: str) -> Iterator[str]:
    """One text a line. CSV has a header, lists joined by blanks, and no text that a spreadsheet takes for a formula."""
    return _csv(entries) if form == "csv" else _ndjson(entries)


def _ndjson(entries: Iterable[Logged]) -> Iterator[str]:
    for entry in entries:
        yield json.dumps(_row(entry), ensure_ascii=False) + "\n"


def _csv(entries: Iterable[Logged]) -> Iterator[str]:
    yield _line(list(_COLUMNS))
    for entry in entries:
        row = _row(entry)
        yield _line([_cell(row.get(name, "")) for name in _COLUMNS])


def _row(entry: Logged) -> dict[str, Any]:
    return {"position": entry.position, **entry.leaf, "reason": entry.reason}


def _cell(value: Any) -> str:
    text = " ".join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
