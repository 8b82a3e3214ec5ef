"""What holds for every request of every service, on the real server: hosts, headers, forms, errors, limits."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from services.runtime.errors import Fatal
from services.runtime.web import guard, server
from services.runtime.web.server import serving
from tests.parts.web import Service, a_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with a_service(tmp_path) as running:
        yield running


ROUTES = [
    ("GET", "/"), ("GET", "/login"), ("GET", "/login/unknown"), ("POST", "/login/unknown"), ("POST", "/logout"),
    ("POST", "/theme"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/openapi.json"),
    ("GET", "/assets/none/none.css"), ("GET", "/nothing"), ("GET", "/broken"), ("GET", "/away"), ("DELETE", "/"),
    ("GET", "/number/x"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("host", [None, "evil.example"])
def test_every_answer_carries_the_security_headers(service: Service, method: str, path: str, host: str | None) -> None:
    """Also errors and refusals: no inline code, no frames, no sniffing, nothing kept in caches."""
    with service.client() as client:
        answer = client.request(method, path, headers={"host": host} if host else {})
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_head_is_get_without_its_body(service: Service) -> None:
    """What watches a service, or checks a link, often asks by HEAD: the same status and headers, and nothing else."""
    for path in ("/healthz", "/login", "/nothing"):
        with service.client() as client:
            head, got = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8081", 200), ("127.0.0.1:1", 200), ("[::1]:8081", 200),
        ("stats.example.org", 200), ("stats.example.org:443", 200),
        ("evil.example", 421), ("stats.example.org.evil.example", 421), ("localhost.evil.example", 421), ("", 421),
        ("127.0.0.1.evil.example:80", 421), ("stats.example.org@evil.example", 421),
    ],
)  # fmt: skip
def test_only_its_own_names_are_answered(service: Service, host: str, status: int) -> None:
    """A name that somebody points at this address (DNS rebinding) reaches nothing."""
    with service.client() as client:
        assert client.get("/healthz", headers={"host": host}).status_code == status


def test_two_hosts_are_one_too_many(service: Service) -> None:
    """A proxy in front may have looked at the other one (RFC 9112, 3.2)."""
    for second in ("localhost", "evil.example"):
        with socket.create_connection(("127.0.0.1", service.port)) as line:
            line.sendall(f"GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: {second}\r\n\r\n".encode())
            answer = line.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_link_signs_in_by_its_button_alone(service: Service) -> None:
    """Looking at the link's page (a mail scanner does) leaves it usable; the button uses it up."""
    path = f"/login/{service.sessions.login_link('ada')}"
    with service.client(follow_redirects=True) as client:
        assert client.get("/").status_code == 401
        assert "works once" in client.get(path).text
        assert "works once" in client.get(path).text
        assert client.post(path).status_code == 200
        assert "Signed in until" in client.get("/").text
    with service.client(follow_redirects=True) as late:
        used = late.post(path)
        assert used.status_code == 410
        assert "does not work any more" in used.text
        assert late.get("/").status_code == 401


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({}, False),
        ({"host": "localhost:8081"}, False),
        ({"host": "stats.example.org"}, True),
        ({"x-forwarded-proto": "https"}, True),
    ],
)
def test_the_cookie_is_bound_to_its_host(service: Service, headers: dict[str, str], secure: bool) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite everywhere; on this machine over http the name has no prefix."""
    with service.client() as client:
        cookie = client.post(f"/login/{service.sessions.login_link('ada')}", headers=headers).headers["set-cookie"]
    assert cookie.startswith("__Host-voile_test=" if secure else "voile_test=")
    assert ("Secure" in cookie) == secure
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_the_unprefixed_cookie_is_worth_nothing_elsewhere(service: Service) -> None:
    """What another program on this machine could set for `localhost` is not read under a real name."""
    token = service.sessions.sign_in(service.sessions.login_link("ada"))
    with service.client() as client:
        named = {"cookie": f"voile_test={token}"}
        assert client.get("/", headers=named).status_code == 200
        assert client.get("/", headers=named | {"host": "stats.example.org"}).status_code == 401
        prefixed = {"cookie": f"__Host-voile_test={token}", "host": "stats.example.org"}
        assert client.get("/", headers=prefixed).status_code == 200


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found.group(1)


SAME, CROSS = "same-origin", "cross-site"


@pytest.mark.parametrize(
    ("token", "place", "site", "status"),
    [
        ("own", "field", SAME, 200), ("own", "header", SAME, 200), ("own", "field", None, 200),
        ("own", "header", "none", 200),
        ("own", "field", CROSS, 403), ("own", "header", CROSS, 403), ("own", "field", "same-site", 403),
        ("other", "field", SAME, 403), ("other", "header", SAME, 403), ("other", "field", None, 403),
        ("", "field", SAME, 403), ("", "header", SAME, 403), ("", "field", CROSS, 403), ("é", "field", SAME, 403),
    ],
)  # fmt: skip
def test_changes_need_the_sessions_own_token(
    service: Service, token: str, place: str, site: str | None, status: int
) -> None:
    """Token of this session and no foreign site: else nothing is changed."""
    with service.signed_in() as client, service.signed_in() as other:
        value = {"own": csrf_of(client.get("/").text), "other": csrf_of(other.get("/").text)}.get(token, token)
        headers = {"sec-fetch-site": site} if site else {}
        headers |= {"x-csrf-token": value} if place == "header" else {}
        answer = client.post("/change", headers=headers, data={"csrf": value} if place == "field" else {})
    assert answer.status_code == status
    assert service.app.state.changed == (["ada"] if status == 200 else [])


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://{host}", 200), ("http://evil.example", 403), ("null", 403), ("http://{host}.evil.example", 403)],
)
def test_older_browsers_are_told_by_the_origin(service: Service, origin: str, status: int) -> None:
    """Without Fetch Metadata the Origin must be the service's own address."""
    with service.signed_in() as client:
        own = origin.format(host=f"127.0.0.1:{service.port}")
        answer = client.post("/change", headers={"origin": own}, data={"csrf": csrf_of(client.get("/").text)})
    assert answer.status_code == status


def test_changes_need_a_session(service: Service) -> None:
    """A token without a session is worth nothing."""
    with service.signed_in() as client:
        token = csrf_of(client.get("/").text)
    with service.client() as stranger:
        assert stranger.post("/change", data={"csrf": token}).status_code == 401


def test_signing_out_needs_the_form_and_ends_the_session(service: Service) -> None:
    """Another site cannot sign a person out; the person can, and the cookie is worth nothing after."""
    with service.signed_in() as client:
        cookie = client.cookies["voile_test"]
        assert client.post("/logout").status_code == 403
        assert client.post("/logout", data={"csrf": csrf_of(client.get("/").text)}).url.path == "/login"
        client.cookies.set("voile_test", cookie, domain="127.0.0.1")
        assert client.get("/").status_code == 401


def test_an_idle_session_leads_to_the_page_that_says_how_to_sign_in(service: Service) -> None:
    """The page names the command; a program gets a problem document instead."""
    with service.signed_in() as client:
        service.clock.advance(timedelta(minutes=31))
        page = client.get("/")
        assert page.status_code == 401
        assert "voile user login-link" in page.text
        problem = client.get("/", headers={"accept": "application/json"})
        assert problem.status_code == 401
        assert problem.headers["content-type"] == "application/problem+json"


def test_an_unexpected_error_tells_nothing_of_the_request(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Page, problem document and log carry a reference, never the error's own text."""
    with service.client() as client:
        page = client.get("/broken")
        problem = client.get("/broken", headers={"accept": "application/json"})
    assert (page.status_code, problem.status_code) == (500, 500)
    assert page.headers["x-request-id"] in page.text
    assert problem.json()["request_id"] == problem.headers["x-request-id"]
    printed = capsys.readouterr()
    for text in (page.text, problem.text, printed.out, printed.err):
        assert "example.org" not in text


def test_what_only_the_operator_can_mend_is_in_the_log(service: Service) -> None:
    """Whoever looks at the page is told whom to ask, and nothing of the machine."""
    with capture_logs() as logged, service.client() as client:
        answer = client.get("/hopeless", headers={"accept": "text/html"})
    assert answer.status_code == 500
    assert "The service needs its operator" in answer.text
    assert "grants.sql" not in answer.text
    assert any("run /etc/voile/grants.sql" in line.get("reason", "") for line in logged)


def test_a_store_that_is_away_is_said_with_a_time_to_come_back(service: Service) -> None:
    """503 with Retry-After, and a page that says that data is safe."""
    with service.client() as client:
        answer = client.get("/away")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert "What was stored before is safe" in answer.text


def test_a_wrong_field_is_named_and_not_repeated(service: Service) -> None:
    """400 with the field's name; what was sent in it is not echoed."""
    with service.client() as client:
        answer = client.get("/number/secret-text", headers={"accept": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "number"
    assert "secret-text" not in answer.text


def test_a_large_body_is_refused(service: Service) -> None:
    """By its announced length, and by what really comes when no length is announced."""
    with service.client() as client:
        assert client.post("/echo", content=b"x" * 2048).json() == {"bytes": 2048}
        assert client.post("/echo", content=b"x" * 2049).status_code == 413
        assert client.post("/echo", content=iter([b"x" * 1500, b"x" * 1500])).status_code == 413


def raw(service: Service, *parts: bytes, pause_s: float) -> bytes:
    """What comes back when the parts are sent slowly."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        return connection.recv(65536)


def test_a_body_that_dribbles_is_cut(tmp_path: Path) -> None:
    """The limit of this service is one second for a whole body."""
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    with a_service(tmp_path, body_s=1.0) as service:
        assert raw(service, head, b"x", b"x", b"x", pause_s=0.4).startswith(b"HTTP/1.1 408")


def test_a_head_that_dribbles_is_cut(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose request never becomes complete is closed; one that asks in time is not."""
    monkeypatch.setattr(server, "HEADERS_S_MAX", 0.5)
    assert raw(service, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", pause_s=0.0).startswith(b"HTTP/1.1 200")
    assert raw(service, b"GET /healthz HTTP/1.1\r\n", pause_s=0.8) == b""


def test_readiness_names_what_is_missing(service: Service) -> None:
    """Alive always; ready only when nothing is missing."""
    with service.client() as client:
        assert client.get("/readyz").json() == {"ready": True, "missing": []}
        service.missing.append("records")
        assert client.get("/readyz").status_code == 503
        assert client.get("/readyz").json() == {"ready": False, "missing": ["records"]}
        assert client.get("/healthz").status_code == 200


def test_requests_are_counted_by_route_never_by_path(service: Service) -> None:
    """A path can hold anything; the metrics hold templates alone."""
    with service.client() as client:
        client.get("/number/4711")
        client.get("/no-such-page/ada@example.org")
        page = client.get("/metrics").text
    assert 'voile_http_requests_total{method="GET",route="/number/{number}",status="200"} 1.0' in page
    assert 'voile_http_requests_total{method="GET",route="(none)",status="404"} 1.0' in page
    assert "4711" not in page
    assert "example.org" not in page


def test_colours_are_remembered_without_a_script(service: Service) -> None:
    """The form sets a cookie and leads back to the same page of this service, never elsewhere."""
    with service.client() as client:
        answer = _choose(client, "dark", f"{service.url}/login?x=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?x=1")
        assert 'data-theme="dark"' in client.get("/login").text
        for path in ("//evil.example", "/\\evil.example", "//[", ""):
            assert _choose(client, "light", f"{service.url}{path}").headers["location"] == "/"
        for elsewhere in ("https://evil.example/", "https://[", "javascript:alert(1)", "/login", ""):
            assert _choose(client, "light", elsewhere).headers["location"] == "/"
        _choose(client, "system", "")
        assert "data-theme" not in client.get("/login").text


def _choose(client: httpx.Client, theme: str, page: str) -> httpx.Response:
    return client.post("/theme", data={"theme": theme}, headers={"referer": page})


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("path", ["/nina.fournier", "/login/nina.fournier", "/number/nina.fournier"])
def test_no_answer_repeats_the_address_it_was_asked_by(service: Service, path: str, accept: str) -> None:
    """Somebody's name typed into an address is in no page, body or header that comes back."""
    with service.client() as client:
        for method in ("GET", "POST"):
            answer = client.request(method, f"{path}?q=nina.fournier", headers={"accept": accept})
            assert answer.status_code >= 400
            assert "nina" not in answer.text + str(answer.headers)


def test_assets_are_kept_for_good_and_packed(service: Service) -> None:
    """Long cache under a name that changes with the content; gzip for who takes it."""
    with service.client() as client:
        path = re.search(r'href="(/assets/[0-9a-f]{12}/voile\.css)"', client.get("/login").text)
        assert path
        packed = client.get(path.group(1))
        plain = client.get(path.group(1), headers={"accept-encoding": "identity"})
    assert "immutable" in packed.headers["cache-control"]
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text


def test_an_address_in_use_is_said_in_one_sentence(service: Service) -> None:
    """Two services on one port: the second ends with what to do."""
    with pytest.raises(Fatal, match="another `listen`"), serving(service.app, f"127.0.0.1:{service.port}"):
        pass


def test_a_request_under_way_ends_before_the_server(tmp_path: Path) -> None:
    """Stopping waits for the answers being written."""
    with a_service(tmp_path) as running:
        assert httpx.get(f"{running.url}/healthz").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/healthz")


def _no_host_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LOOPBACK", _Everything())


def _no_site_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_from_another_site", lambda _headers: False)


def _no_token_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.runtime.web.signin.secrets.compare_digest", lambda _given, _wanted: True)


class _Everything(frozenset[str]):
    def __or__(self, _others: object) -> _Everything:
        return self

    def __contains__(self, _name: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("switch", "method", "path", "headers"),
    [
        (_no_host_check, "GET", "/healthz", {"host": "evil.example"}),
        (_no_site_check, "POST", "/change", {"sec-fetch-site": "cross-site", "x-csrf-token": "own"}),
        (_no_token_check, "POST", "/change", {"x-csrf-token": "wrong"}),
    ],
)
@pytest.mark.parametrize("off", [False, True])
def test_each_check_is_what_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    off: bool,
    switch: Callable[[pytest.MonkeyPatch], None],
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    """With one check taken out its request goes through: the tests above fail without it, and for no other reason."""
    if off:
        switch(monkeypatch)
    with a_service(tmp_path) as running, running.signed_in() as client:
        own = csrf_of(client.get("/").text)
        sent = {name: value.replace("own", own) for name, value in headers.items()}
        assert (client.request(method, path, headers=sent).status_code == 200) == off
