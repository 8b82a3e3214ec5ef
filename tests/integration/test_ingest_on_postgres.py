"""Ingest's own tests of claims and sources again, with its records in a real PostgreSQL."""

from __future__ import annotations

import pytest

from tests.parts import edge
from tests.unit.ingest.receivers.test_files import *  # noqa: F403  # every test of the module, as it stands
from tests.unit.ingest.receivers.test_files import _small_chunks  # noqa: F401  # its fixture
from tests.unit.ingest.test_committer import *  # noqa: F403
from tests.unit.ingest.test_records import *  # noqa: F403
from tests.unit.ingest.test_sources import *  # noqa: F403


@pytest.fixture(autouse=True)
def _on_postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "records_url", lambda: postgres_url)
