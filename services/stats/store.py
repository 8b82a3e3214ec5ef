"""The statistics store's tables: every `sql/create_*.sql`, each a statement that may run again."""

from __future__ import annotations

from importlib import resources

from services.runtime.clickhouse import Analytics, sql

__all__ = ["SQL", "create_tables"]

SQL = "services.stats.sql"


def create_tables(analytics: Analytics) -> None:
    """Create what is missing, in the order of the file names; changes nothing that is there."""
    found = (entry.name for entry in resources.files(SQL).iterdir())
    for name in sorted(n for n in found if n.startswith("create_") and n.endswith(".sql")):
        analytics.command(sql(SQL, name.removesuffix(".sql")))
