"""The profiles the end-to-end and privacy suites run on: by settings alone, the code is the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parts.postgres import Postgres

PROFILES = [
    "embedded",
    pytest.param("servers", marks=[pytest.mark.kafka, pytest.mark.postgres]),
]


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """VOILE_* settings of one profile. `servers`: Kafka, a PostgreSQL database a plane, chDB."""
    if request.param == "embedded":
        yield {}
        return
    broker = request.getfixturevalue("kafka_broker")  # its own: topics are named, a shared one would mix tests
    server: Postgres = request.getfixturevalue("postgres_server")
    databases = {plane: server.make_database() for plane in ("INGEST", "IDENTITY", "STATISTICS")}
    yield {"VOILE_EVENTS": broker.url, **{f"VOILE_{plane}__RECORDS": url for plane, url in databases.items()}}
    for url in databases.values():
        server.drop_database(url)
