"""Parts of the events table: is what stands in the ledger really on the disk, and what to do when it is not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from services.runtime.clickhouse import Analytics, sql
from services.runtime.consumer import Plan
from services.stats.store import SQL

__all__ = ["Parts"]

MERGED_MEANWHILE_MAX = 3  # merges race with a look at a part; three in a row within a millisecond do not happen


class Parts:
    """Every method raises what the engine raises: the caller knows what a failure means for its work."""

    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics

    def stands(self, plan: Plan, *, exactly: bool = False) -> bool:
        """True when the ledger row of this range is there and its part is intact.

        With `exactly`, right after the insert, the part's rows are also compared with the ledger row.
        Later they are not: a merged part has others too, and events leave when their day closes.
        """
        for _ in range(MERGED_MEANWHILE_MAX):
            rows = self._analytics.frame(sql(SQL, "find_ledger"), _range(plan))
            if rows.height != 1:
                return False
            row = rows.row(0, named=True)
            if self._passes(row["part"]) and (not exactly or self._holds(row["part"], row["rows"], row["checksum"])):
                return True
            if self._path(row["part"]) is not None:
                return False
        return False

    def intact(self, part: str) -> bool:
        """`CHECK TABLE ... PART` passes and, where files can be seen, none is empty: a write that failed on a
        full disk leaves such files and no error."""
        answer = self._analytics.client.query(f"CHECK TABLE events PART '{part}'").result_rows
        if not answer or str(answer[0][1]) != "1":
            return False
        path = self._path(part) if self._analytics.embedded else None
        return path is None or all(file.stat().st_size for file in path.rglob("*") if file.is_file())

    def active(self) -> list[str]:
        return [str(name) for name in self._analytics.frame(sql(SQL, "list_parts"))["name"]]

    def detach_broken(self, ingest_day: date) -> list[str]:
        """Takes fresh parts of the day that are not intact out of the table; returns their names."""
        fresh = self._analytics.frame(sql(SQL, "list_fresh_parts"), {"partition": ingest_day.isoformat()})
        broken = [str(name) for name in fresh["name"] if not self._passes(str(name))]
        for part in broken:
            self._analytics.command(f"ALTER TABLE events DETACH PART '{part}'")
        return broken

    def drop_detached(self, parts: list[str]) -> None:
        """A detached part would outlive the drop of its partition."""
        for part in parts:
            self._analytics.command(f"ALTER TABLE events DROP DETACHED PART '{part}' SETTINGS allow_drop_detached = 1")

    def reattach(self) -> None:
        """Reads the table from the disk again: what is broken goes to `detached`, its sources come back."""
        self._analytics.command("DETACH TABLE events SYNC")
        self._analytics.command("ATTACH TABLE events")

    def _holds(self, part: str, rows: int, checksum: int) -> bool:
        held = self._analytics.frame(sql(SQL, "measure_part"), {"part": part}).row(0, named=True)
        merged = held["ledgers"] > 1  # already one with others, each of which was compared on its own
        return merged or bool(held["rows"] == rows and held["checksum"] == checksum)

    def _passes(self, part: str) -> bool:
        try:
            return self.intact(part)
        except Exception:  # the engine raises on what it cannot read at all
            return False

    def _path(self, part: str) -> Path | None:
        found = self._analytics.frame(sql(SQL, "locate_part"), {"part": part})["path"]
        return Path(found[0]) if len(found) else None


def _range(plan: Plan) -> dict[str, object]:
    return {
        "topic_id": plan.topic_id,
        "log_partition": plan.partition.number,
        "first_offset": plan.first,
        "last_offset": plan.last,
    }
