"""voile stats reconcile: every line and every visitor of a log is accounted for, up to the figure that is shown."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import db, imports, source, stats, tenant
from services.runtime import avro
from services.runtime.errors import WrongUse
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS
from tests.parts.counting import CHROME

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
DAY = datetime.now(UTC).date() - timedelta(days=1)
PEOPLE = 60
Counts = tuple[int, int, int]  # requests, page views, visitors


def _line(
    address: str,
    target: str = "/",
    agent: str = CHROME,
    *,
    status: str = "200",
    user: str = "-",
    method: str = "GET",
    second: int = 0,
) -> str:
    return f'{address} - {user} [{DAY:%d/%b/%Y}:10:00:{second:02} +0000] "{method} {target} HTTP/1.1" {status} 512 "-" "{agent}"'


def _lines() -> list[str]:
    """A day with something for every step to take off."""
    made = []
    for n in range(PEOPLE):
        address = f"198.18.{n}.7"
        made += [_line(address), _line(address, "/style.css"), _line(address, "/news")]
    made += [_line("198.18.0.7", "/login", status="302", method="POST"), _line("198.18.0.7", "/old", status="301")]
    made += [_line(f"2001:db8:5::{n}", agent=FIREFOX) for n in (1, 2, 3)]
    made += [_line(f"192.0.2.{n}", agent=GOOGLEBOT) for n in range(5) for _ in range(2)]
    made += [_line(f"192.0.2.{n}", agent="-") for n in (101, 102)]
    made += [_line(f"203.0.113.{n}", "/logo.png") for n in range(4)]
    made += [_line(f"203.0.113.{100 + n}", "/nowhere", status="404") for n in range(3)]
    made += [_line("203.0.113.200", user="m-1"), _line("203.0.113.200", "/news")]  # objected: all that they did
    made += [_line("203.0.113.201", user="m-2"), _line("203.0.113.201", "/a", user="m-2")]  # erased
    made += _programs()
    made += [
        "garbage",
        "more garbage",
        _line("203.0.113.202", status="999"),
        _line("203.0.113.203", status="200", method=""),
    ]
    return made


def _programs() -> list[str]:
    """Visitors with a browser's name who behave as no person does; and a member who does so, and is one."""
    made = [_line("198.51.100.1", "/robots.txt"), _line("198.51.100.1"), _line("198.51.100.1", "/news")]
    made += [_line("198.51.100.2", "/wp-login.php", status="404"), _line("198.51.100.2")]
    made += [_line("198.51.100.3", method="HEAD") for _ in range(2)]
    made += [_line("198.51.100.4", f"/old-{n}", status="404") for n in range(10)]
    made += [_line("198.51.100.5", f"/news/{n}", second=n) for n in range(30)]
    made += [_line("198.51.100.6", "/robots.txt", user="m-3"), _line("198.51.100.6")]
    return made


PROGRAMS = 3 + 2 + 2 + 10 + 30 + 2


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with the source `web`, two privacy signals, and the log."""
    monkeypatch.chdir(tmp_path)
    _run(db.app, "upgrade")
    _run(tenant.app, "add", "acme")
    _run(source.app, "add", "web", "--tenant", "acme", "--format", "combined", "--authenticated")
    _run(stats.app, "status")  # makes the topics
    _signal(tmp_path, "objection", "m-1")
    _signal(tmp_path, "erasure", "m-2")
    log = tmp_path / "access.log"
    log.write_text("".join(f"{line}\n" for line in _lines()))
    return log


def _run(app: Any, *arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def _signal(folder: Path, kind: str, account: str) -> None:
    cutoff = datetime.now(UTC)
    body = {"case": f"c-{kind}", "tenant": "acme", "account": account, "kind": kind, "active": True, "cutoff": cutoff}
    with closing(open_log(f"sqlite:///{folder}/voile-data/events.db", Kafka())) as log:
        key = f"acme/{account}/{kind}".encode()
        log.send([Message(TOPICS["privacy-signal"].name, key, avro.encode_record(body, "privacy_signal"))])


def _close() -> None:
    _run(stats.app, "close", "--through", DAY.isoformat())


def _reconciled(*logs: Path, more: Sequence[str] = ("--source", "web")) -> dict[str, Any]:
    named = [word for log in logs for word in ("--log", str(log))]
    found: dict[str, Any] = json.loads(_run(stats.app, "reconcile", *named, *more, "--json"))
    for day in found["days"]:
        _adds_up(day)
    return found


def _adds_up(day: dict[str, Any]) -> None:
    """Every step's change lies between what was left before and after it; the last is what is shown."""
    first, *steps = day["steps"]
    left = first["left"]
    for step in steps:
        left = {name: count + step["change"][name] for name, count in left.items()}
        assert step["left"] == left
    assert left == {name: figure or 0 for name, figure in day["shown"].items()}


def _changes(day: dict[str, Any]) -> dict[str, Counts]:
    """Of the steps that change something."""
    return {s["step"]: tuple(s["change"].values()) for s in day["steps"] if any(s["change"].values())}


EXPLAINED: dict[str, Counts] = {
    "rejected: bad_status": (-1, -1, 0),
    "rejected: bad_request": (-1, -1, -1),
    "answers of 4xx, which log tools leave out of visitors": (0, 0, 4),
    "erased or restricted accounts": (-2, -2, -1),
    "IPv6: one visitor a /64 network": (0, 0, -2),
    "visitors who objected": (-2, -2, -1),
    "declared bots": (-10, -10, -5),
    "suspected bots": (-2, -2, -2),
    "suspected bots: asked for robots.txt": (-3, -3, -1),
    "suspected bots: looked for weaknesses": (-2, -2, -1),
    "suspected bots: only HEAD requests": (-2, -2, -1),
    "suspected bots: only errors": (-10, -10, -1),
    "suspected bots: a page every two seconds": (-30, -30, -1),
    "not a GET": (0, -1, 0),
    "not served (no 2xx or 304)": (0, -4, 0),
    "images, style sheets, scripts": (0, -65, 0),
    "no page view and no application event": (0, 0, -7),
}
LINES = (3 * PEOPLE + 2 + 3 + 10 + 2 + 4 + 3 + 2 + 2 + PROGRAMS + 2,) * 2 + (PEOPLE + 3 + 5 + 2 + 4 + 1 + 1 + 5 + 1,)
EXACT = (3 * PEOPLE + 2 + 3 + 4 + 3 + 2, 2 * PEOPLE + 3 + 1, PEOPLE + 2)


def test_every_line_and_visitor_is_explained(site: Path) -> None:
    """By hand: what each step takes off a log that was made for it; what is left is shown, but for the rounding."""
    _run(imports.app, str(site), "--source", "web")
    _close()
    (day,) = (found := _reconciled(site))["days"]
    changes = _changes(day)
    rounding = changes.pop("rounding to a multiple of 5", (0, 0, 0))
    assert (day["day"], day["state"], found["lines_without_time"]) == (DAY.isoformat(), "closed", 2)
    assert tuple(day["steps"][0]["left"].values()) == LINES
    assert changes == EXPLAINED
    shown = tuple(day["shown"].values())
    assert shown == tuple(n + r for n, r in zip(EXACT, rounding, strict=True))
    assert all(figure % 5 == 0 and abs(r) < 5 for figure, r in zip(shown, rounding, strict=True))
    assert (day["shown"]["requests"], day["shown"]["visitors"]) == _asked("requests", "visitors")
    _told_apart_from_rounding(site)


def _told_apart_from_rounding(site: Path) -> None:
    """Half of the day's lines are in this log: the difference is too large to be rounding."""
    half = site.with_suffix(".half")
    half.write_text("".join(f"{line}\n" for line in _lines()[: 3 * PEOPLE // 2]))
    (day,) = _reconciled(half, more=("--format", "combined", "--tenant", "acme"))["days"]
    assert _changes(day)["late, not imported, or of other logs (and rounding)"][2] >= PEOPLE // 2 - 4


def _asked(*metrics: str) -> tuple[int, ...]:
    query = {"site_id": "acme", "metrics": metrics, "date_range": [DAY.isoformat()] * 2}
    return tuple(json.loads(_run(stats.app, "query", json.dumps(query), "--json"))["results"][0]["metrics"])


def test_lines_given_twice_are_duplicates(site: Path) -> None:
    """The log, its packed copy and the log as it was an hour before: an import would take each line once."""
    packed, earlier = site.with_suffix(".gz"), site.with_suffix(".1")
    packed.write_bytes(gzip.compress(site.read_bytes()))
    earlier.write_text("".join(f"{line}\n" for line in _lines()[:50]))
    other = site.with_suffix(".other")
    other.write_text(_line("198.18.7.7", "/elsewhere") + "\n")
    (day,) = _reconciled(site, packed, earlier, other)["days"]
    assert _changes(day)["duplicate lines"] == (-(LINES[0] + 50), -(LINES[1] + 50), 0)
    assert day["steps"][0]["left"]["requests"] == 2 * LINES[0] + 51


def test_a_day_that_is_not_closed_or_too_small_shows_nothing(site: Path) -> None:
    """And says which of the two it is."""
    small = site.with_suffix(".small")
    small.write_text("".join(f"{_line(f'198.18.{n}.7')}\n" for n in range(5)))
    (day,) = _reconciled(small)["days"]
    assert _changes(day) == {"the day is not closed: nothing is shown yet": (-5, -5, -5)}
    _run(imports.app, str(small), "--source", "web")
    _close()
    (day,) = _reconciled(small)["days"]
    assert _changes(day) == {"below the threshold: not shown": (-5, -5, -5)}
    assert set(day["shown"].values()) == {None}


def test_nothing_of_the_log_is_printed_or_kept(site: Path) -> None:
    """Neither an address nor a path nor a name: not on the terminal, not in a file."""
    done = CliRunner().invoke(stats.app, ["reconcile", "--log", str(site), "--source", "web"])
    assert "declared bots" in done.stdout
    assert not [word for word in ("198.18", "2001:db8", "/news", "m-1", "Chrome") if word in done.output]
    files = [path for path in site.parent.rglob("*") if path.is_file()]
    assert [path for path in files if b"198.18.5.7" in path.read_bytes()] == [site]
    assert len(files) > 5


def test_a_log_of_nobody_is_refused(site: Path) -> None:
    """With what to say."""
    for words in ([], ["--source", "web", "--format", "combined", "--tenant", "acme"], ["--format", "combined"]):
        done = CliRunner().invoke(stats.app, ["reconcile", "--log", str(site), *words])
        assert isinstance(done.exception, WrongUse)
        assert "--source" in str(done.exception)
