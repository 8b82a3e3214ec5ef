"""Every metric of Voile in one list, and the small class that keeps their values.

No label may carry anything that came with an event, an account or a request: labels are Voile's own
names (topic, group, reason code, route template, stage), so a page of metrics holds no personal data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["ALL", "Kind", "Metric", "Metrics"]


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    SECONDS = "seconds"  # a histogram of durations


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


# --- consumer loop (every worker that reads a topic) -------------------------------------------------------------
BATCHES_STORED = Metric(
    "voile_batches_stored", Kind.COUNTER, "Batches that are in the store with their ledger row.", ("group", "topic")
)
RECORDS_STORED = Metric(
    "voile_records_stored", Kind.COUNTER, "Records of the log whose batches are in the store.", ("group", "topic")
)
STORE_SECONDS = Metric("voile_store_seconds", Kind.SECONDS, "From plan to commit of one batch.", ("group", "topic"))
PLANS_REDONE = Metric(
    "voile_plans_redone",
    Kind.COUNTER,
    "Plans found open at assignment (a predecessor died) and redone.",
    ("group", "topic"),
)
GAPS_REPAIRED = Metric(
    "voile_gaps_repaired",
    Kind.COUNTER,
    "Ranges missing in the ledger that were read again and stored.",
    ("group", "topic"),
)
RECORDS_LOST = Metric(
    "voile_records_lost",
    Kind.COUNTER,
    "Offsets that expired in the log before they were stored. Alarm above 0.",
    ("group", "topic"),
)
RECORDS_POISON = Metric(
    "voile_records_poison",
    Kind.COUNTER,
    "Records given up after repeated attempts and dead-lettered.",
    ("group", "topic"),
)
LEDGER_OVERLAPS = Metric(
    "voile_ledger_overlaps",
    Kind.COUNTER,
    "Ledger ranges that overlap (counted twice). Alarm above 0.",
    ("group", "topic"),
)
FENCED = Metric("voile_fenced", Kind.COUNTER, "Times another member took over and work was dropped.", ("group",))
RETRIES = Metric("voile_retries", Kind.COUNTER, "Times a dependency was away and the same plan waited.", ("group",))
LAG = Metric("voile_lag_records", Kind.GAUGE, "Records in the log that are not stored yet.", ("group", "topic"))

# --- web (every service) -----------------------------------------------------------------------------------------
HTTP_REQUESTS = Metric("voile_http_requests", Kind.COUNTER, "Requests answered.", ("method", "route", "status"))
HTTP_SECONDS = Metric("voile_http_seconds", Kind.SECONDS, "From request to the end of its answer.", ("route",))

SIGN_INS = Metric(
    "voile_sign_ins",
    Kind.COUNTER,
    "Sign-ins by link, password or oidc, and what came of them: ok, changed, signed_out, or why not. Many `wrong` or "
    "`limited`: somebody guesses passwords.",
    ("method", "outcome"),
)

# --- retention (every plane, for its own types of data) -----------------------------------------------------------
RETENTION_REMOVED = Metric("voile_retention_removed", Kind.COUNTER, "Rows removed at the end of their term.", ("kind",))
RETENTION_OVER = Metric(
    "voile_retention_over",
    Kind.GAUGE,
    "Rows that are past their term by more than two hours. Alarm above 0: a promise about a term is broken.",
    ("kind",),
)

TENANTS_LEAVING = Metric(
    "voile_tenants_leaving", Kind.GAUGE, "Tenants that will be deleted (scheduled), or are being (begun).", ("stage",)
)
TENANTS_OVERDUE = Metric(
    "voile_tenants_overdue",
    Kind.GAUGE,
    "Tenants whose deletion began a day ago and is not done in every plane. Alarm above 0: a plane does not run.",
)

# --- ingest ------------------------------------------------------------------------------------------------------
INGEST_LINES = Metric(
    "voile_ingest_lines", Kind.COUNTER, "Lines read: accepted, duplicates, or the reason of the reject.", ("outcome",)
)
INGEST_BYTES = Metric("voile_ingest_bytes", Kind.COUNTER, "Bytes of log text read, after decompression.", ("receiver",))
INGEST_CUT = Metric("voile_ingest_cut", Kind.COUNTER, "Bank data cut from accesses: card or iban.", ("kind",))
INGEST_REFUSED = Metric(
    "voile_ingest_refused",
    Kind.COUNTER,
    "Requests refused, by declared source where it is known (else empty) and code. A sender with a bad key is losing "
    "data: alarm on missing_key, bad_key, revoked_key, wrong_source, tenant_inactive.",
    ("source", "code"),
)

SPOOL_BYTES = Metric("voile_spool_bytes", Kind.GAUGE, "Accepted and on disk, because the event log is away.")
SPOOL_OLDEST = Metric(
    "voile_spool_oldest_seconds", Kind.GAUGE, "How long the oldest of it has waited. Alarm: it is lost after 72 h."
)
SPOOL_LOST = Metric(
    "voile_spool_lost",
    Kind.COUNTER,
    "Spooled batches that never reached the event log: expired, damaged or refused. Alarm above 0.",
    ("reason",),
)
SYSLOG_DROPPED = Metric(
    "voile_syslog_dropped",
    Kind.COUNTER,
    "Messages given up: unknown_peer, too_long, unfinished, too_many (memory is full), inactive (source or tenant).",
    ("reason",),
)
RAW_REFUSED = Metric(
    "voile_raw_refused", Kind.COUNTER, "Records of access-log.raw.v1 dead-lettered as a whole, by reason.", ("reason",)
)

# --- identity ----------------------------------------------------------------------------------------------------
IDENTITY_ROWS = Metric(
    "voile_identity_rows",
    Kind.COUNTER,
    "Accesses read: linked, duplicates, unauthenticated, suppressed or expired. Rejected counts batches.",
    ("outcome",),
)
IDENTITY_ACCOUNTS = Metric("voile_identity_accounts", Kind.COUNTER, "Accounts brought up to date in the directory.")
IDENTITY_ERASURES = Metric("voile_identity_erasures", Kind.COUNTER, "Erasures that the running service finished.")
IDENTITY_KEYS_REWRAPPED = Metric(
    "voile_identity_keys_rewrapped", Kind.COUNTER, "Keys of persons that the running service wrapped anew."
)
IDENTITY_BLOCKS_MERGED = Metric(
    "voile_identity_blocks_merged", Kind.COUNTER, "Small sealed blocks that became part of one."
)
IDENTITY_BLOCKS_TAMPERED = Metric(
    "voile_identity_blocks_tampered",
    Kind.COUNTER,
    "Groups of sealed blocks that do not open where they stand: somebody changed the records. Alarm above 0.",
)
IDENTITY_GLASS_UNREVIEWED = Metric(
    "voile_identity_glass_unreviewed",
    Kind.GAUGE,
    "Times somebody saw a person's data without the approval it needed, and nobody has reviewed it. Alarm above 0.",
)
IDENTITY_CASES_OVERDUE = Metric(
    "voile_identity_cases_overdue",
    Kind.GAUGE,
    "Rights cases past their due date, or whose data should have ended by itself and has not. Alarm above 0.",
)

# --- statistics --------------------------------------------------------------------------------------------------
STATS_ROWS = Metric(
    "voile_stats_rows",
    Kind.COUNTER,
    "Accesses read: counted, duplicates, suppressed or late. Rejected counts batches.",
    ("outcome",),
)
STATS_PARTS_BROKEN = Metric(
    "voile_stats_parts_broken",
    Kind.COUNTER,
    "Parts of the store that were not intact and were restored or written again. Alarm above 0: look at the disk.",
)
STATS_DAYS_OVERDUE = Metric(
    "voile_stats_days_overdue",
    Kind.GAUGE,
    "Days that are due and not closed. Alarm above 0 for two hours: their events are kept longer than promised.",
)

ALL: tuple[Metric, ...] = (
    BATCHES_STORED, RECORDS_STORED, STORE_SECONDS, PLANS_REDONE, GAPS_REPAIRED, RECORDS_LOST, RECORDS_POISON,
    LEDGER_OVERLAPS, FENCED, RETRIES, LAG, HTTP_REQUESTS, HTTP_SECONDS, SIGN_INS, RETENTION_REMOVED, RETENTION_OVER,
    TENANTS_LEAVING, TENANTS_OVERDUE,
    INGEST_LINES, INGEST_BYTES, INGEST_CUT, INGEST_REFUSED, SPOOL_BYTES, SPOOL_OLDEST, SPOOL_LOST,
    SYSLOG_DROPPED, RAW_REFUSED,
    IDENTITY_ROWS, IDENTITY_ACCOUNTS, IDENTITY_ERASURES, IDENTITY_GLASS_UNREVIEWED, IDENTITY_CASES_OVERDUE,
    IDENTITY_KEYS_REWRAPPED, IDENTITY_BLOCKS_MERGED, IDENTITY_BLOCKS_TAMPERED,
    STATS_ROWS, STATS_PARTS_BROKEN, STATS_DAYS_OVERDUE,
)  # fmt: skip


class Metrics:
    """Values of `ALL` in a registry of its own (one a process, made at the composition root). Thread safe."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._collectors = {metric: _collector(metric, self.registry) for metric in ALL}

    def count(self, metric: Metric, by: float = 1, /, **labels: str) -> None:
        collector = self._of(metric, labels)
        assert isinstance(collector, Counter)
        collector.inc(by)

    def set(self, metric: Metric, value: float, /, **labels: str) -> None:
        collector = self._of(metric, labels)
        assert isinstance(collector, Gauge)
        collector.set(value)

    def observe(self, metric: Metric, seconds: float, /, **labels: str) -> None:
        collector = self._of(metric, labels)
        assert isinstance(collector, Histogram)
        collector.observe(seconds)

    def value(self, metric: Metric, /, **labels: str) -> float:
        """Of a counter or a gauge; 0 when never set. For status pages and tests."""
        suffix = "_total" if metric.kind is Kind.COUNTER else ""
        return self.registry.get_sample_value(metric.name + suffix, labels) or 0.0

    def render(self) -> bytes:
        """The Prometheus text format, for `/metrics`."""
        return generate_latest(self.registry)

    def _of(self, metric: Metric, labels: dict[str, str]) -> Counter | Gauge | Histogram:
        collector = self._collectors[metric]
        return collector.labels(**labels) if metric.labels else collector


def _collector(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind is Kind.COUNTER:
        return Counter(metric.name, metric.help, metric.labels, registry=registry)
    if metric.kind is Kind.GAUGE:
        return Gauge(metric.name, metric.help, metric.labels, registry=registry)
    return Histogram(metric.name, metric.help, metric.labels, registry=registry)
