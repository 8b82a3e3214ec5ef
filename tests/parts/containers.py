"""The same servers in containers, where a Docker engine is there. Not needed, and not used, where none is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.parts.postgres import Postgres

__all__ = ["contained_kafka", "contained_postgres"]

KAFKA_IMAGE = "apache/kafka:4.1.0"
POSTGRES_IMAGE = "postgres:17"


@contextlib.contextmanager
def contained_kafka() -> Iterator[str]:
    """Yields host:port of a broker."""
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer(KAFKA_IMAGE).with_kraft() as container:
        yield container.get_bootstrap_server()


@contextlib.contextmanager
def contained_postgres() -> Iterator[Postgres]:
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer(POSTGRES_IMAGE, username="voile", password="voile", dbname="postgres") as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        yield Postgres(f"postgresql://voile:voile@{host}:{port}/postgres")
