"""Privacy signals: what every worker honours for one account (`privacy-signal.v1`), and what is suppressed by them.

The topic is the truth (compacted, never deleted), so that a replay or an old backup of the records
cannot bring an erased person back.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from services.runtime import avro
from services.runtime.errors import Fatal, Poison
from services.runtime.log.interface import EventLog, Message, Partition, Record
from services.runtime.topics import TOPICS

__all__ = ["KINDS", "Signal", "Signals", "signal_key"]

# An objection to statistics leaves the linked activity alone; restriction and erasure touch both planes.
KINDS = ("objection", "linking-objection", "restriction", "erasure")
_LINKING = frozenset({"linking-objection", "restriction"})
_TOPIC = TOPICS["privacy-signal"].name
SEND_MAX = 1000  # messages per wait for durability
_FOREVER = datetime(9999, 12, 31)  # noqa: DTZ001  # frames carry naive UTC
_SCHEMA = {"tenant": pl.String(), "account": pl.String(), "until": pl.Datetime("ms")}


@dataclass(frozen=True, slots=True, repr=False)
class Signal:
    """One signal. `account` is personal data. `cutoff` in UTC: an erasure covers what happened up to it."""

    case: str
    tenant: str
    account: str
    kind: str
    active: bool
    cutoff: datetime


class Signals:
    """What is in force now. `follow` from any thread."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self.topic_id = log.topic_id(_TOPIC)
        self._follower = log.follower([_TOPIC])
        self._latest: dict[tuple[str, str, str], Signal] = {}
        self._position = 0
        self._suppressions = pl.DataFrame(schema=_SCHEMA)

    @property
    def position(self) -> int:
        """The offset after the last signal followed."""
        return self._position

    @property
    def suppressions(self) -> pl.DataFrame:
        """(tenant, account, until): what of that account happened or came up to `until` (naive UTC) is not linked."""
        return self._suppressions

    def follow(self) -> None:
        """Take in what was signalled since the last call. Raises `Transient`."""
        with self._lock:
            _, end = self._log.offsets(Partition(_TOPIC, 0))
            fresh = self._follower.poll()
            self._position = max(self._position, end)  # compaction may have taken what stood last
            for record in fresh:
                self._apply(record)
            if fresh:
                self._suppressions = _suppressions(self._latest)

    def erasures(self) -> Sequence[Signal]:
        return [s for s in list(self._latest.values()) if s.kind == "erasure"]

    def erased_until(self) -> Mapping[tuple[str, str], datetime]:
        """(tenant, account) -> cut-off of its erasure."""
        return {(s.tenant, s.account): s.cutoff for s in self.erasures()}

    def in_force(self, tenant: str, account: str) -> Sequence[Signal]:
        found = (self._latest.get((tenant, account, kind)) for kind in KINDS)
        return [signal for signal in found if signal is not None and signal.active]

    def publish(self, signal: Signal) -> int:
        """Make the signal durable; returns the offset after it. Raises `Transient`."""
        value = avro.encode_record(
            {
                "case": signal.case,
                "tenant": signal.tenant,
                "account": signal.account,
                "kind": signal.kind,
                "active": signal.active,
                "cutoff": signal.cutoff,
            },
            "privacy_signal",
        )
        ((_, offset),) = self._log.send([Message(_TOPIC, signal_key(signal), value)])
        return offset + 1

    def count_of(self, tenant: str) -> int:
        """Signals of a tenant's accounts, as followed so far."""
        return sum(of == tenant for of, _, _ in list(self._latest))

    def withdraw_all(self, tenant: str) -> None:
        """For a tenant that has left, whose data nothing can bring back: no id of its accounts stays in the topic. The
        only way in which a signal ends. Raises `Transient`."""
        gone = [signal for signal in list(self._latest.values()) if signal.tenant == tenant]
        for start in range(0, len(gone), SEND_MAX):
            self._log.send([Message(_TOPIC, signal_key(s), None) for s in gone[start : start + SEND_MAX]])
        with self._lock:
            self._latest = {key: signal for key, signal in self._latest.items() if key[0] != tenant}
            self._suppressions = _suppressions(self._latest)

    def close(self) -> None:
        self._follower.close()

    def _apply(self, record: Record) -> None:
        self._position = max(self._position, record.offset + 1)
        if record.value is None:
            return  # a signal is never withdrawn by a tombstone
        try:
            row = avro.decode_record(record.value, "privacy_signal")
            signal = _signal(row)
        except Poison as error:
            raise Fatal(
                f"The privacy signal at offset {record.offset} of {_TOPIC} cannot be read, so nobody can tell whose "
                "data it protects; repair that record before the enricher starts again."
            ) from error
        self._latest[(signal.tenant, signal.account, signal.kind)] = signal


def _signal(row: Mapping[str, Any]) -> Signal:
    if any(row[name] is None for name in ("case", "tenant", "account", "kind", "active", "cutoff")):
        raise Poison("undecodable_record")
    return Signal(**row)


def signal_key(signal: Signal) -> bytes:
    return f"{signal.tenant}/{signal.account}/{signal.kind}".encode()


def _suppressions(latest: Mapping[tuple[str, str, str], Signal]) -> pl.DataFrame:
    until: dict[tuple[str, str], datetime] = {}
    for (tenant, account, kind), signal in latest.items():
        if not signal.active or kind == "objection":
            continue
        end = _FOREVER if kind in _LINKING else signal.cutoff.astimezone(UTC).replace(tzinfo=None)
        until[tenant, account] = max(end, until.get((tenant, account), end))
    rows = [(tenant, account, end) for (tenant, account), end in until.items()]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
