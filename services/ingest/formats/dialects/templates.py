"""What several servers share: a template of JSON, and quoted pieces of a configuration file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from services.ingest.formats.escapes import Escape
from services.ingest.formats.json_format import JsonFormat, Path, json_format
from services.ingest.formats.pattern import Literal, Token, Var
from services.ingest.formats.roles import Reading
from services.ingest.formats.times import is_whole_time
from services.runtime.errors import Fatal

__all__ = ["chosen", "json_template", "reading_of", "template_format", "tokens_of"]

_OPEN, _CLOSE = "\ue000", "\ue001"  # private: no configuration has them
_STRING = r'"(?:[^"\\]|\\.)*"'


def tokens_of(text: str, variable: re.Pattern[str], token: Callable[[re.Match[str]], Token]) -> list[Token]:
    """What is no variable is literal."""
    found: list[Token] = []
    end = 0
    for match in variable.finditer(text):
        found += [Literal(text[end : match.start()]), token(match)]
        end = match.end()
    return [*found, Literal(text[end:])]


def chosen(tokens: Sequence[Token], order: Sequence[str]) -> list[Token]:
    """Of several variables for one role only the best is read: the first in `order`, which names them as written."""
    best = set(map(id, _best([t for t in tokens if isinstance(t, Var)], order)))
    return [replace(t, role=None) if isinstance(t, Var) and id(t) not in best else t for t in tokens]


def reading_of(vars_: Iterable[Token], escape: Escape) -> Reading:
    """How the time and the duration among `chosen` variables are written. Raises `Fatal` for a time of which no
    line could be read."""
    by_role = {var.role: var for var in vars_ if isinstance(var, Var)}
    time, duration = (by_role.get(role, Var("", None)) for role in ("time", "duration"))
    if time.time not in {"any", "clf"} and not is_whole_time(time.time):
        raise Fatal(
            f"{time.written} cannot be read as a time: write the year, month, day, hour and minute into it, and %z "
            "for the zone; %FT%T%z is the shortest such format."
        )
    return Reading(time=time.time, duration_ms=duration.unit_ms, escape=escape)


def _best(vars_: Sequence[Var], order: Sequence[str]) -> list[Var]:
    """One a role, the first of equals."""
    found: dict[str, Var] = {}
    for var in sorted(vars_, key=lambda v: _rank(v, order)):
        if var.role:
            found.setdefault(var.role, var)
    return list(found.values())


def _rank(var: Var, order: Sequence[str]) -> int:
    return order.index(var.written) if var.written in order else len(order)


def json_template(
    text: str, variable: re.Pattern[str], token: Callable[[re.Match[str]], Token]
) -> Mapping[Path, Var] | None:
    """Where in the object each variable stands, quoted or not; None when `text` is no template of an object."""
    if not text.lstrip().startswith("{"):
        return None
    marked = re.sub(
        f"{_STRING}|{variable.pattern}",
        lambda m: variable.sub(_marked, m[0]) if m[0].startswith('"') else f'"{_marked(m)}"',
        text,
    )
    try:
        value = orjson.loads(marked)
    except orjson.JSONDecodeError:
        return None
    found: dict[Path, Var] = {}
    _walk(value, (), variable, token, found)
    return found


def template_format(
    name: str, description: str, places: Mapping[Path, Var], order: Sequence[str], names: str
) -> JsonFormat:
    """A format of objects from where its variables stand. Raises `Fatal`."""
    best = _best(list(places.values()), order)
    paths = {var.role or "": [next(path for path, place in places.items() if place is var)] for var in best}
    reading = replace(reading_of(best, Escape.NONE), time_required="time" in paths)
    return json_format(name, description, paths, reading, names)


def _marked(match: re.Match[str]) -> str:
    return f"{_OPEN}{match[0]}{_CLOSE}"


def _walk(
    value: object,
    at: Path,
    variable: re.Pattern[str],
    token: Callable[[re.Match[str]], Token],
    found: dict[Path, Var],
) -> None:
    if isinstance(value, dict):
        for name, below in value.items():
            _walk(below, (*at, name), variable, token, found)
    elif isinstance(value, str) and value.startswith(_OPEN) and value.find(_CLOSE) == len(value) - 1:
        match = variable.fullmatch(value[1:-1])
        var = token(match) if match else None
        if isinstance(var, Var):
            found[at] = var
