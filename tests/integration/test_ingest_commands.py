"""The commands of ingest, as a person runs them."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures import __file__ as FIXTURES
from tests.parts.edge import combined, text_of
from tests.parts.processes import free_ports

KEYS_FRESH_S = 1.0  # how long a change of keys may take to be felt
LOG = Path(FIXTURES).with_name("nginx-combined-1000.log")


def _voile(data: Path, *arguments: str, stdin: bytes = b"", **extra: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "services.cli.main", *arguments]
    env = os.environ | {"VOILE_DATA": str(data)} | extra
    return subprocess.run(command, input=stdin, env=env, capture_output=True, timeout=60, check=False)


def _json(data: Path, *arguments: str, stdin: bytes = b"") -> Any:
    done = _voile(data, *arguments, "--json", stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a tenant and the source `web`."""
    folder = tmp_path_factory.mktemp("data")
    _json(folder, "tenant", "add", "acme", "--host", "www.acme.example")
    _json(folder, "source", "add", "web", "--tenant", "acme", "--format", "combined")
    return folder


def test_import_adds_up_and_is_safe_to_repeat(data: Path, tmp_path: Path) -> None:
    """Several files, plain, packed and stdin; the summary is one JSON object on stdout."""
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress(text_of([*map(combined, range(10)), "rubbish"])))
    first = _json(data, "import", str(LOG), str(packed), "--source", "web")
    assert first == {"lines": 1011, "accepted": 1010, "duplicates": 0, "rejected": {"unknown_shape": 1}}
    again = _json(data, "import", "-", "--source", "web", stdin=LOG.read_bytes())
    assert again == {"lines": 1000, "accepted": 0, "duplicates": 1000, "rejected": {}}


def test_a_damaged_file_gives_what_can_be_read_and_fails(data: Path, tmp_path: Path) -> None:
    """The other files are taken, the summary is printed, stderr names the file, and the exit code is 1."""
    packed = gzip.compress(text_of([combined(n, target=f"/damaged/{n}") for n in range(20_000)]))
    damaged, whole = tmp_path / "damaged.gz", tmp_path / "whole.log"
    damaged.write_bytes(packed[: len(packed) // 2])
    whole.write_bytes(text_of([combined(n, target="/whole") for n in range(10)]))
    done = _voile(data, "import", str(damaged), str(whole), "--source", "web", "--json")
    summary = json.loads(done.stdout)
    assert done.returncode == 1
    assert summary["lines"] == summary["accepted"] > 1010
    assert "damaged.gz is damaged or cut off (gzip)" in done.stderr.decode()
    damaged.write_bytes(packed)
    assert _json(data, "import", str(damaged), "--source", "web")["accepted"] == 20_010 - summary["accepted"]


def test_an_import_that_is_stopped_says_how_far_it_came(data: Path, tmp_path: Path) -> None:
    """By SIGTERM: the chunk in hand is finished, exit 1; the same command goes on from there."""
    log = tmp_path / "large.log"
    log.write_bytes(text_of([combined(n, target=f"/large/{n}") for n in range(4000)]))
    small = "import services.ingest.receivers.text as t; t.CHUNK_BYTES = 3000; "
    code = small + "import sys; from services.cli.main import main; main()"
    command = [sys.executable, "-c", code, "import", str(log), "--source", "web", "--json"]
    with subprocess.Popen(command, env=os.environ | {"VOILE_DATA": str(data)}, stdout=-1, stderr=-1) as process:
        _wait_for_chunks(data, 20)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=30)
    taken = json.loads(out)["accepted"]
    assert process.returncode == 1
    assert 0 < taken < 4000
    assert "goes on from there" in errors.decode()
    assert _json(data, "import", str(log), "--source", "web") == {
        "lines": 4000, "accepted": 4000 - taken, "duplicates": taken, "rejected": {},
    }  # fmt: skip


def _wait_for_chunks(data: Path, count: int) -> None:
    """Of the file that has most."""
    deadline = time.monotonic() + 30
    query = "SELECT max(n) FROM (SELECT count(*) AS n FROM claim_chunks GROUP BY origin)"
    with contextlib.closing(sqlite3.connect(data / "ingest.db")) as connection:
        while (connection.execute(query).fetchone()[0] or 0) < count and time.monotonic() < deadline:
            time.sleep(0.005)


def test_import_for_people_prints_a_table_and_nothing_of_a_line(data: Path) -> None:
    """No bar without a terminal; only where to look."""
    done = _voile(data, "import", "-", "--source", "web", stdin=b"bob@x.example was here\n")
    assert done.returncode == 1, "every line was rejected"
    assert b"rejected: unknown_shape" in done.stdout
    assert b"bob@" not in done.stdout + done.stderr
    advice, nothing = done.stderr.decode().splitlines()
    assert advice == "Which lines are rejected, and at which column: voile formats test --format combined -"
    assert "every line was rejected" in nothing
    assert "voile formats detect" in nothing


def test_one_line_that_fits_is_no_failure(data: Path) -> None:
    """Rejects are counted, and are no reason for a script to stop."""
    lines = text_of(["no line of log", combined(0, target="/one")])
    assert _json(data, "import", "-", "--source", "web", stdin=lines)["rejected"] == {"unknown_shape": 1}
    assert _voile(data, "import", "-", "--source", "web", stdin=b"").returncode == 0, "nothing came, nothing failed"


def test_what_was_followed_is_told_when_it_can_be_followed_no_more(data: Path, tmp_path: Path) -> None:
    """A folder took the log's name: exit 2 and what to do, after the summary."""
    log = tmp_path / "followed.log"
    log.write_bytes(text_of([combined(n, target=f"/followed/{n}") for n in range(30)]))
    command = [sys.executable, "-m", "services.cli.main", "import", "--follow", str(log), "--source", "web", "--json"]
    with (
        subprocess.Popen(command, env=os.environ | {"VOILE_DATA": str(data)}, stdout=-1, stderr=-1) as process,
        contextlib.closing(sqlite3.connect(data / "ingest.db")) as connection,
    ):
        query, deadline = "SELECT count(*) FROM claim_chunks WHERE lines = 30", time.monotonic() + 30
        while not connection.execute(query).fetchone()[0] and time.monotonic() < deadline:
            time.sleep(0.05)
        log.rename(tmp_path / "moved.log")
        log.mkdir()
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert json.loads(out)["accepted"] == 30
    assert "no file that could be followed" in errors.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "none.log", "--source", "web"), "There is no file none.log"),
        (("import", str(LOG), "--source", "nobody"), "voile source add nobody"),
        (("import", "-", "--follow", "--source", "web"), "leave out --follow"),
        (("import", str(LOG.parent), "--follow", "--source", "web"), "no file that could be followed"),
        (("source", "set-client-address", "web", "x_client"), "x_forwarded_for"),
        (("doctor", "ip", "--source", "web"), "--hops"),
        (("import", str(LOG), "--source", "web", "--format", "xml"), "the formats are"),
        (("source", "add", "x", "--tenant", "nobody", "--format", "combined"), "voile tenant add nobody"),
        (("source", "revoke-key", "nobody"), "voile source list"),
    ],
)
def test_wrong_use_says_what_to_do(data: Path, arguments: tuple[str, ...], says: str) -> None:
    """One sentence on stderr, exit 2."""
    done = _voile(data, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in done.stderr.decode()


def test_a_key_is_printed_once(data: Path) -> None:
    """Alone on stdout, so that it can be piped; the list has its first characters only."""
    done = _voile(data, "source", "rotate-key", "web")
    key = done.stdout.decode().strip()
    assert key.startswith("vsk_")
    (web,) = [source for source in _json(data, "source", "list") if source["name"] == "web"]
    assert key[:10] in [entry["id"] for entry in web["keys"]]
    assert key not in json.dumps(web)
    assert _json(data, "source", "revoke-key", "web", "--key", key[:10]) == {"name": "web", "revoked": 1}


def test_formats_are_listed(data: Path) -> None:
    """By the names that --format takes."""
    assert {f["name"] for f in _json(data, "formats", "list")} >= {"combined", "nginx_json", "vhost_combined", "json"}


@contextmanager
def _serving(data: Path) -> Iterator[str]:
    """`voile ingest serve`; yields its URL. SIGTERM ends it with 0, and nothing of a line is in its log."""
    (port,) = free_ports(1)
    env = os.environ | {"VOILE_DATA": str(data), "VOILE_INGEST__LISTEN": f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "services.cli.main", "ingest", "serve"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as serving:
        try:
            _wait(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"
        finally:
            serving.send_signal(signal.SIGTERM)
            _, errors = serving.communicate(timeout=30)
    assert serving.returncode == 0, errors.decode()
    assert b"192.0.2" not in errors


def test_serve_takes_lines_until_it_is_told_to_stop(data: Path) -> None:
    """What was answered with 200 is there."""
    key = _json(data, "source", "add", "live", "--tenant", "acme", "--format", "combined")["key"]
    with _serving(data) as base:
        headers = {"x-api-key": key, "content-type": "text/plain"}
        answer = httpx.post(f"{base}/api/v1/ingest/live", content=text_of([combined(1)]), headers=headers)
        assert answer.json()["accepted"] == 1


def test_keys_and_quotas_change_while_it_runs(data: Path) -> None:
    """A second key works beside the first; a revoked one is refused within a second, and its sender is told so;
    a quota holds within a second."""
    first = _json(data, "source", "add", "rotated", "--tenant", "acme", "--format", "combined")
    with _serving(data) as base:

        def send(key: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}", "content-type": "text/plain"}
            return httpx.post(f"{base}/api/v1/ingest/rotated", content=text_of([combined(1)]), headers=headers)

        assert send(first["key"]).status_code == 200
        second = _json(data, "source", "rotate-key", "rotated")
        time.sleep(KEYS_FRESH_S)
        assert [send(each["key"]).status_code for each in (first, second)] == [200, 200]
        _json(data, "source", "revoke-key", "rotated", "--key", first["key_id"])
        time.sleep(KEYS_FRESH_S)
        assert (send(first["key"]).status_code, send(first["key"]).json()["code"]) == (401, "revoked_key")
        assert send(second["key"]).status_code == 200
        assert _json(data, "source", "set-quota", "rotated", "--lines-per-minute", "1")["lines_per_minute"] == 1
        time.sleep(KEYS_FRESH_S)
        answers = [send(second["key"]) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert int(answers[1].headers["retry-after"]) > 0


def _wait(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the service did not become ready")


FORMATS = Path(FIXTURES).with_name("formats")
NGINX_STRING = (
    "$msec|$remote_addr|$http_x_forwarded_for|$request_method|$request_uri|$status|$bytes_sent|"
    "$request_time|$upstream_response_time|$http_user_agent"
)


def test_a_source_with_the_servers_own_string(data: Path) -> None:
    """Pasted from nginx.conf: checked at once, kept with the source, listed, and used by the import."""
    added = _json(data, "source", "add", "own", "--tenant", "acme", "--server", "nginx", "--log-format", NGINX_STRING)
    assert added["format"] == f"nginx:{NGINX_STRING}"
    assert {s["name"]: s["format"] for s in _json(data, "source", "list")}["own"] == f"nginx:{NGINX_STRING}"
    slip = ("--server", "nginx", "--log-format", NGINX_STRING.replace("user_agent", "user_agnet"))
    asked = _voile(data, "source", "add", "slip", "--tenant", "acme", *slip)
    assert b"$http_user_agnet is not read; did you mean $http_user_agent?" in asked.stderr
    done = _json(data, "import", str(FORMATS / "custom-nginx.log"), "--source", "own")
    assert done == {"lines": 12, "accepted": 12, "duplicates": 0, "rejected": {}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "combined", "--log-format", "$request"), "Say how its lines look"),
        ((), "Say how its lines look"),
        (("--log-format", NGINX_STRING), "Say whose string"),
        (("--log-format", NGINX_STRING, "--server", "lighttpd"), "Say whose string"),
        (("--format", "combined", "--server", "nginx"), "is for --log-format"),
        (("--log-format", "$request", "--server", "nginx"), "no client address"),
    ],
)
def test_a_source_without_a_usable_format_is_wrong_use(data: Path, arguments: tuple[str, ...], said: str) -> None:
    """Exit 2, and no source is made."""
    done = _voile(data, "source", "add", "bad", "--tenant", "acme", *arguments)
    assert (done.returncode, said in " ".join(done.stderr.decode().split())) == (2, True)
    assert "bad" not in {s["name"] for s in _json(data, "source", "list")}


def test_formats_are_detected(data: Path) -> None:
    """From the file alone; exit 1 and what to do next when nothing fits."""
    found = _json(data, "formats", "detect", str(FORMATS / "haproxy_http-plain.log"))
    assert found[0]["name"] == "haproxy_http"
    lost = _voile(data, "formats", "detect", "-", stdin=b"bob was here\n")
    assert lost.returncode == 1
    assert b"voile formats test --server nginx" in lost.stderr
    assert b"bob" not in lost.stdout + lost.stderr
    assert _voile(data, "formats", "detect", "/nowhere").returncode == 2


def test_a_format_is_tried_on_a_file(data: Path) -> None:
    """The field table; no address; where the first line fails; exit 1 when one does."""
    good = _voile(
        data, "formats", "test", str(FORMATS / "custom-nginx.log"), "--server", "nginx", "--format", NGINX_STRING
    )
    assert good.returncode == 0, good.stderr.decode()
    assert b"$request_uri" in good.stdout
    assert b"127.0.0.1" not in good.stdout
    bad = _voile(data, "formats", "test", str(FORMATS / "combined-odd.log"), "--format", "combined")
    assert bad.returncode == 1
    assert b"Line 12 is the first that does not fit: bad_status at %>s (the status is no number" in bad.stderr
