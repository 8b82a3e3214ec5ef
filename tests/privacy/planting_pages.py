"""Canaries in addresses, headers, forms and queries of every web service; and the pages that anybody sees."""

from __future__ import annotations

import json
from datetime import date

from tests.privacy.canaries import CANARIES, TURNS, Canary, by_turns
from tests.privacy.planting import JSON, PAGE, TENANT, Planted, as_header

__all__ = ["error_pages", "pages", "queries", "release"]


def error_pages(planted: Planted) -> None:
    """Addresses, headers, cookies and forms that nobody should send, to every service, by turns as browser and program."""
    for plane in ("ingest", "identity", "statistics"):
        for number, (canary, (method, path)) in enumerate(by_turns(_ADDRESSES)):
            accept = PAGE if number % 4 < 2 else {"Accept": JSON}  # two addresses each
            planted.ask(plane, method, path.format(canary.segment), _form_of(canary), _headers_of(canary) | accept)
        for canary in CANARIES[::80]:  # a tenth of a second of computing each, whoever it is
            planted.ask(plane, "POST", "/login", _form_of(canary), _headers_of(canary) | PAGE)


def queries(planted: Planted) -> None:
    """Canaries wherever a query or a dashboard's address has a value."""
    planted.made.voile("user", "add", "sam", "--service", "statistics", "--role", "viewer", "--tenant", TENANT)
    cookie, csrf = planted.sign_in("statistics", "sam")
    headers = {"Cookie": cookie, **PAGE}
    given = {"Cookie": cookie, "X-CSRF-Token": csrf, "Content-Type": JSON}
    for canary, wrong in by_turns(range(WRONG_QUERIES)):
        body = json.dumps(_wrong_queries(canary.phrase, planted.day)[wrong]).encode()
        assert planted.ask("statistics", "POST", "/api/v1/query", body, given)[0] == 400
        key = {"Authorization": f"Bearer {as_header(canary)}", "Content-Type": JSON}  # refused before a body is read
        assert wrong > TURNS or planted.ask("statistics", "POST", "/api/v1/query", body, key)[0] == 401
    for canary, path in by_turns(_WRONG_VIEWS):
        assert planted.ask("statistics", "GET", path.format(canary.segment), headers=headers)[0] in {400, 404}, path
    # The page of a filter that fits nothing names the filter; a list's search field keeps what was typed.
    for canary, path in by_turns(("/?filter=event:page&value={}", "/list?of=event:page&q={}")):
        planted.ask("statistics", "GET", path.format(canary.segment), headers=headers, keep=False)


def pages(planted: Planted) -> None:
    """What anybody who may sees, some time after the canaries came."""
    for plane in ("ingest", "identity", "statistics"):
        for path in ("/metrics", "/openapi.json", "/readyz", "/healthz", "/privacy", "/login"):
            planted.ask(plane, "GET", path, headers=PAGE)
    cookie, _ = planted.sign_in("statistics", "sam")
    period = f"period=custom&from={planted.day}&to={planted.day}"
    tables = ("event:page", "visit:entry_page", "visit:source", "visit:country", "visit:browser", "event:name")
    for path in (
        "",
        f"?{period}",
        "?period=day",
        *(f"{kind}?{period}&of={of}" for of in tables for kind in ("list", "csv")),
    ):
        status, _, text = planted.ask("statistics", "GET", f"/{path}", headers={"Cookie": cookie, **PAGE})
        assert status in {200, 400}, path
        shown = b"/members/{name}/invoices" in text
        assert shown or not path.startswith(f"csv?{period}&of=event:page"), f"the canaries were not counted: {text!r}"
    cookie, _ = planted.sign_in("identity", "dora")
    for path in ("/", "/grants", "/unusual"):  # the audit log shows an officer the reasons that were given, by design
        planted.ask("identity", "GET", path, headers={"Cookie": cookie, **PAGE})


def release(planted: Planted) -> None:
    out = str(planted.made.folder / "release")
    days = ("--from", planted.day.isoformat(), "--to", planted.day.isoformat())
    built = planted.made.json("release", "build", "--tenant", TENANT, *days, "--out", out)
    planted.made.voile("release", "verify", built["release"])
    planted.made.voile("audit", "verify")


WRONG_QUERIES = 12
_ADDRESSES = (
    ("GET", "/{0}?{0}"),
    ("DELETE", "/{0}"),
    ("POST", "/login/{0}"),
    ("GET", "/login/{0}"),
    ("GET", "/oidc/callback?code={0}&state={0}&error={0}"),
    ("POST", "/theme"),
    ("GET", "/assets/{0}/{0}"),
    ("GET", "/grants/{0}?days={0}"),
)
_WRONG_VIEWS = (
    "/?tenant={0}",
    "/?metric={0}",
    "/?period={0}",
    "/?filter={0}&value={0}",
    "/?compare={0}",
    "/?period=custom&from={0}&to={0}",
    "/list?of={0}",
    "/csv?of={0}",
    "/?pages={0}",
)


def _wrong_queries(text: str, day: date) -> list[dict[str, object]]:
    good = {"site_id": TENANT, "metrics": ["visitors"], "date_range": [day.isoformat(), day.isoformat()]}
    wrong: list[dict[str, object]] = [
        {"filters": [["is", text, ["x"]]]},
        {"filters": [[text, "event:page", [text]]]},
        {"filters": [["is", "event:page", [text, text]]]},
        {"metrics": [text]},
        {"dimensions": [text]},
        {"site_id": text},
        {"date_range": text},
        {"date_range": [text, text]},
        {"order_by": [[text, "asc"]]},
        {"include": {text: text}},
        {"pagination": {"limit": text}},
        {text: text},
    ]
    assert len(wrong) == WRONG_QUERIES
    return [good | one for one in wrong]


def _headers_of(canary: Canary) -> dict[str, str]:
    given = as_header(canary)
    headers = dict.fromkeys(("User-Agent", "Referer", "X-Forwarded-For", "X-Request-Id"), given)
    cookies = f"voile_stats={given}; voile_identity={given}; x={given}"
    return {**headers, "Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}


def _form_of(canary: Canary) -> bytes:
    fields = ("theme", "back", "csrf", "name", "password", "code")
    return "&".join(f"{field}={canary.segment}" for field in fields).encode()
