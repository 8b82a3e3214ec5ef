"""The demo, from an empty folder to figures: every stage is a public command, as an operator would give it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from services.demo.files import accounts_file, log_file
from services.demo.installation import Installation
from services.demo.people import busiest_account
from services.demo.state import DAYS, State, save_state
from services.demo.tenants import CLUBS, Club
from services.runtime.errors import Transient

__all__ = ["OWN_SOURCE", "OWN_TENANT", "Demo", "Log", "made_up_logs", "own_logs"]

CATCH_UP_S_MAX = 120
PARALLEL = 2  # commands at once: the demo is made for machines of two cores
OWN_TENANT, OWN_SOURCE = "own-site", "own-log"
TICKET = "SUP-1234"
# What releases of the made-up sites may name: all as they are counted without a table, too.
ROUTES = ("/", "/agenda", "/agenda/{id}", "/results", "/results/{id}", "/join", "/contact", "/account")


@dataclass(frozen=True)
class Log:
    """A tenant with one source and its files."""

    tenant: str
    name: str
    host: str  # "" when unknown
    source: str
    log_format: str
    files: tuple[Path, ...]
    accounts: Path | None  # CSV; with accounts the source's user names are believed


@dataclass
class Demo:
    """One run on one folder. `seconds` is what each stage took; `shown` tells people what happens meanwhile."""

    installation: Installation
    state: State
    shown: Callable[[str], AbstractContextManager[Any]]
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, logs: Sequence[Log]) -> dict[str, Any]:
        """Services have to run. Returns the summary; run again on the same folder it changes no figure."""
        with self.stage("tenants", "Registering tenants, their log sources and accounts"):
            self._register(logs)
        with self.stage("import", "Importing the logs"):
            imported = _added_up(self._each(self._import, logs))
        with self.stage("link", "Linking what members did, sealed per person" if logs[0].accounts else "Catching up"):
            linked = self._catch_up()
        with self.stage("close", f"Closing every day through {self.state.last_day}: cells out, visits deleted"):
            counted = self._close()
        with self.stage("release", "Building, verifying and publishing one partner release"):
            release = self._release(logs[0])
        with self.stage(
            "look", "Looking up one member, under a ticket" if logs[0].accounts else "Reading the audit log"
        ):
            entries = self._look(logs[0])
        return {
            **imported,
            "events_linked": linked,
            "events_counted": counted["rows_counted"],
            "days_closed": counted["days"].get("closed", 0),
            "cells_published": counted["cells_published"],
            "release": release,
            "audit_entries": entries,
            "seconds": self.seconds,
        }

    def _register(self, logs: Sequence[Log]) -> None:
        new = [log for log in logs if log.source not in self.state.keys]
        there = {source["name"] for source in self.installation.json("source", "list")} if new else set()
        keys = self._each(lambda log: self._add(log, log.source in there), new)
        self.state = replace(
            self.state, keys={**self.state.keys, **dict(zip([x.source for x in new], keys, strict=True))}
        )
        save_state(self.installation.data, self.state)

    def _add(self, log: Log, there: bool) -> str:
        """Tenant, source and accounts; the source's key. `there`: a run that was stopped has made the source."""
        voile, json = self.installation.voile, self.installation.json
        host = ("--host", log.host) if log.host else ()
        routes = [part for route in ROUTES if log.host for part in ("--route", route)]  # one's own site has others
        voile("tenant", "add", log.tenant, "--name", log.name, *host, *routes, "--releases")
        if log.accounts is not None:
            voile("accounts", "import", str(log.accounts), "--tenant", log.tenant)
        if there:
            return str(json("source", "rotate-key", log.source)["key"])
        site = ("--site", log.host) if log.host else ()
        believed = ("--authenticated",) if log.accounts else ()
        named = (log.source, "--tenant", log.tenant, "--format", log.log_format)
        return str(json("source", "add", *named, *site, *believed)["key"])

    def _import(self, log: Log) -> dict[str, Any]:
        summary: dict[str, Any] = self.installation.json("import", *map(str, log.files), "--source", log.source)
        return summary

    def _catch_up(self) -> int:
        """Waits for the identity plane; the rows it linked, ever."""
        deadline = time.monotonic() + CATCH_UP_S_MAX
        while time.monotonic() < deadline:
            status = self.installation.json("enricher", "status")
            if status["lag"] == 0:
                return int(status["events_linked"])
            time.sleep(0.2)
        raise Transient("The identity plane is still behind; give the same command again to go on.")

    def _close(self) -> dict[str, Any]:
        """What all closed days hold."""
        closed = self.installation.json("stats", "close", "--through", str(self.state.last_day))
        if self.state.own_logs and closed:
            days = sorted([*(day["day"] for day in closed), *(self.state.own_days or ())])
            self.state = replace(self.state, own_days=(days[0], days[-1]))
            save_state(self.installation.data, self.state)
        status: dict[str, Any] = self.installation.json("stats", "status")
        return status

    def _release(self, log: Log) -> str | None:
        """The folder of the verified package; None when no day was closed."""
        if self.state.release_days is None:
            return None
        first, last = self.state.release_days
        built = self.installation.json("release", "build", "--tenant", log.tenant, "--from", first, "--to", last)
        self.installation.voile("release", "publish", built["name"], built["version"])  # verifies it first
        return str(built["release"])

    def _look(self, log: Log) -> int:
        """The number of entries in the audit log."""
        if not self.state.looked and log.accounts is not None:
            person = ("--tenant", log.tenant, "--account", busiest_account(CLUBS[0]))
            why = ("--purpose", "support", "--ticket", TICKET, "--reason", "The member cannot open the invoice page")
            self.installation.voile("activity", "show", *person, *why)
            self.state = replace(self.state, looked=True)
            save_state(self.installation.data, self.state)
        return int(self.installation.json("audit", "verify")["entries"])

    def _each(self, work: Callable[[Log], Any], logs: Sequence[Log]) -> list[Any]:
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(work, logs))

    @contextmanager
    def stage(self, name: str, what: str) -> Iterator[None]:
        start = time.monotonic()
        with self.shown(what):
            yield
        self.seconds[name] = round(time.monotonic() - start, 2)


def made_up_logs(data: Path, state: State) -> list[Log]:
    """Writes the three associations' logs and accounts where they are missing."""
    return [_of_club(club, data / "logs", state) for club in CLUBS]


def own_logs(files: Sequence[Path], log_format: str) -> list[Log]:
    return [Log(OWN_TENANT, "Your site", "", OWN_SOURCE, log_format, tuple(files), None)]


def _of_club(club: Club, folder: Path, state: State) -> Log:
    file = log_file(folder, club, state.first_day, DAYS)
    accounts = accounts_file(folder, club)
    return Log(club.tenant, club.name, club.host, club.source, club.log_format, (file,), accounts)


def _added_up(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The import summaries of all sources as one."""
    counts = {name: sum(s[name] for s in summaries) for name in ("lines", "accepted", "duplicates")}
    reasons = sorted({reason for s in summaries for reason in s["rejected"]})
    return {**counts, "rejected": {r: sum(s["rejected"].get(r, 0) for s in summaries) for r in reasons}}
