"""Settings: all mistakes at once, in words that say what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.runtime.settings import Oidc, OidcGroup, Settings, load_settings


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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("VOILE_INGEST_LISTEN", "x", "VOILE_INGEST_LISTEN: unknown setting; did you mean VOILE_INGEST__LISTEN?"),
        ("VOILE_TIMEZON", "x", "VOILE_TIMEZON: unknown setting; did you mean VOILE_TIMEZONE?"),
        ("VOILE_DATA__X", "x", "VOILE_DATA__X: unknown setting"),
        ("VOILE_INGEST", "x", "VOILE_INGEST: unknown setting"),
        ("VOILE_LOG_LEVEL", "loud", "log_level: "),
        ("VOILE_INGEST__TRUSTED_PROXIES", "[10.0.0.1/8]", "ingest.trusted_proxies.0: is no network"),
        ("VOILE_INGEST__SYSLOG", "[web@nowhere]", "ingest.syslog.0.listen: is no address"),
        ("VOILE_INGEST__SYSLOG", "[web@127.0.0.1:5514 10.0.0.1/8]", "is no network"),
        ("VOILE_IDENTITY__TICKET_PATTERN", "(", "identity.ticket_pattern: is no regular expression"),
    ],
)
def test_a_wrong_variable_is_told(name: str, value: str, told: str) -> None:
    """A misspelt variable must not leave a default in force unseen; a wrong value is told before the first request."""
    with pytest.raises(Fatal) as failure:
        load_settings(env={name: value})
    assert told in str(failure.value)


def test_other_variables_are_left_alone() -> None:
    """Those of the launcher and of the tests are no settings."""
    load_settings(env={"VOILE_VENV": "/x", "VOILE_TEST_REQUIRE": "all", "VOILE_TRACEBACK": "1", "OTHER": "x"})


def test_a_settings_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Such as a folder, or one of another user; and a value in a section's place."""
    with pytest.raises(Fatal, match="cannot be read: Is a directory"):
        load_settings(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(Fatal, match="no UTF-8"):
        load_settings(tmp_path / "latin.toml", {})
    (tmp_path / "flat.toml").write_text("ingest = 5")
    with pytest.raises(Fatal, match=r"ingest: is a section of settings, like \[ingest\]"):
        load_settings(tmp_path / "flat.toml", {"VOILE_INGEST__LISTEN": "127.0.0.1:1"})


def test_where_syslog_comes_from(tmp_path: Path) -> None:
    """As tables in the file, as short texts in the environment; a misspelt key is told with its place."""
    text = load_settings(env={"VOILE_INGEST__SYSLOG": "[web@127.0.0.1:5514, lb@0.0.0.0:5515 10.0.1.0/24]"})
    file = tmp_path / "voile.toml"
    file.write_text(
        '[[ingest.syslog]]\nsource = "web"\n'
        '[[ingest.syslog]]\nsource = "lb"\nlisten = "0.0.0.0:5515"\ncidr = "10.0.1.0/24"\n'
    )
    assert load_settings(file, {}).ingest.syslog == text.ingest.syslog
    file.write_text('[[ingest.syslog]]\nsource = "web"\nlissten = "0.0.0.0:5515"\n')
    with pytest.raises(
        Fatal, match=r"ingest\.syslog\.0\.lissten: unknown setting; did you mean ingest\.syslog\.0\.listen"
    ):
        load_settings(file, {})


OIDC = """[login.oidc]
issuer = "https://login.example.org"
client_id = "voile"
"""
GROUP = """[[login.oidc.groups]]
group = "staff"
service = "statistics"
role = "viewer"
tenants = ["chess-club"]
"""


def test_an_openid_provider_is_read_from_file_and_environment(tmp_path: Path) -> None:
    """Sections within sections, the secret as a secret, groups as tables or as short texts."""
    file = tmp_path / "voile.toml"
    file.write_text(OIDC + GROUP)
    env = {"VOILE_LOGIN__OIDC__CLIENT_SECRET": "hidden", "VOILE_LOGIN__SECOND_FACTOR": "false"}
    login = load_settings(file, env).login
    assert login.oidc.client_secret.get_secret_value() == "hidden"
    assert "hidden" not in repr(login)
    assert not login.second_factor
    file.write_text(OIDC)
    text = {"VOILE_LOGIN__OIDC__GROUPS": "[staff=statistics:viewer@chess-club, cn=dpo=identity:dpo@*]"}
    first, second = load_settings(file, text).login.oidc.groups
    assert first == login.oidc.groups[0]
    assert (second.group, second.role, second.tenants) == ("cn=dpo", "dpo", ("*",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OIDC, "groups, without which nobody may do anything"),
        (OIDC.replace("client_id", "# client_id") + GROUP, "issuer also needs client_id"),
        (OIDC.replace("https", "http") + GROUP, "login.oidc.issuer: is no issuer"),
        (OIDC.replace("https://", "") + GROUP, "login.oidc.issuer: is no issuer"),
        (OIDC + 'scope = "profile"\n' + GROUP, "the word openid"),
        (
            OIDC + GROUP.replace("viewer", "dpo"),
            "login.oidc.groups.0: the statistics service knows the roles viewer, admin",
        ),
        (OIDC + GROUP.replace('["chess-club"]', "[]"), "login.oidc.groups.0.tenants"),
        (OIDC + GROUP.replace("tenants", "tenant"), "did you mean login.oidc.groups.0.tenants?"),
        (OIDC + 'client_secrt = "hidden"\n' + GROUP, "did you mean login.oidc.client_secret?"),
    ],
)
def test_a_wrong_provider_is_told(tmp_path: Path, text: str, told: str) -> None:
    """What would leave everybody outside, or send the secret in clear; never with the secret."""
    file = tmp_path / "voile.toml"
    file.write_text(text)
    with pytest.raises(Fatal) as caught:
        load_settings(file, {"VOILE_LOGIN__OIDC__CLIENT_SECRET": "hidden"})
    assert told in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8000", "http://localhost:1/realms/x", "https://a.example/"])
def test_a_provider_on_this_machine_needs_no_tls(issuer: str) -> None:
    assert Oidc(
        issuer=issuer, client_id="x", groups=(OidcGroup(group="g", service="identity", role="dpo", tenants=("*",)),)
    )
