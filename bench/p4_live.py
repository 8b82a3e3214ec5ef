"""P4: seconds from an ingest answer's 200 to the tenant's live total of requests on the dashboard, at a steady pace.

A whole embedded installation (`voile up`'s three planes). One connection sends bodies of 500 lines by the clock, whether
or not what was sent is visible already; somebody who is signed in asks the page's live line again and again. A body is
visible with the first answer whose total holds it: totals are multiples of 5 and at most 4 below what was counted, a body is
a hundred times that. A page shows what it gets when it asks the next time, by the interval that stands in the line itself.

Run: python -m bench.p4_live [SECONDS] [LINES_A_SECOND]
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench.harness import ROUNDS, machine
from bench.processes import cpu_s
from tests.e2e.installation import Installation

SECONDS, LINES_A_SECOND = 30, 5_000
LINES = 500  # a body
WARM_S = 5.0  # the first total waits for the first people to be looked up
VISIBLE_S_MAX = 60.0
ASK_S = 0.05  # the finest that is told apart
ROUNDED_BY = 4
GOAL_S = 2.0
PHASES = 10  # pages are opened at any moment
TENANT, SOURCE = "harbour", "harbour-web"

Instant = float  # s, of the monotonic clock


@dataclass(frozen=True, slots=True)
class Round:
    """Of each body after the warm-up: seconds until an answer held it, and until a page did. CPU by plane, in s."""

    waits_s: Sequence[float]
    page_s: Sequence[float]
    every_s: float
    lines_a_second: float
    cpu_s: dict[str, float]


def main(arguments: Sequence[str]) -> None:
    seconds, pace = (int(arguments[n]) if len(arguments) > n else d for n, d in enumerate((SECONDS, LINES_A_SECOND)))
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        rounds = [run_round(Path(folder, str(n)), seconds, pace) for n in range(ROUNDS)]
    print(report(rounds, pace))


def run_round(folder: Path, seconds: int, pace: int) -> Round:
    voile = Installation(folder)
    voile.voile("tenant", "add", TENANT)
    key = voile.json("source", "add", SOURCE, "--tenant", TENANT, "--format", "combined")["key"]
    with voile.running():
        page = sign_in(voile)
        before = {name: cpu_s([process.pid]) for name, process in voile.processes.items()}
        sent, seen = list[tuple[Instant, int]](), list[tuple[Instant, int]]()
        sending = threading.Thread(target=send, args=(voile.url("ingest"), key, seconds, pace, sent))
        start = time.monotonic()
        sending.start()
        watch(page, seen, lambda: not sending.is_alive() and held(seen, sent[-1][1]))
        used = {name: cpu_s([process.pid]) - before[name] for name, process in voile.processes.items()}
        every_s = interval_s(page)
    result = measured(sent, seen, start + WARM_S, every_s, used)
    print(f"  p99 {percentile(result.waits_s, 99):.2f} s; page {percentile(result.page_s, 99):.2f} s", file=sys.stderr)
    return result


def sign_in(voile: Installation) -> httpx.Client:
    voile.voile("user", "add", "bench", "--service", "statistics", "--role", "viewer", "--tenant", TENANT)
    link = voile.json("user", "login-link", "bench", "--service", "statistics")["link"]
    page = httpx.Client(
        base_url=f"http://localhost:{voile.ports['statistics']}", headers={"X-By-Itself": "1"}, follow_redirects=True
    )
    assert page.post(urlsplit(link).path).status_code == 200
    return page


# --- sending ----------------------------------------------------------------------------------------------------------


def send(url: str, key: str, seconds: int, pace: int, sent: list[tuple[Instant, int]]) -> None:
    """Notes when each body was answered, and how many lines were accepted so far."""
    headers = {"X-API-Key": key, "Content-Type": "text/plain"}
    start = time.monotonic()
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        for number in count():
            due = start + number * LINES / pace
            time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() > start + WARM_S + seconds:
                return
            answer = client.post(f"/api/v1/ingest/{SOURCE}", content=body(number))
            assert (answer.status_code, answer.json()["accepted"]) == (200, LINES), answer.text
            sent.append((time.monotonic(), (number + 1) * LINES))


def body(number: int) -> bytes:
    """Requests of people, of this second; no two bodies are the same."""
    at = f"{datetime.now(UTC):%d/%b/%Y:%H:%M:%S +0000}"
    return b"".join(_line(number * LINES + n, at) for n in range(LINES))


def _line(n: int, at: str) -> bytes:
    person = n * 7919 % 20_000
    address = f"10.{person // 5000}.{person // 250 % 20}.{person % 250}"
    agent = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{100 + person % 40}.0) Gecko/20100101 Firefox/{100 + person % 40}.0"
    return f'{address} - - [{at}] "GET /news/{n % 300}?n={n} HTTP/1.1" 200 {n % 9000} "-" "{agent}"\n'.encode()


# --- watching ---------------------------------------------------------------------------------------------------------


def watch(page: httpx.Client, seen: list[tuple[Instant, int]], done: Callable[[], bool]) -> None:
    """Asks the live line until `done`; notes when each answer came, and the total in it."""
    deadline = time.monotonic() + WARM_S + SECONDS * 10 + VISIBLE_S_MAX
    while not done():
        assert time.monotonic() < deadline, "not everything that was accepted became visible"
        total = re.search(r'data-requests="(\d*)"', live_line(page))
        assert total, "the live line has no total"
        seen.append((time.monotonic(), int(total[1] or 0)))
        time.sleep(ASK_S)


def live_line(page: httpx.Client) -> str:
    answer = page.get("/live", params={"tenant": TENANT})
    assert answer.status_code == 200, f"/live answers {answer.status_code}"
    return answer.text


def interval_s(page: httpx.Client) -> float:
    """How often an open page asks, as the line says."""
    found = re.search(r'hx-trigger="every (\d+)(m?s)"', live_line(page))
    assert found, "the live line does not say how often it is asked for"
    return int(found[1]) / (1000 if found[2] == "ms" else 1)


# --- the figures ------------------------------------------------------------------------------------------------------


def held(seen: Sequence[tuple[Instant, int]], lines: int) -> bool:
    return bool(seen) and seen[-1][1] >= lines - ROUNDED_BY


def measured(
    sent: Sequence[tuple[Instant, int]],
    seen: Sequence[tuple[Instant, int]],
    warm: Instant,
    every_s: float,
    used: dict[str, float],
) -> Round:
    counted = [(at, lines) for at, lines in sent if at >= warm]
    visible = [next(when for when, total in seen if total >= lines - ROUNDED_BY) for _, lines in counted]
    waits = [max(0.0, when - at) for when, (at, _) in zip(visible, counted, strict=True)]
    pages = [
        wait + (phase / PHASES * every_s - when) % every_s
        for when, wait in zip(visible, waits, strict=True)
        for phase in range(PHASES)
    ]
    rate = (len(counted) - 1) * LINES / (counted[-1][0] - counted[0][0])
    return Round(waits, pages, every_s, rate, used)


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def report(rounds: Sequence[Round], pace: int) -> str:
    every = rounds[0].every_s
    rate = statistics.median(r.lines_a_second for r in rounds)
    cpu = {name: statistics.median(r.cpu_s[name] for r in rounds) for name in rounds[0].cpu_s}
    rows = {
        "the live line, asked all the time": [r.waits_s for r in rounds],
        f"a page, which asks every {every:g} s": [r.page_s for r in rounds],
    }
    lines = [
        f"### P4: HTTP 200 -> live total, at {pace:,} lines/s",
        "",
        "| seen by | p50 s | p99 s | goal | met |",
        "|---|---|---|---|---|",
    ]
    for name, runs in rows.items():
        p50, p99 = (statistics.median(percentile(values, q) for values in runs) for q in (50, 99))
        met = "yes" if p99 <= GOAL_S and rate >= 0.98 * pace else "no"
        lines.append(f"| {name} | {p50:.2f} | {p99:.2f} | p99 {GOAL_S:g} s | {met} |")
    planes = ", ".join(f"{name} {used:.1f}" for name, used in cpu.items())
    about = f"Medians of {len(rounds)} rounds; {rate:,.0f} lines/s were accepted; CPU s a round: {planes}; {machine()}."
    return "\n".join([*lines, "", about, ""])


if __name__ == "__main__":
    main(sys.argv[1:])
