"""The formats that grew from NCSA's common log: `common`, `combined`, `vhost_combined`.

Each is one pattern that the Rust engine runs in a single pass (0.6 us a line; 2.0 us as soon as one
place of it is ambiguous, which is why the user keeps its trailing blank and classes are ASCII).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats.columns import complete, explain, given
from services.ingest.formats.escapes import unescape_column
from services.ingest.formats.requests import split_request
from services.ingest.formats.times import clf_time

__all__ = ["COMBINED", "COMMON", "VHOST_COMBINED", "ClfFormat"]

_QUOTED = r'(?:[^"\\]|\\.)*'
# A crash leaves NULs at the head of a line; a forwarded-for list may stand for the address; a user may hold blanks.
_ADDRESS = r"(?P<address>[!-+\--~]+(?:, ?[!-+\--~]+)*)"
_USER = r"(?P<user>[^ ]+ (?:[^ \[][^ ]* )*)"
_REQUEST = rf'"(?P<request>{_QUOTED})" (?P<status>[0-9A-Za-z-]+) (?P<bytes>[0-9]+|-)'
_COMMON = rf"{_ADDRESS} [!-~]+ {_USER}\[(?P<time>[^\]]+)\] {_REQUEST}"
_COMBINED = rf'{_COMMON} "(?P<referrer>{_QUOTED})" "(?P<agent>{_QUOTED})"'
_HEAD = r"^\x00*"
_TAIL = r"\r?$"
_MORE = r"(?: [^\r]*)?\r?$"  # Debian's nginx `main` appends "$http_x_forwarded_for"; nothing after the agent is read
_ESCAPED = ("user", "request", "referrer", "agent")


@dataclass(frozen=True, slots=True)
class ClfFormat:
    name: str
    description: str
    pattern: str

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        fields = lines.str.extract_groups(self.pattern).struct.unnest()
        matched = fields["address"].is_not_null()
        fields = fields.with_columns(pl.col("user").str.strip_suffix(" "))
        fields = fields.with_columns(unescape_column(fields[name]) for name in _ESCAPED if name in fields.columns)
        fields = fields.hstack(split_request(fields["request"]))
        times = clf_time(fields["time"])
        return complete(
            fields.select(
                explain(lines, matched, _why).alias("shape"),
                pl.col("time").alias("time_text"),
                times.alias("time"),
                "address",
                given(pl.col("user")).alias("user"),
                *("method", "target", "protocol"),
                given(pl.col("status")).alias("status"),
                # "-" is how Apache's %b writes that no byte was sent
                pl.col("bytes").replace("-", "0").cast(pl.Int64, strict=False).alias("response_bytes"),
                *self._optional(fields),
            )
        )

    def _optional(self, fields: pl.DataFrame) -> list[pl.Expr]:
        named = {"referrer": "referrer", "agent": "user_agent", "host": "host"}
        return [given(pl.col(group)).alias(name) for group, name in named.items() if group in fields.columns]


def _why(_line: str) -> RejectReason:
    return RejectReason.UNKNOWN_SHAPE


COMMON = ClfFormat("common", "Apache and nginx: address, user, time, request, status, bytes", _HEAD + _COMMON + _TAIL)
COMBINED = ClfFormat("combined", "common with referrer and user agent (nginx's default)", _HEAD + _COMBINED + _MORE)
VHOST_COMBINED = ClfFormat(
    "vhost_combined", "combined after Apache's %v:%p", rf"{_HEAD}(?P<host>[!-~]+) {_COMBINED}{_MORE}"
)
