"""A format of JSON lines: where in the object each role stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from services.ingest.formats.columns import Column, Format, explain
from services.ingest.formats.envelopes import unwrap
from services.ingest.formats.json_lines import json_objects, pointer_of, why_no_object
from services.ingest.formats.pattern import check_roles
from services.ingest.formats.roles import COLUMN_OF, Reading, raw_columns

__all__ = ["FIRST", "JsonFormat", "Path", "json_format"]

Path = tuple[str, ...]
FIRST = "[0]"  # as a path's last step: the first of a list (Caddy writes a header as one)


@dataclass(frozen=True, slots=True)
class JsonFormat(Format):
    """`paths`: role -> where it may stand, best first."""

    paths: Mapping[str, Sequence[Path]]
    dtype: pl.Struct
    reading: Reading
    is_json: ClassVar[bool] = True

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        lines = unwrap(lines)
        decoded, readable = json_objects(lines, self.dtype)
        frame = decoded.alias("o").to_frame()
        fields = frame.select(_first_given(paths).alias(role) for role, paths in self.paths.items())
        return raw_columns(fields, explain(lines, readable, why_no_object), self.reading)

    def pointer(self, line: str) -> str:
        return pointer_of(unwrap(pl.Series([line], dtype=pl.String))[0], self.dtype)


def json_format(
    name: str, description: str, paths: Mapping[str, Sequence[Path]], reading: Reading, names: str = ""
) -> JsonFormat:
    """Raises `Fatal` for a format that no line could be an access by; `names` says what is missing in its words."""
    roles = dict(paths)
    if "address" not in roles and "forwarded" in roles:
        roles["address"] = roles.pop("forwarded")
    check_roles(list(roles), names)
    columns = [Column(".".join(path), COLUMN_OF[role]) for role, places in roles.items() for path in places]
    return JsonFormat(name, description, columns, roles, _dtype(roles), reading)


def _dtype(roles: Mapping[str, Sequence[Path]]) -> pl.Struct:
    """A tree of all paths. Where one path goes through what another ends at, the longer is kept."""
    tree: dict[str, Any] = {}
    for path in sorted((p for places in roles.values() for p in places), key=len):
        node = tree
        for step in path[:-1]:
            if not isinstance(node.get(step), dict):
                node[step] = {}
            node = node[step]
        node[path[-1]] = None
    return _struct(tree)


def _struct(tree: Mapping[str, Any]) -> pl.Struct:
    return pl.Struct({name: _leaf(below) for name, below in tree.items()})


def _leaf(below: Mapping[str, Any] | None) -> pl.DataType:
    if below is None:
        return pl.String()
    return pl.List(pl.String) if FIRST in below else _struct(below)


def _first_given(paths: Sequence[Path]) -> pl.Expr:
    """A dash and an empty text stay only when nothing better is there: "not sent" is not "not logged"."""
    found = [_at(path) for path in paths]
    return pl.coalesce(*(pl.when(~value.is_in(["", "-"])).then(value) for value in found), *found)


def _at(path: Path) -> pl.Expr:
    value = pl.col("o")
    for step in path:
        value = value.list.first() if step == FIRST else value.struct.field(step)
    return value
