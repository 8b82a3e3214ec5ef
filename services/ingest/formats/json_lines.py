"""Lines of JSON -> columns of text, by polars' parser; a line it refuses costs a few tries, not the batch."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson
import polars as pl

from services.ingest.accounting import RejectReason

__all__ = [
    "first_given", "flag", "json_columns", "json_objects", "mended", "millis", "pointer_of",
    "why_no_object",
]  # fmt: skip

_AROUND = "\x00 \t\r"  # a crash leaves NULs at the head of a line
_NOTHING = re.compile(r'([A-Za-z0-9_-]":\s*)-?(?=\s*[,}])')
_SEVERAL = re.compile(r'([A-Za-z0-9_-]":\s*)((?:-|[0-9.]+)(?:(?:,| :) (?:-|[0-9.]+))+)(?=\s*[,}])')
_NOTHING_RUST, _SEVERAL_RUST = (  # the Rust engine has no look-ahead: what follows is put back
    pattern.pattern.replace("(?=", "(") for pattern in (_NOTHING, _SEVERAL)
)
_BYTES = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")
_PARTS = 16  # what is refused is tried again in so many parts, and each refused part likewise


def json_columns(lines: pl.Series, names: Sequence[str]) -> tuple[pl.DataFrame, pl.Series]:
    """(one String column a name, a mask of the lines that are objects of scalars).

    Numbers and true/false come as their text, so quoted and unquoted are one. Unknown keys are not read.
    """
    decoded, readable = json_objects(lines, pl.Struct(dict.fromkeys(names, pl.String)))
    return decoded.struct.unnest(), readable


def json_objects(lines: pl.Series, dtype: pl.Struct) -> tuple[pl.Series, pl.Series]:
    """(a struct a line, a mask of the lines that are objects of this kind); leaves are String or lists of it."""
    stripped = lines.str.strip_chars(_AROUND)
    objects = stripped.str.starts_with("{") & stripped.str.ends_with("}")
    kept = _blanked(stripped, objects)
    decoded = _decoded(kept, dtype)
    if decoded is None:
        decoded = _decoded(_mended_lines(kept), dtype)
    if decoded is None:  # some line is bad: only now is each looked at, which costs as much again
        texts = [_usable(line, dtype) for line in kept.to_list()]
        kept = pl.Series(lines.name, texts, dtype=pl.String)
        objects &= kept.is_not_null()
        decoded = _in_parts(kept.fill_null("{}"), dtype)
    return decoded, objects & decoded.is_not_null()


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


def _usable(line: str, dtype: pl.Struct) -> str | None:
    """The line, or as it was meant, or None."""
    for text in (line, mended(line)):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        return text if _fits(value, dtype) and value is not None else None
    return None


def mended(line: str) -> str:
    r"""nginx writes what its variables hold: `"a":,` and `"a":-` for nothing, `"a":0.1, 0.2,` for two upstreams,
    and without escape=json `\x22`. For lines that are no JSON, and only those."""
    line = _NOTHING.sub(r"\1null", line)
    line = _SEVERAL.sub(r'\1"\2"', line)
    return _BYTES.sub(_as_json, line)


def _mended_lines(lines: pl.Series) -> pl.Series:
    """As `mended`, at once, without the escapes; what is JSON stays as it is, because only the quote that ends a
    text stands behind a letter, and after a key's colon there is a value."""
    return lines.str.replace_all(_NOTHING_RUST, "${1}null${2}").str.replace_all(_SEVERAL_RUST, '${1}"${2}"${3}')


def _as_json(match: re.Match[str]) -> str:
    text = bytes.fromhex(match[0].replace("\\x", "")).decode(errors="replace")
    return orjson.dumps(text).decode()[1:-1]


def _fits(value: object, dtype: object) -> bool:
    if isinstance(dtype, pl.Struct):
        if value is None:
            return True
        return isinstance(value, dict) and all(_fits(value.get(f.name), f.dtype) for f in dtype.fields)
    if isinstance(dtype, pl.List):
        return not isinstance(value, dict) and not (
            isinstance(value, list) and any(isinstance(item, dict | list) for item in value)
        )
    return not isinstance(value, dict | list)


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


def why_no_object(rejects: pl.Series) -> pl.Series:
    """The reason of each."""
    return pl.Series("shape", [_why(line).value for line in rejects.to_list()], dtype=pl.String)


def _why(line: str) -> RejectReason:
    try:
        value = orjson.loads(line.strip(_AROUND))
    except orjson.JSONDecodeError:
        return RejectReason.BAD_JSON
    return RejectReason.BAD_FIELD if isinstance(value, dict) else RejectReason.BAD_JSON


def pointer_of(line: str, dtype: pl.Struct) -> str:
    """Of a line that is no object of this kind: the place that is to blame."""
    text = line.strip(_AROUND)
    for attempt in (text, mended(text)):
        try:
            return _misfit(orjson.loads(attempt), dtype, ())
        except orjson.JSONDecodeError as error:
            place = f"JSON, character {error.pos + 1}"
    return place


def _misfit(value: object, dtype: object, at: tuple[str, ...]) -> str:
    """The first place where the object is not of this kind."""
    if isinstance(dtype, pl.Struct):
        if not isinstance(value, dict):
            return ".".join(at) or "the object"
        places = (_misfit(value[f.name], f.dtype, (*at, f.name)) for f in dtype.fields if value.get(f.name) is not None)
        return next((place for place in places if place), "")
    nested = isinstance(value, dict) or (isinstance(value, list) and not isinstance(dtype, pl.List))
    return ".".join(at) if nested else ""
