"""Runs two or more sides of a benchmark alternately and prints medians, ratios, versions and the machine.

These machines are shared, so only ratios within one run hold. CPU is user + system of the whole process,
from the kernel (`wait4`), so that nothing a side starts inside itself is left out.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROUNDS", "Measured", "Side", "machine", "measure_command", "report", "run_sides"]

ROUNDS = 3
SIDE_S_MAX = 600  # a bench that hangs must end


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one side: how many items it counted, wall and CPU seconds."""

    count: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    run: Callable[[], Measured]


def measure_command(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    done: Callable[[], bool] | None = None,
    count: Callable[[str], int] | None = None,
) -> Measured:
    """Run `command` to its end, or until `done()` says that its work is complete; then it gets SIGTERM.

    `count` takes its stdout (default: a JSON object with `count`).
    """
    start = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done is not None:
        _until(done, process)
    wall = time.monotonic() - start
    if done is not None:
        process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if done is None:
        wall = time.monotonic() - start
        assert process.returncode == 0, f"{command[0]} ended with {process.returncode}"
    counted = count(output) if count else int(json.loads(output.splitlines()[-1])["count"])
    return Measured(counted, wall, usage.ru_utime + usage.ru_stime)


def _until(done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SIDE_S_MAX
    while not done():
        assert process.poll() is None, "the side ended before its work was done"
        assert time.monotonic() < deadline, "the side did not finish in time"
        time.sleep(0.05)


def run_sides(sides: Sequence[Side], rounds: int = ROUNDS) -> dict[str, list[Measured]]:
    """A B A B ...; every run of every side must have counted the same."""
    results: dict[str, list[Measured]] = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides:
            measured = side.run()
            results[side.name].append(measured)
            print(f"  round {number + 1}: {side.name}: {measured}", file=sys.stderr, flush=True)
    counts = {m.count for runs in results.values() for m in runs}
    assert len(counts) == 1, f"the sides did not count the same: {counts}"
    return results


def report(title: str, results: Mapping[str, Sequence[Measured]], versions: Mapping[str, str]) -> str:
    """A Markdown table, ours (the first side) against each peer by ratio of medians."""
    lines = [
        f"### {title}",
        "",
        "| side | items | items/s | CPU us/item | our CPU / its | our speed / its |",
        "|---|---|---|---|---|---|",
    ]
    ours = next(iter(results.values()))
    for name, runs in results.items():
        lines.append(
            f"| {name} | {runs[0].count:,} | {_rate(runs):,.0f} | {_cpu(runs):.2f} | {_cpu(ours) / _cpu(runs):.2f} | {_rate(ours) / _rate(runs):.2f} |"
        )
    about = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines += ["", f"Medians of {len(ours)} alternating runs; {about}; {machine()}.", ""]
    return "\n".join(lines)


def _rate(runs: Sequence[Measured]) -> float:
    return statistics.median(m.count / m.wall_s for m in runs)


def _cpu(runs: Sequence[Measured]) -> float:
    return statistics.median(m.cpu_s / m.count * 1e6 for m in runs)


def machine() -> str:
    models = [
        x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")
    ]
    return f"{os.cpu_count()} x {models[0] if models else platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
