"""What must not be counted: erased and restricted accounts, and who objected, from `privacy-signal.v1`.

The topic is compacted and never deleted from, so a worker that starts anew, or replays old batches,
honours every signal again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from services.runtime import avro
from services.runtime.log.interface import Record

__all__ = ["Signal", "Suppressions", "signals_of"]

_SCHEMA: dict[str, pl.DataType] = {"tenant": pl.String(), "account": pl.String(), "until": pl.Datetime("ms")}
_FOREVER = datetime(9999, 12, 31)  # noqa: DTZ001  # frames carry naive UTC


@dataclass(frozen=True, slots=True)
class Signal:
    """One word of the identity plane about one account; `cutoff` is naive UTC."""

    case: str
    tenant: str
    account: str
    kind: str
    active: bool
    cutoff: datetime


def signals_of(records: Iterable[Record]) -> list[Signal]:
    """Tombstones say nothing here: a signal is lifted by `active: false`."""
    decoded = (avro.decode_record(r.value, "privacy_signal") for r in records if r.value is not None)
    return [_signal(d) for d in decoded]


class Suppressions:
    """The signals in force. One writer (the worker's loop); `objectors` may be read by the closer's thread."""

    def __init__(self) -> None:
        self._in_force: dict[tuple[str, str, str], Signal] = {}
        self._suppressed = pl.DataFrame(schema=_SCHEMA)

    def apply(self, signals: Iterable[Signal]) -> None:
        in_force = dict(self._in_force)
        for signal in signals:
            key = (signal.tenant, signal.account, signal.kind)
            if signal.active:
                in_force[key] = signal
            else:
                in_force.pop(key, None)
        self._in_force = in_force
        self._suppressed = _table(in_force.values())

    def drop_suppressed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Without what an erased account did up to its cut-off, and without restricted accounts."""
        if self._suppressed.is_empty() or frame["account"].null_count() == frame.height:
            return frame
        found = frame.join(self._suppressed, on=["tenant", "account"], how="left", maintain_order="left")
        return found.filter((pl.col("timestamp") > pl.col("until")).fill_null(True)).drop("until")

    def objectors(self, tenant: str) -> list[str]:
        """The tenant's accounts that objected to being counted."""
        return [account for (t, account, kind) in self._in_force if t == tenant and kind == "objection"]


def _table(signals: Iterable[Signal]) -> pl.DataFrame:
    """Up to when each account's rows are dropped."""
    kinds = {"erasure", "restriction"}
    rows = [(s.tenant, s.account, s.cutoff if s.kind == "erasure" else _FOREVER) for s in signals if s.kind in kinds]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").group_by("tenant", "account").agg(pl.col("until").max())


def _signal(decoded: Mapping[str, Any]) -> Signal:
    return Signal(
        case=decoded["case"],
        tenant=decoded["tenant"],
        account=decoded["account"],
        kind=decoded["kind"],
        active=decoded["active"],
        cutoff=decoded["cutoff"].replace(tzinfo=None),
    )
