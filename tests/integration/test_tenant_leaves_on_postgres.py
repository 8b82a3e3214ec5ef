"""A tenant leaves, with every plane's records in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from services.runtime.settings import Settings
from tests.integration.test_tenant_leaves import (  # noqa: F401  # those on which two databases could differ
    made,
    test_everything_of_a_tenant_that_leaves_goes_and_the_twins_stays,
)
from tests.parts import leaving
from tests.parts.postgres import Postgres


@pytest.fixture(autouse=True)
def _on_postgres(postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database a plane, as in production; they go with the server."""
    urls = {plane: {"records": postgres_server.make_database()} for plane in ("ingest", "identity", "statistics")}
    monkeypatch.setattr(leaving, "settings_of", lambda folder: _settings(folder, urls))


def _settings(folder: Path, urls: Mapping[str, Mapping[str, str]]) -> Settings:
    return Settings.model_validate({"data": folder, **urls})
