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
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import resources
from urllib.parse import unquote

import polars as pl

from services.stats.distinct import put_per_distinct
from services.stats.tenants import Tenants

__all__ = ["RouteTable", "Routes", "Templater"]

SEGMENTS_MAX = 6  # deeper paths are search keys and file trees; six tell pages apart
DECODINGS_MAX = 3  # a link encoded twice by mistake is common, four times is an attack on filters
SEGMENT_CHARS_MAX = 40  # a title's slug is shorter; a token is longer
WORD_CHARS_MAX = 24  # without a separator: Donaudampfschifffahrt still passes, a key does not
TOKEN_CHARS_MIN = 12  # shorter mixes of cases are product names
PATHS_KEPT_MAX = 100_000  # distinct (tenant, path) remembered, about 30 MB
REST = "…"  # stands for what follows the sixth segment

_PLACEHOLDER = re.compile(r"\{[a-z_]{1,20}\}")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_NUMBER = re.compile(r"[+-]?\d[\d.,_-]*")
_DATE = re.compile(r"(19|20)\d\d[-_.]?(0[1-9]|1[0-2])([-_.]?(0[1-9]|[12]\d|3[01]))?|([0-3]?\d[-_.]){2}(19|20)\d\d")
_HEX = re.compile(r"(?=.*\d)(0x)?[0-9a-f]{8,}")
_SAFE = re.compile(r"[\w.~-]+")
_WORD = re.compile(r"[^\W_]+")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{7}")


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
        return self._joined(path, after_person=self._person)

    def sanitise(self, route: str) -> str:
        """A route that the application names: its words stand, what looks like an identifier does not."""
        cleaned = self._joined(route, after_person=lambda _: None)
        return cleaned if route.startswith("/") else cleaned.removeprefix("/")

    def is_asset(self, path: str) -> bool:
        return _ending(path.lower()) in self._assets

    def _joined(self, path: str, after_person: Callable[[str], str | None]) -> str:
        out: list[str] = []
        before = ""
        for segment in segments_of(path):
            if len(out) == SEGMENTS_MAX:
                out.append(REST)
                break
            shown = self._placeholder(segment)
            if shown is None and before in self._prefixes:
                shown = after_person(segment)
            before = segment.lower()
            out.append(shown or before)
        return "/" + "/".join(out)

    def _person(self, segment: str) -> str | None:
        return None if segment.lower() in self._functions else "{name}"

    def _placeholder(self, segment: str) -> str | None:
        """None for a word that may be shown. The order matters: the more telling class first."""
        lower = segment.lower()
        if _PLACEHOLDER.fullmatch(lower):
            return lower
        if "@" in segment:
            return "{email}" if "." in segment else "{name}"
        if not _SAFE.fullmatch(segment):
            return "{text}"
        if _UUID.search(lower):
            return "{id}"
        if _DATE.fullmatch(lower):
            return "{date}"
        if _NUMBER.fullmatch(lower):
            return "{number}"
        return self._by_look(segment, lower)

    def _by_look(self, segment: str, lower: str) -> str | None:
        if _HEX.fullmatch(lower) or sum(map(str.isdigit, lower)) >= 3:
            return "{id}"
        if len(segment) > SEGMENT_CHARS_MAX:
            return "{long}"
        if any(_is_token(word) for word in _WORD.findall(segment)):
            return "{token}"
        if segment.startswith("~") or ("." in lower.strip(".") and _ending(lower) not in self._endings):
            return "{name}"
        return None


class RouteTable:
    """One tenant's accepted templates, the most literal first."""

    def __init__(self, templates: Iterable[str]) -> None:
        split = [tuple(segments_of(t)) for t in templates]
        self._templates = sorted(split, key=lambda s: sum(map(_is_placeholder, s)))

    def match(self, path: str) -> str | None:
        found = tuple(segments_of(path))
        for template in self._templates:
            if len(template) == len(found) and all(
                _is_placeholder(t) or t == f for t, f in zip(template, found, strict=True)
            ):
                return "/" + "/".join(template)
        return None


class Routes:
    """Adds `route`; remembers the last `PATHS_KEPT_MAX` distinct paths."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._templater = Templater()
        self._template = lru_cache(PATHS_KEPT_MAX)(self._templater.template)
        self._sanitise = lru_cache(PATHS_KEPT_MAX)(self._templater.sanitise)
        self._tables: dict[str, RouteTable] = {}
        self._tables_version = -1

    def put_route(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Replaces `route` by a template, and adds `asset` (Boolean), from `route`, `tenant` and `path`."""
        named = frame.rename({"route": "route_named"})
        return put_per_distinct(named, ["tenant", "path", "route_named"], self._put_templates).drop("route_named")

    def _put_templates(self, distinct: pl.DataFrame) -> pl.DataFrame:
        paths = distinct["path"].fill_null("/").to_list()
        tenants, names = distinct["tenant"].to_list(), distinct["route_named"].to_list()
        routes = [self._route(t, n, p) for t, n, p in zip(tenants, names, paths, strict=True)]
        assets = [self._templater.is_asset(p) for p in paths]
        return distinct.with_columns(
            pl.Series("route", routes, dtype=pl.String), pl.Series("asset", assets, dtype=pl.Boolean)
        )

    def _route(self, tenant: str, named: str | None, path: str) -> str:
        if named:
            return self._sanitise(named)
        return self._table(tenant).match(path) or self._template(path)

    def _table(self, tenant: str) -> RouteTable:
        if self._tables_version != self._tenants.version:
            self._tables, self._tables_version = {}, self._tenants.version
        if tenant not in self._tables:
            self._tables[tenant] = RouteTable(self._tenants.get(tenant).routes)
        return self._tables[tenant]


def segments_of(path: str) -> list[str]:
    """The path's segments, decoded until nothing changes, without query, fragment and matrix parameters."""
    for _ in range(DECODINGS_MAX):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    path = unicodedata.normalize("NFKC", path).partition("?")[0].partition("#")[0]
    return [s for s in (part.partition(";")[0] for part in path.split("/")) if s not in {"", ".", ".."}]


def _is_token(word: str) -> bool:
    """Random text among words: it is long, changes between kinds of characters, or cannot be spoken."""
    if len(word) > WORD_CHARS_MAX:
        return True
    if len(word) < TOKEN_CHARS_MIN:
        return False
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in word]
    changes = sum(a != b for a, b in zip(kinds, kinds[1:], strict=False))
    return changes >= 5 or _CONSONANTS.search(word.lower()) is not None


def _is_placeholder(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def _ending(path: str) -> str:
    _, dot, ending = path.rpartition(".")
    return ending if dot else ""
