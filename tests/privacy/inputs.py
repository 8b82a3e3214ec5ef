"""Log lines and events that carry canaries in every field a log has, in each format that is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from tests.privacy.canaries import CANARIES, Canary, in_turn

__all__ = ["FORMATS", "SITE", "Access", "accesses", "bad_lines", "lines"]

SITE = "www.riverside.example"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
APPLICATION = frozenset({"e-mail", "token", "phone", "uuid", "card"})  # never a word: no route or event has such a name


@dataclass(frozen=True, slots=True)
class Access:
    """One request, before it is written in a format."""

    at: datetime
    address: str = "10.20.0.9"
    user: str = "-"
    method: str = "GET"
    target: str = "/"
    referrer: str = "-"
    agent: str = BROWSER
    host: str = SITE
    label: str = ""  # the application's own route and event


def accesses(at: datetime, visitors: int) -> Iterator[Access]:
    """Every canary in its places, by `visitors` people from networks of their own: enough for a cell to be shown.
    Each canary by a browser of its own: who sees a thousand pages in a second is taken for a program, and not shown."""
    for visitor in range(visitors):
        for number, canary in enumerate(CANARIES):
            agent = BROWSER.replace("128.0", f"{100 + number}.0")
            plain = Access(at, address=f"10.20.{visitor}.9", agent=agent)
            yield from (one for place, one in enumerate(_of(canary, plain)) if in_turn(number, place))


def _of(canary: Canary, plain: Access) -> Iterator[Access]:
    yield from (replace(plain, target=target) for target in _targets(canary))
    yield from (replace(plain, referrer=referrer) for referrer in _referrers(canary))
    yield replace(plain, agent=f"Mozilla/5.0 ({canary.phrase}) {canary.phrase}/7.1 Firefox/128.0")
    yield replace(plain, agent=f"{canary.phrase}Bot/2.0 (+mailto:{canary.phrase})")
    yield replace(plain, user=canary.phrase, address=plain.address.replace("10.20", "10.21"))  # some object
    yield replace(plain, method=canary.text.upper())
    if canary.host_label:
        yield replace(plain, host=f"{canary.host_label}.riverside.example")
    if canary.kind == "address":
        yield replace(plain, address=canary.text)
    if canary.kind in APPLICATION:
        yield replace(plain, label=canary.text)


def _targets(canary: Canary) -> Iterator[str]:
    segment = canary.segment
    yield f"/members/{segment}/invoices"
    yield f"/utilisateurs/{quote(segment)}"  # encoded twice
    yield f"/users/{quote(quote(segment))}/edit"  # three times
    yield f"/shop;sid={segment}/list"
    yield f"/search?q={segment}&email={segment}#{segment}"
    yield f"http://{segment}:{segment}@{SITE}/news"
    yield f"/u/{segment}/a/b/c/d/{segment}"
    yield f"/~{segment}/"
    yield f"/coach/{segment}"  # no word says that a person follows
    if canary.kind != "name":
        yield f"/files/report-{segment}.pdf"


def _referrers(canary: Canary) -> Iterator[str]:
    yield f"https://www.google.com/search?q={canary.segment}"
    yield f"https://{canary.segment}:{canary.segment}@example.org/{canary.segment}?{canary.segment}#{canary.segment}"
    yield f"android-app://{canary.segment}/"
    yield canary.phrase
    if canary.host_label:
        yield f"https://{canary.host_label}.example.org/"


def lines(format_: str, of: Iterable[Access]) -> bytes:
    return "".join(f"{FORMATS[format_](one)}\n" for one in of).encode()


def _common(one: Access) -> str:
    time = f"{one.at:%d/%b/%Y:%H:%M:%S} +0000"
    return f'{one.address} - {one.user} [{time}] "{one.method} {one.target} HTTP/1.1" 200 512'


def _combined(one: Access) -> str:
    return f'{_common(one)} "{one.referrer}" "{one.agent}"'


def _vhost_combined(one: Access) -> str:
    return f"{one.host}:443 {_combined(one)}"


def _nginx_json(one: Access) -> str:
    return json.dumps(
        {
            "time_iso8601": one.at.isoformat(),
            "remote_addr": one.address,
            "http_x_forwarded_for": one.address,
            "remote_user": one.user,
            "request": f"{one.method} {one.target} HTTP/1.1",
            "status": "200",
            "body_bytes_sent": "512",
            "http_referer": one.referrer,
            "http_user_agent": one.agent,
            "host": one.host,
            "route": one.label,
            "event": one.label,
            "http_cookie": f"session={one.user}",  # not read, like every name that is not known
        }
    )


def _json(one: Access) -> str:
    known = {"timestamp": one.at.isoformat(), "client_address": one.address, "account": one.user, "method": one.method}
    more = {"url": one.target, "referrer": one.referrer, "user_agent": one.agent, "host": one.host, "status": 200}
    return json.dumps({**known, **more, "route": one.label, "event": one.label, "note": one.user})


FORMATS = {
    "common": _common,
    "combined": _combined,
    "vhost_combined": _vhost_combined,
    "nginx_json": _nginx_json,
    "json": _json,
}


def bad_lines(at: datetime) -> bytes:
    """Rejects of every reason, each with a canary in it."""
    bad = ((number, place, line) for number, canary in enumerate(CANARIES)
           for place, line in enumerate(_bad(canary.phrase, at)))  # fmt: skip
    return "".join(f"{line}\n" for number, place, line in bad if in_turn(number, place)).encode()


def _bad(text: str, at: datetime) -> Sequence[str]:
    good = _combined(Access(at, user=text))
    return [
        text,
        f"{text} is not a log line {text}",
        good[:-20],  # cut by a crash
        good.replace('" 200 ', f'" {text} '),
        good.replace(f"{at:%Y}", "2099"),
        good.replace(f"{at:%b}", text),
        good.replace("10.20.0.9", f"x{text}x"),
        good.replace("GET / HTTP/1.1", text),
        f'{{"remote_addr": "{text}", "time_iso8601": ',
        json.dumps({"remote_addr": text, "time_iso8601": text, "request": {"nested": text}}),
        json.dumps({"client_address": text, "path": f"/{text}"}),
    ]
