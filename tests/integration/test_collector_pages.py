"""What the pages of collectors tell their reader to paste, pasted: real programs send, and each line is there once."""

from __future__ import annotations

import logging
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from services.ingest.plane import open_raw_topic
from services.ingest.receivers.raw_topic import RawTopic
from services.runtime.settings import SyslogFrom
from tests.parts.edge import SOURCE, AwayLog, combined, opened, text_of
from tests.parts.kafka import Broker
from tests.parts.pages import PAGES, Block, block, blocks, replaced
from tests.parts.processes import die_with_parent, find_program
from tests.parts.receiving import NAME, Receiving, receiving
from tests.parts.syslog_ng import running_syslog_ng

PAGES_OF_COLLECTORS = (
    *("rsyslog", "syslog-ng", "fluent-bit", "vector", "filebeat", "opentelemetry", "kafka", "python-logging", "curl"),
)
LOG = "/var/log/nginx/access.log"
LINES = [combined(n) for n in range(100)]
LONG = combined(100, target="/long?q=" + "x" * 20_000)  # nginx takes 32 kB of headers; rsyslog's own limit is 8
PATHS = [*(f"/pages/{n}" for n in range(100)), "/long"]


def _sorted(paths: Sequence[str]) -> list[str]:
    return sorted(paths, key=lambda path: (len(path), path))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Receiving]:
    with receiving(tmp_path / "ingest") as found:
        yield found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A server's log, with a long line at its end."""
    path = tmp_path / "access.log"
    path.write_bytes(text_of([*LINES, LONG]))
    return path


def _append(log: Path, first: int, last: int) -> list[str]:
    with log.open("ab") as file:
        file.write(text_of([combined(n) for n in range(first, last)]))
    return [f"/pages/{n}" for n in range(first, last)]


@contextmanager
def _rsyslog(folder: Path, said: str) -> Iterator[None]:
    """With the one line of Debian's own configuration that the pages count on."""
    folder.mkdir(exist_ok=True)
    (folder / "rsyslog.conf").write_text(f'global(workDirectory="{folder}")\n{said}')
    command = [str(find_program("rsyslogd")), "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")]
    process = subprocess.Popen(command, preexec_fn=die_with_parent)  # noqa: PLW1509
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


# --- syslog ------------------------------------------------------------------------------------------------------


@pytest.mark.senders
def test_rsyslog_over_tcp(site: Receiving, log: Path, tmp_path: Path) -> None:
    """All lines, the long one whole; what is written while Voile is away comes when it is back."""
    changes = {"5514": str(site.syslog_port), LOG: str(log), 'resumeInterval="5"': 'resumeInterval="1"'}
    said = replaced(block("rsyslog.md", "rsyslog", file="/etc/rsyslog.d/30-voile.conf"), changes)
    with _rsyslog(tmp_path / "rsyslog", said):
        site.until_taken(_sorted(PATHS))
        with site.closed_meanwhile():
            later = _append(log, 200, 300)
        site.until(lambda: set(later) <= set(site.paths()))
    assert site.paths() == _sorted(PATHS + later)


@pytest.mark.syslog_ng
def test_syslog_ng_over_tcp(site: Receiving, log: Path, tmp_path: Path) -> None:
    """By the newer header, octet counted."""
    changes = {'"127.0.0.1" port(5514)': f'"127.0.0.1" port({site.syslog_port})', LOG: str(log)}
    said = replaced(block("syslog-ng.md", "syslog-ng", file="/etc/syslog-ng/conf.d/voile-tcp.conf"), changes)
    with running_syslog_ng(tmp_path / "syslog-ng", f"@version: 3.38\n{said}"):
        site.until_taken(_sorted(PATHS))


@pytest.mark.syslog_ng
def test_syslog_ng_over_http_through_restarts(site: Receiving, log: Path, tmp_path: Path) -> None:
    """Of Voile, and of syslog-ng by `kill -9`: each line once, and thousands of them within seconds."""
    changes = {"127.0.0.1:8080": site.http, "KEY": site.key, LOG: str(log)}
    said = replaced(block("syslog-ng.md", "syslog-ng", file="/etc/syslog-ng/conf.d/voile.conf"), changes)
    whole = f"@version: 3.38\noptions {{ time-reopen(1); }};\n{said}"
    with running_syslog_ng(tmp_path / "syslog-ng", whole) as process:
        site.until_taken(_sorted(PATHS))
        with site.closed_meanwhile():
            later = _append(log, 200, 5_200)
            process.kill()
    latest = _append(log, 6_000, 6_100)
    with running_syslog_ng(tmp_path / "syslog-ng", whole):
        site.until_taken(_sorted(PATHS + later + latest))


def test_pythons_syslog_handler(site: Receiving, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's own, by TCP: what is logged while Voile is away is lost and said; then it connects anew."""
    said = replaced(block("python-logging.md", "python", name="syslog"), {"5514": str(site.syslog_port)})
    logger = logging.getLogger("access")
    exec(compile(said, "python-logging.md", "exec"), {})
    try:
        for line in LINES:
            logger.info(line)
        site.until_taken(PATHS[:100])
        with site.closed_meanwhile():
            for number in range(200, 205):
                logger.info(combined(number))
        assert capsys.readouterr().err.count("--- Logging error ---") >= 3
        for number in range(300, 303):
            logger.info(combined(number))
        site.until_taken([*PATHS[:100], *(f"/pages/{n}" for n in range(300, 303))])
    finally:
        for handler in [*logger.handlers]:
            logger.removeHandler(handler)
            handler.close()


def test_logger(site: Receiving, log: Path, tmp_path: Path) -> None:
    """util-linux's, octet counted."""
    _shell(replaced(block("syslog.md", "sh", name="logger"), {"5514": str(site.syslog_port)}), log.parent)
    site.until_taken(_sorted(PATHS))


@pytest.mark.parametrize("page", ["rsyslog.md", "python-logging.md"])
def test_the_settings_of_pages_are_settings(page: str) -> None:
    """`[[ingest.syslog]]` as it is pasted into voile.toml."""
    section = tomllib.loads(block(page, "toml", file="voile.toml").text)["ingest"]["syslog"]
    assert [SyslogFrom.model_validate(rule).source for rule in section] == [NAME]


# --- HTTP --------------------------------------------------------------------------------------------------------


def _shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", text], cwd=folder, capture_output=True, text=True, check=True)


def test_curl_and_cron(site: Receiving, log: Path, tmp_path: Path) -> None:
    """The key's file, the check, and the nightly script, which may run again."""
    header = str(tmp_path / "voile.header")
    _shell(replaced(block("curl.md", "sh", name="key"), {"/etc/voile.header": header, "KEY": site.key}), tmp_path)
    assert oct(Path(header).stat().st_mode)[-3:] == "600"
    to = {"127.0.0.1:8080": site.http, "/etc/voile.header": header}
    assert " 204 " in _shell(replaced(block("curl.md", "sh", name="check"), to), tmp_path).stdout
    nightly = block("curl.md", "sh", file="/etc/cron.daily/voile")
    script = replaced(nightly, to | {f"{LOG}.1": str(log), "--line-bytes=8M": "--line-bytes=24k"})
    first, second = (_shell(script, tmp_path).stdout for _ in range(2))
    assert first.count('"accepted":') >= 2
    assert second.count('"accepted":0') == first.count('"accepted":')
    assert site.paths() == _sorted(PATHS)


def test_crons_line_names_a_command_that_exists() -> None:
    """With a user, as /etc/cron.d has it."""
    line = block("curl.md", "sh", file="/etc/cron.d/voile").text.split()
    *when, user, config, command, verb, path, option, source = line
    assert (len(when), user, command, verb, option, source) == (5, "voile", "voile", "import", "--source", NAME)
    assert config.partition("=")[0] == "VOILE_CONFIG"  # cron starts elsewhere than where voile.toml lies
    assert path == f"{LOG}.1"


# --- Kafka -------------------------------------------------------------------------------------------------------


@contextmanager
def _reading(broker: Broker, folder: Path) -> Iterator[tuple[Receiving, RawTopic]]:
    with opened(folder, broker.url) as ingest:
        ingest.add_source(replace(SOURCE, name=NAME))
        site = Receiving(ingest, AwayLog(ingest.log), "", 0, 0)
        site.settle()
        raw = open_raw_topic(ingest)
        try:
            yield site, raw
        finally:
            raw._consumer.close()


@pytest.mark.senders
def test_what_writes_to_kafka(kafka_broker: Broker, log: Path, tmp_path: Path) -> None:
    """rsyslog's omkafka, kcat with a header and with a key, and a program: one topic, each line once."""
    kafka = {"kafka:9092": kafka_broker.servers}
    said = replaced(block("rsyslog.md", "rsyslog", file="/etc/rsyslog.d/30-voile-kafka.conf"), kafka | {LOG: str(log)})
    wanted = [*PATHS]
    with _reading(kafka_broker, tmp_path / "ingest") as (site, raw), _rsyslog(tmp_path / "rsyslog", said):
        (tmp_path / "other").mkdir()
        other = tmp_path / "other" / "access.log"
        wanted += _append(other, 200, 210)
        _shell(replaced(block("kafka.md", "sh", name="header"), kafka), other.parent)
        wanted += _append(other, 210, 220)
        tail = {"tail -n 0 -F access.log": "tail -n 10 access.log"}
        _shell(replaced(block("kafka.md", "sh", name="key"), kafka | tail), other.parent)
        producer = replaced(block("kafka.md", "python", name="producer"), kafka)
        third = text_of([combined(n) for n in range(220, 230)])
        subprocess.run([sys.executable, "-c", producer], input=third, check=True)
        wanted += [f"/pages/{n}" for n in range(220, 230)]
        site.until(lambda: raw.step(0.5) is not None and len(site.paths()) >= len(wanted))
        assert site.paths() == _sorted(wanted)


# --- what could not be had here -----------------------------------------------------------------------------------


def _read(found: Block) -> Mapping[str, object]:
    parsed = yaml.safe_load(found.text)
    assert isinstance(parsed, dict), found.page
    return parsed


@pytest.mark.parametrize("page", ["fluent-bit.md", "vector.md", "filebeat.md", "opentelemetry.md"])
def test_configurations_of_programs_that_are_not_here_can_be_read(page: str) -> None:
    """And name their source, or its key."""
    found = [each for each in blocks(page) if each.language == "yaml"]
    assert found
    for each in found:
        assert _read(each)
        assert {NAME, "KEY"} & set(each.text.replace('"', " ").replace("/", " ").split()), each.said


def test_the_page_of_fluent_bit_lets_it_try_for_ever() -> None:
    """Without it, it tries once more and drops the chunk; and it comes again before a body is forgotten."""
    configuration = yaml.safe_load(block("fluent-bit.md", "yaml", file="/etc/fluent-bit/fluent-bit.yaml").text)
    assert configuration["pipeline"]["outputs"][0]["retry_limit"] == "no_limits"
    assert configuration["service"]["scheduler.cap"] < 600


def test_every_page_says_how_it_behaves() -> None:
    """What each page of a collector must have, and whether it sends an Idempotency-Key."""
    for page in PAGES_OF_COLLECTORS:
        text = (PAGES / f"{page}.md").read_text("utf-8")
        for wanted in ("## Check that it works", "## When ", "## Worth knowing"):
            assert wanted in text, f"{page} lacks {wanted}"
        assert "`Idempotency-Key`" in text, page
