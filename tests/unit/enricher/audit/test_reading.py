"""Reading the audit log: what fits, whose tenants, what an export writes, and who looked at one person."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.enricher.access.decisions import EVERY_TENANT, Actor
from services.enricher.access.grants import Refused
from services.enricher.access.service import Access
from services.enricher.activity.timeline import Revealed
from services.enricher.audit import export as audit_export
from services.enricher.audit.export import write
from services.enricher.audit.log import Logged
from services.enricher.audit.reading import Wanted
from services.enricher.audit.unusual import Limits
from services.enricher.persons.directory import AccountChange
from services.enricher.service import Identity
from services.enricher.tenants.registry import Tenant
from tests.parts.identity import TENANT
from tests.unit.enricher.access.gate_fixtures import ANNA, ASK, CHOIR_DPO, DPO, REASON, SUPPORT, a_copy, clock, leaves


@pytest.fixture
def plane(peopled: Path, tmp_path: Path) -> Iterator[Identity]:
    with a_copy(peopled, tmp_path) as identity:
        yield identity


@pytest.fixture
def looked(gate: Access, plane: Identity) -> Access:
    """Somebody was searched by e-mail, seen, and partly revealed; a day later another one was asked for."""
    grant = gate.gate.ask(SUPPORT, dataclasses.replace(ASK, by="email", value="anna@example.org"))
    gate.gate.view(SUPPORT, grant.id)
    gate.gate.reveal(SUPPORT, grant.id, [Revealed("email")], REASON)
    clock(plane).advance(timedelta(days=1))
    gate.gate.ask(DPO, dataclasses.replace(ASK, value="43"))
    return gate


def test_a_search_by_days_and_by_fields(looked: Access) -> None:
    """`until` is left out itself; `before` begins under an entry."""
    read = looked.auditing.entries
    assert [e.leaf["actor"] for e in read(DPO, 10, Wanted({}, since="2026-03-11"))] == ["dora"]
    assert {e.leaf["actor"] for e in read(DPO, 10, Wanted({}, until="2026-03-11"))} == {"sam"}
    assert [e.leaf["action"] for e in read(DPO, 10, Wanted({"action": "revealField"}))] == ["revealField"]
    assert [e.position for e in read(DPO, 2, Wanted({}, before=3))] == [2, 1]


def test_pages_of_a_search_are_the_whole_of_it(looked: Access) -> None:
    """Each page goes on under the last entry of the one before, none twice, none left out."""
    seen: list[int] = []
    before = len(leaves(looked))
    while page := looked.auditing.entries(DPO, 2, Wanted({"actor": "sam"}, before=before)):
        seen += [entry.position for entry in page]
        before = page[-1].position
    assert seen == [3, 2, 1, 0]


def test_an_export_is_recorded_first_and_is_of_ones_own_tenants(looked: Access) -> None:
    found = looked.auditing.export(DPO, Wanted({}), "csv")
    assert (leaves(looked)[-1].leaf["action"], leaves(looked)[-1].leaf["fields"]) == ("exportAudit", ["csv"])
    assert [entry.position for entry in found] == [0, 1, 2, 3, 4]
    assert list(looked.auditing.export(CHOIR_DPO, Wanted({}), "csv")) == []
    with pytest.raises(Refused):
        looked.auditing.export(SUPPORT, Wanted({}), "csv")


def test_both_forms_hold_the_same(looked: Access) -> None:
    entries = list(looked.auditing.export(DPO, Wanted({}), "csv"))
    lines = [json.loads(line) for line in write(entries, "ndjson")]
    rows = list(csv.DictReader(io.StringIO("".join(write(entries, "csv")))))
    assert [(str(r["position"]), r["action"], " ".join(r["fields"]), r["reason"]) for r in lines] == [
        (row["position"], row["action"], row["fields"], row["reason"]) for row in rows
    ]
    assert set(rows[0]) == set(lines[0]), "a column that one form has and the other has not"


EVIL = '=HYPERLINK("http://evil.example")'


def test_a_cell_is_no_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason is free text. Without the quote it would be one: the switch."""
    entry = Logged(0, {"actor": "sam", "fields": []}, EVIL)

    def reason() -> str:
        return next(csv.DictReader(io.StringIO("".join(write([entry], "csv")))))["reason"]

    assert reason() == f"'{EVIL}"
    monkeypatch.setattr(audit_export, "_FORMULA_STARTS", ())
    assert reason() == EVIL


def test_who_looked_counts_what_was_found_by_e_mail_too(looked: Access) -> None:
    """By role, and by name only when asked for; refusals and looks at others are not theirs."""
    with pytest.raises(Refused):
        looked.gate.ask(SUPPORT, dataclasses.replace(ASK, ticket="none"))
    report = looked.auditing.report(DPO, TENANT, "42")
    assert [look.action for look in report] == ["findPerson", "askAccess", "viewActivity", "revealField"]
    assert {(look.role, look.actor) for look in report} == {("support", "")}
    assert {look.actor for look in looked.auditing.report(DPO, TENANT, "42", names=True)} == {"sam"}
    assert leaves(looked)[-1].leaf["action"] == "exportAudit"


def test_who_looked_at_an_account_that_became_another_one_is_told_too(looked: Access, plane: Identity) -> None:
    """Whichever of the two is asked for, and also what was searched by the former one's e-mail."""
    alone = [looked.auditing.report(DPO, TENANT, account) for account in ("42", "43")]
    plane.directory.put(plane.signals, [AccountChange(TENANT, "42", ANNA, plane.clock.now(), "43")])
    both = sorted((look for report in alone for look in report), key=lambda look: look.time)
    assert len(both) == 5
    assert looked.auditing.report(DPO, TENANT, "42") == looked.auditing.report(DPO, TENANT, "43") == both


def test_the_report_of_nobody_makes_no_key(looked: Access, plane: Identity) -> None:
    """Of a tenant that nothing was ever kept of, or that has left."""
    plane.registry.add(Tenant("other", "Other", plane.clock.now()))
    assert looked.auditing.report(DPO, "other", "42") == []
    assert plane.keys.get("index/other") is None


@pytest.mark.parametrize("actor", [SUPPORT, Actor("carl", frozenset({"tenant-admin"}), frozenset({TENANT}))])
def test_who_may_not_have_the_report(looked: Access, actor: Actor) -> None:
    with pytest.raises(Refused):
        looked.auditing.report(actor, TENANT, "42")


def test_what_stands_out_is_of_ones_own_tenants(looked: Access, plane: Identity) -> None:
    """With limits of one, everything does."""
    limits, zone = Limits(people_a_day=1, reveals_a_grant=1), plane.settings.zone
    found = looked.auditing.unusual(DPO, zone, {}, limits)
    assert {finding.rule for finding in found} >= {"many-people", "many-reveals"}
    assert looked.auditing.unusual(CHOIR_DPO, zone, {}, limits) == []
    with pytest.raises(Refused):
        looked.auditing.unusual(SUPPORT, zone, {}, limits)
    assert EVERY_TENANT in DPO.tenants
