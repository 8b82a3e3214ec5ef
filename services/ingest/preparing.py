"""Lines -> accepted rows of `AccessLog` and rejects with their reasons. Nothing here waits or writes.

parse -> canonicalise -> validate -> keep_accepted
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from services.ingest import addresses, canonical
from services.ingest.accounting import RejectReason
from services.ingest.formats import Format
from services.ingest.formats.columns import LINE_BYTES_MAX
from services.ingest.lines import Lines
from services.ingest.sources import Source
from services.ingest.validation import reasons
from services.runtime import avro

__all__ = ["LETTERS_MAX", "Letter", "Policy", "Prepared", "prepare"]

LETTERS_MAX = 100  # dead letters a chunk or body: enough to see what is wrong; the counts say how much
_CUT_COLUMNS = ("path", "query", "referrer", "user_agent", "host", "route", "event", "account")


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices that decide what leaves ingest. `digest` is keyed (bytes -> hex)."""

    query_parameters: Sequence[str]
    trusted_proxies: Sequence[str]
    digest: Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Letter:
    """A reject for the dead-letter topic: where it stood, how long it was, why; never its text."""

    position: int
    reason: str
    length: int
    digest: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """`accepted` has the columns of `AccessLog`; `runs` numbers its stretches without a reject between.
    `rejects` has position and reason. `timed`: every accepted line carried its own time."""

    lines: int
    accepted: pl.DataFrame
    runs: pl.Series
    rejects: pl.DataFrame
    letters: Sequence[Letter]
    timed: bool
    cards: int
    ibans: int

    @property
    def rejected(self) -> Mapping[str, int]:
        return dict(Counter(self.rejects["reason"].to_list()))


def prepare(lines: Lines, format_: Format, source: Source, policy: Policy, received_at: datetime) -> Prepared:
    """All steps, in their order."""
    frame, lines = parse(lines, format_)
    frame = canonicalise(frame, source, policy)
    frame = validate(frame, received_at)
    return keep_accepted(frame, lines, source, policy, received_at)


def parse(lines: Lines, format_: Format) -> tuple[pl.DataFrame, Lines]:
    """A row a line of log; directives of a file (`#Fields`) are none, and are gone from `lines` too."""
    frame = format_.parse(lines.text).with_columns(lines.positions.alias("position"))
    directives = format_.directives(lines.text)
    if directives is not None and directives.any():
        frame, lines = frame.filter(~directives), lines.where(~directives)
    if (lines.sizes.max() or 0) <= LINE_BYTES_MAX:  # type: ignore[operator]  # an Int64 column's max is an int
        return frame, lines
    too_long = pl.when(lines.sizes > LINE_BYTES_MAX).then(pl.lit(RejectReason.TOO_LONG.value))
    return frame.with_columns(too_long.otherwise(pl.col("shape")).alias("shape")), lines


def canonicalise(frame: pl.DataFrame, source: Source, policy: Policy) -> pl.DataFrame:
    """The address stays null when it is none; `user` is dropped unless the source vouches for it."""
    return frame.with_columns(
        addresses.client_address(frame, source.client_address_from, policy.trusted_proxies).alias("client_address"),
        canonical.paths(frame["target"]).alias("path"),
        canonical.queries(frame["target"], policy.query_parameters).alias("query"),
        canonical.referrers(frame["referrer"]).alias("referrer"),
        canonical.user_agents(frame["user_agent"]).alias("user_agent"),
        canonical.hosts(frame["host"]).alias("host"),
        canonical.methods(frame["method"]).alias("method"),
        canonical.protocols(frame["protocol"]).alias("protocol"),
        *(canonical.labels(frame[name]).alias(name) for name in ("route", "event")),
        (canonical.labels(frame["user"]) if source.authenticated else _nothing(frame)).alias("account"),
    )


def validate(frame: pl.DataFrame, received_at: datetime) -> pl.DataFrame:
    frame = frame.with_columns(pl.col("status").cast(pl.Int32, strict=False).alias("code"))
    return frame.with_columns(reasons(received_at))


def keep_accepted(frame: pl.DataFrame, lines: Lines, source: Source, policy: Policy, received_at: datetime) -> Prepared:
    rejected = frame["reason"].is_not_null()
    runs = rejected.cum_sum()
    kept = frame if not rejected.any() else frame.filter(~rejected)
    accepted = _access_log(kept, source, received_at)
    cards, ibans = zip(*(canonical.cuts(accepted[name]) for name in _CUT_COLUMNS), strict=True)
    return Prepared(
        lines=frame.height,
        accepted=accepted,
        runs=runs if kept is frame else runs.filter(~rejected),
        rejects=frame.filter(rejected).select("position", "reason"),
        letters=_letters(frame["reason"], rejected, lines, policy),
        timed=kept["time"].null_count() == 0,
        cards=sum(cards),
        ibans=sum(ibans),
    )


def _access_log(frame: pl.DataFrame, source: Source, received_at: datetime) -> pl.DataFrame:
    now = pl.lit(received_at.replace(tzinfo=None), dtype=pl.Datetime("ms"))
    site = pl.lit(source.site) if source.site else pl.coalesce("host", pl.lit(source.name))
    size = pl.col("response_bytes")
    return frame.select(
        "position",
        pl.col("time").fill_null(now).alias("timestamp"),
        now.alias("received_at"),
        pl.lit(source.tenant).alias("tenant"),
        site.alias("site"),
        pl.lit(source.name).alias("source"),
        *("client_address", "account", "user_agent", "method", "host", "path", "query", "route", "event", "protocol"),
        pl.col("code").alias("status"),
        pl.when(size >= 0).then(size).alias("response_bytes"),
        *("duration_ms", "referrer", "gpc", "dnt"),
    ).select(list(avro.columns("access_log")))


def _letters(reason: pl.Series, rejected: pl.Series, lines: Lines, policy: Policy) -> list[Letter]:
    if not rejected.any():
        return []
    rows = pl.DataFrame({"text": lines.text, "position": lines.positions, "size": lines.sizes, "reason": reason})
    found = rows.filter(rejected).head(LETTERS_MAX)
    return [Letter(p, r, n, policy.digest(t.encode())) for t, p, n, r in found.iter_rows()]


def _nothing(frame: pl.DataFrame) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
