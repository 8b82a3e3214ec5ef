"""The profiles the end-to-end suite runs on: by settings alone, the code is the same."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["embedded"])
def profile(request: pytest.FixtureRequest) -> dict[str, str]:
    """VOILE_* settings of one profile."""
    return {}
