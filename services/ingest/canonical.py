"""Minimisation at the edge: what an access may carry on, in one spelling; the rest is cut here.

Each function takes and gives a column. A regular expression over the column finds the values that are
not canonical yet; only those, once per distinct value, are looked at in Python.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl, quote, unquote

import polars as pl

from services.ingest.bank import BANK_SUSPECT, CARD, IBAN, cut_bank_data
from services.ingest.distinct import mend

__all__ = [
    "canonical_host", "canonical_path", "canonical_referrer", "cuts", "hosts", "labels", "methods", "paths",
    "protocols", "queries", "referrers", "user_agents",
]  # fmt: skip

PATH_CHARS_MAX = 2048  # longer ones come from scanners; no route is that long
AGENT_CHARS_MAX = 1024  # as the schema says
LABEL_CHARS_MAX = 200  # route, event and account names
DECODE_ROUNDS = 3  # CloudFront writes %2520; more than that is an attack

_PLAIN_PATH = r"A-Za-z0-9_.~/@,:=+!$&'()*|-"
_ODD_PATH = rf"[^{_PLAIN_PATH}]|//|:/.*@|^[^/]|{BANK_SUSPECT}"
_PLAIN_REFERRER = rf"^https?://[a-z0-9.-]+(?::[0-9]+)?(?:/[{_PLAIN_PATH}]*)?$"
_PLAIN_HOST = r"^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$"  # and nothing that might be bank data: a label may be a number
_ODD_REFERRER = rf"//.*//|:/[^/].*@|{BANK_SUSPECT}"
_ODD_TEXT = rf"[\x00-\x1f\x7f]|{BANK_SUSPECT}"

_METHOD = r"^[A-Z][A-Z_-]{0,19}$"  # the longest registered one (UPDATEREDIRECTREF) has 17
_PROTOCOL = r"^[A-Z]{1,8}/[0-9.]{1,4}$"

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)$", re.DOTALL)
_USERINFO = re.compile(r"(:/+)[^/]*@")
_MATRIX = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HOST = re.compile(r"^(?:\[([0-9a-f:.]+)(?:%[^\]]*)?\]|([^:\[\]/]+?))\.?(?::\d*)?$")
_HOST_NAME = re.compile(r"^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$")


def paths(targets: pl.Series) -> pl.Series:
    """Request targets -> canonical paths; "" where nothing was asked for (no target)."""
    cut = _before(targets, "?").fill_null("")
    return mend(cut, lambda v: _odd(v, _ODD_PATH, PATH_CHARS_MAX) & (v != ""), canonical_path)


def queries(targets: pl.Series, allowed: Sequence[str]) -> pl.Series:
    """The allow-listed parameters as `a=1&b=2`, in the order sent; null when there is none."""
    if not allowed:
        return pl.Series(targets.name, [None], dtype=pl.String).new_from_index(0, targets.len())
    text = targets.str.splitn("?", 2).struct.field("field_1")
    return mend(text, lambda v: v.is_not_null(), _query(frozenset(allowed)))


def referrers(values: pl.Series) -> pl.Series:
    """Origin and path; null when there is no URL."""
    cut = _before(_before(values, "?"), "#")
    return mend(cut, _odd_referrer, canonical_referrer)


def hosts(values: pl.Series) -> pl.Series:
    return mend(values, lambda v: ~v.str.contains(_PLAIN_HOST) | v.str.contains(BANK_SUSPECT), canonical_host)


def user_agents(values: pl.Series) -> pl.Series:
    return mend(values, lambda v: _odd(v, _ODD_TEXT, AGENT_CHARS_MAX), lambda text: _clean(text)[:AGENT_CHARS_MAX])


def methods(values: pl.Series) -> pl.Series:
    return _only(values, _METHOD)


def protocols(values: pl.Series) -> pl.Series:
    return _only(values, _PROTOCOL)


def labels(values: pl.Series) -> pl.Series:
    """Names an application or a login gives: printable, bounded, without bank data."""
    return mend(values, lambda v: _odd(v, _ODD_TEXT, LABEL_CHARS_MAX), lambda text: _clean(text)[:LABEL_CHARS_MAX])


def cuts(values: pl.Series) -> tuple[int, int]:
    """How many (card numbers, IBANs) were cut from this column; for the counters."""
    if not values.str.contains("[", literal=True).any():
        return 0, 0
    cards, ibans = (values.str.count_matches(mark, literal=True).sum() for mark in (CARD, IBAN))
    return int(cards or 0), int(ibans or 0)


def canonical_path(target: str) -> str:
    """Decoded until it is stable (at most three times), NFKC, then without authority, userinfo, query, fragment,
    matrix parameters and repeated slashes. "*" stays; what is no path gives ""."""
    text = unicodedata.normalize("NFKC", _decoded(target[: 3 * PATH_CHARS_MAX]))
    if match := _SCHEME.match(text):
        text = match[3] or "/"
    text = _USERINFO.sub(r"\1", re.split(r"[?#]", text, maxsplit=1)[0])
    if not text.startswith("/"):
        return "*" if text == "*" else ""
    return _clean(_SLASHES.sub("/", _MATRIX.sub("", text)))[:PATH_CHARS_MAX]


def canonical_referrer(text: str) -> str | None:
    match = _SCHEME.match(text.strip())
    if match is None:
        return None
    authority = cut_bank_data(match[2].rpartition("@")[2].lower())
    if not authority or _CONTROL.search(authority):
        return None
    return f"{match[1].lower()}://{authority}{canonical_path(match[3]) if match[3] else ''}"


def canonical_host(text: str) -> str | None:
    """Lower case, no port, no final dot, bank data cut; null for what is no host (nginx's "_")."""
    match = _HOST.match(text.strip().lower())
    if match is None:
        return None
    name: str = match[1] or match[2]
    return cut_bank_data(name) if match[1] or _HOST_NAME.match(name) else None


def _only(values: pl.Series, pattern: str) -> pl.Series:
    """Null where a client made something up."""
    known = values.str.contains(pattern)
    return values if known.all() else values.set(~known, None)


def _odd_referrer(values: pl.Series) -> pl.Series:
    return ~values.str.contains(_PLAIN_REFERRER) | _odd(values, _ODD_REFERRER, PATH_CHARS_MAX)


def _odd(values: pl.Series, pattern: str, chars_max: int) -> pl.Series:
    """Bytes are counted, not characters: a little too many values are looked at, none too few."""
    return values.str.contains(pattern) | (values.str.len_bytes() > chars_max)


def _before(values: pl.Series, mark: str) -> pl.Series:
    return values.str.splitn(mark, 2).struct.field("field_0")


def _decoded(text: str) -> str:
    for _ in range(DECODE_ROUNDS):
        decoded = unquote(text, errors="replace")
        if decoded == text:
            break
        text = decoded
    return text


def _clean(text: str) -> str:
    return cut_bank_data(_CONTROL.sub("\ufffd", text))


def _query(allowed: frozenset[str]) -> Callable[[str], str | None]:
    def keep(text: str) -> str | None:
        pairs = parse_qsl(text.partition("#")[0], keep_blank_values=True)
        kept = [
            f"{quote(n, safe='')}={quote(_clean(v)[:LABEL_CHARS_MAX], safe='[]')}" for n, v in pairs if n in allowed
        ]
        return "&".join(kept) or None

    return keep
