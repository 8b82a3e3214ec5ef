"""From accesses to event rows once more, slowly and row by row, from the text of stats.md and the schema alone.

What a value looks up as (an agent's family, a path's template, an address's country) is written down here for the few
values that the made-up traffic has; the look-ups themselves have tests of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

__all__ = ["AGENTS", "BLOCKS", "EVENTS", "PATHS", "REFERRERS", "Rules", "events_of"]

Row = dict[str, Any]
Keys = Mapping[tuple[str, date], bytes]

_IPAD = "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
AGENTS: Mapping[str | None, tuple[str, str, str, str, str]] = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36": (
        "Chrome", "Windows", "desktop", "human", "",
    ),
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0": (
        "Firefox", "Linux", "desktop", "human", "",
    ),
    _IPAD: ("Safari", "iOS", "tablet", "human", ""),
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": (
        "Other", "Other", "other", "declared", "search-engine",
    ),
    None: ("Other", "Other", "other", "suspected", "no user agent"),
}  # fmt: skip
PATHS: Mapping[str, tuple[str, bool]] = {  # path -> route, and whether it is a file that a page brings along
    "/": ("/", False),
    "/News": ("/news", False),
    "/agenda/1234": ("/agenda/{number}", False),
    "/members/nina/orders": ("/members/{name}/orders", False),
    "/shop": ("/shop", False),
    "/static/site.css": ("/static/site.css", True),
}
REFERRERS: Mapping[str | None, tuple[str, str]] = {
    None: ("direct", ""),
    "https://www.google.com/": ("search", "google.com"),
    "https://www.chess.example/news": ("internal", ""),
    "https://blog.example.org/a": ("other", "example.org"),
}
EVENTS: Mapping[str | None, str] = {None: "", "booking": "booking", "member 12 paid": "(undeclared)"}
BLOCKS: Mapping[str, str] = {"90.0.{}.{}": "FR", "91.176.{}.{}": "BE", "10.1.{}.{}": "ZZ", "2a01:e00:{:x}::{:x}": "FR"}


class Rules(NamedTuple):
    """`closed`: (tenant, day) that had ended when a batch was counted, by the number of the batch."""

    zone: ZoneInfo
    restricted: frozenset[tuple[str, str]]
    objecting: frozenset[tuple[str, str]]
    closed: Sequence[frozenset[tuple[str, date]]]


def events_of(batches: Sequence[tuple[str, Iterable[Row]]], keys: Keys, rules: Rules) -> list[Row]:
    """`batches` in the order of the log, each with its origin. Returns what the cubes are made of: each access once,
    without restricted accounts, late ones, and everything of visitors that carried an objecting account."""
    seen: set[tuple[str, str, int]] = set()
    found: list[Row] = []
    for number, (origin, rows) in enumerate(batches):
        for row in rows:
            identity = (row["source"], origin, row["position"])
            if identity in seen:
                continue
            seen.add(identity)
            local = row["timestamp"].replace(tzinfo=UTC).astimezone(rules.zone)
            pair = (row["tenant"], local.date())
            if (row["tenant"], row["account"]) not in rules.restricted and pair not in rules.closed[number]:
                found.append(_event(row, local, keys[pair]))
    return _without_objected(found, keys, rules)


def _event(row: Row, local: datetime, key: bytes) -> Row:
    browser, os, device, bot_class, bot_reason = AGENTS[row["user_agent"]]
    route, asset = PATHS[row["path"]]
    kind, domain = REFERRERS[row["referrer"]]
    status, duration = row["status"] or 0, row["duration_ms"]
    served = 200 <= status <= 299 or status == 304
    is_page = row["method"] == "GET" and served and not asset and row["event"] is None
    return {
        "tenant": row["tenant"], "event_day": local.date(), "hour": local.hour,
        "time": row["timestamp"].replace(microsecond=0),
        "visitor": _visitor(key, row), "network": _network(key, row),
        "account": _account(key, row["tenant"], row["account"]) if row["account"] else 0,
        "page_view": int(is_page), "route": row["route"] or route,
        "referrer_class": kind, "referrer_domain": domain, "country": _country(row["client_address"]),
        "browser": browser, "os": os, "device": device, "bot_class": bot_class, "bot_reason": bot_reason,
        "method": row["method"] if row["method"] in {"GET", "POST"} else "Other", "status": status,
        "event": EVENTS[row["event"]], "response_bytes": row["response_bytes"] or 0,
        "duration_ms": -1 if duration is None else duration,
    }  # fmt: skip


def _without_objected(rows: Sequence[Row], keys: Keys, rules: Rules) -> list[Row]:
    carried = set()
    for row in rows:
        key = keys[row["tenant"], row["event_day"]]
        accounts = {_account(key, t, account) for t, account in rules.objecting if t == row["tenant"]}
        if row["account"] in accounts:
            carried.add((row["tenant"], row["event_day"], row["visitor"]))
    return [r for r in rows if (r["tenant"], r["event_day"], r["visitor"]) not in carried]


def _country(address: str) -> str:
    return next(country for block, country in BLOCKS.items() if address.startswith(block.partition("{")[0]))


def _visitor(key: bytes, row: Row) -> int:
    return _digest(key, b"voile.visitor", 8, row["tenant"], _place(row["client_address"], 64), row["user_agent"] or "")


def _network(key: bytes, row: Row) -> int:
    return _digest(key, b"voile.network", 2, row["tenant"], _place(row["client_address"], 48))


def _account(key: bytes, tenant: str, account: str) -> int:
    return _digest(key, b"voile.account", 8, tenant, account)


def _place(address: str, bits: int) -> str:
    parsed = ip_address(address)
    if parsed.version == 6:
        return parsed.packed[: bits // 8].hex()
    return address if bits == 64 else address.rpartition(".")[0]


def _digest(key: bytes, person: bytes, size: int, *parts: str) -> int:
    message = b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in parts)
    return int.from_bytes(hashlib.blake2b(message, key=key, person=person, digest_size=size).digest(), "little")
