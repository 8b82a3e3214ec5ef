"""P10: the embedded profile at rest: memory of all processes of `voile up`, and seconds from its start to ready.

The CPU of the start is told as well: on a machine that does other work it is what can be compared.

Memory is the sum of PSS (proportional set size, /proc/PID/smaps_rollup): shared pages count once over all processes. It is
taken `REST_S` after ready, with nothing to do: on a new installation, and on one that has taken in and closed a log.

Run: python -m bench.p10_at_rest [LINES] [ROUNDS]
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from bench.harness import ROUNDS, machine
from bench.logs import DAYS, access_log, first_day
from bench.processes import cpu_s
from tests.e2e.installation import Installation

LINES = 200_000
REST_S = 20.0
READY_S_MAX = 120.0
GOAL_MB, GOAL_S = 600, 3.0
TENANT, SOURCE = "harbour", "harbour-web"


def main(arguments: Sequence[str]) -> None:
    log = access_log(int(arguments[0]) if arguments else LINES)
    rounds = int(arguments[1]) if arguments[1:] else ROUNDS
    new, used = list[AtRest](), list[AtRest]()
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
            voile = Installation(Path(folder, str(number)))
            voile.voile("db", "upgrade")
            new.append(at_rest(voile))
            take_in(voile, log)
            used.append(at_rest(voile))
            print(f"  round {number + 1}: new {new[-1]}, used {used[-1]}", file=sys.stderr, flush=True)
    print(told(new, used))


class AtRest(NamedTuple):
    """From start to ready, in s of the clock and of CPU, and MB of all processes when nothing happens."""

    ready_s: float
    start_cpu_s: float
    mb: float


def at_rest(voile: Installation) -> AtRest:
    with running(voile) as (process, ready_s):
        start_cpu_s = cpu_s(family(process.pid))
        time.sleep(REST_S)
        return AtRest(ready_s, start_cpu_s, sum(pss_mb(pid) for pid in family(process.pid)))


@contextlib.contextmanager
def running(voile: Installation) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    start = time.monotonic()
    command = [sys.executable, "-m", "services.cli.main", "up"]
    with (voile.logs / "up.log").open("ab") as log:
        process = subprocess.Popen(command, env=voile.env, stdout=log, stderr=log)
    try:
        for plane in voile.ports:
            until_ready(voile.url(plane, "/readyz"), process, start)
        yield process, time.monotonic() - start
    finally:
        process.terminate()
        process.wait(60)


def until_ready(url: str, process: subprocess.Popen[bytes], start: float) -> None:
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        assert process.poll() is None, "voile up ended at its start"
        assert time.monotonic() < start + READY_S_MAX, "voile up is not ready"
        time.sleep(0.02)


def take_in(voile: Installation, log: Path) -> None:
    voile.voile("tenant", "add", TENANT)
    voile.voile("source", "add", SOURCE, "--tenant", TENANT, "--format", "combined")
    with running(voile):
        voile.voile("import", str(log), "--source", SOURCE)
        voile.voile("stats", "close", "--through", str(first_day() + timedelta(days=DAYS - 1)))


def family(pid: int) -> list[int]:
    """The process and everything below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in family(int(child)))]


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise AssertionError(f"no Pss of {pid}")


def told(new: Sequence[AtRest], used: Sequence[AtRest]) -> str:
    lines = [
        "### P10: `voile up` at rest",
        "",
        "| installation | start to ready | its CPU | memory of all processes | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in (("new", new), ("after a log was taken in and closed", used)):
        ready_s, used_s, mb = (statistics.median(values) for values in zip(*runs, strict=True))
        met = "yes" if mb <= GOAL_MB and ready_s <= GOAL_S else "no"
        lines.append(
            f"| {name} | {ready_s:.1f} s | {used_s:.1f} s | {mb:.0f} MB | {GOAL_MB} MB, {GOAL_S:.0f} s | {met} |"
        )
    return "\n".join([*lines, "", f"Medians of {len(new)} runs; {machine()}.", ""])


if __name__ == "__main__":
    main(sys.argv[1:])
