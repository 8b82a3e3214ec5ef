"""Parts of the events table: is what stands in the ledger really on the disk, and what to do when it is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

from services.runtime.clickhouse import Analytics, sql
from services.runtime.consumer import Plan
from services.stats.store import SQL

__all__ = ["Look", "Parts"]

LOOKS_MAX = 3  # a merge may replace the part between two statements; three times in a row it does not


class Look(Enum):
    """What a look at one range of the ledger finds."""

    ABSENT = "absent"
    INTACT = "intact"
    BROKEN = "broken"


class Parts:
    """Every method raises what the engine raises: the caller knows what a failure means for its work."""

    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics
        self._folders: list[Path] | None = None

    def look(self, plan: Plan, *, exactly: bool = False) -> Look:
        """Is the ledger row of this range there, and its part intact?

        With `exactly`, right after the insert, the part's rows are also compared with the ledger row.
        Later they are not: a merged part has others too, and events leave when their day closes.
        """
        for _ in range(LOOKS_MAX):
            try:
                seen = self._analytics.frame(sql(SQL, "look_at_range"), _range(plan)).row(0, named=True)
            except Exception:  # a part that may hold it cannot be read
                return Look.BROKEN
            if seen["found"] == 0:
                return Look.ABSENT
            if seen["found"] > 1 or (exactly and not _as_written(seen)):
                return Look.BROKEN
            if self.intact(seen["part"]):
                return Look.INTACT
            if seen["part"] in self.active():
                return Look.BROKEN
        return Look.BROKEN

    def intact(self, part: str) -> bool:
        """`CHECK TABLE ... PART` passes and, where files can be seen, none is empty: a write that failed on a
        full disk leaves such files and no error. False for a part that is not active."""
        try:
            answer = self._analytics.client.query(f"CHECK TABLE events PART '{part}'").result_rows
        except Exception:  # the engine raises on what it cannot read at all
            return False
        passes = bool(answer) and str(answer[0][1]) == "1"
        return passes and not any(file.stat().st_size == 0 for file in self._files(part))

    def active(self) -> list[str]:
        return [str(name) for name in self._analytics.frame(sql(SQL, "list_parts"))["name"]]

    def drop_broken(self, ingest_day: date) -> list[str]:
        """Takes the day's fresh parts that are not intact out of the table and off the disk; the log still has
        their rows. Returns their names. Merged parts are not touched: `reattach` brings their sources back."""
        fresh = self._analytics.frame(sql(SQL, "list_fresh_parts"), {"partition": ingest_day.isoformat()})
        broken = self.broken(str(name) for name in fresh["name"])
        self.drop(broken)
        return broken

    def broken(self, parts: Iterable[str]) -> list[str]:
        """Those of `parts` that are active and not intact."""
        suspects = [part for part in sorted(parts) if not self.intact(part)]
        return [part for part in suspects if part in self.active()]  # the others were merged meanwhile

    def drop(self, parts: Iterable[str]) -> None:
        """Detached first: a part that cannot be read cannot be dropped either. Detached it would outlive the
        drop of its partition, so it goes at once."""
        for part in parts:
            self._analytics.command(f"ALTER TABLE events DETACH PART '{part}'")
            self._analytics.command(f"ALTER TABLE events DROP DETACHED PART '{part}' SETTINGS allow_drop_detached = 1")

    def reattach(self) -> None:
        """Reads the table from the disk again: what is broken goes to `detached`, its sources come back."""
        self._analytics.command("DETACH TABLE events SYNC")
        self._analytics.command("ATTACH TABLE events")

    def free_bytes(self) -> int:
        if self._analytics.folder is not None:
            return shutil.disk_usage(self._analytics.folder).free
        return int(self._analytics.frame(sql(SQL, "free_bytes"))["free_bytes"][0])

    def pause_merges(self, paused: bool) -> None:
        self._analytics.command(f"SYSTEM {'STOP' if paused else 'START'} MERGES events")

    def _files(self, part: str) -> list[Path]:
        """Of an embedded engine; a server's files cannot be seen from here."""
        if self._folders is None:
            paths = self._analytics.frame(sql(SQL, "data_paths"))["path"] if self._analytics.embedded else ()
            self._folders = [Path(path) for path in paths]
        return [file for folder in self._folders for file in (folder / part).rglob("*") if file.is_file()]


def _as_written(seen: Mapping[str, Any]) -> bool:
    if seen["ledgers"] > 1:  # merged already with others, each of which was compared on its own
        return True
    return bool(seen["rows_held"] == seen["rows_written"] and seen["checksum_held"] == seen["checksum_written"])


def _range(plan: Plan) -> dict[str, object]:
    return {
        "topic_id": plan.topic_id,
        "log_partition": plan.partition.number,
        "first_offset": plan.first,
        "last_offset": plan.last,
    }
