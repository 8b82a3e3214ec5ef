"""The pytest plugin of real parts: fixtures that start them, skips with a reason, and the table at the end.

A test that uses a part carries its marker (the fixtures here add it by themselves). A part that is
missing skips the test and says why; with VOILE_TEST_REQUIRE=all it fails it.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.parts import containers, kafka, postgres, syslog_ng
from tests.parts.kafka import Broker
from tests.parts.postgres import Postgres
from tests.parts.processes import docker_is_there, find_program


def _kafka_missing() -> str | None:
    return None if docker_is_there() else kafka.why_missing()


def _postgres_missing() -> str | None:
    return None if docker_is_there() else postgres.why_missing()


def _browser_missing() -> str | None:
    return None if shutil.which("chromium") else "no chromium on the PATH (Debian: chromium)"


def _servers_missing() -> str | None:
    wanted = {
        "nginx": "nginx",
        "apache2": "apache2-bin",
        "haproxy": "haproxy",
        "caddy": "caddy",
        "goaccess": "goaccess",
    }
    missed = [package for program, package in wanted.items() if find_program(program) is None]
    return f"none (Debian: {' '.join(missed)})" if missed else None


def _logrotate_missing() -> str | None:
    return None if shutil.which("logrotate") or Path("/usr/sbin/logrotate").exists() else "none (Debian: logrotate)"


def _senders_missing() -> str | None:
    """Programs that send logs, in Debian's names."""
    wanted = {"rsyslogd": "rsyslog rsyslog-kafka", "haproxy": "haproxy", "kcat": "kcat"}
    missed = [package for program, package in wanted.items() if find_program(program) is None]
    return f"none (Debian: {' '.join(missed)})" if missed else None


_PARTS: dict[str, tuple[str, Callable[[], str | None]]] = {
    "kafka": ("Kafka", _kafka_missing),
    "postgres": ("PostgreSQL", _postgres_missing),
    "browser": ("browser", _browser_missing),
    "servers": ("web servers", _servers_missing),
    "logrotate": ("logrotate", _logrotate_missing),
    "senders": ("log senders", _senders_missing),
    "syslog_ng": ("syslog-ng", syslog_ng.why_missing),
}
_FIXTURES = {
    "kafka_servers": "kafka",
    "kafka_broker": "kafka",
    "kafka_jars": "kafka",
    "postgres_server": "postgres",
    "postgres_url": "postgres",
}


class _Seen:
    """What became of the tests that need a part."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}

    def add(self, other: Mapping[str, Any]) -> None:
        """What another test process saw."""
        self.used.update(other["used"])
        self.missed.update(other["missed"])
        self.reasons.update(other["reasons"])


_SEEN = pytest.StashKey[_Seen]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SEEN] = _Seen()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _leave_out_full(config, items)
    items.sort(key=lambda item: "faults" not in item.path.parts)  # they wait long: last they would be waited for alone
    for item in items:
        for fixture, part in _FIXTURES.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(part)


def _leave_out_full(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `full` is for `./voile test --full`: left out, not skipped, since nothing is missing."""
    if "VOILE_TEST_FULL" in os.environ:
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    seen = item.config.stash[_SEEN]
    for part in _parts_of(item):
        label, why_missing = _PARTS[part]
        if (reason := why_missing()) is not None:
            seen.missed[part] += 1
            seen.reasons[part] = reason
            _miss(f"{label}: {reason}")


def pytest_runtest_call(item: pytest.Item) -> None:
    item.config.stash[_SEEN].used.update(_parts_of(item))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several test processes (pytest-xdist) tells the one that prints."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        seen = session.config.stash[_SEEN]
        output["parts"] = {"used": dict(seen.used), "missed": dict(seen.missed), "reasons": seen.reasons}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_SEEN].add(node.workeroutput["parts"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seen = config.stash[_SEEN]
    if not seen.used and not seen.missed:
        return
    terminalreporter.section("real parts")
    for part, (label, _) in _PARTS.items():
        terminalreporter.write_line(f"{label:<12} {_outcome(seen, part)}")


@pytest.fixture(scope="session")
def kafka_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of one broker that the whole session shares; use topics or groups of your own on it."""
    if docker_is_there():
        with containers.contained_kafka() as servers:
            yield servers
    else:
        with Broker(tmp_path_factory.mktemp("kafka"), kafka.find_jars()) as broker:
            yield broker.servers


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """For tests that start, kill and restart brokers themselves: `Broker(folder, kafka_jars)`."""
    if (reason := kafka.why_missing()) is not None:
        _miss(f"Kafka to be killed and restarted: {reason}")
    return kafka.find_jars()


@pytest.fixture
def kafka_broker(tmp_path: Path, kafka_jars: Path) -> Iterator[Broker]:
    """A running broker of the test's own, to be killed, frozen and restarted on the same data."""
    with Broker(tmp_path / "kafka", kafka_jars) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One server for the session; `make_database()` gives a URL for each plane."""
    with containers.contained_postgres() if docker_is_there() else postgres.running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """A database for one test."""
    url = postgres_server.make_database()
    yield url
    postgres_server.drop_database(url)


def _parts_of(item: pytest.Item) -> list[str]:
    return [part for part in _PARTS if item.get_closest_marker(part) is not None]


def _miss(reason: str) -> None:
    if os.environ.get("VOILE_TEST_REQUIRE") == "all":
        pytest.fail(f"VOILE_TEST_REQUIRE=all, but {reason}", pytrace=False)
    pytest.skip(reason)


def _outcome(seen: _Seen, part: str) -> str:
    if seen.missed[part]:
        return f"skipped in {seen.missed[part]} tests: {seen.reasons[part]}"
    return f"used in {seen.used[part]} tests" if seen.used[part] else "not asked for"
