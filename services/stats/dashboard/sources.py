"""What the collection page says, in words: no time finer than five minutes, no count without its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.runtime.web.languages import N_, NN_, Language
from services.stats.collection.reports import BLOCK, LAG, SPOOL, Gauge, block_of
from services.stats.collection.senders import DAY, Alert, Sender
from services.stats.dashboard.figures import written

__all__ = ["REASON_WORDS", "Notice", "Row", "SourcesPage", "sources_page"]

SILENT = timedelta(minutes=10)  # ingest reports once a minute
CHART_HEIGHT = 24

# In a table, and as the reason in a sentence. A code that is not here is shown as it is.
_REFUSED: Mapping[str, tuple[str, str]] = {
    "missing_key": (N_("without a key"), N_("no key was sent with them")),
    "bad_key": (N_("unknown key"), N_("their key is unknown")),
    "revoked_key": (N_("revoked key"), N_("their key was revoked")),
    "wrong_source": (N_("key for another source"), N_("their key was sent to another source's address")),
    "tenant_inactive": (N_("tenant not active"), N_("its tenant is not active")),
    "quota": (N_("over the quota"), N_("it is over its quota")),
    "media_type": (N_("unknown content type"), N_("their content type is not read here")),
    "content_encoding": (N_("unknown compression"), N_("their compression is not read here")),
    "too_large": (N_("body too large"), N_("their bodies are too large")),
    "too_many_lines": (N_("body of too many lines"), N_("their bodies have too many lines")),
    "too_many_values": (N_("body of too many values"), N_("their bodies have too many values")),
    "too_many_members": (N_("body of too many packed members"), N_("their bodies are packed in too many members")),
    "ratio": (N_("body unpacks to too much"), N_("their bodies unpack to too much")),
    "bad_json": (N_("body is no JSON"), N_("their bodies are no JSON")),
    "bad_msgpack": (N_("body is no MessagePack"), N_("their bodies are no MessagePack")),
    "bad_protobuf": (N_("body is no protobuf of OTLP"), N_("their bodies are no protobuf of OTLP")),
    "bad_idempotency_key": (N_("Idempotency-Key too long or empty"), N_("their Idempotency-Key is too long or empty")),
    "idempotency_key_reused": (N_("Idempotency-Key of another body"), N_("an Idempotency-Key came with two bodies")),
    "bad_encoding": (
        N_("body not packed or encoded as said"),
        N_("their bodies are not packed or encoded as they say"),
    ),
    "busy": (N_("asked to come again: too much at once"), ""),
    "slow": (N_("asked to come again: too slow"), ""),
    "gone": (N_("went away before the end"), ""),
    "not_durable": (N_("asked to come again: nothing durable was writable"), ""),
}
# With the column that failed, where the reason names one.
REASON_WORDS: Mapping[str, str] = {
    "unknown_shape": N_("not in the source's format"),
    "cut_short": N_("cut short on its way"),
    "bad_json": N_("no JSON"),
    "bad_field": N_("a list or an object for a value"),
    "too_many_fields": N_("too many fields"),
    "missing_field": N_("without a field that is due"),
    "bad_timestamp": N_("time not readable"),
    "future_timestamp": N_("time in the future"),
    "bad_address": N_("client address not readable"),
    "bad_status": N_("status not readable"),
    "bad_request": N_("request without method and path"),
    "empty_line": N_("empty"),
    "too_long": N_("too long"),
}
_KEY_CODES = frozenset({"missing_key", "bad_key", "revoked_key"})
_LINES_REJECTED = N_("Source {source}: {count} lines rejected since {since}, most of them {reason}.")
_REQUESTS_REFUSED = NN_(
    "Source {source}: {count} request refused since {since}: {reason}.",
    "Source {source}: {count} requests refused since {since}: {reason}.",
)
_BATCHES_WAIT = NN_("Statistics: {n} batch waits to be counted", "Statistics: {n} batches wait to be counted")
_SILENT_SINCE = N_(
    "Nothing was heard from ingest since {since}: it does not run, or the event log is away. The figures below are "
    "older than that."
)
_NEVER_HEARD = N_("Nothing was heard from ingest yet: it does not run, or the event log is away.")
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
    found: Sequence[Sender],
    gauges: Mapping[str, Gauge],
    now: datetime,
    zone: ZoneInfo,
    language: Language,
    *,
    operator: bool,
) -> SourcesPage:
    """`operator`: sees every tenant, and what concerns them all: what may be wrong with ingest itself."""
    said = _Said(now, zone, language)
    heard = max((gauge.at for name, gauge in gauges.items() if name.startswith(SPOOL)), default=None)
    notices = [said.notice(alert, operator) for sender in found for alert in sender.alerts]
    if found and operator and (heard is None or now - heard > SILENT):
        notices.append(said.silence(heard))
    return SourcesPage(
        rows=[said.row(sender) for sender in found],
        notices=notices,
        facts=said.facts(gauges, heard) if operator else said.reported(heard),
        several_tenants=len({sender.tenant for sender in found}) > 1,
        exact=operator,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """How the page says things: in words of `language`, at `now`, in the installation's `zone`."""

    now: datetime
    zone: ZoneInfo
    language: Language

    def row(self, sender: Sender) -> Row:
        return Row(
            name=sender.name,
            tenant=sender.tenant,
            rate=self.rate(sender.lines_an_hour),
            line=_line(sender.series),
            last_seen=self.ago(sender.last_block),
            accepted=self.count(sender.accepted),
            duplicates=self.count(sender.duplicates),
            rejected=[(self.reason(code), code, self.count(n)) for code, n in sender.rejected.items()],
            refused=[(self.refusal(code)[0], code, self.count(n)) for code, n in sender.refused.items()],
            alarming=bool(sender.alerts),
        )

    def count(self, number: int) -> str:
        return written(number, "count", self.language)

    def reason(self, code: str) -> str:
        return self.language.say(REASON_WORDS[code]) if code in REASON_WORDS else code.replace("_", " ")

    def refusal(self, code: str) -> tuple[str, str]:
        """(in a table, as a reason)."""
        plain = code.replace("_", " ")
        shown, reason = _REFUSED.get(code, (plain, plain))
        return self.language.say(shown), self.language.say(reason)

    def rate(self, lines_an_hour: int) -> str:
        if lines_an_hour >= 60:
            return self.language.say("about {n} a minute", n=self.language.number(lines_an_hour / 60))
        if lines_an_hour:
            return self.language.say("about {n} an hour", n=self.language.number(lines_an_hour))
        return self.language.say("no lines this hour")

    def ago(self, block: datetime | None) -> str:
        """How long ago the block was, in steps of five minutes, then of hours and days."""
        if block is None:
            return self.language.say("not in two weeks")
        gone = block_of(self.now) - block
        if gone < BLOCK:
            return self.language.say("in the last 5 minutes")
        if gone < timedelta(hours=1):
            return self.language.say("about {n} minutes ago", n=gone // timedelta(minutes=1))
        hours = round(gone / timedelta(hours=1))
        if hours < 48:
            return self.language.many("about {n} hour ago", "about {n} hours ago", hours)
        return self.language.many("{n} day ago", "{n} days ago", gone // timedelta(days=1))

    def notice(self, alert: Alert, operator: bool) -> Notice:
        values = {"source": alert.source, "count": self.count(alert.count), "since": self.clock(alert.since)}
        if alert.kind == "rejected":
            text = self.language.say(_LINES_REJECTED, reason=self.reason(alert.code), **values)
        else:
            text = self.language.many(*_REQUESTS_REFUSED, alert.count, reason=self.refusal(alert.code)[1], **values)
        if operator:
            return Notice(text, _command(alert))
        return Notice(f"{text} {self.language.say('Whoever runs this installation can mend it.')}")

    def silence(self, heard: datetime | None) -> Notice:
        text = self.language.say(_SILENT_SINCE, since=self.clock(heard)) if heard else self.language.say(_NEVER_HEARD)
        return Notice(text, "voile doctor")

    def facts(self, gauges: Mapping[str, Gauge], heard: datetime | None) -> list[str]:
        spools = (gauge for name, gauge in gauges.items() if name.startswith(SPOOL))
        waiting = [gauge.value for gauge in spools if self.now - gauge.at <= SILENT]
        spool = [self.spool(sum(waiting))] if waiting else []
        return [*spool, *self.lag(gauges.get(LAG)), *self.reported(heard)]

    def spool(self, size: int) -> str:
        if not size:
            return self.language.say("Spool: empty")
        return self.language.say("Spool: {size} wait for the event log", size=self.bytes(size))

    def lag(self, lag: Gauge | None) -> list[str]:
        if lag is None:
            return []
        if self.now - lag.at > SILENT:
            return [self.language.say("Statistics: the worker was last seen at {at}", at=self.clock(lag.at))]
        if not lag.value:
            return [self.language.say("Statistics: all counted")]
        return [self.language.many(*_BATCHES_WAIT, lag.value)]

    def reported(self, heard: datetime | None) -> list[str]:
        if not heard:
            return []
        return [self.language.say("Reported up to {at} ({zone})", at=self.clock(heard), zone=self.zone.key)]

    def bytes(self, size: int) -> str:
        if size >= 1e6:
            return self.language.say("{n} MB", n=self.language.number(size / 1e6, 1))
        return self.language.say("{n} kB", n=self.language.number(max(1, round(size / 1e3))))

    def clock(self, at: datetime) -> str:
        """The time of day; with its day when that is not today."""
        local = at.astimezone(self.zone)
        today = local.date() == self.now.astimezone(self.zone).date()
        time = self.language.time(local)
        return time if today else f"{self.language.weekday(local.date())}, {time}"


def _line(series: Sequence[int]) -> str:
    """`x,y` points from the left; what repeats the point before and after is left out."""
    highest = max(series, default=0)
    if not highest:
        return ""
    heights = [round(CHART_HEIGHT - 1 - (CHART_HEIGHT - 2) * value / highest, 1) for value in series]
    last = len(heights) - 1
    kept = [x for x in range(len(heights)) if x in {0, last} or not heights[x - 1] == heights[x] == heights[x + 1]]
    return " ".join(f"{x},{heights[x]:g}" for x in kept)


def _command(alert: Alert) -> str:
    if alert.kind == "rejected":
        return "voile formats detect FILE"
    if alert.code in _KEY_CODES:
        return f"voile source rotate-key {alert.source}"
    if alert.code == "quota":
        return f"voile source set-quota {alert.source} --lines-per-minute N"
    return _COMMANDS.get(alert.code, "")
