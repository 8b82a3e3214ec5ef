"""Builds every resource of the identity plane once, in one place."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import sqlalchemy as sa

from services.enricher.activity.blocks import Activity
from services.enricher.activity.dead_letters import DeadLetters
from services.enricher.activity.ledger import Ledger
from services.enricher.activity.merging import Merging
from services.enricher.activity.pipeline import GROUP, LinkedActivity
from services.enricher.persons.account_feed import GROUP as ACCOUNTS_GROUP
from services.enricher.persons.account_feed import AccountFeed
from services.enricher.persons.accounts import AccountBook
from services.enricher.persons.directory import Directory
from services.enricher.persons.reindexing import Reindexing
from services.enricher.persons.rotation import Rotation
from services.enricher.persons.vault import Vault
from services.enricher.records import MIGRATIONS
from services.enricher.retention.held import has_holds
from services.enricher.retention.keepers import keepers, standing_of
from services.enricher.retention.records import departures
from services.enricher.rights.execution import Rights
from services.enricher.rights.holds import Holds
from services.enricher.rights.ordering import let_storing_end, make_position
from services.enricher.rights.receipts import Receipts
from services.enricher.rights.sealing import CaseSeal
from services.enricher.rights.signals import Signals
from services.enricher.tenants.certificates import TenantCertificates
from services.enricher.tenants.departure import tenant_stores
from services.enricher.tenants.leaving import Leaving
from services.enricher.tenants.registry import Registry
from services.runtime.clock import Clock
from services.runtime.consumer import PlannedConsumer
from services.runtime.database import open_plane_records
from services.runtime.departures import Departures
from services.runtime.keys import KeyService, open_keys
from services.runtime.lag import lag
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog
from services.runtime.metrics import Metrics
from services.runtime.retention.keeping import Retention
from services.runtime.retention.terms import Terms
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS

__all__ = ["OWN_TOPICS", "Identity", "Status", "open_identity"]

OWN_TOPICS = tuple(topic for topic in TOPICS.values() if "enricher" in (*topic.written_by, *topic.read_by))


@dataclass(frozen=True, slots=True)
class Status:
    """`lag`: records of accesses and accounts not dealt with yet; `events_linked`: rows ever linked."""

    lag: int
    events_linked: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything of the plane, open. `linker` and `account_feed` join their groups: call them in one process."""

    settings: Settings
    clock: Clock
    engine: sa.Engine
    log: EventLog
    keys: KeyService
    metrics: Metrics
    registry: Registry
    signals: Signals
    vault: Vault
    directory: Directory
    activity: Activity
    accounts: AccountBook
    dead_letters: DeadLetters
    ledger: Ledger
    holds: Holds
    receipts: Receipts
    rights: Rights
    rotation: Rotation
    merging: Merging
    reindexing: Reindexing

    @property
    def retention(self) -> Retention:
        """The terms of this plane's types of data."""
        own = keepers(self.engine, self.log, self.keys, self.clock)
        return Retention("identity", own, self.terms, log=self.log, clock=self.clock, metrics=self.metrics)

    @property
    def certificates(self) -> TenantCertificates:
        """Of tenants that left."""
        return TenantCertificates(self.engine, self.keys, self.clock)

    def leaving(self) -> Leaving:
        """For the thread that does what comes round."""
        own = Departures(
            plane="identity",
            stores=tenant_stores(self.engine, self.keys, self.signals, self.clock),
            engine=self.engine,
            table=departures,
            log=None,
            clock=self.clock,
            begin=lambda connection: let_storing_end(connection, self.signals),
        )
        return Leaving(
            *(self.registry, own, self.certificates),
            log=self.log,
            clock=self.clock,
            metrics=self.metrics,
            is_held=lambda tenant: has_holds(self.engine, tenant),
        )

    def sink(self) -> LinkedActivity:
        """What becomes of a batch of accesses."""
        return LinkedActivity(
            engine=self.engine,
            directory=self.directory,
            blocks=self.activity,
            registry=self.registry,
            signals=self.signals,
            dead_letters=self.dead_letters,
            clock=self.clock,
            metrics=self.metrics,
            linked_days=self.settings.identity.linked_days,
        )

    def linker(self, member: str) -> PlannedConsumer:
        """The loop that links accesses to persons."""
        sink = self.sink()
        topics = [TOPICS["access-log"].name]
        return PlannedConsumer(
            self.log, sink, topics, GROUP, member, clock=self.clock, prepare=sink.prepare, metrics=self.metrics
        )

    def account_feed(self, member: str) -> AccountFeed:
        """The loop that applies `account.v1`."""
        return AccountFeed(
            log=self.log,
            directory=self.directory,
            signals=self.signals,
            dead_letters=self.dead_letters,
            clock=self.clock,
            metrics=self.metrics,
            member=member,
        )

    def status(self) -> Status:
        """How far behind the loops are, wherever they run. Raises `Transient`."""
        reads = {GROUP: TOPICS["access-log"], ACCOUNTS_GROUP: TOPICS["account"]}
        behind = sum(lag(self.log, group, topic.name) for group, topic in reads.items())
        return Status(behind, self.ledger.events_linked())

    def terms(self) -> Terms:
        """Who keeps what for how long, as it stands now."""
        self.registry.follow()
        return Terms(self.settings, {tenant.tenant: standing_of(tenant) for tenant in self.registry.all()})

    def close(self) -> None:
        self.receipts.close()
        self.signals.close()
        self.registry.close()
        self.log.close()
        self.engine.dispose()


def open_identity(settings: Settings, clock: Clock) -> Identity:
    """Raises `Fatal` on a wrong setting, key, permission or schema, `Transient` when the log is away.

    Signals and registry are followed up to now, so what is in force is known before anything is done.
    """
    with contextlib.ExitStack() as opened:
        engine = open_plane_records(settings.url(settings.identity.records), MIGRATIONS)
        opened.callback(engine.dispose)
        keys = open_keys(settings.url(settings.identity.keys))
        log = open_log(settings.url(settings.events), settings.kafka, clock)
        opened.callback(log.close)
        log.ensure_topics(OWN_TOPICS)
        registry, signals = Registry(log), Signals(log)
        registry.follow()
        signals.follow()
        make_position(engine, signals)
        vault = Vault(keys)
        vault.prepare(engine)
        directory = Directory(engine, vault, keys, settings.identity.phone_region)
        directory.refuse_lost_keys([tenant.tenant for tenant in registry.all()])
        accounts = AccountBook(log, clock)
        holds = Holds(engine, directory, CaseSeal(keys), clock)
        identity = Identity(
            settings=settings,
            clock=clock,
            engine=engine,
            log=log,
            keys=keys,
            metrics=Metrics(),
            registry=registry,
            signals=signals,
            vault=vault,
            directory=directory,
            activity=Activity(engine, vault),
            accounts=accounts,
            dead_letters=DeadLetters(log, keys, clock),
            ledger=Ledger(engine, clock),
            holds=holds,
            receipts=Receipts(engine, log),
            rights=Rights(
                engine=engine,
                vault=vault,
                directory=directory,
                accounts=accounts,
                signals=signals,
                holds=holds,
                clock=clock,
            ),
            rotation=Rotation(engine, vault, keys, clock),
            merging=Merging(engine, vault, signals, clock),
            reindexing=Reindexing(engine, directory, signals, clock),
        )
        opened.pop_all()  # from now on they are closed by `close`
    return identity
