"""P5: an access log -> closed statistics on the embedded profile, against GoAccess on the same file.

Ours is what an operator does: with the three planes running, `voile import`, then `voile stats close`, which waits for
the worker. Meanwhile the identity plane reads the same events, as it always does. Seconds are from the start of the
import to the end of the close, both commands' start included; CPU is theirs and all planes'. The start of the planes
is not in it: they are services. GoAccess writes its report as JSON.

Run: python -m bench.p5_log_to_statistics [LINES]
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from itertools import count
from pathlib import Path

from bench.harness import Measured, Side, measure_command, report, run_sides
from bench.logs import DAYS, access_log, first_day
from bench.processes import cpu_s
from tests.e2e.installation import Installation

LINES = 2_000_000  # of fewer, the start of an import is a large part
TENANT, SOURCE = "harbour", "harbour-web"


def main(arguments: Sequence[str]) -> None:
    log = access_log(int(arguments[0]) if arguments else LINES)
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        round_ = count()
        sides = [
            Side("Voile: import and close, embedded", lambda: ours(Path(folder, f"{next(round_)}"), log)),
            Side("GoAccess: its report", lambda: goaccess(Path(folder, f"{next(round_)}.json"), log)),
        ]
        found = run_sides(sides)
    print(report("P5: access log -> closed statistics", found, _versions()))


def ours(folder: Path, log: Path) -> Measured:
    """A new installation each time. Counted: the rows that the closed days hold, over all of them."""
    voile = Installation(folder)
    voile.voile("tenant", "add", TENANT)
    voile.voile("source", "add", SOURCE, "--tenant", TENANT, "--format", "combined")
    with voile.running():
        before, start = _planes(voile), time.monotonic()
        imported = _command(voile, "import", str(log), "--source", SOURCE)
        between = _planes(voile)
        closed = _command(voile, "stats", "close", "--through", str(first_day() + timedelta(days=DAYS - 1)))
        wall = time.monotonic() - start
        after = _planes(voile)
        _say("import", imported, before, between)
        _say("close", closed, between, after)
        status = voile.json("stats", "status")
    assert status["days"] == {"closed": DAYS}, f"not every day was closed: {status['days']}"
    cpu = imported.cpu_s + closed.cpu_s + sum(after[name] - before[name] for name in before)
    return Measured(status["rows_counted"], wall, cpu)


def goaccess(answer: Path, log: Path) -> Measured:
    command = [_goaccess(), str(log), "--log-format=COMBINED", "--no-global-config", "-o", str(answer)]
    return measure_command(command, count=lambda _: int(json.loads(answer.read_text())["general"]["valid_requests"]))


def _command(voile: Installation, *arguments: str) -> Measured:
    command = [sys.executable, "-m", "services.cli.main", *arguments, "--json"]
    return measure_command(command, voile.env, count=lambda said: len(json.loads(said)))


def _planes(voile: Installation) -> dict[str, float]:
    return {name: cpu_s([process.pid]) for name, process in voile.processes.items()}


def _say(name: str, command: Measured, before: dict[str, float], after: dict[str, float]) -> None:
    """Where the seconds of one command went: the profile of this run."""
    planes = ", ".join(f"{plane} {after[plane] - before[plane]:.2f}" for plane in before)
    print(f"    {name}: {command.wall_s:.2f} s; CPU: command {command.cpu_s:.2f}, {planes} s", file=sys.stderr)


def _goaccess() -> str:
    found = shutil.which("goaccess")
    assert found, "no goaccess here (Debian: goaccess)"
    return found


def _versions() -> dict[str, str]:
    said = subprocess.run([_goaccess(), "--version"], check=True, capture_output=True, text=True).stdout
    return {"GoAccess": said.split()[2].rstrip("."), **{name: version(name) for name in ("chdb", "polars")}}


if __name__ == "__main__":
    main(sys.argv[1:])
