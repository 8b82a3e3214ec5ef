"""The gate: nothing is shown before it is recorded, and nothing without the policies' word."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.enricher.access.deciding import Decider
from services.enricher.access.decisions import Action, Actor
from services.enricher.access.grants import Ask, Nobody, Refused
from services.enricher.access.service import Access
from services.enricher.activity.blocks import Activity
from services.enricher.activity.timeline import EVERY_VISIT, Revealed
from services.enricher.audit.log import AuditLog
from services.enricher.audit.proof import verify
from services.enricher.persons.directory import Directory
from services.enricher.service import Identity
from services.runtime.errors import Transient
from tests.parts.identity import TENANT
from tests.unit.enricher.access.gate_fixtures import (
    ASK,
    CHOIR_DPO,
    CHOIR_SUPPORT,
    CLEAR,
    DPO,
    REASON,
    SUPPORT,
    a_copy,
    clock,
    leaves,
)


@pytest.fixture
def plane(peopled: Path, tmp_path: Path) -> Iterator[Identity]:
    with a_copy(peopled, tmp_path) as identity:
        yield identity


def test_view_shows_visits_with_masked_fields(gate: Access) -> None:
    """The person's two visits, newest first, without a clear identifying value anywhere in the answer."""
    grant = gate.gate.ask(SUPPORT, ASK)
    view = gate.gate.view(SUPPORT, grant.id)
    assert [[a.path for a in visit.accesses] for visit in view.visits] == [["/invoices", "/help"], ["/login"]]
    assert [visit.errors for visit in view.visits] == [1, 0]
    assert view.name_hint == "A. M*****"
    assert not [value for value in CLEAR if value in _everything(view)]
    assert view.visits[1].accesses[0].referrer.known
    assert not view.visits[0].accesses[0].referrer.known


def _everything(value: object) -> str:
    return str(dataclasses.asdict(value))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        (Revealed("email"), "anna@example.org"),
        (Revealed("phone"), "33612"),
        (Revealed("postal_address"), "Hill Street"),
        (Revealed("name"), "Mueller"),
        (Revealed("client_address", EVERY_VISIT), "203.0.113.7"),
        (Revealed("user_agent", EVERY_VISIT), "Mozilla/5.0"),
        (Revealed("referrer", EVERY_VISIT), "google.com"),
        (Revealed("query", EVERY_VISIT), "q=invoice"),
    ],
)
def test_reveal_shows_that_field_alone_and_records_it(gate: Access, what: Revealed, shown: str) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    text = _everything(gate.gate.reveal(SUPPORT, grant.id, [what], "to compare with their mail"))
    assert [value for value in CLEAR if value in text] == [shown]
    last = leaves(gate)[-1]
    assert (last.leaf["action"], last.leaf["fields"], last.reason) == (
        "revealField", [what.field], "to compare with their mail",
    )  # fmt: skip
    assert shown not in _everything(gate.gate.view(SUPPORT, grant.id))


def test_reveal_of_one_visit_leaves_the_others_masked(gate: Access) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    newest, older = gate.gate.view(SUPPORT, grant.id).visits
    revealed = gate.gate.reveal(SUPPORT, grant.id, [Revealed("client_address", older.number)], REASON).visits
    assert revealed[0].client_address.texts == ()
    assert revealed[1].client_address.texts == ("203.0.113.7",)
    assert newest.number != older.number


def test_every_read_is_recorded_without_the_account(gate: Access) -> None:
    """One entry a step, all about the same pseudonym, with grant, purpose, ticket and policy."""
    grant = gate.gate.ask(SUPPORT, ASK)
    gate.gate.view(SUPPORT, grant.id)
    gate.gate.end(SUPPORT, grant.id)
    entries = [entry.leaf for entry in leaves(gate)]
    assert [e["action"] for e in entries] == ["askAccess", "viewActivity", "endAccess"]
    assert {e["subject"] for e in entries} == {gate.audit.subject(TENANT, "42")}
    assert {(e["outcome"], e["purpose"], e["ticket"], e["grant"], e["policy"]) for e in entries} == {
        ("granted", "support", "SUP-1", grant.id, gate.policies.digest)
    }
    assert leaves(gate)[0].reason == REASON


@pytest.mark.parametrize(
    ("ask", "rule"),
    [
        (dataclasses.replace(ASK, ticket="Anna Mueller"), "a-ticket-is-named"),
        (dataclasses.replace(ASK, reason="short"), "a-reason-is-given"),
        (dataclasses.replace(ASK, purpose="marketing"), "a-purpose-is-named"),
        (dataclasses.replace(ASK, purpose="legal"), "not-permitted"),
        (dataclasses.replace(ASK, days=367), "at-most-a-year-back"),
        (dataclasses.replace(ASK, minutes=500), "at-most-four-hours"),
        (dataclasses.replace(ASK, minutes=10**30), "engine-trouble"),
        (dataclasses.replace(ASK, tenant="Anna Mueller"), "unknown-tenant"),
        (dataclasses.replace(ASK, by="email", value="anna@example.org", ticket=""), "a-ticket-is-named"),
    ],
)
def test_refusals_are_recorded_and_nothing_typed_wrongly_reaches_the_leaf(gate: Access, ask: Ask, rule: str) -> None:
    with pytest.raises(Refused) as refused:
        gate.gate.ask(SUPPORT, ask)
    (entry,) = leaves(gate)
    assert entry.leaf["outcome"] == "refused"
    assert rule in entry.leaf["rules"]
    assert rule in refused.value.decision.rules
    assert not [text for text in ("Mueller", "marketing", "anna@") if text in str(entry.leaf)]
    assert gate.gate.held(SUPPORT) == []


def test_another_tenants_staff_learn_nothing(gate: Access) -> None:
    """The answer is the same for an account that exists, one that does not, and a tenant that does not."""
    sentences = set()
    for ask in (ASK, dataclasses.replace(ASK, value="none"), dataclasses.replace(ASK, tenant="nowhere")):
        with pytest.raises(Refused) as refused:
            gate.gate.ask(CHOIR_SUPPORT, ask)
        sentences.add(str(refused.value))
    assert sentences == {"Refused: This tenant is not one of yours."}
    assert [entry.leaf["outcome"] for entry in leaves(gate)] == ["refused"] * 3
    assert leaves(gate)[2].leaf["tenant"] == ""


@pytest.mark.parametrize(
    ("by", "value"), [("email", "ANNA@example.org "), ("phone", "0033 6 12 34 56 78"), ("account", " 42 ")]
)
def test_a_person_is_found_by_an_exact_value_and_the_search_is_recorded(gate: Access, by: str, value: str) -> None:
    grant = gate.gate.ask(SUPPORT, dataclasses.replace(ASK, by=by, value=value))
    assert grant.pseudonym == gate.audit.subject(TENANT, "42")
    actions = [entry.leaf["action"] for entry in leaves(gate)]
    assert actions == (["askAccess"] if by == "account" else ["findPerson", "askAccess"])
    assert gate.gate.view(SUPPORT, grant.id).name_hint == "A. M*****"


@pytest.mark.parametrize(
    ("by", "value", "says"),
    [
        ("account", "nobody", "no such account"),
        ("email", "nobody@example.org", "Nobody in this tenant"),
        ("email", "shared@example.org", "Several persons share this"),
        ("name", "Anna", "found by account, email or phone"),
    ],
)
def test_nobody_is_a_sentence_without_the_value(gate: Access, by: str, value: str, says: str) -> None:
    with pytest.raises(Nobody, match=says) as raised:
        gate.gate.ask(SUPPORT, dataclasses.replace(ASK, by=by, value=value))
    assert value not in str(raised.value)
    assert gate.gate.held(SUPPORT) == []


def test_a_grant_ends_by_time(gate: Access, plane: Identity) -> None:
    """Refused from its last second on, and the refusal is recorded."""
    grant = gate.gate.ask(SUPPORT, ASK)
    clock(plane).advance(timedelta(minutes=29, seconds=59))
    assert gate.gate.view(SUPPORT, grant.id).visits
    assert gate.gate.runs(SUPPORT, grant.id)
    clock(plane).advance(timedelta(seconds=1))
    assert not gate.gate.runs(SUPPORT, grant.id)
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.view(SUPPORT, grant.id)
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.reveal(SUPPORT, grant.id, [Revealed("email")], REASON)
    assert [e.leaf["outcome"] for e in leaves(gate)] == ["granted", "granted", "refused", "refused"]


def test_a_grant_ends_when_given_back(gate: Access) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    gate.gate.end(SUPPORT, grant.id)
    assert not gate.gate.runs(SUPPORT, grant.id)
    with pytest.raises(Refused, match="The access is over"):
        gate.gate.view(SUPPORT, grant.id)


def test_a_grant_is_its_holders_alone(gate: Access) -> None:
    """Not even the data protection officer sees anything under another's grant, nor can end it."""
    grant = gate.gate.ask(SUPPORT, ASK)
    for look in (gate.gate.view, gate.gate.end):
        with pytest.raises(Refused, match="You hold no grant"):
            look(DPO, grant.id)
    assert not gate.gate.runs(DPO, grant.id)
    assert gate.gate.runs(SUPPORT, grant.id)
    assert gate.gate.held(DPO) == []


def test_anothers_grant_is_answered_as_one_that_never_was(gate: Access) -> None:
    """Nobody learns by trying which grants there are, of their tenants or of others; the log says which it was."""
    grant = gate.gate.ask(SUPPORT, ASK)
    told = []
    for actor, tried in ((DPO, grant.id), (CHOIR_DPO, grant.id), (DPO, "0" * 32)):
        with pytest.raises(Refused) as refused:
            gate.gate.view(actor, tried)
        told.append((str(refused.value), refused.value.decision))
    assert told[0] == told[1] == told[2]
    assert [entry.leaf["rules"][0] for entry in leaves(gate)[-3:]] == [
        "only-with-a-grant-of-ones-own", "only-with-a-grant-of-ones-own", "no-such-grant",
    ]  # fmt: skip


@pytest.mark.parametrize("grant", ["", "0" * 32, "../../etc", "x" * 10_000])
def test_an_unknown_grant_is_a_recorded_refusal(gate: Access, grant: str) -> None:
    with pytest.raises(Refused, match="You hold no grant"):
        gate.gate.view(SUPPORT, grant)
    assert leaves(gate)[0].leaf["rules"] == ["no-such-grant"]


def test_a_restriction_closes_running_grants_of_all_but_the_dpo(gate: Access, plane: Identity) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    plane.rights.signal(TENANT, "42", "DSR-1", kind="restriction")
    for refused in (lambda: gate.gate.view(SUPPORT, grant.id), lambda: gate.gate.ask(SUPPORT, ASK)):
        with pytest.raises(Refused, match="restricted"):
            refused()
    assert not gate.gate.runs(SUPPORT, grant.id)
    assert gate.gate.view(DPO, gate.gate.ask(DPO, ASK).id).visits


def test_a_grant_that_was_pointed_at_another_person_opens_nothing(gate: Access, plane: Identity) -> None:
    """Whoever can write to the records, without any key: the log would name the one and the page show the other."""
    mine, other = (gate.gate.ask(SUPPORT, dataclasses.replace(ASK, value=account)) for account in ("43", "42"))
    with plane.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE grants SET subject = ? WHERE id = ?", (other.subject, mine.id))
    with pytest.raises(Refused, match="changed in the records"):
        gate.gate.view(SUPPORT, mine.id)
    assert gate.gate.view(SUPPORT, other.id).visits


def test_an_open_page_ends_with_the_right_to_it(gate: Access) -> None:
    """Who is no longer of the tenant, or no longer of support, loses the page and not only the next one."""
    grant = gate.gate.ask(SUPPORT, ASK)
    moved = dataclasses.replace(SUPPORT, tenants=frozenset({"choir"}))
    for changed in (moved, dataclasses.replace(SUPPORT, roles=frozenset({"tenant-admin"}))):
        assert not gate.gate.runs(changed, grant.id)
    assert gate.gate.runs(SUPPORT, grant.id)


@pytest.mark.parametrize("value", ["anna@example.org", "nobody@example.org"])
def test_what_is_refused_anyway_does_not_tell_who_is_there(gate: Access, value: str) -> None:
    """The same answer for somebody and for nobody."""
    with pytest.raises(Refused, match="240 minutes"):
        gate.gate.ask(SUPPORT, dataclasses.replace(ASK, by="email", value=value, minutes=999))
    assert [e.leaf["outcome"] for e in leaves(gate)] == ["granted", "refused"]


def test_an_erased_person_is_gone_under_a_running_grant(gate: Access, plane: Identity) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    plane.rights.erase(TENANT, "42", "DSR-2")
    assert not gate.gate.runs(SUPPORT, grant.id)
    with pytest.raises(Nobody, match="erased"):
        gate.gate.view(SUPPORT, grant.id)


def test_rights_are_permitted_and_recorded(gate: Access) -> None:
    order = Ask(TENANT, "42", "rights", "DSR-7", "asked for by letter")
    gate.gate.permit(DPO, Action.ERASE, order)
    with pytest.raises(Refused):
        gate.gate.permit(SUPPORT, Action.ERASE, order)
    assert [(e.leaf["action"], e.leaf["outcome"]) for e in leaves(gate)] == [("erase", "granted"), ("erase", "refused")]


def test_a_case_that_weighs_is_executed_with_two_names(gate: Access) -> None:
    """Without an approver the refusal says that one is all that is missing."""
    order = Ask(TENANT, "42", "rights", "DSR-7", "asked for by letter")
    with pytest.raises(Refused) as refused:
        gate.gate.permit(DPO, Action.EXECUTE_CASE, order, requester="sam", kind="erasure")
    assert refused.value.decision.needs_approval
    gate.gate.permit(DPO, Action.EXECUTE_CASE, order, requester="sam", approver="dave", kind="erasure")
    gate.gate.permit(DPO, Action.EXECUTE_CASE, order, requester="sam", kind="objection")


def test_what_is_done_to_tenants_is_permitted_and_recorded(gate: Access) -> None:
    admin = Actor("carl", frozenset({"tenant-admin"}), frozenset({TENANT}))
    gate.gate.permit_tenant(admin, Action.VIEW_RETENTION)
    gate.gate.permit_tenant(admin, Action.SET_RETENTION, TENANT, "the board decided it")
    with pytest.raises(Refused, match="not one of yours"):
        gate.gate.permit_tenant(admin, Action.SET_RETENTION, "choir", "the board decided it")
    last = [(e.leaf["action"], e.leaf["tenant"], e.leaf["outcome"]) for e in leaves(gate)]
    assert last == [
        ("viewRetention", "", "granted"), ("setRetention", TENANT, "granted"), ("setRetention", "choir", "refused"),
    ]  # fmt: skip


def test_the_audit_log_shows_ones_own_tenants(gate: Access) -> None:
    choir_dpo = Actor("dirk", frozenset({"dpo"}), frozenset({"choir"}))
    gate.gate.ask(SUPPORT, ASK)
    with pytest.raises(Nobody):
        gate.gate.ask(SUPPORT, dataclasses.replace(ASK, tenant="choir"))
    assert {entry.leaf["tenant"] for entry in gate.auditing.entries(choir_dpo, 100)} == {"choir"}
    assert [entry.leaf["tenant"] for entry in gate.auditing.entries(DPO, 100)] == ["", "choir", TENANT]
    assert [entry.leaf["action"] for entry in gate.auditing.entries(DPO, 1, {"tenant": TENANT, "actor": "sam"})] == [
        "askAccess"
    ]
    with pytest.raises(Refused):
        gate.auditing.entries(SUPPORT, 100)
    assert leaves(gate)[-1].leaf["outcome"] == "refused"


class _Reads:
    """Counts what is opened of a person."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for kind, name in ((Directory, "find"), (Activity, "read")):
            monkeypatch.setattr(kind, name, self._counting(getattr(kind, name)))

    def _counting(self, real: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            self.count += 1
            return real(*args, **kwargs)

        return counted


@pytest.fixture
def reads(gate: Access, monkeypatch: pytest.MonkeyPatch) -> _Reads:
    return _Reads(monkeypatch)


def _away(*_: object) -> int:
    raise Transient("The records database does not answer.")


def test_nothing_is_read_when_the_audit_log_does_not_take_it(
    gate: Access, reads: _Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No entry, no data: each look fails before anything of the person is opened. The same look, once the log is
    back, reads: so the count can tell."""
    grant = gate.gate.ask(SUPPORT, ASK)
    reads.count = 0
    looks = (
        lambda: gate.gate.ask(SUPPORT, ASK),
        lambda: gate.gate.ask(SUPPORT, dataclasses.replace(ASK, by="email", value="anna@example.org")),
        lambda: gate.gate.view(SUPPORT, grant.id),
        lambda: gate.gate.reveal(SUPPORT, grant.id, [Revealed("email")], REASON),
    )
    with monkeypatch.context() as broken:
        broken.setattr(AuditLog, "append", _away)
        for look in looks:
            with pytest.raises(Transient):
                look()
    assert reads.count == 0
    for look in looks:
        look()
    assert reads.count >= len(looks)


def test_the_gate_without_its_second_step_would_show_data(
    gate: Access, reads: _Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch: a gate that forgets to record reads although the log is away; the test above would fail."""
    grant = gate.gate.ask(SUPPORT, ASK)
    reads.count = 0
    monkeypatch.setattr(AuditLog, "append", _away)
    monkeypatch.setattr(Decider, "audited", lambda *_, **__: None)
    assert gate.gate.view(SUPPORT, grant.id).visits
    assert reads.count == 1


def test_the_log_of_it_all_verifies(gate: Access, plane: Identity) -> None:
    grant = gate.gate.ask(SUPPORT, ASK)
    for _ in range(5):
        gate.gate.view(SUPPORT, grant.id)
    verdict = verify(plane.engine, plane.keys, plane.settings.data.absolute() / "audit-checkpoint")
    assert verdict.whole, verdict.problem
    assert (verdict.entries, verdict.outside) == (6, 1)


def test_records_hold_no_clear_text(gate: Access, plane: Identity) -> None:
    """Neither account, ticket typed wrongly, reason nor e-mail stand in the database's files."""
    gate.gate.ask(SUPPORT, ASK)
    gate.gate.ask(SUPPORT, dataclasses.replace(ASK, by="email", value="anna@example.org"))
    with pytest.raises(Refused):
        gate.gate.ask(SUPPORT, dataclasses.replace(ASK, ticket="Ticket of Anna"))
    folder: Path = plane.settings.data
    stored = b"".join(file.read_bytes() for file in folder.glob("identity.db*"))
    assert b"SUP-1" in stored  # a positive control: the search finds what is there
    assert not [text for text in (b"anna@", b"of Anna", b"invoice of") if text in stored]
