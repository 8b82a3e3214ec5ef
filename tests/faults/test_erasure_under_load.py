"""K2: a person is erased while accesses come in, and everything is read again from the start of the topic afterwards.

Identity and statistics run as they do in `voile up` (their loops, in this process); ingest answers for its spool.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.enricher import plane as identity_plane
from services.enricher import records
from services.enricher.activity import pipeline
from services.enricher.persons.vault import NONCE_BYTES, _key_place
from services.enricher.rights.desk import Cases
from services.enricher.rights.states import State
from services.enricher.service import Identity
from services.ingest.acknowledging import Acknowledging
from services.runtime.clock import SystemClock
from services.runtime.database import transaction
from services.runtime.minisign import CERTIFICATE_KEY, public_key_line
from services.runtime.settings import Settings
from services.runtime.stop import Stop
from services.stats import plane as stats_plane
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.rights.suppression import Suppressions
from services.stats.service import Statistics, open_statistics
from tests.parts import identity as parts
from tests.parts.cases import ANN, DORA, approved, open_desk
from tests.parts.identity import TENANT, access, batch, opened, send

DONE_S_MAX = 60  # the target: from the decision to carry it out to the certificate
BATCHES_BEFORE = 5
OTHERS = ("bob", "cid", "dee")


@dataclass(frozen=True)
class Outcome:
    """`back`: rows of the erased person that stood anywhere after the replay; `lost`: others' that did not."""

    seconds: float
    key_in: list[str]
    back: int
    lost: int
    verified: str


def test_an_erasure_under_load_is_done_in_time_and_for_good(tmp_path: Path) -> None:
    """Certificate within a minute, its signature good for stock minisign; the key in no file; nothing of the person
    comes back by a replay, everything of the others does."""
    outcome = erased_under_load(tmp_path)
    assert outcome.seconds <= DONE_S_MAX
    assert outcome.key_in == []
    assert (outcome.back, outcome.lost) == (0, 0)
    assert "verified" in outcome.verified


@pytest.mark.full
def test_without_suppression_the_replay_brings_the_person_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: the steps that drop what an erasure covers, in both planes, replaced by ones that keep it."""

    def keep_everything() -> None:
        monkeypatch.setattr(pipeline, "drop_suppressed", lambda frame, **_: frame)
        monkeypatch.setattr(Suppressions, "drop_suppressed", lambda _, frame: frame)

    outcome = erased_under_load(tmp_path, before_replay=keep_everything)
    assert outcome.back > 0
    assert outcome.lost == 0


def erased_under_load(data: Path, before_replay: Callable[[], None] = lambda: None) -> Outcome:
    clock = SystemClock()
    with opened(data, clock) as plane:
        feeder = Feeder(plane)
        with running(data), feeder.feeding():
            plane.accounts.put(TENANT, ANN)
            until(lambda: feeder.sent >= BATCHES_BEFORE and bool(linked_now(plane, "ann")))
            until(lambda: {worker.partition("/")[0] for worker in workers(plane)} == {"stats", "ingest"})
            key, wrapped = key_of(plane, "ann")
            assert files_with(data, wrapped), "the search finds what is there"
            desk = open_desk(plane)
            case = approved(desk).case
            began = time.monotonic()
            desk.execute(DORA, case)
            until(lambda: desk.view(DORA, case).file.state is State.EXECUTED, DONE_S_MAX + 30)
            seconds = time.monotonic() - began
            key_in = files_with(data, key) + files_with(data, wrapped)
            until(lambda: feeder.sent >= 3 * BATCHES_BEFORE)
        verified = checked_by_minisign(plane, desk, case, data)
    before_replay()
    forget_what_was_read(data)
    with opened(data, clock) as plane, running(data):
        until(lambda: all(len(linked_now(plane, who)) >= feeder.sent for who in OTHERS), 120)
        until(lambda: plane.status().lag == 0)
        time.sleep(0.5)  # a batch more, if there were one
        in_identity = len(linked_now(plane, "ann"))
    in_statistics, lost = counted_in_statistics(data, feeder)
    return Outcome(seconds, key_in, in_identity + in_statistics, lost, verified)


class Feeder:
    """Accesses of four people, all from an hour ago: an erasure of now covers every one of them."""

    def __init__(self, plane: Identity) -> None:
        self._plane = plane
        self.began = datetime.now(UTC) - timedelta(hours=1)
        self.sent = 0

    @contextlib.contextmanager
    def feeding(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._feed, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _feed(self, stop: threading.Event) -> None:
        people = ("ann", *OTHERS)
        while not stop.wait(0.1):
            rows = [access(who, f"/{self.sent}", at=self.began, status=200) for who in people]
            send(self._plane, batch(rows, first=self.sent * len(people)))
            self.sent += 1


@contextlib.contextmanager
def running(data: Path) -> Iterator[None]:
    """The loops of identity and statistics, and ingest's answers."""
    settings, stop = Settings(data=data), Stop()
    work: list[Callable[[], object]] = [
        lambda: identity_plane.run_loops(settings, SystemClock(), stop),
        lambda: stats_plane.run_loops(settings, SystemClock(), stop),
        lambda: acknowledge(data, stop),
    ]
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def acknowledge(data: Path, stop: Stop) -> None:
    with opened(data, SystemClock()) as plane:
        Acknowledging(plane.log, SystemClock(), lambda: None, member="edge").run(stop)


def workers(plane: Identity) -> list[str]:
    plane.receipts.follow()
    return list(plane.receipts.known())


def linked_now(plane: Identity, account: str) -> list[str]:
    paths: list[str] = []
    now = datetime.now(UTC)
    for subject in plane.directory.find(TENANT, "account", account):
        paths += plane.activity.read(subject, now - timedelta(days=2), now)["path"].to_list()
    return paths


def key_of(plane: Identity, account: str) -> tuple[bytes, bytes]:
    """The person's key itself, and wrapped as it is stored."""
    (subject,) = plane.directory.find(TENANT, "account", account)
    table = records.person_keys
    with transaction(plane.engine) as connection:
        row = connection.execute(sa.select(table).where(table.c.subject == subject)).one()
    kek = plane.keys.get(row.kek) or b""
    wrapped: bytes = row.wrapped
    place = _key_place(subject, row.kek)
    return AESGCM(kek).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], place), wrapped


def files_with(folder: Path, needle: bytes) -> list[str]:
    found = []
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # parts come and go
            if file.is_file() and needle in file.read_bytes():
                found.append(file.name)
    return found


def checked_by_minisign(plane: Identity, desk: Cases, case: str, folder: Path) -> str:
    """What the program itself says of the certificate."""
    if shutil.which("minisign") is None:
        pytest.skip("minisign is not installed (Debian: minisign)")
    name = f"certificate-{case}-issued.json"
    for one in (name, f"{name}.minisig"):
        (folder / one).write_bytes(desk.document(DORA, case, one))
    line = public_key_line(plane.keys, CERTIFICATE_KEY)
    command = ["minisign", "-V", "-P", line, "-m", str(folder / name)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def forget_what_was_read(data: Path) -> None:
    """As after a lost store: every topic is read again from its first record. Cases, signals and keys stay."""
    with opened(data, SystemClock()) as plane:
        with transaction(plane.engine) as connection:
            for table in (records.activity, records.ledger, records.spans):
                connection.execute(sa.delete(table))
        feed = plane.account_feed("replay")
        while not (assigned := feed._consumer.take_assigned()):
            time.sleep(0.1)
        for partition in assigned:
            feed._consumer.commit(partition, 0)
        feed.close()
    shutil.rmtree(data / "analytics")


def counted_in_statistics(data: Path, feeder: Feeder) -> tuple[int, int]:
    """(events of the erased account that stand in an open day, events of others that are missing)."""
    statistics = open_statistics(parts.settings_of(data), SystemClock())
    try:
        worker = statistics.worker("replay")
        while worker.step(0.1):
            pass
        worker.close()
        counts = {who: _events_of(statistics, who) for who in ("ann", *OTHERS)}
    finally:
        statistics.close()
    return counts["ann"], sum(feeder.sent - counts[who] for who in OTHERS)


def _events_of(statistics: Statistics, account: str) -> int:
    found = 0
    for day in statistics.keyring.days(TENANT):
        key = statistics.keyring.existing(TENANT, day)
        pseudonym = account_pseudonym(key or b"", TENANT, account)
        query = "SELECT count() AS n FROM events WHERE kind = 'event' AND account = {account:UInt64}"
        found += int(statistics.reading.frame(query, {"account": pseudonym})["n"][0])
    return found


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
