"""A real server's log, GoAccess's word on it, and ours: what differs is explained to the last visitor."""

from __future__ import annotations

import http.client
import json
import random
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import db, imports, source, stats, tenant
from services.runtime.clickhouse import open_analytics
from tests.parts.counting import CHROME
from tests.parts.webservers.goaccess import Count, Report, goaccess
from tests.parts.webservers.nginx import nginx

CAPTURED = Path(__file__).parents[2] / "fixtures" / "nginx-combined-1000.log"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
AGENTS = (CHROME, FIREFOX, "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "")
PATHS = ("/", "/", "/nothing", "/page-1.txt", "/page-2.txt", "/moved", "/missing", "/secret", "/broken", "/a?b=c")
REAL_IP = "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;"  # so that one machine can be many clients
CLIENTS, REQUESTS, SEED = 120, 900, 20261123

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of an nginx that many clients asked, by IPv4 and by IPv6, people and bots."""
    folder = tmp_path_factory.mktemp("nginx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")  # its days are ours
        return _served(folder)


def _served(folder: Path) -> Path:
    with nginx(folder, f"access_log {folder}/access.log combined;", REAL_IP) as port:
        _ask(port, random.Random(SEED))
    log = folder / "access.log"
    assert log.read_bytes().count(b"\n") == REQUESTS
    return log


def _ask(port: int, draw: random.Random) -> None:
    people = [*(f"198.18.{n}.9" for n in range(CLIENTS)), *(f"2001:db8:{n // 3:x}::{n:x}" for n in range(CLIENTS // 4))]
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        for _ in range(REQUESTS):
            agent = draw.choices(AGENTS, [6, 3, 1, 0.3])[0]
            headers = {"X-Forwarded-For": draw.choice(people), "User-Agent": agent}
            connection.request(draw.choice(("GET", "GET", "GET", "HEAD")), draw.choice(PATHS), headers=headers)
            connection.getresponse().read()


@pytest.fixture(params=["nginx", "captured"])
def log(request: pytest.FixtureRequest) -> Path:
    return CAPTURED if request.param == "captured" else request.getfixturevalue("served")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _run(db.app, "upgrade")
    _run(tenant.app, "add", "acme")
    _run(source.app, "add", "web", "--tenant", "acme", "--format", "combined")
    return tmp_path / "voile-data"


def _run(app: Any, *arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_the_difference_to_goaccess_is_explained_to_the_last_visitor(log: Path, folder: Path) -> None:
    """Requests, bytes and statuses are equal before anything is disclosed; from GoAccess's visitors each step leads
    to the next, the last but one to what the rule has let through, give or take the rounding."""
    report = goaccess(log, "--log-format=COMBINED")
    _run(imports.app, str(log), "--source", "web")
    _count_before_a_close()
    stored = _stored(folder)
    assert stored.by_status == report.by_status
    assert (stored.requests, stored.bytes) == (report.requests, report.bytes)

    _run(stats.app, "close", "--through", datetime.now(UTC).date().isoformat())
    found = json.loads(_run(stats.app, "reconcile", "--log", str(log), "--source", "web", "--json"))
    days = {day["day"]: day for day in found["days"]}
    assert {d: day["steps"][0]["left"]["visitors"] for d, day in days.items()} == {
        d.isoformat(): visitors for d, visitors in report.visitors.items()
    }
    assert sum(day["steps"][0]["left"]["requests"] for day in days.values()) == report.requests
    for day in days.values():
        _leads_to_what_is_shown(day)


def _leads_to_what_is_shown(day: dict[str, Any]) -> None:
    for before, step in zip(day["steps"], day["steps"][1:], strict=False):
        for measure, left in step["left"].items():
            assert left == before["left"][measure] + step["change"][measure]
    last = day["steps"][-1]["left"]
    assert last == {measure: figure or 0 for measure, figure in day["shown"].items()}
    assert {step["step"] for step in day["steps"]}.isdisjoint({"late, not imported, or of other logs (and rounding)"})


def _count_before_a_close() -> None:
    """A command that asks the worker of this process to take in what is in the log: closing a day long past does."""
    _run(stats.app, "close", "--through", "2001-01-01")


def _stored(folder: Path) -> Report:
    """What the statistics hold of each access, by status, before a closing."""
    with closing(open_analytics(f"chdb://{folder}/analytics")) as store:
        rows = store.frame(
            "SELECT toInt32(status) AS status, toInt64(count()) AS requests, toInt64(sum(response_bytes)) AS bytes "
            "FROM events WHERE kind = 'event' GROUP BY status"
        )
    by_status = {status: Count(requests, sent) for status, requests, sent in rows.iter_rows()}
    return Report(by_status, int(rows["requests"].sum()), int(rows["bytes"].sum()), 0, {})
