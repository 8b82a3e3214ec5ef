"""Settings: all mistakes at once, in words that say what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.runtime.settings import Settings, load_settings


def test_defaults_are_the_embedded_profile() -> None:
    """Nothing to set for one machine."""
    settings = load_settings(env={})
    assert settings.events.startswith("sqlite:///")
    assert settings.statistics.analytics.startswith("chdb:///")


def test_a_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    """`VOILE_SECTION__KEY` over voile.toml; data lies beside the file."""
    file = tmp_path / "voile.toml"
    file.write_text('timezone = "Europe/Paris"\ndata = "d"\n[ingest]\nlisten = "127.0.0.1:1"\n')
    env = {"VOILE_INGEST__LISTEN": "127.0.0.1:2", "VOILE_INGEST__TRUSTED_PROXIES": "[10.0.0.0/8, ::1/128]"}
    settings = load_settings(file, env)
    assert settings.timezone == "Europe/Paris"
    assert settings.ingest.listen == "127.0.0.1:2"
    assert settings.ingest.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert settings.url(settings.events) == f"sqlite:///{tmp_path}/d/events.db"


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """With the nearest known name for an unknown one."""
    file = tmp_path / "voile.toml"
    file.write_text('timezone = "Mars/Base"\nevnts = "x"\n[ingest]\nlistn = "x"\nlisten = "nowhere"\n')
    with pytest.raises(Fatal) as failure:
        load_settings(file, {})
    text = str(failure.value)
    assert "timezone: is no time zone" in text
    assert "evnts: unknown setting; did you mean events?" in text
    assert "ingest.listn: unknown setting; did you mean ingest.listen?" in text
    assert "ingest.listen: is no address" in text


def test_a_secret_never_shows(tmp_path: Path) -> None:
    """Neither in a repr nor in an error."""
    settings = load_settings(env={"VOILE_KAFKA__PASSWORD": "hunter2"})
    assert "hunter2" not in repr(settings)
    with pytest.raises(Fatal) as failure:
        load_settings(env={"VOILE_KAFKA__PASSWORD": "hunter2", "VOILE_KAFKA__REPLICATION": "99"})
    assert "hunter2" not in str(failure.value)


def test_a_missing_or_broken_file_is_told(tmp_path: Path) -> None:
    """And what to do about it."""
    with pytest.raises(Fatal, match="voile init"):
        load_settings(tmp_path / "none.toml", {})
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(Fatal, match="not TOML"):
        load_settings(tmp_path / "bad.toml", {})


def test_settings_are_frozen() -> None:
    """A change takes a restart."""
    with pytest.raises(Exception, match="frozen"):
        Settings().timezone = "UTC"  # type: ignore[misc]  # the point of the test
