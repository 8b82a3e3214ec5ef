"""What Voile relies on of the embedded engine, and what it must not rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts.counting import counting


def test_a_failed_query_does_not_spoil_the_next_answer(tmp_path: Path) -> None:
    """The engine leaves what it had written of the failed one in the way."""
    with counting(tmp_path) as store:
        for _ in range(3):
            with pytest.raises(Exception, match="throwIf"):
                store.analytics.frame("SELECT throwIf(number = 3), number FROM numbers(10)")
            assert store.analytics.frame("SELECT 7 AS seven").rows() == [(7,)]


def test_a_query_that_fails_half_way_is_an_error(tmp_path: Path) -> None:
    """Never the rows before the failure as if they were all."""
    with counting(tmp_path) as store, pytest.raises(Exception, match="throwIf"):
        store.analytics.frame(
            "SELECT throwIf(number = 300000), number FROM numbers(1000000) SETTINGS max_block_size = 1000"
        )
