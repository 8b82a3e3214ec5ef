"""voile demo refuses what cannot work before it makes or changes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import demo
from services.runtime.alone import alone
from services.runtime.errors import Fatal


def test_a_second_demo_leaves_the_first_one_s_settings_alone(tmp_path: Path) -> None:
    """Its commands would look for the services on other ports."""
    (tmp_path / "voile.toml").write_text("# of the first demo")
    with alone(tmp_path / "demo.lock", ""), pytest.raises(Fatal, match="already runs"):
        _demo("--data", str(tmp_path))
    assert (tmp_path / "voile.toml").read_text() == "# of the first demo"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--log", "access.log"], "Say how the log looks"),
        (["--format", "combined"], "is for --log"),
        (["--log", "none.log", "--format", "combined"], "There is no file none.log"),
        (["--log", "access.log", "--format", "kombined"], "There is no format 'kombined'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    """Not after ten seconds, with half a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "access.log").write_text("x")
    with pytest.raises(Fatal, match=told):
        _demo(*arguments)
    assert not (tmp_path / "demo-data").exists()


def _demo(*arguments: str) -> None:
    CliRunner().invoke(demo.app, [*arguments, "--once"], catch_exceptions=False)
