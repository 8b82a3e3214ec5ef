"""Logs: one JSON line an event, with keys from an allow-list, so that no value of an access can slip in."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

# structlog imports rich where it is installed, for colours that no log here has: 5 MB a process. It does without.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # the documented way to hide a module
import structlog  # noqa: E402

if sys.modules.get("rich") is None:
    del sys.modules["rich"]

__all__ = ["ALLOWED_KEYS", "configure_logs", "get_logger", "place_of"]

# A key that is not here never reaches a log. None of them may carry text that came with an event,
# an account or a request; ids are Voile's own (topic, partition, case), counts and durations.
ALLOWED_KEYS = frozenset(
    {
        "event", "level", "timestamp", "service", "logger",
        "topic", "partition", "first_offset", "last_offset", "attempt", "generation", "member", "group",
        "rows", "accepted", "duplicates", "rejected", "lost", "late", "bytes", "batches", "reason", "code",
        "tenant", "source", "day", "case", "purpose", "ticket", "decision", "cells", "keys",
        "duration_ms", "retry_after_s", "status", "method", "route", "request_id", "listen", "version",
        "error_type", "place", "stage", "count", "oldest", "term_days", "free_bytes", "part", "checkpoint", "size",
    }
)  # fmt: skip
_FOREIGN_EVERY_S = 60.0  # a sender of rubbish makes a library speak once a connection: one line a minute says as much
_TEXT_MAX = 200  # no key above needs more; a longer value is a mistake


def configure_logs(service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Once, at the composition root. Other libraries' records pass only as their logger and level."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _named(service),
            keep_allowed_keys,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(stream or sys.stderr),  # stderr as it is then, not now
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Foreign(service)], level=logging.WARNING, force=True)


def get_logger() -> Any:
    return structlog.get_logger()


def place_of(error: BaseException) -> str:
    """Where in our own code `error` came up, like `services.stats.store:17`, with no value in it; "" when elsewhere."""
    places = ((frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(error.__traceback__))
    return next((f"{name}:{line}" for name, line in reversed([*places]) if name.startswith("services.")), "")


def keep_allowed_keys(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drops what is not in the list; of an exception only its type passes."""
    if (error := event.pop("exc_info", None)) not in (None, False):
        kind = type(error) if isinstance(error, BaseException) else sys.exc_info()[0]
        event["error_type"] = kind.__name__ if kind else "unknown"
    return {key: _short(value) for key, value in event.items() if key in ALLOWED_KEYS}


def _short(value: Any) -> Any:
    if isinstance(value, int | float | bool) or value is None:
        return value
    text = "".join(ch if ch.isprintable() else "?" for ch in str(value))
    return text[:_TEXT_MAX]


def _named(service: str) -> Any:
    def add_service(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    return add_service


class _Foreign(logging.Handler):
    """A library's own message may quote what it was given: only who spoke, how loud, and how often (`count`, since the
    last line of the kind) is kept."""

    def __init__(self, service: str, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._service, self._now = service, now
        self._said: dict[tuple[str, str, str | None], tuple[float, int]] = {}  # kind -> when, unsaid since

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        kind = record.name, record.levelname, error.__name__ if error else None
        at, unsaid = self._said.get(kind, (-_FOREIGN_EVERY_S, 0))
        if self._now() - at < _FOREIGN_EVERY_S:
            self._said[kind] = at, unsaid + 1
            return
        self._said[kind] = self._now(), 0
        structlog.get_logger().warning(
            "library message", logger=kind[0], status=kind[1], error_type=kind[2], count=unsaid + 1
        )
