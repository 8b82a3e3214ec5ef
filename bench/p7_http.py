"""P7: bodies of 500 lines over HTTP -> durable answers, by one process of `voile ingest serve`.

The sender is a process of its own with some connections; each sends its next body when the last was answered, so the
waits that are measured are those of a sender that does not pile up. An answer counts when it is 200 and has accepted
every line. All lines are different bodies' lines: nothing is a duplicate. What was published is counted afterwards.

Run: python -m bench.p7_http [SECONDS] [CONNECTIONS]
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.harness import ROUNDS, machine
from bench.logs import access_log
from bench.processes import cpu_s
from services.runtime.batches import decode_access_batch
from services.runtime.log import open_log
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS
from tests.e2e.installation import Installation

SECONDS, CONNECTIONS = 15, 8
LINES = 500  # a body
WARM_S = 3.0
LOG_LINES = 500_000
GOAL_LINES_S, GOAL_P99_MS = 100_000, 50
SOURCE = "web"


@dataclass(frozen=True, slots=True)
class Round:
    """What was answered after the warm-up: lines, seconds, waits in ms, the server's CPU in s."""

    lines: int
    wall_s: float
    waits_ms: Sequence[float]
    cpu_s: float


def main(arguments: Sequence[str]) -> None:
    if arguments and arguments[0] == "send":
        send(*arguments[1:])
        return
    seconds, connections = (
        int(arguments[n]) if len(arguments) > n else d for n, d in enumerate((SECONDS, CONNECTIONS))
    )
    log = access_log(LOG_LINES)
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        rounds = [_round(Path(folder, str(n)), log, seconds, connections) for n in range(ROUNDS)]
    print(_report(rounds, connections))


def _round(folder: Path, log: Path, seconds: int, connections: int) -> Round:
    voile = Installation(folder)
    voile.voile("tenant", "add", "harbour")
    key = voile.json("source", "add", SOURCE, "--tenant", "harbour", "--format", "combined")["key"]
    with voile.running("ingest"):
        pid = voile.processes["ingest"].pid
        command = [sys.executable, "-m", "bench.p7_http", "send", voile.url("ingest"), key, str(log), str(seconds)]
        sender = subprocess.Popen([*command, str(connections)], stdout=subprocess.PIPE, text=True)
        assert sender.stdout is not None
        assert sender.stdout.readline() == "warm\n"
        before = cpu_s([pid])
        found = json.loads(sender.stdout.readline())
        used = cpu_s([pid]) - before
        assert sender.wait(60) == 0
    assert _published(voile) == found["lines_in_all"], "what was answered is not what was published"
    result = Round(found["lines"], found["wall_s"], found["waits_ms"], used)
    print(
        f"  {result.lines / result.wall_s:,.0f} lines/s, p99 {_percentile(result.waits_ms, 99):.0f} ms", file=sys.stderr
    )
    return result


def _published(voile: Installation) -> int:
    events = open_log(f"sqlite:///{voile.data / 'events.db'}", Kafka())
    try:
        follower = events.follower([TOPICS["access-log"].name])
        rows = 0
        while records := follower.poll():
            rows += sum(decode_access_batch(r.value).frame.height for r in records if r.value)
        return rows
    finally:
        events.close()


# --- the sender's process --------------------------------------------------------------------------------------------


def send(url: str, key: str, log: str, seconds: str, connections: str) -> None:
    """Prints `warm`, and then the figures as JSON."""
    host, _, port = url.removeprefix("http://").partition(":")
    bodies, lock = _bodies(Path(log)), threading.Lock()
    waits: list[tuple[float, float]] = []  # (answered at, s)
    stop = time.monotonic() + WARM_S + float(seconds)

    def run() -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        while time.monotonic() < stop:
            with lock:
                body = next(bodies)
            begun = time.monotonic()
            connection.request(
                "POST", f"/api/v1/ingest/{SOURCE}", body, {"X-API-Key": key, "Content-Type": "text/plain"}
            )
            answer = connection.getresponse()
            content = answer.read()
            waits.append((time.monotonic(), time.monotonic() - begun))
            assert (answer.status, json.loads(content)["accepted"]) == (200, LINES), content

    threads = [threading.Thread(target=run) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    time.sleep(WARM_S)
    warm = time.monotonic()
    print("warm", flush=True)
    for thread in threads:
        thread.join()
    counted = [wait * 1000 for at, wait in waits if at >= warm]
    wall_s = max(at for at, _ in waits) - warm
    found = {"lines": len(counted) * LINES, "wall_s": wall_s, "waits_ms": counted, "lines_in_all": len(waits) * LINES}
    print(json.dumps(found), flush=True)


def _bodies(log: Path) -> Iterator[bytes]:
    """Bodies of the log's lines; the second time through, and so on, under other paths, so that no body is known."""
    lines = log.read_bytes().splitlines(keepends=True)
    again = 0
    while True:
        for first in range(0, len(lines) - LINES + 1, LINES):
            text = b"".join(lines[first : first + LINES])
            yield text if not again else text.replace(b" /", b" /%d/" % again)
        again += 1


# --- the report ------------------------------------------------------------------------------------------------------


def _report(rounds: Sequence[Round], connections: int) -> str:
    rate = statistics.median(r.lines / r.wall_s for r in rounds)
    p50, p99 = (statistics.median(_percentile(r.waits_ms, q) for r in rounds) for q in (50, 99))
    cpu = statistics.median(r.cpu_s / r.lines * 1e6 for r in rounds)
    met = "yes" if rate >= GOAL_LINES_S and p99 <= GOAL_P99_MS else "no"
    return "\n".join(
        [
            "### P7: bodies of 500 lines over HTTP -> durable answers",
            "",
            "| lines/s | p50 ms | p99 ms | CPU us/line | goal | met |",
            "|---|---|---|---|---|---|",
            f"| {rate:,.0f} | {p50:.0f} | {p99:.0f} | {cpu:.2f} | {GOAL_LINES_S:,} lines/s, p99 {GOAL_P99_MS} ms | {met} |",
            "",
            f"Medians of {len(rounds)} rounds; {connections} connections, embedded log; polars {version('polars')}, "
            f"uvicorn {version('uvicorn')}; {machine()}. The sender shares the machine.",
            "",
        ]
    )


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    main(sys.argv[1:])
