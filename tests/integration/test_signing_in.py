"""Passwords, second factors and open sessions, by the pages and as a person uses them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pyotp
import pytest

from services.runtime.logs import configure_logs
from services.runtime.metrics import SIGN_INS
from services.runtime.settings import Login
from services.runtime.web.attempts import PER_ACCOUNT, Attempts
from tests.parts.web import Service, a_service

PASSWORD, OTHER = "seven green lamps", "eight green lamps"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with a_service(tmp_path) as running:
        yield running


def hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def codes_of(page: httpx.Response) -> list[str]:
    return re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", page.text)


class Ada:
    """Somebody with a browser and an authenticator."""

    def __init__(self, service: Service, client: httpx.Client) -> None:
        self.service, self.client = service, client
        self.secret = ""

    def invited(self) -> httpx.Response:
        """By the link that `voile user invite` prints."""
        link = f"/login/{self.service.sessions.login_link('ada')}?to=account/set-up"
        assert self.client.get(link).status_code == 200
        answer = self.client.post(link)
        assert answer.headers["location"] == "/account/set-up"
        return self.client.get("/account/set-up")

    def set_up(self, password: str = PASSWORD) -> httpx.Response:
        page = self.invited()
        self.secret = hidden(page, "secret")
        return self.post("/account/set-up", page, password=password, secret=self.secret, code=self.code())

    def post(self, path: str, page: httpx.Response, **form: str) -> httpx.Response:
        return self.client.post(path, data={"csrf": hidden(page, "csrf"), **form})

    def code(self) -> str:
        return pyotp.TOTP(self.secret).at(self.service.clock.now())

    def next_code(self) -> str:
        self.service.clock.advance(timedelta(seconds=30))
        return self.code()

    def sign_in(self, password: str = PASSWORD, code: str = "", name: str = "ada") -> httpx.Response:
        return self.client.post("/login", data={"name": name, "password": password, "code": code})

    def is_in(self) -> bool:
        return self.client.get("/").status_code == 200


@pytest.fixture
def ada(service: Service) -> Iterator[Ada]:
    with service.client() as client:
        yield Ada(service, client)


def test_an_invitation_leads_to_a_password_and_a_factor(service: Service, ada: Ada) -> None:
    """The picture, the secret as text, ten recovery codes once; then both sign in, in any browser."""
    page = ada.invited()
    assert "<svg" in page.text
    assert hidden(page, "secret")[:4] in page.text
    done = ada.set_up()
    assert len(set(codes_of(done))) == 10
    assert codes_of(ada.client.get("/account")) == []
    assert "10 recovery codes left" in ada.client.get("/account").text
    with service.client() as other:
        elsewhere = Ada(service, other)
        assert elsewhere.sign_in(code=ada.next_code()).headers["location"] == "/"
        assert elsewhere.is_in()
        assert elsewhere.client.get("/login").status_code == 303


def test_the_forms_of_the_page_with_the_codes_work(ada: Ada) -> None:
    """It is the first page of a new session: its token must be the new one's."""
    page = ada.set_up()
    assert ada.post("/logout", page).headers["location"] == "/login"
    assert not ada.is_in()


@pytest.mark.parametrize(
    ("password", "code", "told"),
    [
        ("short", "right", "at least 12"),
        ("ada ada ada", "right", "at least 12"),
        ("password-1234", "right", "first that are tried"),
        (PASSWORD, "000000", "not the one that your authenticator shows"),
        (PASSWORD, "", "not the one that your authenticator shows"),
    ],
)
def test_what_cannot_be_set_up_is_said(service: Service, ada: Ada, password: str, code: str, told: str) -> None:
    """With the same secret again: what was scanned stays right. Nothing is kept, and the password is not shown."""
    page = ada.invited()
    ada.secret = hidden(page, "secret")
    given = ada.code() if code == "right" else code
    answer = ada.post("/account/set-up", page, password=password, secret=ada.secret, code=given)
    assert answer.status_code == 400
    assert told in answer.text
    assert hidden(answer, "secret") == ada.secret
    assert f'"{password}"' not in answer.text
    assert not service.door.credentials.standing("ada").password


def test_a_factor_is_not_left_out_by_leaving_the_form_alone(service: Service, ada: Ada) -> None:
    """Where the setting requires one, no form without it is taken."""
    page = ada.invited()
    for form in ({"secret": ""}, {"secret": "", "code": "123456"}, {"secret": "not base32", "code": ""}):
        assert ada.post("/account/set-up", page, password=PASSWORD, **form).status_code == 400
    assert not service.door.credentials.standing("ada").password


def test_without_the_setting_a_password_is_enough(tmp_path: Path) -> None:
    """The code may be left empty then."""
    with a_service(tmp_path, Login(second_factor=False)) as service, service.client() as client:
        ada = Ada(service, client)
        page = ada.invited()
        done = ada.post("/account/set-up", page, password=PASSWORD, secret=hidden(page, "secret"), code="")
        assert done.headers["location"] == "/account"
        client.cookies.clear()
        assert ada.sign_in().status_code == 303
        assert ada.is_in()


def test_a_password_is_chosen_with_a_new_link_only(service: Service, ada: Ada) -> None:
    """After half an hour, or in a session by password, who walks up to an open page could choose one."""
    page = ada.invited()
    service.clock.advance(timedelta(minutes=29))
    ada.client.get("/")
    assert ada.client.get("/account/set-up").status_code == 200
    service.clock.advance(timedelta(minutes=1))
    assert ada.client.get("/account/set-up").status_code == 403
    assert ada.post("/account/set-up", page, password=PASSWORD).status_code == 403
    ada.set_up()
    assert ada.client.get("/account/set-up").status_code == 403


def test_a_link_leads_nowhere_else(service: Service) -> None:
    """`to` is one of ours."""
    with service.client() as client:
        for to in ("//evil.example", "https://evil.example", "account/../x"):
            link = f"/login/{service.sessions.login_link('ada')}"
            assert client.post(link, params={"to": to}).status_code == 400


WRONG = [
    ("ada", OTHER, "right"),
    ("ada", PASSWORD, "000000"),
    ("ada", PASSWORD, ""),
    ("eve", PASSWORD, "right"),
    ("", "", ""),
]


def test_every_wrong_try_gets_the_same_answer(service: Service, ada: Ada) -> None:
    """Whether the name, the password or the code was wrong is not to be seen; nor is the name."""
    ada.set_up()
    ada.client.cookies.clear()
    answers = []
    for name, password, code in WRONG:
        answer = ada.sign_in(password, ada.next_code() if code == "right" else code, name)
        answers.append((answer.status_code, answer.text, sorted(answer.headers.keys())))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401
    assert "That did not fit together" in answers[0][1]
    assert "eve" not in answers[0][1].lower().replace("ever", "").replace("never", "").replace("level", "")
    assert service.metrics.value(SIGN_INS, method="password", outcome="wrong") == len(WRONG)


def test_guessing_is_stopped_and_what_is_right_is_refused_too(service: Service, ada: Ada) -> None:
    """By account, whether it exists or not; a link goes on working, so that nobody is locked out for good."""
    ada.set_up()
    ada.client.cookies.clear()
    for name in ("ada", "eve"):
        tries = [ada.sign_in(OTHER, "000000", name).status_code for _ in range(PER_ACCOUNT)]
        assert set(tries) == {401}
        stopped = ada.sign_in(PASSWORD, ada.next_code(), name)
        assert stopped.status_code == 429
        assert int(stopped.headers["retry-after"]) > 0
    assert service.metrics.value(SIGN_INS, method="password", outcome="limited") == 2
    ada.client.post(f"/login/{service.sessions.login_link('ada')}")
    assert ada.is_in()


def test_without_the_limit_guessing_goes_on(service: Service, ada: Ada, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above fails then."""
    monkeypatch.setattr(Attempts, "wait_s", lambda *_: 0)
    assert {ada.sign_in(OTHER, "000000").status_code for _ in range(PER_ACCOUNT + 5)} == {401}


def test_each_sign_in_has_a_new_session(service: Service, ada: Ada) -> None:
    """What was in the browser before is worth nothing after: by password as by link (fixation)."""
    ada.set_up()
    seen = [ada.client.cookies["voile_test"]]
    ada.sign_in(code=ada.next_code())
    seen.append(ada.client.cookies["voile_test"])
    ada.client.post(f"/login/{service.sessions.login_link('ada')}")
    seen.append(ada.client.cookies["voile_test"])
    ada.sign_in(code=ada.next_code())
    assert [service.sessions.current(token) for token in seen] == [None] * 3
    planted = "planted-by-somebody-else"
    ada.client.cookies.set("voile_test", planted, domain="127.0.0.1")
    ada.sign_in(code=ada.next_code())
    assert service.sessions.current(planted) is None
    assert ada.is_in()


def test_a_sign_in_from_another_site_is_refused(service: Service, ada: Ada) -> None:
    """A page elsewhere cannot sign a browser in as somebody else (login CSRF)."""
    ada.set_up()
    form = {"name": "ada", "password": PASSWORD, "code": ada.next_code()}
    with service.client() as victim:
        assert victim.post("/login", data=form, headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert victim.post("/login", data=form, headers={"origin": "https://evil.example"}).status_code == 403
        assert victim.get("/").status_code == 401


def test_a_changed_password_ends_the_other_sessions(service: Service, ada: Ada) -> None:
    """And this browser's goes on, as a new one."""
    ada.set_up()
    with service.client() as other:
        elsewhere = Ada(service, other)
        elsewhere.sign_in(code=ada.next_code())
        page = ada.client.get("/account")
        wrong = ada.post("/account/password", page, current=OTHER, password="nine green lamps")
        assert (wrong.status_code, "is wrong" in wrong.text) == (400, True)
        weak = ada.post("/account/password", page, current=PASSWORD, password="adaadaadaada")
        assert weak.status_code == 400
        assert elsewhere.is_in()
        assert ada.post("/account/password", page, current=PASSWORD, password=OTHER).status_code == 303
        assert ada.is_in()
        assert not elsewhere.is_in()
        assert elsewhere.sign_in(PASSWORD, ada.next_code()).status_code == 401
        assert elsewhere.sign_in(OTHER, ada.next_code()).status_code == 303


def test_guessing_the_password_in_an_open_session_is_stopped_too(service: Service, ada: Ada) -> None:
    """Who found a browser open has no more tries than anybody else."""
    ada.set_up()
    page = ada.client.get("/account")
    tries = [ada.post("/account/password", page, current=OTHER, password=OTHER + "!").status_code for _ in range(25)]
    assert tries.count(400) <= PER_ACCOUNT
    assert tries[-1] == 429


def test_a_new_authenticator_needs_the_password(service: Service, ada: Ada) -> None:
    """And ends the other sessions; the old authenticator is worth nothing after."""
    ada.set_up()
    old = ada.secret
    page = ada.client.get("/account/factor")
    ada.secret = hidden(page, "secret")
    assert ada.post("/account/factor", page, current=OTHER, secret=ada.secret, code=ada.code()).status_code == 400
    done = ada.post("/account/factor", page, current=PASSWORD, secret=ada.secret, code=ada.code())
    assert len(codes_of(done)) == 10
    assert ada.sign_in(code=pyotp.TOTP(old).at(service.clock.now() + timedelta(seconds=30))).status_code == 401
    assert ada.sign_in(code=ada.next_code()).status_code == 303


def test_open_sessions_are_listed_and_ended(service: Service, ada: Ada) -> None:
    """One, or all but this one; nobody ends another person's."""
    ada.set_up()
    service.sessions.put_user("ben", ["viewer"], ["*"])
    bens = service.sessions.begin("ben", "link")
    assert bens is not None
    others = [service.sessions.begin("ada", "password") for _ in range(3)]
    page = ada.client.get("/account")
    assert page.text.count('aria-label="End the session') == 3
    ids = re.findall(r'name="id" value="([0-9a-f]{16})"', page.text)
    ada.post("/account/sessions/end", page, id=ids[0])
    assert [service.sessions.current(token or "") is None for token in others].count(True) == 1
    ada.post("/account/sessions/end", page, id=service.sessions.opened("ben")[0].id)
    assert service.sessions.current(bens) is not None
    ada.post("/account/sessions/end", page)
    assert all(service.sessions.current(token or "") is None for token in others)
    assert ada.is_in()


CHANGES = ["/account/set-up", "/account/password", "/account/factor", "/account/sessions/end", "/logout"]


@pytest.mark.parametrize("path", CHANGES)
def test_no_change_without_the_forms_token(service: Service, ada: Ada, path: str) -> None:
    """Nor without a session."""
    with service.client() as nobody:
        assert nobody.post(path, data={"csrf": "x"}).status_code == 401
    ada.set_up()
    assert ada.client.post(path).status_code == 403
    assert ada.client.post(path, data={"csrf": "x"}).status_code == 403
    assert ada.is_in()


def test_roles_that_change_hold_at_once_and_a_removed_person_is_out(service: Service, ada: Ada) -> None:
    """The open session has the rights of now; without its person it is over."""
    ada.set_up()
    assert "viewer" in ada.client.get("/account").text
    service.sessions.put_user("ada", ["admin"], ["chess-club"])
    page = ada.client.get("/account").text
    assert "admin" in page
    assert "viewer" not in page
    service.sessions.remove_user("ada")
    assert not ada.is_in()


def test_signing_in_is_counted_and_logged_without_a_name(service: Service, ada: Ada) -> None:
    """How and what came of it; no name, password or code, in no log and no metric."""
    stream = io.StringIO()
    configure_logs("stats", stream=stream)
    ada.set_up()
    code = ada.next_code()
    ada.sign_in(code=code)
    ada.sign_in(OTHER, "000000", "nina.fournier")
    ada.client.get("/login/nina.fournier")
    ada.post("/logout", ada.client.get("/account"))
    metrics = ada.client.get("/metrics").text
    for method, outcome in [
        ("link", "ok"),
        ("password", "changed"),
        ("password", "ok"),
        ("password", "wrong"),
        ("password", "signed_out"),
    ]:
        assert service.metrics.value(SIGN_INS, method=method, outcome=outcome) == 1
    logged = stream.getvalue()
    assert "sign-in" in logged
    for text in (logged, metrics):
        assert not [word for word in ("ada", "nina", PASSWORD, OTHER, ada.secret, code) if word in text]
