"""The pages of terms and tenants: who sees and changes what, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from services.enricher.console.tenant_words import ENDS, KINDS_SAID
from services.enricher.tenants.registry import Tenant
from services.runtime.retention.kinds import KINDS
from tests.parts.console import Console, a_console, csrf_of
from tests.parts.identity import TENANT

REASON = "Agreed in the contract of May"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with a_console(tmp_path_factory.mktemp("tenants")) as running:
        running.identity.retention.run()
        yield running


def _post(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(path, data={"csrf": csrf_of(client), "reason": REASON, **form})


def _known(console: Console, tenant: str = TENANT) -> Tenant:
    console.identity.registry.follow()
    found = console.identity.registry.get(tenant)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("user", "status"), [("sam", 403), ("pia", 403), ("dora", 200), ("olga", 200), ("carl", 200), (None, 401)]
)
def test_who_sees_terms_and_tenants(console: Console, user: str | None, status: int) -> None:
    """Officers, operators and tenants' administrators; each look is recorded."""
    with console.client() if user is None else console.signed_in(user) as client:
        assert [client.get(path).status_code for path in ("/retention", "/tenants")] == [status, status]
    if user:
        assert [entry["action"] for entry in console.entries()[-2:]] == ["viewRetention", "viewTenants"]


def test_terms_are_shown_with_their_proof_and_only_ones_own(console: Console) -> None:
    """A tenant's administrator sees nothing of another tenant, nor what is nobody's in particular."""
    with console.signed_in("olga") as client:
        page = client.get("/retention").text
    assert "linked activity" in page
    assert "choir" in page
    assert "the reasons in the audit log" in page
    with console.signed_in("carl") as client:
        own = client.get("/retention").text + client.get("/tenants").text
    assert "linked activity" in own
    assert "choir" not in own
    assert "the reasons in the audit log</th>" not in own


def test_the_page_has_words_for_what_every_plane_keeps() -> None:
    """The planes say in `KINDS` what they keep: one without a word took the whole page down."""
    assert set(KINDS_SAID) == set(KINDS)
    assert {end.value for kind in KINDS.values() for end in kind.ends} <= set(ENDS)


def test_a_tenants_administrator_sets_its_terms_and_nobody_elses(console: Console) -> None:
    """Within the ceiling; what cannot be is said and changes nothing."""
    with console.signed_in("carl") as client:
        form = {"kind": "linked", "days": "30", "end": "anonymise"}
        assert _post(client, "/retention", tenant=TENANT, **form).status_code == 303
        assert (_known(console).retention, _known(console).ends) == ({"linked": 30}, {"linked": "anonymise"})
        assert _post(client, "/retention", tenant="choir", **form).status_code == 403
        beyond = _post(client, "/retention", tenant=TENANT, kind="linked", days="91")
        assert (beyond.status_code, "1 to 90 days" in beyond.text) == (409, True)
        assert _post(client, "/retention", tenant=TENANT, kind="linked", days="many").status_code == 409
        assert _post(client, "/retention", tenant=TENANT, kind="linked").status_code == 303
    assert _known(console).retention == {}


def test_an_operator_makes_pauses_and_ends_a_tenant(console: Console) -> None:
    """The end only with the id typed once more, and it can be taken back."""
    with console.signed_in("olga") as client:
        assert _post(client, "/tenants", tenant="rowing", name="Rowing", hosts="www.rowing.example").status_code == 303
        for path, status in (("suspend", "suspended"), ("resume", "active")):
            assert _post(client, f"/tenants/rowing/{path}").status_code == 303
            assert _known(console, "rowing").status == status
        assert _post(client, "/tenants/rowing/terminate", confirm="rowin").status_code == 409
        assert _known(console, "rowing").terminates_at is None
        assert _post(client, "/tenants/rowing/terminate", confirm="rowing").status_code == 303
        assert _known(console, "rowing").terminates_at == console.clock.now() + timedelta(days=30)
        assert "everything of it will be deleted" in client.get("/tenants").text
        assert _post(client, "/tenants/rowing/keep").status_code == 303
    assert _known(console, "rowing").terminates_at is None


@pytest.mark.parametrize("user", ["sam", "dora", "carl"])
def test_nobody_else_manages_tenants(console: Console, user: str) -> None:
    """The officer watches, a tenant's administrator has terms; neither makes or ends a tenant."""
    before = console.identity.registry.all()
    with console.signed_in(user) as client:
        for path in (
            "/tenants",
            f"/tenants/{TENANT}/suspend",
            f"/tenants/{TENANT}/terminate",
            f"/tenants/{TENANT}/keep",
        ):
            assert _post(client, path, tenant="new", confirm=TENANT).status_code == 403, path
    console.identity.registry.follow()
    assert console.identity.registry.all() == before


def test_a_form_without_its_token_changes_nothing(console: Console) -> None:
    """Each of them."""
    with console.signed_in("olga") as client:
        for path in ("/retention", "/tenants", f"/tenants/{TENANT}/suspend", f"/tenants/{TENANT}/terminate"):
            form = {"tenant": TENANT, "kind": "linked", "days": "1", "confirm": TENANT, "reason": REASON}
            assert client.post(path, data=form).status_code == 403
    assert (_known(console).status, _known(console).terminates_at) == ("active", None)


def test_pages_are_in_french(console: Console) -> None:
    """Their own words, too."""
    with console.signed_in("olga") as client:
        page = client.get("/retention?lang=fr").text
        assert "Combien de temps les données sont conservées" in page
        assert "activité reliée" in page
        assert "Clients" in client.get("/tenants?lang=fr").text


def test_who_has_not_left_has_no_certificate(console: Console) -> None:
    """And one that has: see test_tenant_leaves."""
    with console.signed_in("olga") as client:
        assert client.get(f"/tenants/{TENANT}/certificate").status_code == 404


def test_every_page_says_that_a_tenant_will_be_deleted(console: Console) -> None:
    """To who sees that tenant; and when its day is over, what it waits for."""
    with console.signed_in("olga") as client:
        _post(client, "/tenants", tenant="rowing", name="Rowing")
        _post(client, "/tenants/rowing/terminate", confirm="rowing")
        said = "everything of it will be deleted"
        assert all(said in client.get(path).text for path in ("/audit", "/tenants", "/cases"))
        with console.signed_in("dora") as dora, console.signed_in("carl") as carl:
            assert said in dora.get("/").text
            assert said not in carl.get("/cases").text
        console.identity.holds.place("rowing", "ann", "pseudonym", "dora", "court order")
        console.clock.sleep(timedelta(days=31).total_seconds())
    with console.signed_in("olga") as client:
        page = client.get("/tenants?lang=fr").text
        assert "plus aucune conservation légale" in page
        _post(client, "/tenants/rowing/keep")
        assert "plus aucune conservation légale" not in client.get("/tenants").text
    console.clock.sleep(-timedelta(days=31).total_seconds())


@pytest.mark.parametrize(("user", "first"), [("olga", "/cases"), ("carl", "/cases")])
def test_who_looks_at_nobody_is_not_sent_to_look(console: Console, user: str, first: str) -> None:
    """An operator and a tenant's administrator begin with their own pages; a refusal leads there, too."""
    with console.signed_in(user) as client:
        assert client.get("/").headers["location"] == first
        page = client.get(first).text
        assert 'href="/grants"' not in page
        assert ">Look-up<" not in page
        refused = client.get("/unusual")
        assert (refused.status_code, 'href="/grants"' in refused.text) == (403, False)
    with console.signed_in("sam") as client:
        assert ">Look-up<" in client.get("/").text


def test_what_cannot_be_is_said_in_french(console: Console) -> None:
    """With what it is about filled in; a program is told in English."""
    with console.signed_in("olga") as client:
        form = {"csrf": csrf_of(client), "reason": REASON, "confirm": "no"}
        client.headers["accept-language"] = "fr"
        page = client.post(f"/tenants/{TENANT}/terminate", data=form)
        assert (page.status_code, f"Saisissez {TENANT} pour confirmer" in page.text) == (409, True)
        told = client.post(f"/tenants/{TENANT}/terminate", data=form, headers={"accept": "application/json"})
        assert told.json()["detail"] == f"Type {TENANT} to confirm; nothing was scheduled."
