"""`voile promises` on a real installation: what is kept is said to be, and what is broken is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.cli import common, promise_checks
from services.cli.promise_checks import BROKEN, CHECKS, KEPT, UNKNOWN, look
from services.cli.promise_place import Place, opened_place
from services.enricher.access.decisions import SHIPPED
from services.runtime.clock import FixedClock
from services.runtime.settings import Settings
from tests.parts.leaving import LEAVER, NOW, OPERATOR, REASON, fill, installation

ALWAYS = {"S1", "S4", "S6", "S18"}  # what they look at can be missing, and then nobody can tell: never broken


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tenants with everything a plane can have of one, a closed day and an open one; one has terms of its own."""
    data = tmp_path_factory.mktemp("promises")
    data.chmod(0o700)
    with installation(data, FixedClock(NOW)) as made:
        fill(made, data)
        made.access.tenancy.set_terms(OPERATOR, LEAVER, {"linked": 30}, {}, REASON)
        made.statistics.following.follow()
        made.statistics.keep_policy()
    return data


@contextmanager
def _place(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[Place]:
    clock = FixedClock(NOW)
    monkeypatch.setattr(common, "clock", lambda: clock)
    monkeypatch.setenv("VOILE_DATA", str(folder))
    with opened_place(Settings.model_validate({"data": folder, **settings}), clock) as place:
        yield place


def test_what_is_kept_is_said_to_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has left, and support was asked nothing."""
    with _place(folder, monkeypatch) as place:
        found = {promise: look(promise, place) for promise in CHECKS}
    assert {promise for promise, verdict in found.items() if verdict.state == UNKNOWN} == {"S6", "S10"}
    assert {promise: v.looked_at for promise, v in found.items() if v.state == BROKEN} == {}
    assert all(verdict.looked_at for verdict in found.values())


def _sql(plane: str, statement: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        engine = place.statistics if plane == "statistics" else getattr(place, plane).engine
        with engine.begin() as connection:
            assert connection.execute(sa.text(statement)).rowcount

    return run


def _old_grant(place: Place) -> None:
    with place.identity.engine.begin() as connection:
        table = sa.Table("grants", sa.MetaData(), autoload_with=connection)
        empty = {c.name: "" if isinstance(c.type, sa.Text) else 0 for c in table.c if not c.nullable}
        connection.execute(sa.insert(table).values({**empty, "id": "old", "tenant": LEAVER, "ends_ms": 1}))


def _left_without_a_certificate(place: Place) -> None:
    known = place.identity.registry.get(LEAVER)
    assert known is not None
    place.identity.registry.add(replace(known, status="terminated"))


def _case_past_its_date(place: Place) -> None:
    with place.identity.engine.begin() as connection:
        table = sa.Table("case_files", sa.MetaData(), autoload_with=connection)
        empty = {c.name: _empty(c) for c in table.c if not c.nullable}  # `later` is JSON
        row = {
            "case": "DSR-1",
            "kind": "erasure",
            "state": "received",
            "later": "[]",
            "due": datetime(2020, 1, 1, tzinfo=UTC).date(),
        }
        connection.execute(sa.insert(table).values({**empty, **row}))


def _empty(column: sa.Column[Any]) -> Any:
    if isinstance(column.type, sa.LargeBinary):
        return b""
    if isinstance(column.type, sa.Boolean):
        return False
    return "" if isinstance(column.type, sa.Text) else 0


def _enter_for_all(place: Place) -> None:
    place.settings.data.chmod(0o755)


_OVERDUE = "UPDATE days SET state = 'open', first_row_at = '2026-11-20T10:00:00+00:00' WHERE state = 'closed'"
BREAKS: Mapping[str, Callable[[Place], None]] = {
    "S2": _sql("statistics", _OVERDUE),
    "S3": _sql("statistics", _OVERDUE),
    "S5": _sql("identity", "UPDATE audit_leaves SET leaf = replace(leaf, 'granted', 'refused') WHERE position = 1"),
    "S7": _sql("statistics", "UPDATE release_days SET rho = '99'"),
    "S8": _old_grant,
    "S9": _sql("identity", "UPDATE activity SET day = '2026-01-01' WHERE tenant = 'chess-club'"),
    "S10": _left_without_a_certificate,
    "S11": _case_past_its_date,
    "S12": _sql("ingest", "UPDATE sources SET tenant = 'nobody' WHERE tenant = 'chess-club'"),
    "S13": _enter_for_all,
    "S17": _sql("ingest", "UPDATE sources SET tenant = 'nobody' WHERE tenant = 'chess-club'"),
}


@pytest.mark.parametrize("promise", BREAKS)
def test_what_is_broken_is_found(folder: Path, tmp_path: Path, promise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check's switch: what it looks at is spoilt in a copy of the installation."""
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken, symlinks=True)
    with _place(broken, monkeypatch) as place:
        BREAKS[promise](place)
        found = look(promise, place)
        assert found.state == BROKEN, found.looked_at


def _policies(tmp_path: Path, extra: str, *, without: str = "") -> str:
    policies = tmp_path / "policies"
    shutil.copytree(SHIPPED, policies)
    for file in policies.glob("*.cedar"):
        if without and without in file.name:
            file.unlink()
    (policies / "9-extra.cedar").write_text(extra)
    return str(policies)


def test_policies_that_let_support_ask_for_legal_reasons_break_a_promise(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15 asks the policies in force, not the shipped ones."""
    extra = '@id("extra") permit (principal in Role::"support", action == Action::"askAccess", resource);'
    with _place(folder, monkeypatch, identity={"policies": _policies(tmp_path, extra)}) as place:
        assert look("S15", place).state == BROKEN
        assert look("S19", place).state == KEPT  # a purpose is needed all the same


def test_policies_that_need_no_purpose_break_a_promise(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S19."""
    extra = '@id("extra") permit (principal, action, resource);'
    with _place(folder, monkeypatch, identity={"policies": _policies(tmp_path, extra, without="2-")}) as place:
        assert look("S19", place).state == BROKEN


def test_planes_that_share_keys_break_a_promise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S14, by the settings."""
    with _place(folder, monkeypatch, statistics={"keys": "file:///keys/identity"}) as place:
        assert look("S14", place).state == BROKEN


def test_a_page_that_says_another_term_breaks_a_promise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16: the settings changed and the page did not."""
    with _place(folder, monkeypatch, identity={"linked_days": 60}) as place:
        assert look("S16", place).state == BROKEN


def test_bank_data_that_comes_through_breaks_a_promise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S20, with the step replaced by nothing."""
    monkeypatch.setattr(promise_checks, "cut_bank_data", lambda text: text)
    with _place(folder, monkeypatch) as place:
        assert look("S20", place).state == BROKEN


def test_every_check_that_can_fail_is_broken_once_above() -> None:
    """None is left out."""
    assert set(CHECKS) - ALWAYS == {*BREAKS, "S14", "S15", "S16", "S19", "S20"}


def test_what_cannot_be_opened_breaks_no_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that holds nothing yet: nobody can tell."""
    with _place(tmp_path / "new", monkeypatch) as place:
        assert look("S16", place).state == UNKNOWN
        assert look("S1", place).state == UNKNOWN
