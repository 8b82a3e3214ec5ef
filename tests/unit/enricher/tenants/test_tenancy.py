"""What is done to a tenant: within the operator's ceilings, by who may, recorded first, and not after its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.enricher import records
from services.enricher.access.decisions import EVERY_TENANT, Actor
from services.enricher.access.grants import Refused as Forbidden
from services.enricher.access.service import Access, open_access
from services.enricher.persons.directory import Profile
from services.enricher.persons.tables import OF_PERSONS
from services.enricher.records import metadata
from services.enricher.retention import records as retention_records  # noqa: F401  # their tables
from services.enricher.rights import records as rights_records  # noqa: F401  # their tables
from services.enricher.service import Identity
from services.enricher.tenants.departure import KEPT, OF_TENANTS
from services.enricher.tenants.leaving import Leaving
from services.enricher.tenants.registry import Refused, Tenant
from tests.parts.identity import NOON, TENANT, apply_accounts, count, link

OPERATOR = Actor("os:ann", frozenset({"operator"}), frozenset({EVERY_TENANT}))
DORA = Actor("dora", frozenset({"dpo"}), frozenset({EVERY_TENANT}))
SAM = Actor("sam", frozenset({"support"}), frozenset({EVERY_TENANT}))
THEIRS = Actor("theo", frozenset({"tenant-admin"}), frozenset({TENANT}))
OTHERS = Actor("olga", frozenset({"tenant-admin"}), frozenset({"choir"}))
REASON = "Agreed in the contract of May"


@pytest.fixture
def access(plane: Identity) -> Access:
    return open_access(plane)


def _known(plane: Identity) -> Tenant:
    plane.registry.follow()
    found = plane.registry.get(TENANT)
    assert found is not None
    return found


def test_terms_are_set_within_the_ceilings_and_taken_back(plane: Identity, access: Access) -> None:
    """Everybody else's stay; what is not named stays as it was."""
    access.tenancy.set_terms(THEIRS, TENANT, {"linked": 30, "figures": 365}, {"linked": "isolate"}, REASON)
    access.tenancy.set_terms(OPERATOR, TENANT, {"linked": None}, {}, REASON)
    assert (_known(plane).retention, _known(plane).ends) == ({"figures": 365}, {"linked": "isolate"})


@pytest.mark.parametrize(
    ("days", "ends"),
    [
        ({"linked": 91}, {}),
        ({"linked": 0}, {}),
        ({"raw": 1}, {}),
        ({}, {"figures": "isolate"}),
        ({}, {"raw": "delete"}),
    ],
)
def test_what_cannot_be_is_refused(
    plane: Identity, access: Access, days: dict[str, int | None], ends: dict[str, str]
) -> None:
    """Beyond the ceiling, not the tenant's to choose, or an end that the type does not know."""
    with pytest.raises(Refused):
        access.tenancy.set_terms(OPERATOR, TENANT, days, ends, REASON)
    assert _known(plane).retention == {}


@pytest.mark.parametrize("actor", [SAM, DORA, OTHERS])
def test_who_may_not_changes_nothing_and_is_recorded(plane: Identity, access: Access, actor: Actor) -> None:
    """Support, the DPO, and another tenant's administrator."""
    before = _known(plane)
    with pytest.raises(Forbidden):
        access.tenancy.set_terms(actor, TENANT, {"linked": 30}, {}, REASON)
    with pytest.raises(Forbidden):
        access.tenancy.terminate(actor, TENANT, REASON)
    assert _known(plane) == before
    assert [entry.leaf["outcome"] for entry in access.audit.newest(2)] == ["refused", "refused"]


def test_a_reason_is_needed(access: Access) -> None:
    """Ending a tenant for no reason is refused by the policies."""
    with pytest.raises(Forbidden):
        access.tenancy.terminate(OPERATOR, TENANT, "because")


def test_every_change_is_in_the_audit_log(access: Access) -> None:
    """With its reason, sealed."""
    access.tenancy.suspend(OPERATOR, TENANT, REASON)
    access.tenancy.resume(OPERATOR, TENANT, REASON)
    access.tenancy.terminate(OPERATOR, TENANT, REASON)
    access.tenancy.keep(OPERATOR, TENANT, REASON)
    entries = access.audit.newest(4)
    assert {(entry.leaf["action"], entry.leaf["tenant"], entry.reason) for entry in entries} == {
        ("manageTenants", TENANT, REASON)
    }


def test_a_suspended_tenants_people_are_the_dpos_alone(plane: Identity, access: Access) -> None:
    """Until it is resumed."""
    plane.accounts.put(TENANT, Profile("ann", "Ann Martin"))
    apply_accounts(plane)
    link(plane)
    access.tenancy.suspend(OPERATOR, TENANT, REASON)
    assert access.gate._decider.world.is_restricted(TENANT, "ann")
    access.tenancy.resume(OPERATOR, TENANT, REASON)
    assert not access.gate._decider.world.is_restricted(TENANT, "ann")


def test_the_notice_is_the_settings_or_longer(plane: Identity, access: Access) -> None:
    """Thirty days unless the settings say otherwise."""
    assert access.tenancy.terminate(OPERATOR, TENANT, REASON).terminates_at == NOON + timedelta(days=30)
    assert access.tenancy.terminate(OPERATOR, TENANT, REASON, 60).terminates_at == NOON + timedelta(days=60)
    with pytest.raises(Refused, match="at least 30 days"):
        access.tenancy.terminate(OPERATOR, TENANT, REASON, 29)
    assert access.tenancy.keep(OPERATOR, TENANT, REASON).terminates_at is None
    with pytest.raises(Refused, match="not going to be deleted"):
        access.tenancy.keep(OPERATOR, TENANT, REASON)
    assert _known(plane).status == "active"


def test_another_description_leaves_state_and_terms(plane: Identity, access: Access) -> None:
    """`voile tenant add` once more, with a new name."""
    access.tenancy.set_terms(OPERATOR, TENANT, {"linked": 30}, {"linked": "anonymise"}, REASON)
    access.tenancy.suspend(OPERATOR, TENANT, REASON)
    access.tenancy.register(OPERATOR, Tenant(TENANT, "Chess and Go", NOON), REASON)
    found = _known(plane)
    assert (found.name, found.status, found.retention) == ("Chess and Go", "suspended", {"linked": 30})
    assert found.ends == {"linked": "anonymise"}


def test_who_has_left_keeps_its_id_and_nothing_is_done_to_it(plane: Identity, access: Access) -> None:
    """Nothing may come back under it."""
    plane.registry.add(replace(_known(plane), status="terminated"))
    for change in (access.tenancy.resume, access.tenancy.keep, access.tenancy.terminate):
        with pytest.raises(Refused, match="id stays taken"):
            change(OPERATOR, TENANT, REASON)
    with pytest.raises(Refused, match="id stays taken"):
        access.tenancy.register(OPERATOR, Tenant(TENANT, "New", NOON), REASON)


def _due_with_a_hold(plane: Identity, access: Access) -> tuple[Leaving, str]:
    """Its notice is over; a hold stands on one of its people. And the hold's id."""
    plane.accounts.put(TENANT, Profile("ann", "Ann Martin"))
    apply_accounts(plane)
    hold = plane.holds.place(TENANT, "ann", "pseudonym", "dora", "court order")
    access.tenancy.terminate(OPERATOR, TENANT, REASON)
    plane.clock.sleep(timedelta(days=31).total_seconds())
    return plane.leaving(), hold


def test_a_legal_hold_keeps_a_tenant_until_it_is_lifted(plane: Identity, access: Access) -> None:
    """All of it, as the officer was told; and it ends as soon as it may."""
    leaving, hold = _due_with_a_hold(plane, access)
    leaving.step()
    assert (_known(plane).status, count(plane, records.person_keys)) == ("active", 1)
    assert leaving.waiting_for(TENANT) == ["a legal hold"]
    plane.holds.lift(hold, "dora", "the court has decided")
    leaving.step()
    assert (_known(plane).status, count(plane, records.person_keys)) == ("terminating", 0)
    assert leaving.waiting_for(TENANT) == ["ingest", "stats"]
    leaving.close()


def test_without_the_look_at_holds_it_would_be_deleted(
    plane: Identity, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch."""
    leaving, _ = _due_with_a_hold(plane, access)
    monkeypatch.setattr(leaving, "_is_held", lambda _: False)
    leaving.step()
    assert count(plane, records.person_keys) == 0
    leaving.close()


def test_every_table_that_names_a_tenant_or_a_person_has_its_place_when_a_tenant_leaves() -> None:
    """A table that is added and forgotten here would keep its rows."""
    about = {table.name for table in metadata.tables.values() if {"tenant", "subject", "tenants"} & set(table.c.keys())}
    deleted = {table.name for table in (*OF_PERSONS.values(), *OF_TENANTS.values())} | {"users"}
    assert about - deleted == set(KEPT)
