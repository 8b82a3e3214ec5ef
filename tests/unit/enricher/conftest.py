"""A plane on the embedded stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.enricher.access.service import Access, open_access
from services.enricher.service import Identity
from tests.parts.identity import opened
from tests.unit.enricher.access.gate_fixtures import people


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Identity]:
    with opened(tmp_path) as identity:
        yield identity


@pytest.fixture(scope="session")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three persons; who changes anything takes a copy."""
    folder = tmp_path_factory.mktemp("peopled")
    people(folder)
    return folder


@pytest.fixture
def gate(plane: Identity) -> Access:
    return open_access(plane)
