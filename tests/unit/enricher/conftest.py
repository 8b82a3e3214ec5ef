"""A plane on the embedded stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.enricher.service import Identity
from tests.parts.identity import opened


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Identity]:
    with opened(tmp_path) as identity:
        yield identity
