"""Builds every resource of ingest once, in one place."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
import sqlalchemy as sa

from services.ingest.accounting import Outcome
from services.ingest.departure import tenant_stores
from services.ingest.file_claims import FileClaims
from services.ingest.fingerprints import Fingerprints
from services.ingest.formats import format_named
from services.ingest.meters import Meters
from services.ingest.preparing import Policy, parse
from services.ingest.publisher import Publisher
from services.ingest.receivers.files import FileImporter, Progress
from services.ingest.receivers.following import Follower
from services.ingest.receivers.packing import Unreadable
from services.ingest.receivers.text import CHUNK_BYTES, open_text
from services.ingest.records import MIGRATIONS, departures, file_claims, request_claims
from services.ingest.request_claims import RequestClaims
from services.ingest.retention import keepers
from services.ingest.senders import Senders
from services.ingest.source_counts import SourceCounts
from services.ingest.sources import NewKey, Source, Sources
from services.ingest.tenants import Tenants
from services.runtime.clock import Clock
from services.runtime.database import has_rows, open_plane_records
from services.runtime.departures import Departures
from services.runtime.errors import Fatal, Transient
from services.runtime.keys import KeyService, lasting_key, open_keys
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog
from services.runtime.metrics import Metrics
from services.runtime.retention.keeping import Retention
from services.runtime.retention.terms import Standing, Terms
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from services.runtime.topics import TOPICS

__all__ = ["OWN_TOPICS", "Ingest", "open_ingest"]

OWN_TOPICS = tuple(topic for topic in TOPICS.values() if "ingest" in (*topic.written_by, *topic.read_by))
_KEY = "fingerprints"  # of claims and dead letters; without it nothing sent before is recognised
_SECRET_BYTES = 24  # of a source's key: 192 bits


@dataclass(frozen=True, slots=True)
class Ingest:
    """Everything of the edge, open."""

    settings: Settings
    clock: Clock
    engine: sa.Engine
    log: EventLog
    keys: KeyService
    meters: Meters
    sources: Sources
    tenants: Tenants
    publisher: Publisher
    fingerprints: Fingerprints
    policy: Policy
    file_claims: FileClaims
    request_claims: RequestClaims
    source_counts: SourceCounts
    senders: Senders

    def add_source(self, source: Source) -> NewKey:
        """Returns the first key, shown once. Raises `Fatal` when the tenant is not active or a value will not do."""
        self.tenants.require_active(source.tenant)
        return self.sources.add(source, self.clock.now())

    def import_file(
        self,
        path: Path,
        source: str,
        format_: str = "",
        progress: Progress = lambda *_: None,
        stop: Stop | None = None,
    ) -> Outcome:
        """One file, packed or not; again only what is new. `format_` overrides the source's own.

        Raises `Unreadable` when there is no such file or it is no text, `Fatal` when there is no such source, format
        or active tenant, `Transient` when nothing durable is writable, `Damaged` (with the outcome) on a file that
        cannot be read to its end.
        """
        try:
            stream = path.open("rb")
        except OSError as error:
            raise Unreadable(f"It cannot be read: {error.strerror}.") from None
        with stream:
            return self.import_stream(stream, source, format_, progress, stop)

    def import_stream(
        self,
        raw: BinaryIO,
        source: str,
        format_: str = "",
        progress: Progress = lambda *_: None,
        stop: Stop | None = None,
    ) -> Outcome:
        """As `import_file`, from a stream that need not be seekable."""
        found = self.sources.named(source)
        self.tenants.require_active(found.tenant)
        return self._importer().import_stream(raw, found, format_named(format_ or found.format), progress, stop)

    def follower(
        self,
        paths: Sequence[Path],
        source: str,
        format_: str = "",
        progress: Progress = lambda *_: None,
        note: Callable[[str], None] = lambda _: None,
    ) -> Follower:
        """Of logs that need not be there yet. `note` is told what is being waited for.

        Raises `Fatal` when there is no such source, format or active tenant."""
        found = self.sources.named(source)
        self.tenants.require_active(found.tenant)
        return Follower(
            self._importer(),
            (found, format_named(format_ or found.format)),
            paths,
            progress=progress,
            note=note,
            permitted=lambda: self.tenants.require_active(found.tenant),
        )

    def first_lines(self, path: Path, source: str) -> pl.DataFrame:
        """A log's first 4 MB as its source's format reads them (columns of `RAW`); nothing is taken."""
        found = self.sources.named(source)
        try:
            with path.open("rb") as raw:
                text = open_text(raw).chunk(CHUNK_BYTES)
        except OSError as error:
            raise Fatal(f"{path} cannot be read: {error.strerror}.") from None
        format_ = format_named(found.format)
        return parse(format_.lines(text), format_)[0]

    def ensure_topics(self) -> None:
        """Raises `Transient` when the log is away, `Fatal` when a topic has other settings."""
        self.log.ensure_topics(OWN_TOPICS)

    @property
    def retention(self) -> Retention:
        """The terms of this plane's types of data."""
        own = keepers(self.engine, self.log)
        return Retention("ingest", own, self._terms, log=self.log, clock=self.clock, metrics=self.meters.metrics)

    @property
    def departures(self) -> Departures:
        return Departures("ingest", tenant_stores(self.engine), self.engine, departures, self.log, self.clock)

    def _terms(self) -> Terms:
        return Terms(self.settings, {tenant: Standing(status) for tenant, status in self.tenants.all().items()})

    def close(self) -> None:
        self.tenants.close()
        self.log.close()
        self.engine.dispose()

    def _importer(self) -> FileImporter:
        return FileImporter(self.file_claims, self.publisher, self.fingerprints, self.policy, self.meters, self.clock)


def open_ingest(settings: Settings, clock: Clock, *, log_may_be_away: bool = False) -> Ingest:
    """Raises `Fatal` on a wrong setting, key, permission or schema, `Transient` when the log is away; the service
    starts all the same (`log_may_be_away`) and calls `ensure_topics` again."""
    with contextlib.ExitStack() as opened:
        engine = open_plane_records(settings.url(settings.ingest.records), MIGRATIONS)
        opened.callback(engine.dispose)
        keys = open_keys(settings.url(settings.ingest.keys))
        log = open_log(settings.url(settings.events), settings.kafka, clock)
        opened.callback(log.close)
        with contextlib.suppress(*([Transient] if log_may_be_away else [])):
            log.ensure_topics(OWN_TOPICS)
        ingest = _assemble(settings, clock, engine, log, keys)
        opened.pop_all()  # from here on `Ingest.close` does it
        return ingest


def _assemble(settings: Settings, clock: Clock, engine: sa.Engine, log: EventLog, keys: KeyService) -> Ingest:
    fingerprints = Fingerprints(lasting_key(keys, _KEY, lambda: _remembers(engine)))
    sources, tenants = Sources(engine, lambda: secrets.token_urlsafe(_SECRET_BYTES)), Tenants(log, clock)
    return Ingest(
        settings=settings,
        clock=clock,
        engine=engine,
        log=log,
        keys=keys,
        meters=Meters(Metrics()),
        sources=sources,
        tenants=tenants,
        publisher=Publisher(log),
        fingerprints=fingerprints,
        policy=Policy(settings.ingest.query_parameters, settings.ingest.trusted_proxies, fingerprints.line),
        file_claims=FileClaims(engine, fingerprints),
        request_claims=RequestClaims(engine),
        source_counts=SourceCounts(engine),
        senders=Senders(sources, tenants, clock),
    )


def _remembers(engine: sa.Engine) -> bool:
    """Whether anything was ever taken under the fingerprints' key."""
    return any(has_rows(engine, sa.select(table.c.origin)) for table in (file_claims, request_claims))
