"""Asks each plane for the terms of its own types of data. Imported by the command only when it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from services.cli import common
from services.runtime.clock import Clock
from services.runtime.errors import VoileError
from services.runtime.log import open_log
from services.runtime.retention.published import Line, Published, from_json
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS

if TYPE_CHECKING:
    from services.runtime.retention.keeping import Retention

__all__ = ["of_every_plane"]


def of_every_plane(*, run: bool) -> list[Line]:
    """Raises `Fatal` or `Transient` when a plane can be asked neither now nor by what it published."""
    settings, clock = common.settings(), common.clock()
    return [line for plane, ask in _ASK.items() for line in _asked(plane, ask, settings, clock, run)]


def _asked(
    plane: str, ask: Callable[[Settings, Clock, bool], Sequence[Line]], settings: Settings, clock: Clock, run: bool
) -> Sequence[Line]:
    try:
        return ask(settings, clock, run)
    except VoileError as error:
        published = [] if run else _published(settings, clock, plane)
        if not published:
            raise
        common.note(f"{plane}: as of {published[0].at:%Y-%m-%d %H:%M} UTC; it cannot be asked from here ({error})")
        return published


def _ingest(settings: Settings, clock: Clock, run: bool) -> Sequence[Line]:
    from services.ingest.service import open_ingest

    ingest = open_ingest(settings, clock)
    try:
        return _done(ingest.retention, run)
    finally:
        ingest.close()


def _identity(settings: Settings, clock: Clock, run: bool) -> Sequence[Line]:
    from services.enricher.service import open_identity

    identity = open_identity(settings, clock)
    try:
        return _done(identity.retention, run)
    finally:
        identity.close()


def _statistics(settings: Settings, clock: Clock, run: bool) -> Sequence[Line]:
    from services.cli.stats import ask

    return [from_json(row) for row in ask(settings, clock, "retention", {"run": run})]


_ASK: dict[str, Callable[[Settings, Clock, bool], Sequence[Line]]] = {
    "ingest": _ingest,
    "identity": _identity,
    "statistics": _statistics,
}


def _done(retention: Retention, run: bool) -> Sequence[Line]:
    return retention.run() if run else retention.report()


def _published(settings: Settings, clock: Clock, plane: str) -> Sequence[Line]:
    log = open_log(settings.url(settings.events), settings.kafka, clock)
    try:
        log.ensure_topics([TOPICS["retention-report"]])
        with Published(log) as published:
            return published.lines(plane)
    finally:
        log.close()
