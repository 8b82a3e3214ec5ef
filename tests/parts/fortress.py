"""Production's walls: a broker with logins, TLS and rights, databases with a role for each service, and the planes in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.kafka import set_up
from services.cli.stores import migrations_of
from services.runtime.database import open_records, upgrade
from services.runtime.log.kafka_access import Right, load_grantees
from services.runtime.settings import Settings
from tests.parts.postgres import Postgres
from tests.parts.secured_kafka import ADMIN, SecuredBroker

__all__ = ["GRANTEES", "PLANES", "Fortress", "passwords", "raise_databases", "raise_topics"]

DEPLOY = Path(__file__).parents[2] / "deploy"
GRANTEES = {grantee.name: grantee for grantee in load_grantees()}
PLANES = ("ingest", "identity", "statistics")
# Each service: its user on Kafka and its role on PostgreSQL.
SERVICES: Mapping[str, tuple[str, str]] = {
    "ingest": ("ingest", "voile_ingest"),
    "identity": ("enricher", "voile_identity"),
    "statistics": ("stats-worker", "voile_statistics"),
}


def passwords() -> dict[str, str]:
    return {ADMIN: "of the administrator"} | {g.user: f"of {g.name}" for g in GRANTEES.values()}


@dataclass(frozen=True)
class Fortress:
    """`folder` has a data folder a plane, as on a machine of its own."""

    folder: Path
    broker: SecuredBroker
    server: Postgres

    def settings(self, plane: str) -> Settings:
        user, role = SERVICES[plane]
        values: dict[str, Any] = {
            "data": self.folder / plane,
            "events": self.broker.url,
            "kafka": self.broker.settings(GRANTEES[user].user),
            plane: {"records": self.server.as_role(role, f"voile_{plane}")},
        }
        return Settings.model_validate(values)


def raise_topics(broker: SecuredBroker) -> list[Right]:
    """As `voile kafka setup` does; returns the rights that it says are too many."""
    values = {"events": broker.url, "kafka": broker.settings(ADMIN)}
    return list(set_up(Settings.model_validate(values), list(GRANTEES.values())))


def raise_databases(server: Postgres) -> None:
    """As docs/production.md says: roles, tables by their owners, rights."""
    server.run(DEPLOY / "postgresql" / "roles.sql")
    for plane in PLANES:
        engine = open_records(server.as_role(f"voile_{plane}_owner", f"voile_{plane}"))
        upgrade(engine, migrations_of(plane))
        engine.dispose()
    server.run(DEPLOY / "postgresql" / "grants.sql")
