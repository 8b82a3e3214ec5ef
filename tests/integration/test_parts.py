"""The real parts that other tests stand on."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from tests.parts.kafka import Broker
from tests.parts.postgres import Postgres

pytest_plugins = ["pytester"]


def test_a_broker_keeps_its_port_and_data_over_a_kill(kafka_broker: Broker) -> None:
    """The identity of the cluster after kill -9 and restart is that of before."""
    before = AdminClient({"bootstrap.servers": kafka_broker.servers}).list_topics(timeout=10).cluster_id
    kafka_broker.restart()
    after = AdminClient({"bootstrap.servers": kafka_broker.servers}).list_topics(timeout=10).cluster_id
    assert before == after


def test_every_test_has_a_database_of_its_own(postgres_server: Postgres) -> None:
    """What is written in one is not in the next."""
    first, second = postgres_server.make_database(), postgres_server.make_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE t (a int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 't'").fetchone() == (0,)
    postgres_server.drop_database(first)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


_NEEDS_BROWSER = """
import pytest
@pytest.mark.browser
def test_page():
    pass
"""
_CONFIG = """
[pytest]
addopts = -p tests.parts.plugin
markers =
  kafka: k
  postgres: p
  browser: b
  servers: s
"""


@pytest.mark.parametrize(
    ("require", "passed", "skipped", "failed"), [("", 0, 1, 0), ("all", 0, 0, 1)], ids=["skips", "fails"]
)
def test_a_missing_part_skips_or_fails_and_is_in_the_table(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, require: str, passed: int, skipped: int, failed: int
) -> None:
    """Without the part: skipped with a reason, or failed when every part is required; the table says so."""
    monkeypatch.setenv("VOILE_TEST_REQUIRE", require)
    monkeypatch.setattr("tests.parts.plugin.shutil.which", lambda *_, **__: None)
    pytester.makeini(_CONFIG)
    pytester.makepyfile(_NEEDS_BROWSER)
    result = pytester.runpytest_inprocess("-p", "no:randomly")
    outcomes = result.parseoutcomes()
    assert outcomes.get("passed", 0) == passed
    assert outcomes.get("skipped", 0) == skipped
    assert outcomes.get("failed", 0) + outcomes.get("errors", outcomes.get("error", 0)) == failed
    result.stdout.fnmatch_lines(["browser *skipped in 1 tests: no chromium*"])


def test_a_part_that_is_there_is_counted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table tells how many tests used it."""
    monkeypatch.setattr("tests.parts.plugin.shutil.which", lambda *_, **__: "/usr/bin/chromium")
    pytester.makeini(_CONFIG)
    pytester.makepyfile(_NEEDS_BROWSER)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["browser *used in 1 tests", "web servers *not asked for"])
