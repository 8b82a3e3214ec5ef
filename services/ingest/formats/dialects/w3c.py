"""W3C extended log files: IIS, CloudFront and what else writes `#Fields`, which may come again mid-file.

Source: W3C WD-logfile-960323; IIS "W3C logging fields"; CloudFront "standard logs". A row stands under the
`#Fields` last seen; before the first one, under those the format was made with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import ClassVar

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats.columns import RAW, Format, complete
from services.ingest.formats.dialects.templates import chosen
from services.ingest.formats.escapes import Escape
from services.ingest.formats.pattern import FIELDS_MAX, Literal, Token, Var
from services.ingest.formats.roles import Reading
from services.ingest.formats.text_format import TextFormat, text_format
from services.runtime.errors import Fatal

__all__ = ["W3cFormat", "w3c_format"]

_NAMES = "W3C names them c-ip and cs-uri-stem (or cs-uri)."
# Best first, where several have one role.
_ROLES: Mapping[str, str] = {
    **{"c-ip": "address", "x-forwarded-for": "forwarded", "cs(x-forwarded-for)": "forwarded", "cs-username": "user"},
    **{"date": "date", "time": "clock", "cs-method": "method", "cs-uri": "target", "cs-uri-stem": "path"},
    **{"cs-uri-query": "query", "cs-version": "protocol", "cs-protocol-version": "protocol", "sc-status": "status"},
    **{"sc-bytes": "bytes", "time-taken": "duration", "cs(referer)": "referrer", "cs(user-agent)": "user_agent"},
    **{"x-host-header": "host", "cs-host": "host", "cs(host)": "host"},
}
_FIELDS = "#Fields:"
_CLOUDFRONT = "x-edge-location"
_VALUE = r"[^ \t\r]+"
_BLANK = Literal(" ", r"[ \t]")  # IIS writes blanks, CloudFront tabs
_TIME = "%Y-%m-%dT%H:%M:%S%.f"
LAYOUTS_MAX = 32  # a text: IIS writes one a restart; each costs the compiling of a pattern
_TAIL = r"[ \t]*\r?$"
_FIELDS_LINE = re.compile(rb"(?m)^(?:\xef\xbb\xbf)?\x00*(#Fields:[^\n]*)\n")


@dataclass(frozen=True, slots=True)
class W3cFormat(Format):
    """`rows` is the format of the lines under `fields`, the directive in force at the start."""

    fields: str
    rows: TextFormat
    joins: ClassVar[bool] = False

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        """Rows of directives have null everywhere; the caller leaves them out by `directives`."""
        fields = _in_force(lines, self.fields)
        layouts = fields.unique(maintain_order=True).to_list()
        if layouts in ([], [self.fields]):
            return self.rows.parse(lines)
        numbers = pl.arange(0, lines.len(), eager=True)
        parts = [self._under(layout, lines, fields == layout, numbers) for layout in layouts[:LAYOUTS_MAX]]
        if len(layouts) > LAYOUTS_MAX:
            parts.append(_unread(numbers.filter(fields.is_in(layouts[LAYOUTS_MAX:]))))
        return pl.concat(parts).sort("row").select(list(RAW))

    def pointer(self, line: str) -> str:
        return self.rows.pointer(line)

    def directives(self, lines: pl.Series) -> pl.Series:
        return lines.str.strip_chars_start("\x00").str.starts_with("#")

    def after(self, text: bytes) -> W3cFormat:
        found = _FIELDS_LINE.findall(text) if b"#Fields:" in text else []
        return self.under(found[-1].decode(errors="replace").rstrip("\r\n")) if found else self

    def under(self, fields: str) -> W3cFormat:
        """This format once `fields`, a whole directive, is in force. One without an address or a path leaves
        nothing to read: its rows are rejected, which is told by their count."""
        if fields == self.fields:
            return self
        rows = _rows(fields, self.name, self.description, strict=False)
        return replace(self, fields=fields, columns=rows.columns, rows=rows)

    def _under(self, layout: str, lines: pl.Series, where: pl.Series, numbers: pl.Series) -> pl.DataFrame:
        frame = self.under(layout).rows.parse(lines.filter(where))
        return frame.with_columns(numbers.filter(where).alias("row"))


def w3c_format(text: str, name: str, description: str) -> W3cFormat:
    """`text`: a `#Fields` line, or its fields. Raises `Fatal`."""
    fields = " ".join(text.split())
    if not fields.lower().startswith("#fields:"):
        fields = f"{_FIELDS} {fields}"
    rows = _rows(fields, name, description, strict=True)
    return W3cFormat(name, description, rows.columns, fields, rows)


def _unread(rows: pl.Series) -> pl.DataFrame:
    shape = pl.lit(RejectReason.UNKNOWN_SHAPE.value).alias("shape")
    return complete(rows.alias("row").to_frame().with_columns(shape)).with_columns(rows.alias("row"))


def _in_force(lines: pl.Series, first: str) -> pl.Series:
    """The directive each line stands under."""
    clean = lines.str.strip_chars_start("\x00")
    said = clean.set(~clean.str.starts_with(_FIELDS), None).str.strip_chars_end("\r")
    if said.null_count() == said.len():
        return pl.Series([first]).new_from_index(0, lines.len())
    return said.fill_null(strategy="forward").fill_null(first)


def _rows(fields: str, name: str, description: str, *, strict: bool) -> TextFormat:
    names = fields.partition(":")[2].split()[: FIELDS_MAX - 1]
    roles = {_ROLES.get(n.lower()) for n in names}
    if strict and "clock" in roles and "date" not in roles:
        raise Fatal("These fields have a time without a date; add the field `date`.")
    vars_ = chosen([_var(n, roles) for n in names], list(_ROLES))
    if not any(var.role for var in vars_ if isinstance(var, Var)):
        vars_ = [Var("(none)", "route", _VALUE)]  # of a file that logs something else: every row lacks its address
    tokens: list[Token] = [token for var in vars_ for token in (_BLANK, var)][1:]
    cloudfront = _CLOUDFRONT in fields
    escape = Escape.PERCENT if cloudfront else Escape.PLUS
    reading = Reading(
        time=_TIME if "date" in roles else "any",
        duration_ms=0,
        escapes=dict.fromkeys(("user_agent", "referrer", "forwarded", "address"), escape),
    )
    return text_format(name, description, tokens, reading, names=_NAMES, tail=_TAIL, strict=strict)


def _var(name: str, roles: Set[str | None]) -> Var:
    role = _ROLES.get(name.lower())
    return Var(name, None if role == "path" and "target" in roles else role, _VALUE)
