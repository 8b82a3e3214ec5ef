"""The package of an access or portability case: everything, readable by people and programs, taken once."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from services.enricher.access.grants import Ask
from services.enricher.rights import package
from services.enricher.rights.desk import Cases
from services.enricher.rights.documents import Gone
from services.enricher.rights.states import Kind, State
from services.enricher.service import Identity
from services.runtime.clock import FixedClock
from tests.parts.cases import ANN, DORA, SAM, approved, fill, open_desk
from tests.parts.identity import NOON, TENANT, access, batch, link, opened, send

EVIL = "=HYPERLINK(1)"


@pytest.fixture
def desk(plane: Identity) -> Cases:
    fill(plane)
    rows = [
        access("ann", "/<script>alert(1)</script>", at=NOON - timedelta(days=3), user_agent=EVIL),
        access("ann", "/old", at=NOON - timedelta(days=2)),
        access("bob", "/bobs-own"),
    ]
    send(plane, batch(rows, first=10))
    link(plane)
    return open_desk(plane)


def test_an_access_package_has_everything(desk: Cases) -> None:
    """The profile, every access in its order, what for, how long, who gets it; nothing of anybody else."""
    files = _taken(desk, Kind.ACCESS)
    assert sorted(files) == [
        "activity.csv", "activity.ndjson", "index.html", "looks.json", "notes.json", "processing.json", "profile.json",
    ]  # fmt: skip
    assert json.loads(files["profile.json"]) == {
        "account": "ann", "name": ANN.name, "email": ANN.email, "postal_address": ANN.postal_address,
        "phone": ANN.phone,
    }  # fmt: skip
    paths = [json.loads(line)["path"] for line in files["activity.ndjson"].splitlines()]
    assert paths == ["/<script>alert(1)</script>", "/old", "/ann"]
    processing = json.loads(files["processing.json"])
    assert processing["kept_days"]["linked activity"] == 90
    assert {entry["purpose"] for entry in processing["purposes"]} >= {"support", "statistics"}
    assert not any(b"bobs-own" in content for content in files.values())


def test_the_page_runs_nothing_and_asks_nobody(desk: Cases) -> None:
    """Opened from a disk without a network: no script, no address of anything, what was typed is escaped."""
    page = _taken(desk, Kind.ACCESS)["index.html"].decode()
    assert "Ann Martin" in page
    assert "<script" not in page
    assert re.search(r"""(?:src|href)\s*=""", page) is None
    assert "default-src 'none'" in page


def test_no_cell_of_the_table_is_a_formula(desk: Cases) -> None:
    """What a browser called itself is text, in a spreadsheet too; the rows are those of the other file."""
    rows = list(csv.DictReader(io.StringIO(_taken(desk, Kind.ACCESS)["activity.csv"].decode())))
    assert [row["path"] for row in rows] == ["/<script>alert(1)</script>", "/old", "/ann"]
    assert rows[0]["user_agent"] == f"'{EVIL}"


def test_without_the_quote_a_cell_would_run(desk: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch of the test above."""
    monkeypatch.setattr(package, "_FORMULA", r"^(\x00)")
    assert EVIL in _taken(desk, Kind.ACCESS)["activity.csv"].decode().splitlines()[1].split(",")


def test_who_looked_is_told_by_role(plane: Identity, desk: Cases) -> None:
    """When, why and at what; staff are not named."""
    gate = desk._gate
    grant = gate.ask(SAM, Ask(TENANT, "ann", "support", "SUP-7", "cannot open the invoice"))
    gate.view(SAM, grant.id)
    looks = json.loads(_taken(desk, Kind.ACCESS)["looks.json"])
    assert {(look["role"], look["action"], look["ticket"]) for look in looks} >= {
        ("support", "askAccess", "SUP-7"), ("support", "viewActivity", "SUP-7"),
    }  # fmt: skip
    assert "sam" not in {value for look in looks for value in look.values() if isinstance(value, str)}


def test_portability_is_what_programs_read(desk: Cases) -> None:
    """Without what is about the processing."""
    assert sorted(_taken(desk, Kind.PORTABILITY)) == ["activity.csv", "activity.ndjson", "profile.json"]


def test_a_package_is_written_in_the_persons_language(desk: Cases) -> None:
    """As the case says."""
    page = _taken(desk, Kind.ACCESS, language="fr")["index.html"].decode()
    assert '<html lang="fr">' in page


def test_somebody_unknown_gets_an_honest_answer(desk: Cases) -> None:
    """Nothing is stored: that too is an answer."""
    files = _taken(desk, Kind.ACCESS, account="stranger")
    assert json.loads(files["profile.json"]) == {}
    assert files["activity.ndjson"] == b""


def test_a_package_is_taken_once_and_is_sealed_until_then(plane: Identity, desk: Cases) -> None:
    """No file of the plane has it in clear, and afterwards no file opens it."""
    case = approved(desk, Kind.ACCESS).case
    desk.execute(DORA, case)
    assert desk.view(DORA, case).file.state is State.EXECUTED
    stored = b"".join(path.read_bytes() for path in Path(plane.settings.data).glob("identity.db*"))
    assert b"Ann Martin" not in stored
    assert b"index.html" not in stored
    desk.take_package(DORA, case)
    assert desk.view(DORA, case).file.state is State.COMPLETED
    assert f"case/{case}/person" not in plane.keys.names("case/")
    with pytest.raises(Gone):
        desk.take_package(DORA, case)


def test_a_package_that_nobody_takes_goes_with_its_term(tmp_path: Path) -> None:
    """And its case is completed."""
    clock = FixedClock(NOON)
    with opened(tmp_path, clock) as plane:
        fill(plane)
        desk = open_desk(plane)
        case = approved(desk, Kind.ACCESS).case
        desk.execute(DORA, case)
        clock.advance(timedelta(days=15))
        with pytest.raises(Gone):
            desk.take_package(DORA, case)
        assert desk._carrying.advance(case).file.state is State.COMPLETED


def _taken(desk: Cases, kind: Kind, **differs: str) -> dict[str, bytes]:
    case = approved(desk, kind, **differs).case
    desk.execute(DORA, case)
    _, content = desk.take_package(DORA, case)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
