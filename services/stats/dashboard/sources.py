"""What the collection page says, in words: no time finer than five minutes, no count without its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.stats.collection import BLOCK, LAG, SPOOL, Gauge, block_of
from services.stats.dashboard.figures import written
from services.stats.senders import DAY, Alert, Sender

__all__ = ["REASON_WORDS", "Notice", "Row", "SourcesPage", "sources_page"]

SILENT = timedelta(minutes=10)  # ingest reports once a minute
CHART_HEIGHT = 24

# In a table, and as the reason in a sentence. A code that is not here is shown as it is.
_REFUSED: Mapping[str, tuple[str, str]] = {
    "missing_key": ("without a key", "no key was sent with them"),
    "bad_key": ("unknown key", "their key is unknown"),
    "revoked_key": ("revoked key", "their key was revoked"),
    "wrong_source": ("key for another source", "their key was sent to another source's address"),
    "tenant_inactive": ("tenant not active", "its tenant is not active"),
    "quota": ("over the quota", "it is over its quota"),
    "media_type": ("unknown content type", "their content type is not read here"),
    "content_encoding": ("unknown compression", "their compression is not read here"),
    "too_large": ("body too large", "their bodies are too large"),
    "too_many_lines": ("body of too many lines", "their bodies have too many lines"),
    "too_many_values": ("body of too many values", "their bodies have too many values"),
    "too_many_members": ("body of too many packed members", "their bodies are packed in too many members"),
    "ratio": ("body unpacks to too much", "their bodies unpack to too much"),
    "bad_json": ("body is no JSON", "their bodies are no JSON"),
    "bad_msgpack": ("body is no MessagePack", "their bodies are no MessagePack"),
    "bad_protobuf": ("body is no protobuf of OTLP", "their bodies are no protobuf of OTLP"),
    "bad_idempotency_key": ("Idempotency-Key too long or empty", "their Idempotency-Key is too long or empty"),
    "idempotency_key_reused": ("Idempotency-Key of another body", "an Idempotency-Key came with two bodies"),
    "bad_encoding": ("body not packed or encoded as said", "their bodies are not packed or encoded as they say"),
    "busy": ("asked to come again: too much at once", ""),
    "slow": ("asked to come again: too slow", ""),
    "gone": ("went away before the end", ""),
    "not_durable": ("asked to come again: nothing durable was writable", ""),
}
# With the column that failed, where the reason names one.
REASON_WORDS: Mapping[str, str] = {
    "unknown_shape": "not in the source's format",
    "cut_short": "cut short on its way",
    "bad_json": "no JSON",
    "bad_field": "a list or an object for a value",
    "too_many_fields": "too many fields",
    "missing_field": "without a field that is due",
    "bad_timestamp": "time not readable",
    "future_timestamp": "time in the future",
    "bad_address": "client address not readable",
    "bad_status": "status not readable",
    "bad_request": "request without method and path",
    "empty_line": "empty",
    "too_long": "too long",
}
_KEY_CODES = frozenset({"missing_key", "bad_key", "revoked_key"})
_COMMANDS: Mapping[str, str] = {"tenant_inactive": "voile tenant list", "wrong_source": "voile source list"}


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert line. `command` may be empty: then there is nothing to paste."""

    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One source. `rejected` and `refused`: (words, code, count). `line`: points of the chart, `""` without lines."""

    name: str
    tenant: str
    rate: str
    line: str
    last_seen: str
    accepted: str
    duplicates: str
    rejected: Sequence[tuple[str, str, str]]
    refused: Sequence[tuple[str, str, str]]
    alarming: bool


@dataclass(frozen=True, slots=True)
class SourcesPage:
    """`facts`: lines below the table; `chart_width` and `chart_height`: of the charts' own coordinates."""

    rows: Sequence[Row]
    notices: Sequence[Notice]
    facts: Sequence[str]
    several_tenants: bool
    exact: bool
    chart_width: int = DAY // BLOCK - 1
    chart_height: int = CHART_HEIGHT


def sources_page(
    found: Sequence[Sender], gauges: Mapping[str, Gauge], now: datetime, zone: ZoneInfo, *, operator: bool
) -> SourcesPage:
    """`operator`: sees every tenant, and what concerns them all: what may be wrong with ingest itself."""
    heard = max((gauge.at for name, gauge in gauges.items() if name.startswith(SPOOL)), default=None)
    notices = [_notice(alert, now, zone, operator) for sender in found for alert in sender.alerts]
    if found and operator and (heard is None or now - heard > SILENT):
        notices.append(_silence(heard, now, zone))
    return SourcesPage(
        rows=[_row(sender, now) for sender in found],
        notices=notices,
        facts=_facts(gauges, heard, now, zone) if operator else _reported(heard, now, zone),
        several_tenants=len({sender.tenant for sender in found}) > 1,
        exact=operator,
    )


def _row(sender: Sender, now: datetime) -> Row:
    return Row(
        name=sender.name,
        tenant=sender.tenant,
        rate=_rate(sender.lines_an_hour),
        line=_line(sender.series),
        last_seen=_ago(sender.last_block, now),
        accepted=written(sender.accepted, "count"),
        duplicates=written(sender.duplicates, "count"),
        rejected=[(_reason(code), code, written(count, "count")) for code, count in sender.rejected.items()],
        refused=[(_refusal(code)[0], code, written(count, "count")) for code, count in sender.refused.items()],
        alarming=bool(sender.alerts),
    )


def _reason(code: str) -> str:
    return REASON_WORDS.get(code, code.replace("_", " "))


def _refusal(code: str) -> tuple[str, str]:
    """(in a table, as a reason)."""
    plain = code.replace("_", " ")
    return _REFUSED.get(code, (plain, plain))


def _rate(lines_an_hour: int) -> str:
    if lines_an_hour >= 60:
        return f"about {lines_an_hour / 60:,.0f} a minute"
    return f"about {lines_an_hour} an hour" if lines_an_hour else "no lines this hour"


def _line(series: Sequence[int]) -> str:
    """`x,y` points from the left; what repeats the point before and after is left out."""
    highest = max(series, default=0)
    if not highest:
        return ""
    heights = [round(CHART_HEIGHT - 1 - (CHART_HEIGHT - 2) * value / highest, 1) for value in series]
    last = len(heights) - 1
    kept = [x for x in range(len(heights)) if x in {0, last} or not heights[x - 1] == heights[x] == heights[x + 1]]
    return " ".join(f"{x},{heights[x]:g}" for x in kept)


def _ago(block: datetime | None, now: datetime) -> str:
    """How long ago the block was, in steps of five minutes, then of hours and days."""
    if block is None:
        return "not in two weeks"
    gone = block_of(now) - block
    if gone < BLOCK:
        return "in the last 5 minutes"
    if gone < timedelta(hours=1):
        return f"about {gone // timedelta(minutes=1)} minutes ago"
    hours = round(gone / timedelta(hours=1))
    if hours < 48:
        return f"about {hours} {'hour' if hours == 1 else 'hours'} ago"
    return f"{gone // timedelta(days=1)} days ago"


def _notice(alert: Alert, now: datetime, zone: ZoneInfo, operator: bool) -> Notice:
    since, count = _clock(alert.since, now, zone), written(alert.count, "count")
    if alert.kind == "rejected":
        text = f"Source {alert.source}: {count} lines rejected since {since}, most of them {_reason(alert.code)}."
    else:
        requests = "request" if alert.count == 1 else "requests"
        text = f"Source {alert.source}: {count} {requests} refused since {since}: {_refusal(alert.code)[1]}."
    if operator:
        return Notice(text, _command(alert))
    return Notice(f"{text} Whoever runs this installation can mend it.")


def _command(alert: Alert) -> str:
    if alert.kind == "rejected":
        return "voile formats detect FILE"
    if alert.code in _KEY_CODES:
        return f"voile source rotate-key {alert.source}"
    if alert.code == "quota":
        return f"voile source set-quota {alert.source} --lines-per-minute N"
    return _COMMANDS.get(alert.code, "")


def _silence(heard: datetime | None, now: datetime, zone: ZoneInfo) -> Notice:
    since = f"since {_clock(heard, now, zone)}" if heard else "yet"
    return Notice(
        f"Nothing was heard from ingest {since}: it does not run, or the event log is away. The figures below are "
        "older than that.",
        "voile doctor",
    )


def _facts(gauges: Mapping[str, Gauge], heard: datetime | None, now: datetime, zone: ZoneInfo) -> list[str]:
    waiting = [gauge.value for name, gauge in gauges.items() if name.startswith(SPOOL) and now - gauge.at <= SILENT]
    facts = [f"Spool: {_bytes(sum(waiting))} wait for the event log" if sum(waiting) else "Spool: empty"]
    lag = gauges.get(LAG)
    if lag is not None and now - lag.at <= SILENT:
        facts.append(
            f"Statistics: {lag.value:,} batches wait to be counted" if lag.value else "Statistics: all counted"
        )
    elif lag is not None:
        facts.append(f"Statistics: the worker was last seen at {_clock(lag.at, now, zone)}")
    return [*(facts if waiting else facts[1:]), *_reported(heard, now, zone)]


def _reported(heard: datetime | None, now: datetime, zone: ZoneInfo) -> list[str]:
    return [f"Reported up to {_clock(heard, now, zone)} ({zone.key})"] if heard else []


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3)):,} kB"


def _clock(at: datetime, now: datetime, zone: ZoneInfo) -> str:
    """The time of day; with its day when that is not today."""
    local = at.astimezone(zone)
    today = local.date() == now.astimezone(zone).date()
    return f"{local:%H:%M}" if today else f"{local:%a} {local.day} {local:%b}, {local:%H:%M}"
