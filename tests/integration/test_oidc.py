"""Signing in at a real OpenID provider: what lets somebody in, and everything that must not."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import KeySet, RSAKey

from services.runtime.metrics import SIGN_INS
from services.runtime.settings import Login, Oidc, OidcGroup
from services.runtime.web import id_token
from services.runtime.web import provider as provider_module
from services.runtime.web.sessions import EVERY_TENANT
from tests.parts.oidc import OidcProvider, an_oidc_provider, unsigned
from tests.parts.web import Service, a_service

GROUPS = (
    OidcGroup(group="voile-product", service="statistics", role="viewer", tenants=(EVERY_TENANT,)),
    OidcGroup(group="chess-board", service="statistics", role="admin", tenants=("chess-club",)),
    OidcGroup(group="helpdesk", service="identity", role="support", tenants=(EVERY_TENANT,)),
)


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with an_oidc_provider() as running:
        yield running


@pytest.fixture(autouse=True)
def honest(provider: OidcProvider) -> None:
    """Each test begins with a provider that spoils nothing."""
    provider.spoil = lambda _path, answer: answer
    provider.claims_of_token = lambda claims: claims
    provider.asked.clear()
    provider.person("nora", preferred_username="nora", groups=["voile-product", "everybody"])


def login(provider: OidcProvider, **changes: Any) -> Login:
    given: dict[str, Any] = {"issuer": provider.url, "client_id": "voile", "client_secret": "s3cret&", "groups": GROUPS}
    return Login(oidc=Oidc(**(given | changes)))


@contextlib.contextmanager
def serving(folder: Path, settings: Login) -> Iterator[Service]:
    """The provider's clock is this machine's, so the service's is, too."""
    with a_service(folder, settings) as running:
        running.clock.advance(datetime.now(UTC) - running.clock.now())
        yield running


@pytest.fixture
def service(tmp_path: Path, provider: OidcProvider) -> Iterator[Service]:
    with serving(tmp_path, login(provider)) as running:
        yield running


def begin(client: httpx.Client) -> str:
    answer = client.get("/oidc/start")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def come_back(client: httpx.Client, provider: OidcProvider, sub: str = "nora") -> httpx.Response:
    return client.get(provider.approve(begin(client), sub))


def signed_in(client: httpx.Client) -> str:
    """The name in the page's header; empty when nobody is signed in."""
    found = re.search(r'#user"></use></svg>\s*([^<]+)</summary>', client.get("/").text)
    return found[1].strip() if found else ""


def test_somebody_signs_in_with_the_rights_of_their_groups(service: Service, provider: OidcProvider) -> None:
    """There and back; the session is theirs, and the page leads on by itself, for strict cookies."""
    with service.client() as client:
        assert "Sign in with your organisation" in client.get("/login").text
        page = come_back(client, provider)
        assert page.status_code == 200
        assert '<meta http-equiv="refresh" content="0;url=/">' in page.text
        assert signed_in(client) == "nora"
    user = service.sessions.users()[1]
    assert (user.name, user.roles, user.tenants, user.is_managed) == (
        "nora",
        frozenset({"viewer"}),
        frozenset({EVERY_TENANT}),
        True,
    )
    assert service.metrics.value(SIGN_INS, method="oidc", outcome="ok") == 1


def test_the_way_there_has_all_that_guards_it(service: Service, provider: OidcProvider) -> None:
    """PKCE with S256, state and nonce, new for each try; the secret and the verifier stay here."""
    with service.client() as client:
        first, second = (parse_qs(urlsplit(begin(client)).query) for _ in range(2))
    assert first["response_type"] == ["code"]
    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == [f"{service.url}/oidc/callback"]
    assert "openid" in first["scope"][0].split()
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43
        assert first[name] != second[name]
    assert "s3cret" not in str(first)
    assert "code_verifier" not in first


def test_rights_are_read_again_at_each_sign_in(service: Service, provider: OidcProvider) -> None:
    """Other groups, other rights; without any, the person is removed and a page says what to do."""
    with service.client() as client:
        come_back(client, provider)
        provider.person("nora", preferred_username="nora", groups="chess-board")  # one group may come as a text
        come_back(client, provider)
        user = next(user for user in service.sessions.users() if user.name == "nora")
        assert (user.roles, user.tenants) == (frozenset({"admin"}), frozenset({"chess-club"}))
        for groups in ([], ["helpdesk"], None, {"voile-product": True}, 7):
            provider.person("nora", preferred_username="nora", groups=groups)
            page = come_back(client, provider)
            assert page.status_code == 403
            assert "You have no rights here yet" in page.text
            assert signed_in(client) == ""
    assert [user.name for user in service.sessions.users()] == ["ada"]
    assert service.metrics.value(SIGN_INS, method="oidc", outcome="no_group") == 5


def test_nobody_takes_a_local_persons_name(service: Service, provider: OidcProvider) -> None:
    """Who may choose a name at the provider does not become `ada`, who is kept here."""
    provider.person("eve", preferred_username="ada", groups=["voile-product"])
    with service.client() as client:
        page = come_back(client, provider, "eve")
        assert page.status_code == 403
        assert "Somebody else has your name here" in page.text
        assert signed_in(client) == ""


@pytest.mark.parametrize("name", [None, "", 7, "os:root", "a\nb", "x" * 200])
def test_a_name_must_be_one(service: Service, provider: OidcProvider, name: Any) -> None:
    provider.person("nora", preferred_username=name, groups=["voile-product"])
    with service.client() as client:
        assert come_back(client, provider).status_code in {400, 403}
        assert signed_in(client) == ""


def _changed(**changes: Any) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    return lambda claims: {name: value for name, value in (claims | changes).items() if value is not ...}


NOW = int(time.time())


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        (_changed(nonce="another"), "bad_nonce"),
        (_changed(nonce=...), "bad_nonce"),
        (_changed(aud="another-client"), "bad_aud"),
        (_changed(aud=["another-client"]), "bad_aud"),
        (_changed(aud=...), "bad_aud"),
        (_changed(aud=["voile", "another"], azp="another"), "bad_azp"),
        (_changed(azp="another"), "bad_azp"),
        (_changed(iss="https://evil.example"), "bad_iss"),
        (_changed(iss=...), "bad_iss"),
        (_changed(sub=...), "bad_sub"),
        (_changed(sub=""), "bad_sub"),
        (_changed(exp=NOW - 3600), "expired"),
        (_changed(exp=NOW - 61), "expired"),
        (_changed(exp=...), "bad_exp"),
        (_changed(exp="tomorrow"), "bad_exp"),
        (_changed(iat=NOW + 3600), "bad_iat"),
        (_changed(iat=...), "bad_iat"),
        (_changed(nbf=NOW + 3600), "bad_nbf"),
        (_changed(at_hash="another"), "bad_at_hash"),
    ],
)
def test_a_token_that_says_something_else_lets_nobody_in(
    service: Service, provider: OidcProvider, spoilt: Callable[[dict[str, Any]], Mapping[str, Any]], code: str
) -> None:
    """Properly signed by the provider, and still for another client, another try, another time."""
    provider.claims_of_token = spoilt
    with service.client() as client:
        page = come_back(client, provider)
        assert page.status_code == 400
        assert "This sign-in did not work" in page.text
        assert signed_in(client) == ""
    assert service.metrics.value(SIGN_INS, method="oidc", outcome=code) == 1


def _resigned(provider: OidcProvider, how: Callable[[Mapping[str, Any]], str]) -> None:
    """Tokens with the right claims, signed in another way."""
    seen: dict[str, Any] = {}

    def remember(claims: dict[str, Any]) -> Mapping[str, Any]:
        seen.update(claims)
        return claims

    def spoil(_path: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        return answer | {"id_token": how(seen)} if "id_token" in answer else answer

    provider.claims_of_token, provider.spoil = remember, spoil


def _strangers(provider: OidcProvider, same_kid: bool) -> Callable[[Mapping[str, Any]], str]:
    key = RSAKey.generate_key(2048, {"kid": str(provider.keys[0].kid)} if same_kid else None, private=True)
    key.ensure_kid()
    return lambda claims: provider.signed(claims, key)


def _shared_secret(provider: OidcProvider) -> Callable[[Mapping[str, Any]], str]:
    """The public key taken for a secret: HS256 over what everybody can read."""
    import base64
    import hashlib
    import hmac
    import json

    def sign(claims: Mapping[str, Any]) -> str:
        head = {"alg": "HS256", "kid": provider.keys[0].kid}
        parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in (head, dict(claims))]
        made = hmac.new(provider.keys[0].as_pem(private=False), b".".join(parts), hashlib.sha256).digest()
        return b".".join([*parts, base64.urlsafe_b64encode(made).rstrip(b"=")]).decode()

    return sign


FORGERIES: dict[str, Callable[[OidcProvider], Callable[[Mapping[str, Any]], str]]] = {
    "none": lambda _: unsigned,
    "another key": lambda provider: _strangers(provider, same_kid=False),
    "another key under its name": lambda provider: _strangers(provider, same_kid=True),
    "public key as secret": _shared_secret,
    "no token": lambda _: lambda _claims: "",
    "no JWT": lambda _: lambda _claims: "a.b.c",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(
    service: Service, provider: OidcProvider, how: str
) -> None:
    """Whatever it says."""
    _resigned(provider, FORGERIES[how](provider))
    with service.client() as client:
        assert come_back(client, provider).status_code == 400
        assert signed_in(client) == ""


@pytest.mark.parametrize("how", ["claims", "signature"])
def test_the_check_is_what_refuses(
    service: Service, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """With one check taken out, what the tests above refuse comes in."""
    if how == "claims":
        monkeypatch.setattr(id_token, "_checked", lambda token, _expected, _now: token.claims)
        provider.claims_of_token = _changed(nonce="another", exp=NOW - 3600)
    else:
        stranger = RSAKey.generate_key(2048, {"kid": str(provider.keys[0].kid)}, private=True)
        monkeypatch.setattr(provider_module.Provider, "_key_set", lambda *_: KeySet([stranger]))
        _resigned(provider, lambda claims: provider.signed(claims, stranger))
    with service.client() as client:
        assert come_back(client, provider).status_code == 200
        assert signed_in(client) == "nora"


def test_clocks_may_differ_a_little(service: Service, provider: OidcProvider) -> None:
    """Half a minute either way."""
    for seconds in (-30, 30):
        provider.claims_of_token = lambda claims, by=seconds: claims | {  # type: ignore[misc]
            "iat": claims["iat"] + by, "nbf": claims["iat"] + by, "exp": int(time.time()) + min(by, 0) + 5,
        }  # fmt: skip
        with service.client() as client:
            assert come_back(client, provider).status_code == 200


def test_a_try_belongs_to_the_browser_that_began_it(service: Service, provider: OidcProvider) -> None:
    """Somebody else's answer, pasted into a browser, signs nobody in (login CSRF), nor does one without a try."""
    with service.client() as attacker, service.client() as victim:
        answer = provider.approve(begin(attacker), "nora")
        assert victim.get(answer).status_code == 400
        begin(victim)
        assert victim.get(answer).status_code == 400
        assert signed_in(victim) == ""
        for query in ("", "?code=x", "?state=x", "?code=x&state="):
            assert victim.get(f"/oidc/callback{query}").status_code == 400


def test_an_answer_works_once(service: Service, provider: OidcProvider) -> None:
    """The try is forgotten when it has worked; with its cookie put back, the provider refuses the code."""
    with service.client() as client:
        there = begin(client)
        kept = dict(client.cookies)
        answer = provider.approve(there, "nora")
        assert client.get(answer).status_code == 200
        assert client.get(answer).status_code == 400
    with service.client(cookies=kept) as replayed:
        assert replayed.get(answer).status_code == 400
        assert signed_in(replayed) == ""
    assert service.metrics.value(SIGN_INS, method="oidc", outcome="code_refused") == 1


def test_declining_is_said(service: Service, provider: OidcProvider) -> None:
    """The provider's own words are not shown: anybody can write an address."""
    with service.client() as client:
        page = client.get(provider.decline(begin(client)) + "&error_description=call+0900-eve")
        assert page.status_code == 400
        assert "0900" not in page.text
    assert service.metrics.value(SIGN_INS, method="oidc", outcome="declined") == 1


def test_each_sign_in_has_a_new_session(service: Service, provider: OidcProvider) -> None:
    """A token that was in the browser before is worth nothing after (fixation)."""
    with service.client() as client:
        come_back(client, provider)
        before = client.cookies["voile_test"]
        come_back(client, provider)
        assert client.cookies["voile_test"] != before
    assert service.sessions.current(before) is None


def test_keys_rotate(service: Service, provider: OidcProvider) -> None:
    """A token of a new key makes us ask for the keys again; many such tokens do not make us ask each time."""
    with service.client() as client:
        come_back(client, provider)
        provider.rotate()
        service.clock.advance(timedelta(minutes=1))
        provider.claims_of_token = lambda claims: claims | {"iat": claims["iat"]}
        assert come_back(client, provider).status_code == 200
        assert provider.asked.count("/jwks") == 2
        _resigned(provider, _strangers(provider, same_kid=False))
        for _ in range(5):
            assert come_back(client, provider).status_code == 400
        assert provider.asked.count("/jwks") == 2


@pytest.mark.parametrize(("slash_here", "slash_there"), [(True, False), (False, True), (True, True)])
def test_a_slash_at_the_issuers_end_does_not_matter(
    tmp_path: Path, provider: OidcProvider, slash_here: bool, slash_there: bool
) -> None:
    """In the setting, or in what the provider calls itself; its tokens must say it as it does."""
    there = provider.url + "/" * slash_there

    def spoil(path: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        return answer | {"issuer": there} if path.endswith("openid-configuration") else answer

    provider.spoil, provider.claims_of_token = spoil, _changed(iss=there)
    with serving(tmp_path, login(provider, issuer=provider.url + "/" * slash_here)) as service, service.client() as c:
        assert come_back(c, provider).status_code == 200
        provider.claims_of_token = _changed(iss=provider.url + "/" * (not slash_there))
        assert come_back(c, provider).status_code == 400


def test_another_issuers_configuration_is_not_taken(service: Service, provider: OidcProvider) -> None:
    provider.spoil = lambda _path, answer: answer | {"issuer": "https://evil.example"}
    with service.client() as client:
        assert client.get("/oidc/start").status_code == 503


AWAY: dict[str, Mapping[str, Any]] = {"no endpoints": {"issuer": "{url}"}, "a list": [], "long": {"x": "y" * 300_000}}  # type: ignore[dict-item]


@pytest.mark.parametrize("how", AWAY)
def test_a_provider_that_answers_nonsense_is_away(service: Service, provider: OidcProvider, how: str) -> None:
    """A page that says what to do meanwhile; never an error of ours."""
    said = AWAY[how]
    provider.spoil = lambda _path, _answer: (
        {name: value.format(url=provider.url) for name, value in said.items()} if isinstance(said, dict) else said
    )
    with service.client() as client:
        page = client.get("/oidc/start")
        assert page.status_code == 503
        assert "The provider does not answer" in page.text


def test_a_provider_that_is_away_is_said(tmp_path: Path, provider: OidcProvider) -> None:
    """With what to do meanwhile; the other ways in go on working, and so does signing out."""
    with serving(tmp_path, login(provider, issuer="http://127.0.0.1:1")) as service:
        with service.client() as client:
            page = client.get("/oidc/start")
            assert (page.status_code, page.headers["retry-after"]) == (503, "30")
            assert "a password or a link" in page.text
            assert "You are signed out" in client.get("/oidc/signed-out").text
        with service.signed_in() as client:
            assert signed_in(client) == "ada"


def test_signing_out_ends_the_session_and_offers_the_providers_way_out(
    service: Service, provider: OidcProvider
) -> None:
    """The session here is over at once; the provider's is the person's choice, by a link that leads back."""
    with service.client() as client:
        come_back(client, provider)
        csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/account").text)
        assert csrf
        token = client.cookies["voile_test"]
        answer = client.post("/logout", data={"csrf": csrf[1]})
        assert answer.headers["location"] == "/oidc/signed-out"
        link = re.search(r'href="([^"]+end_session[^"]+)"', client.get("/oidc/signed-out").text)
        assert link
        query = parse_qs(urlsplit(link[1].replace("&amp;", "&")).query)
        assert query["post_logout_redirect_uri"] == [f"{service.url}/login"]
    assert service.sessions.current(token) is None


def test_who_comes_from_a_provider_has_no_password_here(service: Service, provider: OidcProvider) -> None:
    """Else they could come in after they left the organisation: also not by a link that the operator made."""
    with service.client() as client:
        come_back(client, provider)
        assert "kept there" in client.get("/account").text
        for path in ("/account/set-up", "/account/factor"):
            assert client.get(path).status_code == 403
    with service.signed_in("nora") as client:
        assert client.get("/account/set-up").status_code == 403


@pytest.mark.parametrize("where", ["token", "userinfo"])
def test_groups_come_in_the_token_or_from_userinfo(service: Service, provider: OidcProvider, where: str) -> None:
    """Userinfo is asked when the token has no groups; it must be of the same person."""
    if where == "userinfo":
        provider.claims_of_token = _changed(groups=..., preferred_username=...)
    with service.client() as client:
        assert come_back(client, provider).status_code == 200
        assert ("/userinfo" in provider.asked) == (where == "userinfo")
        if where == "userinfo":
            provider.spoil = lambda path, answer: answer | {"sub": "eve"} if path == "/userinfo" else answer
            assert come_back(client, provider).status_code == 400


def test_a_service_without_a_provider_has_no_such_pages(tmp_path: Path) -> None:
    with a_service(tmp_path) as service, service.client() as client:
        assert "Sign in with" not in client.get("/login").text
        for path in ("/oidc/start", "/oidc/callback", "/oidc/signed-out"):
            assert client.get(path).status_code == 404
