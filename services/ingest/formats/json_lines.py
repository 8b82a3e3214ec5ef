"""Lines of JSON -> columns of text, by polars' parser; a line it refuses costs a few tries, not the batch."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import polars as pl

from services.ingest.accounting import RejectReason

__all__ = ["first_given", "flag", "json_columns", "millis", "why_no_object"]

_AROUND = "\x00 \t\r"  # a crash leaves NULs at the head of a line
_PARTS = 16  # what is refused is tried again in so many parts, and each refused part likewise


def json_columns(lines: pl.Series, names: Sequence[str]) -> tuple[pl.DataFrame, pl.Series]:
    """(one String column a name, a mask of the lines that are objects of scalars).

    Numbers and true/false come as their text, so quoted and unquoted are one. Unknown keys are not read.
    """
    stripped = lines.str.strip_chars(_AROUND)
    objects = stripped.str.starts_with("{") & stripped.str.ends_with("}")
    kept = _blanked(stripped, objects)
    dtype = pl.Struct(dict.fromkeys(names, pl.String))
    decoded = _decoded(kept, dtype)
    if decoded is None:  # some line is bad: only now is each looked at, which costs as much again
        objects &= pl.Series([_is_flat(line, names) for line in kept.to_list()], dtype=pl.Boolean)
        decoded = _in_parts(_blanked(kept, objects), dtype)
    return decoded.struct.unnest(), objects & decoded.is_not_null()


def _blanked(lines: pl.Series, good: pl.Series) -> pl.Series:
    return lines if good.all() else lines.set(~good, "{}")


def _decoded(lines: pl.Series, dtype: pl.Struct) -> pl.Series | None:
    """One struct a line; None when the parser refuses one of them."""
    try:
        return lines.str.json_decode(dtype)
    except pl.exceptions.ComputeError:
        return None


def _in_parts(lines: pl.Series, dtype: pl.Struct) -> pl.Series:
    """For what one JSON parser takes and the other refuses (a number beyond all bounds): null on such lines."""
    decoded = _decoded(lines, dtype)
    if decoded is not None:
        return decoded
    if lines.len() == 1:
        return pl.Series(lines.name, [None], dtype=dtype)
    size = -(-lines.len() // _PARTS)
    return pl.concat([_in_parts(lines.slice(start, size), dtype) for start in range(0, lines.len(), size)])


def _is_flat(line: str, names: Sequence[str]) -> bool:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and not any(isinstance(value.get(name), dict | list) for name in names)


def first_given(names: Sequence[str]) -> pl.Expr:
    """The first of `names` that holds something; servers write "" or "-" for nothing."""
    return pl.coalesce(pl.when(pl.col(name).is_in(["", "-"])).then(None).otherwise(pl.col(name)) for name in names)


def flag(names: Sequence[str]) -> pl.Expr:
    """True for "1" or "true"; False when the key is there and says otherwise; null without the key."""
    text = pl.coalesce(pl.col(name) for name in names)
    return pl.when(text.is_not_null()).then(text.is_in(["1", "true"]))


def millis(name: str, factor: float) -> pl.Expr:
    """A duration in ms; null when it is no number or negative."""
    value = pl.col(name).cast(pl.Float64, strict=False) * factor
    return pl.when(value.is_between(0, 1e15)).then(value.round().cast(pl.Int64, strict=False))


def why_no_object(line: str) -> RejectReason:
    """For the rejects alone, one by one."""
    try:
        value = orjson.loads(line.strip(_AROUND))
    except orjson.JSONDecodeError:
        return RejectReason.BAD_JSON
    return RejectReason.BAD_FIELD if isinstance(value, dict) else RejectReason.BAD_JSON
