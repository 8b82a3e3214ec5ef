"""A real PostgreSQL server, with a database of its own for whoever asks."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from tests.parts.processes import die_with_parent, free_ports

__all__ = ["Postgres", "running_postgres", "why_missing"]

START_S_MAX = 30
_DEBIAN = Path("/usr/lib/postgresql")  # Debian keeps the server's programs off the PATH
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=on")  # the machine does not lose power in a test


class Postgres:
    """A server by the URL of its maintenance database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def make_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"{self._url.rpartition('/')[0]}/{name}"

    def drop_database(self, url: str) -> None:
        name = sql.Identifier(url.rpartition("/")[2])
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def run(self, script: Path) -> None:
        """A script of psql's, as its superuser."""
        psql = shutil.which("psql") or _program("psql")
        done = subprocess.run(
            [psql, "--no-psqlrc", "--quiet", "-f", str(script), self._url], capture_output=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())

    def as_role(self, role: str, database: str) -> str:
        """The URL by which this role enters that database; the server asks for no password."""
        place = self._url.rpartition("@")[2].rpartition("/")[0]
        return f"postgresql://{role}@{place}/{database}"

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A fresh server on 127.0.0.1, gone with all its data at the end."""
    folder = Path(tempfile.mkdtemp(prefix="voile-postgres-"))
    user = _user()
    if user:
        shutil.chown(folder, user)
    process = None
    try:
        (port,) = free_ports(1)
        _initialise(folder / "data", user)
        process = _start(folder, port, user)
        url = f"postgresql://voile@127.0.0.1:{port}/postgres"
        _wait(url, process, folder)
        yield Postgres(url)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # fast shutdown: clients are cut off
            process.wait(START_S_MAX)
        shutil.rmtree(folder)


def why_missing() -> str | None:
    if _programs() is None:
        return "no PostgreSQL server (Debian: postgresql)"
    if os.geteuid() == 0 and _user() is None:
        return "root may not run PostgreSQL and there is no user postgres or nobody"
    return None


def _programs() -> Path | None:
    """The folder of initdb and postgres; the newest of Debian's."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def _user() -> str | None:
    """Whom root runs the server as; None for anybody else, who runs it as oneself."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def _initialise(data: Path, user: str | None) -> None:
    command = [_program("initdb"), "-D", str(data), "-U", "voile", "--auth=trust", "--no-sync", "-E", "UTF8",
               "--locale=C"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, user=user, cwd="/", timeout=START_S_MAX)


def _start(folder: Path, port: int, user: str | None) -> subprocess.Popen[bytes]:
    options = [part for setting in _FAST for part in ("-c", setting)]
    command = [_program("postgres"), "-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port),
               "-k", str(folder), *options]  # fmt: skip
    with (folder / "server.log").open("ab") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            user=user,
            cwd="/",
            preexec_fn=die_with_parent,  # noqa: PLW1509  # one system call, safe between fork and exec
        )


def _wait(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = (folder / "server.log").read_text()[-2000:]
                raise RuntimeError(f"PostgreSQL did not start:\n{text}") from error
            time.sleep(0.05)


def _program(name: str) -> str:
    folder = _programs()
    assert folder is not None
    return str(folder / name)
