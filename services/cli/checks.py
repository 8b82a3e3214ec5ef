"""`voile test`: everything that must hold before a change lands, from lint to the real parts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer

app = typer.Typer()

ROOT = Path(__file__).resolve().parents[2]
# Debian packages that hold the real parts, by the program that shows they are there. syslog-ng is not among them: it
# cannot be installed beside rsyslog, so tests/parts/syslog_ng.py unpacks it.
_DEBIAN = {
    "chromium": "chromium",
    "nginx": "nginx",
    "logrotate": "logrotate",
    "haproxy": "haproxy",
    "apache2": "apache2-bin",
    "caddy": "caddy",
    "rsyslogd": "rsyslog",
    "kcat": "kcat",
    "curl": "curl",
    "goaccess": "goaccess",
    "minisign": "minisign",
    "java": "openjdk-17-jre-headless",
    "mvn": "maven",
    "git": "git",
}


class _Check(NamedTuple):
    name: str
    command: Sequence[str]


@app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_checks(
    context: typer.Context,
    full: bool = typer.Option(False, "--full", help="Also the long faults, fuzzing and benches, by hand."),
) -> None:
    """Lint, types, import contracts and the whole test suite; arguments go to pytest.

    With VOILE_TEST_REQUIRE=all a part that is missing is a failure, and as root on Debian it is installed first.

    Example: voile test tests/unit -k accounting
    """
    if os.environ.get("VOILE_TEST_REQUIRE") == "all":
        _install_missing()
    environment = _environment(full)
    narrowed = any(not a.startswith("-") for a in context.args)
    checks = [] if narrowed else _checks()
    failed = [check.name for check in [*checks, _pytest(context.args, narrowed)] if not _passes(check, environment)]
    if failed:
        print(f"voile test: failed: {', '.join(failed)}", file=sys.stderr)
        raise typer.Exit(1)


def _environment(full: bool) -> dict[str, str]:
    """The tests start hundreds of Python processes; without its bytecode each would compile all of Voile again."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **({"VOILE_TEST_FULL": "1"} if full else {})}


def _checks() -> list[_Check]:
    bin_folder = Path(sys.executable).parent
    return [
        _Check("lint", [str(bin_folder / "ruff"), "check", "."]),
        _Check("format", [str(bin_folder / "ruff"), "format", "--check", "--quiet", "."]),
        _Check("types", [str(bin_folder / "mypy")]),
        _Check("import contracts", [str(bin_folder / "lint-imports"), "--no-cache"]),
    ]


def _pytest(arguments: Sequence[str], narrowed: bool) -> _Check:
    """All tests run in three processes on two cores: they wait for real parts more than they compute."""
    spread = [] if narrowed else ["--numprocesses=3", "--dist=worksteal", "--durations=25", "--durations-min=20"]
    return _Check("tests", [sys.executable, "-m", "pytest", *spread, *arguments])


def _passes(check: _Check, environment: dict[str, str]) -> bool:
    print(f"== {check.name}", flush=True)
    start = time.monotonic()
    done = subprocess.run(check.command, cwd=ROOT, env=environment, check=False)
    print(
        f"== {check.name}: {'ok' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - start:.0f} s", flush=True
    )
    return done.returncode == 0


def _install_missing() -> None:
    """As root on Debian; elsewhere the tests that need a part will say that it is missing."""
    packages = [package for program, package in _DEBIAN.items() if shutil.which(program) is None]
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        packages.append("postgresql")
    if not list(Path("/usr/lib").glob("*/rsyslog/omkafka.so")):  # an output of rsyslog's, and no program of its own
        packages.append("rsyslog-kafka")
    if not packages or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"== installing {' '.join(packages)}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    subprocess.run(install, check=True, env=quiet, stdout=subprocess.DEVNULL)
