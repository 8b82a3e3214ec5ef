"""This installation, opened part by part as the checks of promises ask for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from services.enricher.access.service import Access, open_access
from services.enricher.service import Identity, open_identity
from services.ingest.service import Ingest, open_ingest
from services.runtime.clock import Clock
from services.runtime.database import check_schema, open_records
from services.runtime.settings import Settings
from services.stats.records import MIGRATIONS

__all__ = ["Place", "opened_place"]


class Place:
    """What a check may look at. Raises what opening raises."""

    def __init__(self, settings: Settings, clock: Clock, opened: contextlib.ExitStack) -> None:
        self.settings, self.clock, self._opened = settings, clock, opened

    @cached_property
    def ingest(self) -> Ingest:
        ingest = open_ingest(self.settings, self.clock)
        self._opened.callback(ingest.close)
        return ingest

    @cached_property
    def identity(self) -> Identity:
        identity = open_identity(self.settings, self.clock)
        self._opened.callback(identity.close)
        return identity

    @cached_property
    def access(self) -> Access:
        return open_access(self.identity)

    @cached_property
    def statistics(self) -> sa.Engine:
        """The plane's records; its store belongs to the process that runs it."""
        engine = open_records(self.settings.url(self.settings.statistics.records))
        self._opened.callback(engine.dispose)
        check_schema(engine, MIGRATIONS)
        return engine

    @cached_property
    def counted(self) -> dict[str, Any]:
        """As `voile stats status`."""
        from services.cli.stats import ask

        found: dict[str, Any] = ask(self.settings, self.clock, "status", {})
        return found

    def tenants(self) -> Sequence[str]:
        self.identity.registry.follow()
        return [tenant.tenant for tenant in self.identity.registry.all()]


@contextlib.contextmanager
def opened_place(settings: Settings, clock: Clock) -> Iterator[Place]:
    with contextlib.ExitStack() as opened:
        yield Place(settings, clock, opened)
