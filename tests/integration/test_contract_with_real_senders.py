"""Each answer of the contract once to each real client, as its page configures it: what it does next, and that nothing
is lost or doubled but what the page says."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from services.ingest.request_claims import RequestClaims
from tests.parts.edge import combined, text_of
from tests.parts.front import ANSWERS, LOST, Front, standing
from tests.parts.pages import block, replaced
from tests.parts.receiving import Receiving, receiving
from tests.parts.syslog_ng import running_syslog_ng

LINES = 3  # a batch
BATCHES = len(ANSWERS) + 1  # the last meets nothing
PASSING = frozenset({429, 503, LOST})  # what the contract calls passing: nobody may drop these
AGENT = "Mozilla/5.0 (X11)"


def _paths(batches: Sequence[int]) -> list[str]:
    return [f"/pages/{n}" for batch in batches for n in range(batch * LINES, (batch + 1) * LINES)]


def _lines(batch: int) -> list[str]:
    return [combined(n) for n in range(batch * LINES, (batch + 1) * LINES)]


def _accesses(batch: int) -> list[dict[str, object]]:
    known = {"timestamp": "2026-11-22T08:00:00Z", "client_address": "192.0.2.7", "method": "GET", "status": 200}
    return [known | {"path": path} for path in _paths([batch])]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Receiving]:
    with receiving(tmp_path / "ingest") as found:
        yield found


def _check(site: Receiving, front: Front, dropped: frozenset[int]) -> None:
    """What it met first, then 200 unless it dropped; and every line that was not dropped is there once."""
    wanted = [[answer] if answer in dropped else [answer, 200] for answer in ANSWERS] + [[200]]
    assert front.seen == wanted
    kept = [n for n in range(BATCHES) if n == len(ANSWERS) or ANSWERS[n] not in dropped]
    assert site.paths() == _paths(kept)
    assert not PASSING & dropped


# --- the clients -------------------------------------------------------------------------------------------------


@pytest.mark.syslog_ng
def test_syslog_ng(site: Receiving, tmp_path: Path) -> None:
    """Holds on while its key is bad; drops only what will never be taken, as its configuration says."""
    log = tmp_path / "access.log"
    log.write_bytes(text_of([line for batch in range(BATCHES) for line in _lines(batch)]))
    with standing(site) as (address, front):
        changes = {"127.0.0.1:8080": address, "KEY": site.key, "/var/log/nginx/access.log": str(log)}
        said = replaced(
            block("syslog-ng.md", "syslog-ng", file="/etc/syslog-ng/conf.d/voile.conf"),
            changes | {"batch-lines(1000)": f"batch-lines({LINES})"},
        )
        with running_syslog_ng(tmp_path / "syslog-ng", f"@version: 3.38\noptions {{ time-reopen(1); }};\n{said}"):
            site.until(lambda: len(front.seen) == BATCHES and front.seen[-1] == [200])
    _check(site, front, frozenset({400, 413, 415}))


@contextmanager
def _pasted(page: str, name: str, changes: dict[str, str]) -> Iterator[ModuleType]:
    """A page's Python, as a module; its logger is quiet again afterwards."""
    module = ModuleType(name)
    exec(compile(replaced(block(page, "python", name=name), changes), page, "exec"), module.__dict__)
    logger = logging.getLogger("access")
    try:
        yield module
    finally:
        for handler in [*logger.handlers]:
            logger.removeHandler(handler)
            handler.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_opentelemetrys_sdk(site: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exporter holds a batch for the set time; a bad key loses data, which is why Voile counts it."""
    with standing(site) as (address, front):
        for name, value in _exported("opentelemetry.md", {"127.0.0.1:8080": address, "KEY": site.key}).items():
            monkeypatch.setenv(name, value)
        with _pasted("opentelemetry.md", "sdk", {}) as pasted:
            for batch in range(BATCHES):
                for path in _paths([batch]):
                    pasted.log_access("192.0.2.7", "GET", path, 200, AGENT)
                pasted.provider.force_flush()
            pasted.provider.shutdown()
    _check(site, front, frozenset({400, 401, 403, 413, 415}))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_opentelemetrys_sdk_gives_up_after_its_timeout(site: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its page says: what it holds is lost then, and what comes later is taken."""
    changes = {"127.0.0.1:8080": site.http, "KEY": site.key, "TIMEOUT=60": "TIMEOUT=2"}
    for name, value in _exported("opentelemetry.md", changes).items():
        monkeypatch.setenv(name, value)
    with _pasted("opentelemetry.md", "sdk", {}) as pasted:
        for path, away in (("/lost", True), ("/taken", False)):
            site.log.away = away
            pasted.log_access("192.0.2.7", "GET", path, 200, AGENT)
            pasted.provider.force_flush()
        pasted.provider.shutdown()
    assert site.paths() == ["/taken"]


def _exported(page: str, changes: dict[str, str]) -> dict[str, str]:
    """What a page's block of shell exports, as a shell sees it."""
    text = replaced(block(page, "sh", name="environment"), changes)
    shown = subprocess.run(["sh", "-c", f"{text}\nenv"], capture_output=True, check=True, text=True).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("OTEL_"))


def test_curl(site: Receiving, tmp_path: Path) -> None:
    """Waits as it is told; after a lost answer the same command again changes nothing."""
    header, log = tmp_path / "voile.header", tmp_path / "access.log"
    header.write_text(f"Authorization: Bearer {site.key}\n")
    ended: list[int] = []
    with standing(site) as (address, front):
        command = _curl(header, address)
        for batch in range(BATCHES):
            log.write_bytes(text_of(_lines(batch)))
            ended.append(_run(command, tmp_path))
            if ended[-1] == 52:  # nothing came back: the page says to run it again
                ended.append(_run(command, tmp_path))
    assert ended == [22, 22, 0, 0, 52, 0, 22, 22, 22, 0]
    _check(site, front, frozenset({400, 401, 403, 413, 415}))


def _curl(header: Path, address: str) -> str:
    return replaced(block("curl.md", "sh", name="send"), {"/etc/voile.header": str(header), "127.0.0.1:8080": address})


def _run(command: str, folder: Path) -> int:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, check=False).returncode


def test_pythons_logging_over_http(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's own handler: each batch has its key, so that what is repeated counts once."""
    key = tmp_path / "voile.key"
    with receiving(tmp_path / "ingest", "json") as site, standing(site) as (address, front):
        key.write_text(f"{site.key}\n")
        changes = {"127.0.0.1:8080": address, "/etc/voile.key": str(key), "WAIT_S = 10, 5": "WAIT_S = 10, 0"}
        with _pasted("python-logging.md", "http", changes) as pasted:
            for batch in range(BATCHES):
                for access in _accesses(batch):
                    pasted.accesses.info("", extra={"access": access})
                pasted.accesses.handlers[0].flush()
        _check(site, front, frozenset({400, 401, 403, 413, 415}))
    assert capsys.readouterr().err.count("Voile did not take") == 5


# --- what it would be without -------------------------------------------------------------------------------------


def _lose_an_answer(folder: Path) -> list[str]:
    """One batch whose answer is lost, sent twice by curl."""
    folder.mkdir()
    header, log = folder / "voile.header", folder / "access.log"
    log.write_bytes(text_of(_lines(0)))
    with receiving(folder / "ingest") as site, standing(site, [LOST]) as (address, _):
        header.write_text(f"Authorization: Bearer {site.key}\n")
        assert [_run(_curl(header, address), folder) for _ in range(2)] == [52, 0]
        return site.paths()


def test_without_claims_a_lost_answer_counts_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: what recognises a repeat is taken out, and the same run doubles the lines."""
    assert _lose_an_answer(tmp_path / "with") == _paths([0])
    monkeypatch.setattr(RequestClaims, "begin", lambda self, wanted, now: {claim.id: claim for claim in wanted})
    monkeypatch.setattr(RequestClaims, "finish", lambda self, done, tallies: frozenset(claim.id for claim in done))
    assert _lose_an_answer(tmp_path / "without") == sorted(_paths([0]) * 2)


def test_the_answers_say_nothing_of_a_line(site: Receiving, tmp_path: Path) -> None:
    """What curl prints, cron mails."""
    header, log = tmp_path / "voile.header", tmp_path / "access.log"
    header.write_text(f"Authorization: Bearer {site.key}\n")
    log.write_text('192.0.2.7 - bob@x.example "rubbish"\n' + combined(0) + "\n")
    command = ["sh", "-c", _curl(header, site.http)]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    answer = json.loads(printed)
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert b"bob" not in printed
    assert b"192.0.2.7" not in printed
