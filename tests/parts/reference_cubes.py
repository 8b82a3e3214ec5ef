"""The cubes and the disclosure rule once more, slowly and row by row, from the text of stats.md alone."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

Row = dict[str, Any]
Dims = tuple[str, str]
Published = set[tuple[str, date, str, str, str, str, int]]

K, OTHER, CAP = 10, "(other)", 50
LATENCY = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]
SECONDS = [0, 10, 30, 60, 180, 600, 1800]

PEOPLE = ["visitors", "visits", "bounces", "page_views"]
LATENCIES = [f"latency_{b}" for b in [*LATENCY, "more"]]
STAYS = [f"visit_seconds_{b}" for b in [*SECONDS, "more"]]

# cube -> (rows, dimensions, measures)
CUBES: Mapping[str, tuple[str, list[str], list[str]]] = {
    "total": ("people", [], [*PEOPLE, *STAYS]),
    "traffic": ("requests", [], ["requests", "bytes", *LATENCIES]),
    "active_accounts": ("accounts", [], ["active_accounts"]),
    "late": ("requests", [], ["requests"]),
    "hour": ("requests", ["hour"], ["requests"]),
    "bot_class": ("told", ["bot_class"], ["requests"]),
    "bot_reason": ("bots", ["bot_reason"], ["requests"]),
    "route": ("pages", ["route"], PEOPLE),
    "entry": ("pages", ["entry"], PEOPLE[:3]),
    "exit": ("pages", ["exit"], PEOPLE[:2]),
    "referrer_class": ("people", ["referrer_class"], PEOPLE[:1]),
    "referrer_domain": ("people", ["referrer_domain"], PEOPLE),
    **{name: ("campaigns", [name], PEOPLE[:1]) for name in ("utm_source", "utm_medium")},
    "utm_campaign": ("campaigns", ["utm_campaign"], PEOPLE),
    **{name: ("people", [name], PEOPLE) for name in ("country", "browser", "os", "device")},
    "event": ("events", ["event"], ["visitors", "requests"]),
    "method": ("requests", ["method"], ["visitors", "requests"]),
    "status_class": ("requests", ["status_class"], ["visitors", "requests"]),
    "route_requests": ("requests", ["route"], ["requests", *LATENCIES]),
    "route*device": ("pages", ["route", "device"], ["visitors"]),
    "route*country": ("pages", ["route", "country"], ["visitors"]),
    "route*referrer_class": ("pages", ["route", "referrer_class"], ["visitors"]),
    "country*device": ("people", ["country", "device"], ["visitors"]),
    "browser*os": ("people", ["browser", "os"], ["visitors"]),
    "route*status_class": ("requests", ["route", "status_class"], ["requests"]),
}
UNCAPPED = {"active_accounts", "late", "total", "traffic", "hour", "bot_class", "bot_reason"}
KEPT: Mapping[str, Callable[[Row], bool]] = {
    "people": lambda r: bool(r["engaged"]),
    "pages": lambda r: bool(r["engaged"] and r["page_view"]),
    "events": lambda r: bool(r["engaged"] and r["event"]),
    "requests": lambda r: bool(r["bot_class"] == "human"),
    "campaigns": lambda r: bool(r["engaged"] and r["campaign"][0]),
    "accounts": lambda r: bool(r["bot_class"] == "human" and r["account"]),
    "bots": lambda r: bool(r["bot_class"] != "human"),
    "told": lambda _: False,
}


@dataclass
class Person:
    """What one visitor did in one cell."""

    networks: set[int] = field(default_factory=set)
    accounts: set[int] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)


SIGNS = (
    "no user agent", "asked for robots.txt", "looked for weaknesses", "only HEAD requests", "only errors",
    "a page every two seconds", "800 pages in a day", "never followed a link",
)  # fmt: skip
SUSPICIONS = {OTHER: OTHER, **dict.fromkeys(SIGNS, "suspected")}
ROBOTS = {"/robots.txt", "/ads.txt", "/app-ads.txt"}
PROBES = {"/wp-login.php", "/xmlrpc.php", "/.env", "/.git/config"}  # those that the tests use


def published(rows: Iterable[Row], keys: Mapping[tuple[str, date], bytes]) -> Published:
    by_day: dict[tuple[str, date], list[Row]] = defaultdict(list)
    for row in rows:
        by_day[row["tenant"], row["event_day"]].append(dict(row))
    out: Published = set()
    for (tenant, day), found in by_day.items():
        late, own = ([row for row in found if bool(row.get("late")) is wanted] for wanted in (True, False))
        _suspect(own)
        _number_visits(own)
        for cube in CUBES:
            out |= _cube(tenant, day, cube, late if cube == "late" else own, keys[tenant, day])
    return out | _bot_classes(out)


def _bot_classes(told: Published) -> Published:
    """What is told of people's requests and of bots by their reason, added up."""
    sums: Counter[tuple[str, date, str]] = Counter()
    for tenant, day, cube, dim1, _, measure, value in told:
        if measure == "requests" and cube in {"traffic", "bot_reason"}:
            sums[tenant, day, "human" if cube == "traffic" else SUSPICIONS.get(dim1, "declared")] += value
    return {(tenant, day, "bot_class", name, "", "requests", value) for (tenant, day, name), value in sums.items()}


def _suspect(rows: list[Row]) -> None:
    """Bots by what they do, from the words of suspects.toml: their rows change their class."""
    by_visitor: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row["bot_class"] == "human":
            by_visitor[row["visitor"]].append(row)
    readers = [own for own in by_visitor.values() if sum(r["page_view"] for r in own) >= 5]
    followers = [own for own in readers if any(_followed(r) for r in own)]
    usual = len(readers) >= 20 and len(followers) >= 0.8 * len(readers)
    for own in by_visitor.values():
        reason = _reason(own, usual)
        if reason and not any(r["account"] for r in own):
            for row in own:
                row |= {"bot_class": "suspected", "bot_reason": reason}


def _followed(row: Row) -> bool:
    return bool(row["page_view"] and row["referrer_class"] == "internal")


def _reason(own: list[Row], usual: bool) -> str:
    pages = [r for r in own if r["page_view"]]
    minutes = Counter(r["time"].replace(second=0, microsecond=0) for r in pages)
    signs = {
        "asked for robots.txt": any(r["route"] in ROBOTS for r in own),
        "looked for weaknesses": any(r["route"] in PROBES and 400 <= r["status"] < 500 for r in own),
        "only HEAD requests": len(own) >= 2 and all(r["method"] == "HEAD" for r in own),
        "only errors": len(own) >= 10 and all(400 <= r["status"] < 500 and r["status"] not in (401, 429) for r in own),
        "a page every two seconds": max(minutes.values(), default=0) >= 30,
        "800 pages in a day": len(pages) > 800,
        "never followed a link": usual and len(pages) >= 20 and not any(_followed(r) for r in own),
    }
    return next((reason for reason, seen in signs.items() if seen), "")


def _number_visits(rows: list[Row]) -> None:
    by_visitor: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        row["engaged"] = row["bot_class"] == "human" and (row["page_view"] == 1 or row["event"] != "")
        if row["engaged"]:
            by_visitor[row["visitor"]].append(row)
    for own in by_visitor.values():
        own.sort(key=lambda r: r["time"])
        visits: list[list[Row]] = []
        for row in own:
            if not visits or (row["time"] - visits[-1][-1]["time"]).total_seconds() > 1800:
                visits.append([])
            visits[-1].append(row)
        for number, visit in enumerate(visits):
            _describe(number, visit)


def _describe(number: int, visit: list[Row]) -> None:
    pages = sorted((r["time"], r["route"]) for r in visit if r["page_view"])
    first = min((r["time"], r["referrer_class"], _domain(r)) for r in visit)
    stay = (visit[-1]["time"] - visit[0]["time"]).total_seconds()
    for row in visit:
        row |= {"visit": number, "alone": len(visit) == 1, "stay": stay, "from": first[1:]}
        row |= {"campaign": min(((r["time"], _utm(r)) for r in visit if _utm(r)[0]), default=(0, ("", "", "")))[1]}
        row |= {"entry": pages[0][1] if pages else "", "exit": pages[-1][1] if pages else ""}


def _utm(row: Row) -> tuple[str, str, str]:
    source, medium, campaign = (row.get(f"utm_{name}") or "" for name in ("source", "medium", "campaign"))
    return source, medium, campaign


def _domain(row: Row) -> str:
    return row["referrer_domain"] or f"({row['referrer_class']})"


def _value(row: Row, dimension: str) -> str:
    match dimension:
        case "referrer_class":
            found = row["from"][0]
        case "referrer_domain":
            found = row["from"][1]
        case "utm_source" | "utm_medium" | "utm_campaign":
            found = row["campaign"][["utm_source", "utm_medium", "utm_campaign"].index(dimension)]
        case "status_class":
            found = f"{row['status'] // 100}xx"
        case "hour":
            found = f"{row['hour']:02}"
        case _:
            found = row[dimension]
    return found if found not in {"", OTHER} else "(unknown)"


def _cube(tenant: str, day: date, cube: str, rows: list[Row], key: bytes) -> Published:
    kept, dimensions, measures = CUBES[cube]
    cells: dict[Dims, dict[int, Person]] = defaultdict(lambda: defaultdict(Person))
    for row in rows:
        if KEPT[kept](row):
            values = [*(_value(row, d) for d in dimensions), "", ""]
            person = "account" if kept == "accounts" else "visitor"
            _add(cells[values[0], values[1]], {**row, "visitor": row[person]})

    def passes(dims: Dims, people: dict[int, Person]) -> bool:
        spread = len({n for p in people.values() for n in p.networks})
        # of several accounts of one visitor the largest is counted
        accounts = len({max(p.accounts) for p in people.values() if p.accounts})
        h = _draw(key, tenant, day, cube, *dims, "threshold")
        return len(people) >= K + h and (spread >= K or accounts >= K)

    shown = {dims for dims, people in cells.items() if passes(dims, people)}
    others: dict[Dims, dict[int, Person]] = {}
    while dimensions:
        others = _others(cells, shown, len(dimensions))
        lost = {
            min(candidates, key=lambda d: (len(cells[d]), d))
            for dims, people in others.items()
            if not passes(dims, people) and (candidates := [d for d in shown if _in_slice(d, dims)])
        }
        if not lost:
            break
        shown -= lost
    result = {dims: cells[dims] for dims in shown}
    result |= {dims: people for dims, people in others.items() if passes(dims, people)}
    return {
        (tenant, day, cube, *dims, m, _rounded(_measure(m, people, cube), m, _draw(key, tenant, day, cube, *dims, m)))
        for dims, people in result.items()
        for m in measures
    }


def _others(
    cells: Mapping[Dims, dict[int, Person]], shown: set[Dims], dimensions: int
) -> dict[Dims, dict[int, Person]]:
    others: dict[Dims, dict[int, Person]] = defaultdict(lambda: defaultdict(Person))
    for dims, people in cells.items():
        if dims in shown:
            continue
        slices = [(OTHER, "")] if dimensions == 1 else [(dims[0], OTHER), (OTHER, dims[1])]
        for other in slices:
            for person in people.values():
                for row in person.rows:
                    _add(others[other], row)
    return others


def _in_slice(dims: Dims, other: Dims) -> bool:
    return all(o in (OTHER, d) for d, o in zip(dims, other, strict=True))


def _add(people: dict[int, Person], row: Row) -> None:
    person = people[row["visitor"]]
    person.networks.add(row["network"])
    person.accounts |= {row["account"]} - {0}
    person.rows.append(row)


def _measure(measure: str, people: Mapping[int, Person], cube: str) -> int:
    if measure in {"visitors", "active_accounts"}:
        return len(people)
    cap = 10**18 if cube in UNCAPPED else CAP
    return sum(_of_person(measure, person.rows, cap) for person in people.values())


def _of_person(measure: str, rows: list[Row], cap: int) -> int:
    match measure.rsplit("_", 1):
        case ["visits"]:
            return len({r["visit"] for r in rows})
        case ["bounces"]:
            return len({r["visit"] for r in rows if r["alone"]})
        case ["page", "views"]:
            return min(cap, sum(int(r["page_view"]) for r in rows))
        case ["requests"]:
            return min(cap, len(rows))
        case ["bytes"]:
            return sum(int(r["response_bytes"]) for r in rows)
        case ["latency", bucket]:
            return min(
                cap, sum(int(r["duration_ms"] >= 0) and _bucket(r["duration_ms"], LATENCY) == bucket for r in rows)
            )
        case ["visit_seconds", bucket]:
            return len({r["visit"] for r in rows if _bucket(r["stay"], SECONDS) == bucket})
    raise AssertionError(measure)


def _bucket(value: float, bounds: list[int]) -> str:
    return next((str(b) for b in bounds if value <= b), "more")


def _rounded(exact: int, measure: str, u: int) -> int:
    unit = 1_000_000 if measure == "bytes" else 1
    return (exact // unit + u) // 5 * 5 * unit


def _draw(key: bytes, *cell: object) -> int:
    message = b"".join(len(t).to_bytes(4, "big") + t for t in (str(part).encode() for part in cell))
    return int.from_bytes(hashlib.blake2b(message, key=key, person=b"voile.cell", digest_size=8).digest(), "big") % 5
