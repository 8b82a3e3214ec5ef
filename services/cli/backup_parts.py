"""What a backup holds: the one list. What is not named here is in no backup.

Never in one: keys, event rows, what waits in the log or the spool, sessions. Of the statistics only closed days: a
day that was open comes back as if it had not begun, so a backup cannot bring back the people of a day that has
been closed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from services.runtime.copying import Where

__all__ = ["LEFT_OUT", "LOG", "PARTS", "RECORDS", "RecordsPart"]


@dataclass(frozen=True, slots=True)
class RecordsPart:
    """Tables of one plane's records. `filled`: those that have a row from the first start on."""

    plane: str
    tables: Mapping[str, Where]
    filled: frozenset[str] = frozenset()


def _all(_table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.true()


def _closed(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.state == "closed"


def _of_closed_days(table: sa.Table) -> sa.ColumnElement[bool]:
    days = sa.table("days", sa.column("tenant"), sa.column("day"), sa.column("state"))
    return sa.exists().where(days.c.tenant == table.c.tenant, days.c.day == table.c.day, days.c.state == "closed")


def _whole(*tables: str) -> dict[str, Where]:
    return dict.fromkeys(tables, _all)


# Who may sign in, and their passwords' hashes: a password that was changed since comes back as it was.
_PEOPLE = ("users", "credentials", "recovery_codes")

RECORDS: Mapping[str, RecordsPart] = {
    "ingest": RecordsPart(
        "ingest",
        _whole(
            "sources", "source_keys", "file_claims", "claim_chunks", "request_claims", "source_counts", "departures"
        ),
    ),
    "identity": RecordsPart(
        "identity",
        _whole(
            *("case_files", "case_steps", "case_documents", "worker_receipts", "holds", "case_callbacks"),
            *("counters", "subjects", "profiles", "look_ups", "activity", "ledger", "spans", "cases", "key_rotations"),
            *("audit_leaves", "audit_head", "audit_checkpoints", "grants", "access_requests"),
            *("notes", "api_keys"),
            *("isolated_activity", "activity_counts", "last_heard", "departures", "tenant_certificates"),
            *_PEOPLE,
        ),
        frozenset({"counters", "audit_head"}),
    ),
    # Apart from what they open: an older backup of the data opens only who has a key in the newest one of these.
    "person-keys": RecordsPart("identity", _whole("person_keys")),
    "statistics": RecordsPart(
        "statistics",
        {
            **{"days": _closed, "day_cells": _of_closed_days},
            **_whole("periods", "route_proposals", "erasures", "departures", *_PEOPLE, "api_keys"),
            **_whole("release_days", "release_catalogues", "release_vectors", "releases", "route_tables"),
            **_whole("partners", "partner_members", "partner_keys", "partner_terms", "partner_acceptances"),
            **_whole("publications", "publication_files", "downloads", "delivery_acts", "webhooks", "webhook_messages"),
            **_whole("collection_sources", "collection_counts", "collection_gauges", "policies"),
        },
    ),
}
LOG = "log"  # the topics that are kept for good: tenants, privacy signals and their receipts
PARTS = (*RECORDS, LOG)

LEFT_OUT: Mapping[str, str] = {
    "leases": "who works now",
    "sessions": "whoever restores a backup signs in again",
    "login_links": "good for a quarter of an hour",
    "live_totals": "counted anew within a second",
    "workers": "they say again that they are there",
    "alembic_version": "made with the tables",
}
