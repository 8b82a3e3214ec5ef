"""The pages of cases: from a letter to the answer by forms alone, and who may see and do what."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.cases import present
from tests.parts.console import Console, a_console, csrf_of
from tests.parts.identity import TENANT, linked

GOOD_REASON = "identity and request are in order"
FORM = {"tenant": TENANT, "by": "account", "value": "42", "kind": "erasure", "note": "wrote an e-mail on Monday"}


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with a_console(tmp_path) as running:
        yield running


def post(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(path, data={"csrf": csrf_of(client), **form})


def taken_in(client: httpx.Client, **differs: str) -> str:
    """The number that the receipt shows."""
    page = post(client, "/cases", **(FORM | differs))
    assert page.status_code == 200, page.text
    found = re.search(r"CASE-\d+", page.text)
    assert found is not None
    return found[0]


def identified(console: Console, **differs: str) -> str:
    """Taken in and checked by support."""
    with console.signed_in("sam") as sam:
        case = taken_in(sam, **differs)
        assert post(sam, f"/cases/{case}/check", how="known-contact").status_code == 303
    return case


def test_a_request_goes_from_the_letter_to_the_certificate(console: Console) -> None:
    """Support takes it in; the officer approves, carries it out, sees what it waits for, and takes the certificate."""
    present(console.identity, "stats/one")
    case = identified(console)
    with console.signed_in("dora") as dora:
        assert f"/cases/{case}" in dora.get("/cases").text
        for step in ("approve", "execute"):
            assert post(dora, f"/cases/{case}/{step}", reason=GOOD_REASON).status_code == 303
        page = dora.get(f"/cases/{case}").text
        assert "stats/one" in page
        assert "being carried out" in page
        why = "the machine was taken away"
        assert post(dora, f"/cases/{case}/without", worker="stats/one", reason=why).status_code == 303
        page = dora.get(f"/cases/{case}").text
        assert "carried out" in page
        assert "access-log.v1" in page
        name = f"certificate-{case}-issued.txt"
        document = dora.get(f"/cases/{case}/documents/{name}")
        assert document.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert b"Certificate of erasure" in document.content
    assert linked(console.identity, "42") == []


def test_a_package_is_taken_by_a_form_once(console: Console) -> None:
    """Nothing that merely follows links uses it up."""
    case = identified(console, kind="access")
    with console.signed_in("dora") as dora:
        for step in ("approve", "execute"):
            post(dora, f"/cases/{case}/{step}", reason=GOOD_REASON)
        assert dora.get(f"/cases/{case}/package").status_code == 405
        package = post(dora, f"/cases/{case}/package")
        with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
            assert b"anna@example.org" in archive.read("profile.json")
        assert post(dora, f"/cases/{case}/package").status_code == 404
        assert "completed" in dora.get(f"/cases/{case}").text


def test_a_case_is_refused_extended_or_taken_back(console: Console) -> None:
    """Each with words; closed ones stand on a page of their own."""
    refused, extended, taken_back = (identified(console) for _ in range(3))
    with console.signed_in("dora") as dora:
        post(dora, f"/cases/{refused}/refuse", why="excessive", reason="the fourth this week")
        post(dora, f"/cases/{extended}/extend", reason="eleven accounts to look at")
        post(dora, f"/cases/{taken_back}/cancel", reason="wrote that it is settled")
        assert "excessive" in dora.get(f"/cases/{refused}").text
        assert "the fourth this week" in dora.get(f"/cases/{refused}").text
        open_ones, closed = dora.get("/cases").text, dora.get("/cases?closed=true").text
        assert [case in open_ones for case in (refused, extended, taken_back)] == [False, True, False]
        assert [case in closed for case in (refused, extended, taken_back)] == [True, False, True]
        assert post(dora, f"/cases/{refused}/check", how="document").status_code == 409


def test_a_hold_is_placed_and_lifted(console: Console) -> None:
    """It defers an erasure, and support is kept from the person meanwhile."""
    case = identified(console)
    with console.signed_in("dora") as dora:
        post(dora, "/holds", tenant=TENANT, account="42", reason="court order 12 C 34/26")
        post(dora, f"/cases/{case}/approve", reason=GOOD_REASON)
        post(dora, f"/cases/{case}/execute")
        assert "deferred: legal hold" in dora.get(f"/cases/{case}").text
        page = dora.get("/cases").text
        assert "court order 12 C 34/26" in page
        with console.signed_in("sam") as sam:
            asked = {"tenant": TENANT, "by": "account", "value": "42", "purpose": "support", "ticket": "SUP-1"}
            answer = post(sam, "/grants", **asked, reason="cannot open the invoice", minutes="30", days="30")
            assert answer.status_code == 403
        hold = re.search(r"/holds/(hold-[0-9a-f]+)/lift", page)
        assert hold is not None
        assert post(dora, f"/holds/{hold[1]}/lift", reason="the matter is closed").status_code == 303
        assert "court order" not in dora.get("/cases").text
    assert linked(console.identity, "42") != []


def test_what_cannot_be_taken_in_comes_back_with_the_form(console: Console) -> None:
    """With what was typed, and what to mend."""
    with console.signed_in("sam") as sam:
        page = post(sam, "/cases", **(FORM | {"by": "email", "value": "nobody@example.org"}))
        assert page.status_code == 400
        assert "ask by account" in page.text
        assert "wrote an e-mail on Monday" in page.text


@pytest.mark.parametrize(
    ("user", "listed", "shown", "opens"),
    [("dora", 200, 200, 200), ("sam", 403, 403, 200), ("dirk", 200, 404, 403), ("pia", 403, 403, 403)],
)
def test_who_may_see_and_take_in_what(console: Console, user: str, listed: int, shown: int, opens: int) -> None:
    """The officer, support, another tenant's officer (for whom the case is not there), and a role without rights."""
    case = identified(console)
    with console.signed_in(user) as client:
        assert client.get("/cases").status_code == listed
        assert client.get(f"/cases/{case}").status_code == shown
        assert client.get(f"/cases/{case}/documents/x").status_code in {403, 404}
        assert post(client, "/cases", **FORM).status_code == opens
        if listed == 200:
            assert (case in client.get("/cases").text) == (shown == 200)


def test_nobody_else_gets_in(console: Console) -> None:
    """No session: the sign-in page; a form without its token: nothing."""
    case = identified(console)
    with console.client() as nobody:
        assert nobody.get(f"/cases/{case}").status_code in {303, 401}
        assert nobody.post(f"/cases/{case}/execute").status_code in {303, 401, 403}
    with console.signed_in("dora") as dora:
        assert dora.post(f"/cases/{case}/approve", data={"reason": GOOD_REASON}).status_code == 403


def test_the_pages_are_in_french(console: Console) -> None:
    """Kinds, states, steps and buttons."""
    case = identified(console)
    with console.signed_in("dora") as dora:
        assert "Demandes" in dora.get("/cases?lang=fr").text
        page = dora.get(f"/cases/{case}?lang=fr").text
        assert "identité vérifiée" in page
        assert "effacement" in page
