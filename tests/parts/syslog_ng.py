"""A real syslog-ng beside rsyslog: Debian lets only one be installed, so its packages are unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.parts.processes import die_with_parent

__all__ = ["running_syslog_ng", "why_missing"]

ROOT = Path(__file__).parents[2]
PACKAGES = ("syslog-ng-core", "syslog-ng-mod-http")
FETCH_S_MAX = 120  # 2 MB, once a machine
STOP_S_MAX = 10


def why_missing() -> str | None:
    """Why it cannot run here, or None."""
    if _is_there(_cache()):
        return None
    if not all(map(shutil.which, ("apt-get", "dpkg"))):
        return "syslog-ng is not unpacked and there is no apt-get to fetch it (Debian: syslog-ng-core)"
    planned = _apt_get("--print-uris", Path(tempfile.gettempdir()), check=False)
    return None if planned.returncode == 0 else "apt-get knows no syslog-ng-core; run: apt-get update"


@contextmanager
def running_syslog_ng(folder: Path, configuration: str) -> Iterator[subprocess.Popen[bytes]]:
    """In the foreground, with its state in `folder`, so that another start there goes on."""
    folder.mkdir(exist_ok=True)
    found = _found()
    (folder / "syslog-ng.conf").write_text(configuration)
    libraries = [found / "usr/lib/syslog-ng", *found.glob("usr/lib/*-linux-gnu"), *found.glob("lib/*-linux-gnu")]
    modules = next(found.glob("usr/lib/syslog-ng/*.*/"))
    files = {"-f": "syslog-ng.conf", "-R": "persist", "-p": "pid", "-c": "control"}
    command = [
        *(str(found / "usr/sbin/syslog-ng"), "--foreground", "--no-caps", "--stderr"),
        *("--module-path", str(modules), *(w for flag, name in files.items() for w in (flag, str(folder / name)))),
    ]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stderr=output,
            stdout=output,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # one system call, safe between fork and exec
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(STOP_S_MAX)


def _found() -> Path:
    """The folder of unpacked packages; fetched the first time."""
    folder = _cache()
    if not _is_there(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
            _unpack(Path(fresh))
            try:
                (Path(fresh) / "root").rename(folder)
            except OSError:  # another test process was faster
                assert _is_there(folder)
    return folder


def _unpack(folder: Path) -> None:
    (folder / "partial").mkdir()
    if _apt_get("--download-only", folder, check=False).returncode and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True, timeout=FETCH_S_MAX)  # the lists name older packages
    _apt_get("--download-only", folder)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "--extract", package, folder / "root"], check=True, timeout=FETCH_S_MAX)


def _apt_get(what: str, folder: Path, *, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """The packages, and what they need that is not installed. Nothing of the system is touched or locked."""
    options: Mapping[str, str] = {
        "Dir::Cache::archives": f"{folder}/",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
    }
    command: Sequence[str] = [
        *("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "--reinstall", what),
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        *PACKAGES,
    ]
    return subprocess.run(command, check=check, capture_output=True, timeout=FETCH_S_MAX)


def _is_there(folder: Path) -> bool:
    return (folder / "usr/sbin/syslog-ng").exists()


def _cache() -> Path:
    return Path(os.environ.get("VOILE_CACHE", ROOT / ".cache")).absolute() / "syslog-ng"
