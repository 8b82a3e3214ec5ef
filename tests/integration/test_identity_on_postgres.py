"""The identity plane's own tests again, with its records in a real PostgreSQL."""

from __future__ import annotations

import pytest

from tests.parts import identity
from tests.unit.enricher.conftest import plane  # noqa: F401  # a fixture
from tests.unit.enricher.test_accounts import *  # noqa: F403  # every test of the module, as it stands
from tests.unit.enricher.test_directory import *  # noqa: F403
from tests.unit.enricher.test_pipeline import *  # noqa: F403
from tests.unit.enricher.test_rights import *  # noqa: F403
from tests.unit.enricher.test_vault import *  # noqa: F403


@pytest.fixture(autouse=True)
def _on_postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "records_url", lambda: postgres_url)
