"""What `voile test` gives to the checks."""

from __future__ import annotations

import pytest

from services.cli.checks import _environment


@pytest.mark.parametrize("full", [False, True])
def test_python_keeps_its_bytecode_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    """Hundreds of processes would compile Voile anew; and `--full` reaches the tests by its variable alone."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("VOILE_TEST_REQUIRE", "all")
    monkeypatch.delenv("VOILE_TEST_FULL", raising=False)
    found = _environment(full)
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["VOILE_TEST_REQUIRE"] == "all"
    assert ("VOILE_TEST_FULL" in found) is full
