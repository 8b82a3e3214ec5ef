"""The identity console on its real server: who gets where, what a page holds, what is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.enricher.access.decisions import Actor
from services.enricher.audit.log import AuditLog
from services.runtime.clock import FixedClock
from services.runtime.errors import Transient
from tests.parts.console import CLEAR, Console, a_console, ask_form, csrf_of
from tests.parts.identity import NOON, TENANT, apply_accounts


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with a_console(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """For tests that look at what they added alone."""
    with a_console(tmp_path_factory.mktemp("console")) as running:
        yield running


def granted(client: httpx.Client) -> str:
    """The address of a new grant's page."""
    answer = client.post("/grants", data=ask_form(client))
    assert answer.status_code == 303
    return answer.headers["location"]


def test_ask_look_reveal_and_end(console: Console) -> None:
    """The whole way by plain forms; every step is an entry, and only the revealed field is ever clear."""
    with console.signed_in("sam") as client:
        page = granted(client)
        masked = client.get(page)
        assert masked.headers["cache-control"] == "no-store"
        assert "A. M*****" in masked.text
        assert "SUP-1" in masked.text
        assert "1 error" in masked.text
        assert not [value for value in CLEAR if value in masked.text]
        visit = re.findall(r'name="visit" value="(\d+)"', masked.text)[0]
        form = {"csrf": csrf_of(client), "field": "client_address", "visit": visit, "reason": "compare the address"}
        revealed = client.post(f"{page}/reveal", data=form).text
        assert [value for value in CLEAR if value in revealed] == ["203.0.113.7"]
        assert "203.0.113.7" not in client.get(page).text
        assert client.post(f"{page}/end", data={"csrf": csrf_of(client)}).status_code == 303
        assert client.get(page).status_code == 403
    told = [(e["action"], e["outcome"], e["fields"]) for e in console.entries()]
    assert told == [
        ("askAccess", "granted", []),
        ("viewActivity", "granted", ["activity"]),
        ("revealField", "granted", ["client_address"]),
        ("viewActivity", "granted", ["activity"]),
        ("endAccess", "granted", []),
        ("viewActivity", "refused", ["activity"]),
    ]
    assert {e["actor"] for e in console.entries()} == {"sam"}


def test_what_the_log_carries_is_text_on_the_page(console: Console) -> None:
    """A path that is a script is shown, not run."""
    with console.signed_in("sam") as client:
        text = client.get(granted(client)).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("differs", "status", "says"),
    [
        ({"ticket": "none"}, 403, "Give the ticket"),
        ({"reason": "short"}, 403, "at least 10 characters"),
        ({"purpose": "legal"}, 403, "Your role does not permit"),
        ({"purpose": "rights"}, 403, "Who may: data protection officer."),
        ({"tenant": "nowhere"}, 403, "no such tenant"),
        ({"minutes": "100000"}, 403, "1 to 240 minutes"),
        ({"value": "no-such"}, 404, "no such account"),
        ({"by": "email", "value": "no@example.org"}, 404, "Nobody in this tenant"),
        ({"by": "name"}, 404, "found by account"),
    ],
)
def test_the_form_comes_back_with_what_to_mend(
    shared: Console, differs: dict[str, str], status: int, says: str
) -> None:
    """Filled in as it was, so that nothing is typed twice; no grant, and the refusal is recorded."""
    before = len(shared.entries())
    with shared.signed_in("sam") as client:
        held = client.get("/grants").text.count("Open</a>")
        answer = client.post("/grants", data=ask_form(client, **differs))
        assert answer.status_code == status
        assert says in answer.text
        assert 'value="cannot open the invoice"' in answer.text or "reason" in differs
        assert client.get("/grants").text.count("Open</a>") == held
    if status == 403:
        assert [e["outcome"] for e in shared.entries()[before:]] == ["refused"]


@pytest.mark.parametrize(
    "pasted", ["Ada Byron <{}>", "<{}>", "mailto:{}", " MAILTO:{}?subject=Invoice%20of%20May ", '"Byron, A." <{}> ']
)
def test_an_address_is_found_as_it_is_pasted(shared: Console, pasted: str) -> None:
    """From the header of a message, or from a link."""
    with shared.signed_in("sam") as client:
        for by in ("any", "email"):
            form = ask_form(client, value=pasted.format("anna@example.org"), by=by)
            assert client.post("/grants", data=form).status_code == 303


def test_a_page_is_cut_when_the_grant_is_over(console: Console) -> None:
    """The open page's question is answered by taking it away."""
    assert isinstance(console.clock, FixedClock)
    with console.signed_in("sam") as client:
        page = granted(client)
        for _ in range(3):
            assert client.get(f"{page}/state").status_code == 204
            console.clock.advance(timedelta(minutes=10))
        assert client.get(f"{page}/state").headers["hx-refresh"] == "true"
        over = client.get(page)
    assert over.status_code == 403
    assert "The access is over" in over.text


def test_nothing_is_shown_when_the_log_does_not_take_it(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """A records database that is away answers 503, without a word of the person."""

    def away(*_: object) -> int:
        raise Transient("The records database does not answer.")

    with console.signed_in("sam") as client:
        page = granted(client)
        with monkeypatch.context() as broken:
            broken.setattr(AuditLog, "append", away)
            answer = client.get(page)
        assert answer.status_code == 503
        assert not [value for value in (*CLEAR, "A. M*****", "/invoices") if value in answer.text]
        assert "/invoices" in client.get(page).text


def test_the_officer_reads_and_verifies_the_log(console: Console) -> None:
    with console.signed_in("sam") as client:
        client.get(granted(client))
        client.post("/grants", data=ask_form(client, ticket="none"))
    with console.signed_in("dora") as officer:
        page = officer.get("/audit").text
        assert page.count("granted</span>") == 2
        assert page.count("refused</span>") == 1
        assert "cannot open the invoice" in page
        refused = officer.get("/audit", params={"outcome": "refused"}).text
        assert (refused.count("granted</span>"), refused.count("refused</span>")) == (0, 1)
        assert "No entry answers" in officer.get("/audit", params={"actor": "nobody"}).text
        assert "The log is whole" in officer.post("/audit/verify", data={"csrf": csrf_of(officer)}).text
    with console.signed_in("dirk") as other:
        assert TENANT not in other.get("/audit").text


def test_the_log_is_searched_paged_and_exported(console: Console) -> None:
    """By fields and days, a page under the other; everything that fits as a file, which is recorded."""
    with console.signed_in("sam") as client:
        page = granted(client)
        for _ in range(3):
            client.get(page)
    with console.signed_in("dora") as officer:
        seen = officer.get("/audit", params={"action": "viewActivity", "actor": "sam"}).text
        assert seen.count("granted</span>") == 3
        assert "No entry answers" in officer.get("/audit", params={"first": "2026-03-11"}).text
        assert officer.get("/audit", params={"last": "2026-03-10"}).text.count("granted</span>") >= 4
        assert officer.get("/audit", params={"before": "2"}).text.count("granted</span>") == 2
        assert officer.get("/audit", params={"first": "yesterday"}).status_code == 404
        taken = officer.get("/audit/export/csv", params={"actor": "sam"})
        assert taken.headers["content-disposition"] == 'attachment; filename="voile-audit.csv"'
        assert len(taken.text.splitlines()) == 1 + 4
        assert len(officer.get("/audit/export/ndjson").text.splitlines()) > 4
        assert officer.get("/audit/export/xls").status_code == 400
    assert [e["fields"] for e in console.entries() if e["action"] == "exportAudit"] == [["csv"], ["ndjson"]]
    with console.signed_in("dirk") as other:
        assert len(other.get("/audit/export/csv").text.splitlines()) == 1


def test_what_stands_out_is_shown_with_its_rule(console: Console) -> None:
    """Five refusals in a day are one finding, with a way to its entries."""
    with console.signed_in("sam") as client:
        for _ in range(5):
            client.post("/grants", data=ask_form(client, ticket="none"))
    with console.signed_in("dora") as officer:
        page = officer.get("/unusual").text
        assert "Was refused many times in a day" in page
        assert "/audit?actor=sam" in page
    with console.signed_in("dirk") as other:
        assert "Nothing stands out." in other.get("/unusual").text


def test_only_the_days_that_were_asked_for_are_shown(console: Console) -> None:
    """The person has a visit of two days ago and one of today; a day that is none is said to be one."""
    with console.signed_in("sam") as client:
        answer = client.post("/grants", data=ask_form(client, first="2026-03-07", last="2026-03-08"))
        page = client.get(answer.headers["location"]).text
        assert "/login" in page
        assert "/invoices" not in page
        assert "Give a day as" in client.post("/grants", data=ask_form(client, first="8 March")).text
        for days, says in (
            ({"first": "2026-03-09", "last": "2026-03-08"}, "end before they begin"),
            ({"first": "2027-03-09"}, "end before they begin"),
            ({"last": "2026-03-08"}, "Say from which day"),
            ({"first": "2020-03-09"}, "1 to 366 days"),
        ):
            assert says in client.post("/grants", data=ask_form(client, **days)).text


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("anna@example.org", ["email"]),
        ("+33 6 12 34 56 78", ["phone"]),
        ("0033 (0)6 12 34 56 78", ["phone"]),
        ("42", None),
    ],
)
def test_nobody_has_to_say_what_it_is_that_they_look_for(
    console: Console, value: str, fields: list[str] | None
) -> None:
    """An e-mail and a number with its country are taken for what they are, anything else for an account."""
    with console.signed_in("sam") as client:
        assert client.post("/grants", data=ask_form(client, by="any", value=value)).status_code == 303
    assert [e["fields"] for e in console.entries() if e["action"] == "findPerson"] == ([fields] if fields else [])


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "../../etc/passwd", "", "Europe"])
def test_a_zone_is_one_that_exists(console: Console, zone: str) -> None:
    """Whatever the cookie holds: what is no zone leaves the installation's."""
    with console.signed_in("sam") as client:
        client.cookies.set("voile_zone", zone)
        text = client.get(granted(client)).text
    assert ("times in Asia/Tokyo" in text) is (zone == "Asia/Tokyo")
    assert ("times in UTC" in text) is (zone != "Asia/Tokyo")


def test_pages_are_in_french(console: Console) -> None:
    """Also what the policies say to whom they refuse."""
    with console.signed_in("sam") as client:
        client.headers["accept-language"] = "fr"
        assert "Trouver une personne" in client.get("/").text
        assert (
            "Donnez un motif d’au moins 10 caractères."
            in client.post("/grants", data=ask_form(client, reason="no")).text
        )


def test_what_was_kept_apart_is_the_officers_alone(tmp_path: Path) -> None:
    """Masked, recorded as what it is, revealed there alone; whoever holds the same grant without being one is refused."""
    operator = Actor("olga", frozenset({"operator"}), frozenset({"*"}))
    clock = FixedClock(NOON)
    with a_console(tmp_path, clock) as console:
        console.access.tenancy.set_terms(operator, TENANT, {}, {"linked": "isolate"}, "Agreed in the contract")
        clock.advance(timedelta(days=92))
        console.identity.retention.run()
        with console.signed_in("dora") as dora:
            page = dora.post("/grants", data=ask_form(dora, days="366")).headers["location"]
            apart = f"{page}?days=366&isolated=true"
            assert "Nothing is linked to this person" in dora.get(f"{page}?days=366").text
            shown = dora.get(apart).text
            assert ("/invoices" in shown, "203.0.113.7" in shown) == (True, False)
            assert console.entries()[-1]["fields"] == ["isolated"]
            form = {"csrf": csrf_of(dora), "field": "client_address", "visit": "0", "reason": "compare the address"}
            revealed = dora.post(f"{page}/reveal", data=form | {"days": "366", "isolated": "true"}).text
            assert ("/invoices" in revealed, "203.0.113.7" in revealed) == (True, True)
            assert "mise à part" in dora.get(f"{apart}&lang=fr").text.lower()
        with console.signed_in("sam") as sam:
            page = sam.post("/grants", data=ask_form(sam, days="366")).headers["location"]
            assert sam.get(f"{page}?days=366&isolated=true").status_code == 403
            form = {"csrf": csrf_of(sam), "field": "client_address", "visit": "0", "reason": "compare the address"}
            assert sam.post(f"{page}/reveal", data=form | {"isolated": "true"}).status_code == 403
            assert "isolated=true" not in sam.get(page).text


def test_without_the_rule_support_would_see_what_was_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch: the same look asked for as if it were of what is linked."""
    clock = FixedClock(NOON)
    with a_console(tmp_path, clock) as console:
        gate = console.access.gate
        real = gate._under_grant
        monkeypatch.setattr(
            gate, "_under_grant", lambda actor, action, grant, _isolated=False: real(actor, action, grant)
        )
        with console.signed_in("sam") as sam:
            assert sam.get(f"{granted(sam)}?isolated=true").status_code == 200


def test_a_falsified_log_is_said_to_be_one(console: Console) -> None:
    with console.signed_in("dora") as officer:
        officer.get("/audit")
        with console.identity.engine.begin() as connection:
            changed = "CAST(replace(CAST(leaf AS TEXT), 'dora', 'nora') AS BLOB)"
            connection.exec_driver_sql(f"UPDATE audit_leaves SET leaf = {changed}")
        answer = officer.post("/audit/verify", data={"csrf": csrf_of(officer)})
    assert "The log is not whole" in answer.text


def test_glass_that_is_broken_too_early_gives_the_form_back(shared: Console) -> None:
    """The button asks nothing of the form; what is missing is said, and what was typed stays."""
    with shared.signed_in("sam") as client:
        answer = client.post("/break-glass", data=ask_form(client, value="", reason="", ticket="SUP-77"))
    assert (answer.status_code, "at least 20 characters" in answer.text) == (403, True)
    assert 'value="SUP-77"' in answer.text


@pytest.mark.parametrize("query", ["before=9223372036854775808", "before=-1", "first=0001-01-01", "last=9999-12-31"])
def test_what_no_log_can_have_is_a_question_to_mend(shared: Console, query: str) -> None:
    """A number that the records cannot hold, a day that no zone can: no fault of the service."""
    with shared.signed_in("dora") as officer:
        officer.cookies.set("voile_zone", "Asia/Tokyo")
        assert officer.get(f"/audit?{query}").status_code in {400, 404}


def test_empty_pages_say_what_fills_them(shared: Console) -> None:
    with shared.signed_in("nil") as client:
        assert "voile tenant add" in client.get("/").text
        assert "Find one person" in client.get("/grants").text


ACCOUNT = {"name": "Bob", "email": "bob@example.org"}


def put(console: Console, path: str, key: str, body: object = None) -> httpx.Response:
    with httpx.Client(base_url=console.url) as client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return client.put(f"/api/v1/accounts/{path}", json=ACCOUNT if body is None else body, headers=headers)


def test_a_tenants_system_puts_and_withdraws_an_account(console: Console) -> None:
    key = console.access.api_keys.add(TENANT, "member system")
    assert put(console, f"{TENANT}/a/43", key).status_code == 204
    apply_accounts(console.identity)
    (subject,) = console.identity.directory.find(TENANT, "email", "bob@example.org")
    profile = console.identity.directory.profile(subject)
    assert profile is not None
    assert (profile.account, profile.name) == ("a/43", "Bob")
    with httpx.Client(base_url=console.url, headers={"authorization": f"Bearer {key}"}) as client:
        assert client.delete(f"/api/v1/accounts/{TENANT}/a/43").status_code == 204
    apply_accounts(console.identity)
    assert console.identity.directory.find(TENANT, "email", "bob@example.org") == []


@pytest.mark.parametrize(
    ("path", "key", "body", "status"),
    [
        (f"{TENANT}/43", "", None, 401),
        (f"{TENANT}/43", "voile_acc_0123456789ab_" + "0" * 64, None, 401),
        (f"{TENANT}/43", "{wrong}", None, 401),
        (f"{TENANT}/43", "{revoked}", None, 401),
        ("choir/43", "{key}", None, 403),
        ("nowhere/43", "{key}", None, 403),
        (f"{TENANT}/43", "{key}", {"email": "no address"}, 400),
        (f"{TENANT}/43", "{key}", {"name": "x" * 1001}, 400),
        (f"{TENANT}/43", "{key}", {"nickname": "Bob"}, 400),
        (f"{TENANT}/43", "{key}", [1], 400),
        (f"{TENANT}/" + "nobody" * 40, "{key}", None, 400),
    ],
)
def test_what_the_accounts_api_refuses(shared: Console, path: str, key: str, body: object, status: int) -> None:
    """With a status, a reason without the value, and nothing written."""
    keys = shared.access.api_keys
    good, gone = keys.add(TENANT, "one"), keys.add(TENANT, "two")
    keys.revoke(gone.split("_")[2])
    key = key.format(key=good, revoked=gone, wrong=good[:-1] + ("0" if good[-1] != "0" else "1"))
    before = shared.identity.log.offsets(shared.identity.log.partitions("account.v1")[0])
    answer = put(shared, path, key, body)
    assert answer.status_code == status
    assert not [text for text in ("no address", 'nickname": "Bob', "nobodynobody") if text in answer.text]
    assert shared.identity.log.offsets(shared.identity.log.partitions("account.v1")[0]) == before


def test_keys_are_stored_hashed(shared: Console) -> None:
    key = shared.access.api_keys.add(TENANT, "one")
    secret = key.split("_")[3].encode()
    files = [path for path in shared.identity.settings.data.rglob("*") if path.is_file()]
    assert not [path for path in files if secret in path.read_bytes()]
    assert shared.access.api_keys.tenant_of(key) == TENANT
