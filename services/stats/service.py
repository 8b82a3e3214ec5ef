"""Builds every resource of the statistics plane once, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.clock import Clock
from services.runtime.consumer import PlannedConsumer
from services.runtime.database import open_plane_records
from services.runtime.dead_letters import dead_letter
from services.runtime.departures import Departures
from services.runtime.keys import KeyService, open_keys
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog, Record
from services.runtime.metrics import Metrics
from services.runtime.retention.keeping import Retention
from services.runtime.retention.terms import Terms
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS
from services.runtime.web.outbound import Sender
from services.stats.closing.close_periods import PeriodCloser, is_closed
from services.stats.closing.proposals import AcceptedRoutes
from services.stats.closing.refilling import refill
from services.stats.closing.steps import Closer
from services.stats.collection.collecting import Collector
from services.stats.collection.reports import Collection
from services.stats.counting.following import Following, Preparation
from services.stats.counting.location import Countries
from services.stats.counting.pipeline import Pipeline
from services.stats.counting.watch import PartsWatch
from services.stats.counting.writer import EventWriter
from services.stats.dashboard.policies import Policies
from services.stats.dashboard.privacy import facts_of, texts_of
from services.stats.days.periods import PeriodKeys
from services.stats.days.states import Days
from services.stats.delivery.webhooks import Hooks, Post
from services.stats.pseudonyms.active import ActiveAccounts, Activity
from services.stats.pseudonyms.keyring import Keyring
from services.stats.records import MIGRATIONS, departures
from services.stats.releases.drawing import Drawing
from services.stats.releases.ledger import Scopes
from services.stats.releases.route_tables import RouteTables
from services.stats.retention import keepers, standing_of
from services.stats.rights.erasure import Erasures
from services.stats.rights.suppression import Suppressions
from services.stats.store import create_tables
from services.stats.tenants.departure import Leaving, StatisticsOf
from services.stats.tenants.registry import Tenants
from services.stats.today.live import LiveCounter, LiveTotals
from services.stats.today.snapshot import Snapshotter

__all__ = ["GROUP", "Statistics", "open_statistics"]

GROUP = "stats"


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything of the plane, open. Each thread that asks the store has a client of its own: one client does
    one thing at a time. `following` belongs to whoever runs the worker; everybody else only reads from it."""

    settings: Settings
    clock: Clock
    engine: sa.Engine
    log: EventLog
    keys: KeyService
    metrics: Metrics
    writing: Analytics
    closing: Analytics
    reading: Analytics
    tenants: Tenants
    suppressions: Suppressions
    following: Following
    days: Days
    keyring: Keyring

    def worker(self, member: str) -> PlannedConsumer:
        """The loop from the log into the events; joins its group: one in a process."""
        steps, active = self.pipeline(), ActiveAccounts(self.writing, self.period_keys, self.clock)
        writer = EventWriter(
            self.writing,
            steps.run,
            self._dead_letter,
            lookups=steps.lookups,
            note_active=active.note,
            metrics=self.metrics,
        )
        erasures = Erasures(self.writing, self.engine, self.keyring, active, self.log, member, clock=self.clock)
        return PlannedConsumer(
            self.log,
            writer,
            [TOPICS["access-log"].name],
            GROUP,
            member,
            clock=self.clock,
            prepare=Preparation(self.following, erasures, PartsWatch(self.writing, self.metrics), self.clock),
            metrics=self.metrics,
        )

    def pipeline(self) -> Pipeline:
        file = self.settings.statistics.countries
        return Pipeline.build(
            self.settings.zone,
            self.suppressions,
            self.keyring,
            self.tenants,
            countries=Countries(Path(file) if file else None),
            activity=Activity(self.period_keys, self.suppressions.objectors),
            accepted=AcceptedRoutes(self.engine, self.clock),
            clock=self.clock,
        )

    @property
    def period_keys(self) -> PeriodKeys:
        return PeriodKeys(self.keys, lambda of: is_closed(self.engine, of))

    def period_closer(self) -> PeriodCloser:
        return PeriodCloser(self.closing, self.engine, self.period_keys, self.suppressions.objectors, self.clock)

    def closer(self, wait: Callable[[], None], holder: str = GROUP, analytics: Analytics | None = None) -> Closer:
        """`wait` is called while the worker is behind. `analytics`: a client of the caller's own, for a thread
        other than the timer's."""
        store = analytics or self.closing
        drawing = self._drawing(store)
        return Closer(
            analytics=store,
            records=self.engine,
            keys=self.keyring,
            log=self.log,
            objectors=self.suppressions.objectors,
            draw_releases=drawing.draw,
            draw_silent=drawing.draw_silent,
            clock=self.clock,
            wait=wait,
            holder=holder,
        )

    def collector(self) -> Collector:
        return Collector(self.log, Collection(self.engine), GROUP, self.clock)

    def live_counter(self) -> LiveCounter:
        """For a thread of its own: its client is its own, and closed by its loop."""
        return LiveCounter(
            self.closing.another(),
            LiveTotals(self.engine),
            self.keyring,
            self.suppressions.objectors,
            clock=self.clock,
            zone=self.settings.zone,
        )

    def snapshotter(self) -> Snapshotter:
        return Snapshotter(self.closing, self.days, self.keyring, self.suppressions.objectors, self.clock)

    def retention(self, analytics: Analytics | None = None) -> Retention:
        """The terms of this plane's types of data. `analytics` as for `closer`."""
        own = keepers(analytics or self.closing, self.engine, self.settings.zone)
        return Retention("statistics", own, self._terms, log=self.log, clock=self.clock, metrics=self.metrics)

    def _terms(self) -> Terms:
        return Terms(self.settings, {tenant.id: standing_of(tenant) for tenant in self.tenants.all()})

    def leaving(self) -> Leaving:
        """For the timer's thread: with the closing's client."""
        of = StatisticsOf(self.closing, self.engine, self.keyring, self.period_keys, self.clock)
        own = Departures(GROUP, of.stores(), self.engine, departures, self.log, self.clock)
        return Leaving(own, self.tenants, self.log, self.closing)

    def post(self) -> Post:
        """Messages to partners' systems."""
        own = self.settings.statistics
        origin = f"https://{own.hosts[0]}" if own.hosts else f"http://localhost:{own.listen.rpartition(':')[2]}"
        return Post(self.engine, Hooks(self.engine, self.keys, self.clock), Sender(), origin, self.clock)

    def keep_policy(self) -> None:
        """The public page says what is in force: settings, software and registry of now."""
        facts = facts_of(self.tenants.all())
        Policies(self.engine, self.clock).keep(texts_of(self.settings, facts))

    def close(self) -> None:
        self.following.close()
        for client in (self.reading, self.closing, self.writing):
            client.close()
        self.log.close()
        self.engine.dispose()

    def note_route_tables(self) -> None:
        """Before days are discovered: which routes a day's release may name was settled before the day."""
        RouteTables(self.engine, self.clock, self.settings.zone).note(self.tenants.all())

    def _drawing(self, store: Analytics) -> Drawing:
        return Drawing(store, self.engine, self._opted_in, self.clock, self.settings.zone)

    def _opted_in(self, tenant: str) -> Scopes:
        known = self.tenants.get(tenant)
        return Scopes(own=known.releases, platform=known.platform_releases)

    def _dead_letter(self, record: Record, reason: str) -> None:
        self.log.send([dead_letter(record, reason, GROUP, self.clock.now())])


def open_statistics(settings: Settings, clock: Clock) -> Statistics:
    """Raises `Fatal` on a wrong setting, key, permission, schema or a store that another process holds,
    `Transient` when the log is away.

    Registry and signals are followed up to now, so what is in force is known before anything is done.
    """
    engine = open_plane_records(settings.url(settings.statistics.records), MIGRATIONS)
    keys = open_keys(settings.url(settings.statistics.keys))
    url = settings.url(settings.statistics.analytics)
    writing, closing, reading = open_analytics(url), open_analytics(url), open_analytics(url)
    create_tables(writing)
    refill(writing, engine, clock)
    log = open_log(settings.url(settings.events), settings.kafka, clock)
    log.ensure_topics([t for t in TOPICS.values() if GROUP in (*t.written_by, *t.read_by)])
    tenants, suppressions, days = Tenants(), Suppressions(), Days(engine)
    following = Following(log, tenants, suppressions)
    following.follow()
    return Statistics(
        settings=settings,
        clock=clock,
        engine=engine,
        log=log,
        keys=keys,
        metrics=Metrics(),
        writing=writing,
        closing=closing,
        reading=reading,
        tenants=tenants,
        suppressions=suppressions,
        following=following,
        days=days,
        keyring=Keyring(keys, days),
    )
