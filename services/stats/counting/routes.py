"""The route of a request: a template that names a kind of page, never a person or a thing of a person.

In this order: the application's own route name, the tenant's accepted templates, the path with at most
6 segments, in which whatever could identify becomes a placeholder. Patterns alone let names through
(`/u/nina.fournier`), so what follows a person-like word goes as well; a prefix with many children loses
them when the day closes, and the tenant's own route table is the guarantee.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import Protocol
from urllib.parse import unquote

import polars as pl

from services.stats.distinct import put_per_distinct
from services.stats.tenants.registry import Tenants

__all__ = ["RouteTable", "Routes", "Templater", "placeholder_of"]

SEGMENTS_MAX = 6  # deeper paths are search keys and file trees; six tell pages apart
DECODINGS_MAX = 3  # a link encoded twice by mistake is common, four times is an attack on filters
SEGMENT_CHARS_MAX = 40  # a title's slug is shorter; a token is longer
WORD_CHARS_MAX = 24  # without a separator: Donaudampfschifffahrt still passes, a key does not
TOKEN_CHARS_MIN = 12  # shorter mixes of cases are product names
CHANGES_MIN = 5  # lower, upper, digit in turn: camelCase names of two or three words stay under it
DIGITS_MIN = 3  # two digits make a chapter or a version, three make an order or a room
PATHS_KEPT_MAX = 100_000  # distinct (tenant, path) remembered, about 30 MB
TABLES_KEPT_MAX = 10_000  # (tenant, day) whose accepted templates are at hand
NAME = "{name}"
REST = "…"  # stands for what follows the sixth segment

_PLACEHOLDER = re.compile(r"\{[A-Za-z][A-Za-z0-9_-]{0,19}\}")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_NUMBER = re.compile(r"[+-]?\d[\d.,_-]*")
_DATE = re.compile(r"(19|20)\d\d[-_.]?(0[1-9]|1[0-2])([-_.]?(0[1-9]|[12]\d|3[01]))?|([0-3]?\d[-_.]){2}(19|20)\d\d")
_HEX = re.compile(r"(?=.*\d)(0x)?[0-9a-f]{8,}")
_SAFE = re.compile(r"[\w.~-]+")
_WORD = re.compile(r"[^\W_]+")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{7}")


def _is_token(segment: str) -> bool:
    """Random text among words: one of them is long, changes between kinds of characters, or cannot be spoken."""
    return any(_is_random(word) for word in _WORD.findall(segment))


def _is_random(word: str) -> bool:
    if len(word) > WORD_CHARS_MAX:
        return True
    if len(word) < TOKEN_CHARS_MIN:
        return False
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in word]
    changes = sum(a != b for a, b in pairwise(kinds))
    return changes >= CHANGES_MIN or _CONSONANTS.search(word.lower()) is not None


# The more telling form first: a UUID is also hexadecimal, a date is also a number.
_FORMS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("{email}", lambda s: "@" in s and "." in s),
    ("{name}", lambda s: "@" in s or s.startswith("~")),
    ("{text}", lambda s: not _SAFE.fullmatch(s)),
    ("{id}", lambda s: _UUID.search(s.lower())),
    ("{date}", _DATE.fullmatch),
    ("{number}", _NUMBER.fullmatch),
    ("{id}", lambda s: _HEX.fullmatch(s.lower()) or sum(map(str.isdigit, s)) >= DIGITS_MIN),
    ("{long}", lambda s: len(s) > SEGMENT_CHARS_MAX),
    ("{token}", _is_token),
)


# Only these pass as they are: a visitor may put any word between braces.
_OURS = frozenset({shown for shown, _ in _FORMS} | {"{name}", REST})


class Templater:
    """Paths to templates by the look of their segments and the words in `routes.toml`."""

    def __init__(self) -> None:
        words = tomllib.loads(resources.files(__package__).joinpath("routes.toml").read_text("utf-8"))
        self._prefixes = frozenset(words["person_prefixes"])
        self._functions = frozenset(words["functions"])
        self._endings = frozenset(words["file_extensions"]) | frozenset(words["asset_extensions"])
        self._assets = frozenset(words["asset_extensions"])

    def template(self, path: str) -> str:
        """`/members/{name}/orders/{number}` for `/members/nina/orders/1234`; always starts with `/`."""
        return _joined(path, self._personal, _OURS.__contains__)

    def sanitise(self, route: str) -> str:
        """A route that the application names: its words stand, what looks like an identifier does not."""
        cleaned = _joined(route, lambda _before, _segment: False, _is_placeholder)
        return cleaned if route.startswith("/") else cleaned.removeprefix("/")

    def is_asset(self, path: str) -> bool:
        return _ending(path.lower()) in self._assets

    def _personal(self, before: str, segment: str) -> bool:
        """A name by where it stands (`/members/nina`) or by its form (`nina.fournier`, but not `index.html`)."""
        if before in self._prefixes and segment not in self._functions:
            return True
        return "." in segment.strip(".") and _ending(segment) not in self._endings


def _joined(path: str, is_personal: Callable[[str, str], bool], is_done: Callable[[str], bool]) -> str:
    """The template of `path`; `is_personal` gets the segment before and a segment, both in lower case, and
    `is_done` tells a placeholder."""
    out: list[str] = []
    before = ""
    for segment in segments_of(path)[: SEGMENTS_MAX + 1]:
        lower = segment.lower()
        out.append(lower if is_done(lower) else _shown(segment, is_personal(before, lower)))
        before = lower
    return "/" + "/".join([*out[:SEGMENTS_MAX], *([REST] if len(out) > SEGMENTS_MAX else [])])


def _shown(segment: str, personal: bool) -> str:
    """A placeholder, or the word itself in lower case."""
    return placeholder_of(segment) or (NAME if personal else segment.lower())


def placeholder_of(segment: str) -> str | None:
    """What stands for a segment whose form could identify; None for a word."""
    return next((shown for shown, looks_so in _FORMS if looks_so(segment)), None)


class RouteTable:
    """One tenant's accepted templates, the most literal first."""

    def __init__(self, templates: Iterable[str]) -> None:
        split = [tuple(segments_of(t)) for t in templates]
        self._templates = sorted(split, key=lambda s: sum(map(_is_placeholder, s)))

    def match(self, path: str) -> str | None:
        if not self._templates:
            return None
        found = tuple(segments_of(path))
        for template in self._templates:
            if len(template) == len(found) and all(
                _is_placeholder(t) or t == f for t, f in zip(template, found, strict=True)
            ):
                return "/" + "/".join(template)
        return None


class Accepted(Protocol):
    """What was decided about proposed templates (proposals.py)."""

    version: int

    def follow(self) -> None: ...

    @property
    def tenants(self) -> Collection[str]: ...

    def on(self, tenant: str, day: date) -> Sequence[str]: ...


class Routes:
    """Adds `route`; remembers the last `PATHS_KEPT_MAX` distinct paths."""

    def __init__(self, tenants: Tenants, accepted: Accepted | None = None) -> None:
        self._tenants, self._accepted = tenants, accepted
        self._templater = Templater()
        self._table = lru_cache(TABLES_KEPT_MAX)(self._table_of)
        self._template = lru_cache(PATHS_KEPT_MAX)(self._match_or_template)
        self._sanitise = lru_cache(PATHS_KEPT_MAX)(self._templater.sanitise)
        self._versions = (tenants.version, 0)

    def put_route(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Replaces `route` by a template, and adds `asset` (Boolean), from `route`, `tenant` and `path`; where a tenant
        has accepted templates also from `event_day`. Raises `Transient` when the decisions cannot be read."""
        self._follow()
        named = frame.rename({"route": "route_named"})
        by_day = ["event_day"] if self._accepted and self._accepted.tenants else []
        on = ["tenant", "path", "route_named", *by_day]
        return put_per_distinct(named, on, self._put_templates).drop("route_named")

    def _follow(self) -> None:
        if self._accepted:
            self._accepted.follow()
        versions = (self._tenants.version, self._accepted.version if self._accepted else 0)
        if self._versions != versions:
            self._versions = versions
            self._template.cache_clear()
            self._table.cache_clear()

    def _put_templates(self, distinct: pl.DataFrame) -> pl.DataFrame:
        paths = distinct["path"].fill_null("/").to_list()
        tenants, names = distinct["tenant"].to_list(), distinct["route_named"].to_list()
        days = self._days(distinct)
        routes = [self._route(t, d, n, p) for t, d, n, p in zip(tenants, days, names, paths, strict=True)]
        assets = [self._templater.is_asset(p) for p in paths]
        return distinct.with_columns(
            pl.Series("route", routes, dtype=pl.String), pl.Series("asset", assets, dtype=pl.Boolean)
        )

    def _days(self, distinct: pl.DataFrame) -> Sequence[date | None]:
        """The day of each row, where it matters: None for tenants that have accepted nothing."""
        if self._accepted is None or "event_day" not in distinct.columns:
            return [None] * distinct.height
        matters = pl.col("tenant").is_in(list(self._accepted.tenants))
        return distinct.select(pl.when(matters).then("event_day")).to_series().to_list()

    def _route(self, tenant: str, day: date | None, named: str | None, path: str) -> str:
        return self._sanitise(named) if named else self._template(tenant, day, path)

    def _match_or_template(self, tenant: str, day: date | None, path: str) -> str:
        return self._table(tenant, day).match(path) or self._templater.template(path)

    def _table_of(self, tenant: str, day: date | None) -> RouteTable:
        accepted = self._accepted.on(tenant, day) if self._accepted and day else ()
        return RouteTable([*self._tenants.get(tenant).routes, *accepted])


def segments_of(path: str) -> list[str]:
    """The path's segments, decoded until nothing changes, without query, fragment and matrix parameters."""
    for _ in range(DECODINGS_MAX):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    path = unicodedata.normalize("NFKC", path).partition("?")[0].partition("#")[0]
    return [s for s in (part.partition(";")[0] for part in path.split("/")) if s not in {"", ".", ".."}]


def _is_placeholder(segment: str) -> bool:
    return _PLACEHOLDER.fullmatch(segment) is not None


def _ending(path: str) -> str:
    _, dot, ending = path.rpartition(".")
    return ending if dot else ""
