"""What each plane counted last, on `retention-report.v1`: types of data, tenants and numbers, nothing of any record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from types import TracebackType
from typing import Any, Self

import polars as pl

from services.runtime import avro
from services.runtime.errors import Poison
from services.runtime.log.interface import EventLog, Message, Record
from services.runtime.logs import get_logger
from services.runtime.topics import TOPICS

__all__ = ["Line", "Published", "as_json", "from_json", "publish"]

ROWS_MAX = 5_000  # of a message: under half of what one may have
_TOPIC = TOPICS["retention-report"].name
_SCHEMA = "retention_report"
_SECOND = timedelta(seconds=1)
_TIMES = ("oldest", "at", "ran_at", "next_run")


@dataclass(frozen=True, slots=True)
class Line:
    """One type of data of one tenant (empty: it belongs to nobody in particular), as counted `at`. `over`: rows that
    were past their term. `ran_at`: when what was over was last removed, and how many that were."""

    plane: str
    kind: str
    tenant: str
    term: timedelta
    end: str
    rows: int
    oldest: datetime | None
    over: int
    at: datetime
    ran_at: datetime | None = None
    removed: int = 0
    next_run: datetime | None = None

    @property
    def kept(self) -> bool:
        """Whether the term is kept."""
        return self.over == 0


def publish(log: EventLog, lines: Sequence[Line]) -> None:
    """Replaces what was said of the same types. Raises `Transient`."""
    messages = [message for kind in dict.fromkeys(line.kind for line in lines) for message in _messages(kind, lines)]
    if messages:
        log.send(messages)


def as_json(line: Line) -> dict[str, Any]:
    """For programs: times as ISO 8601 with their zone, the term in seconds."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in _row(line, UTC).items()
    }


def from_json(row: Mapping[str, Any]) -> Line:
    times = {name: datetime.fromisoformat(row[name]) for name in _TIMES if row[name]}
    return _line({**row, **times})


class Published:
    """Follows the topic. Use from one thread."""

    def __init__(self, log: EventLog) -> None:
        self._follower = log.follower([_TOPIC])
        self._latest: dict[bytes, list[Line]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def lines(self, plane: str = "") -> Sequence[Line]:
        """The newest of each type: of one plane, or of all. Raises `Transient`."""
        for record in self._follower.poll():
            self._take(record)
        newest: dict[str, datetime] = {}
        for lines in self._latest.values():
            for line in lines:
                newest[line.kind] = max(line.at, newest.get(line.kind, line.at))
        found = [line for lines in self._latest.values() for line in lines]
        return [line for line in found if line.plane == (plane or line.plane) and line.at == newest[line.kind]]

    def close(self) -> None:
        self._follower.close()

    def _take(self, record: Record) -> None:
        if record.value is None:
            self._latest.pop(record.key, None)
            return
        try:
            frame, _ = avro.decode_batch(record.value, _SCHEMA)
            aware = frame.with_columns(pl.col(_TIMES).dt.replace_time_zone("UTC"))
            self._latest[record.key] = [_line(row) for row in aware.iter_rows(named=True)]
        except Poison as error:  # the next round says it again
            get_logger().warning("retention report skipped", topic=_TOPIC, reason=error.reason)


def _messages(kind: str, lines: Sequence[Line]) -> list[Message]:
    """One for every ROWS_MAX lines; a later report with fewer is told from an older one by its time."""
    mine = [line for line in lines if line.kind == kind]
    found = []
    for number, start in enumerate(range(0, len(mine), ROWS_MAX)):
        rows = [_row(line) for line in mine[start : start + ROWS_MAX]]
        frame = pl.DataFrame(rows, schema=dict(avro.columns(_SCHEMA)))
        key = f"{mine[0].plane}/{kind}/{number}".encode()
        found.append(Message(_TOPIC, key, avro.encode_batch(frame, _SCHEMA, {})))
    return found


def _row(line: Line, zone: tzinfo | None = None) -> dict[str, Any]:
    row = {name: getattr(line, name) for name in Line.__slots__ if name != "term"}
    times = {name: at.astimezone(UTC).replace(tzinfo=zone) if (at := row[name]) else None for name in _TIMES}
    return {**row, **times, "term_seconds": line.term // _SECOND}


def _line(row: Mapping[str, Any]) -> Line:
    """Raises `Poison`."""
    try:
        return Line(
            **{name: row[name] for name in Line.__slots__ if name != "term"}, term=row["term_seconds"] * _SECOND
        )
    except (KeyError, TypeError) as error:
        raise Poison("undecodable_record") from error
