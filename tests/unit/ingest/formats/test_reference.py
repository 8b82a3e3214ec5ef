"""The columns of every format against the slow reference, on lines that are nearly right."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.formats import FORMATS
from services.ingest.formats.columns import RAW
from services.ingest.formats.envelopes import unwrap
from services.ingest.formats.json_lines import mended
from tests.fixtures.formats import reading
from tests.unit.ingest.reference_formats import _JSON, _LAYOUTS, read, read_w3c

# Words, quotes, brackets and what is between them: a line is spoilt a piece at a time.
_PIECE = re.compile(r'[^ \t"\[\]{}/:]+|.')
_ODD = st.sampled_from(
    ["", " ", "-", '"', "[", "]", "{", "}", "\\", "\\x22", "#22", "%2522", "+", "\r", "\t", "/", ":", "::1", "1", "-1", "0",
     "200", "0.5", "0.1, 0.2", "GET ", "HTTP/1.1", "é", "😀", "\x00", "x" * 30, "<BADREQ>", "a=b", '\\"']
)  # fmt: skip
_EDITS = st.lists(st.tuples(st.integers(0, 200), _ODD, st.booleans()), max_size=3)
_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 7, -1, 200, 0.5, "", "-", "0", "1", "true", "200", "x", "é", [], ["a"], ["a", "b"], [None], {},
     {"a": 1}, [{}], "GET /a HTTP/1.1", "192.0.2.1, 10.0.0.1"]
)  # fmt: skip


def _good_lines(name: str) -> list[str]:
    """Accepted lines of the format's fixtures, without what collectors put before them."""
    found: list[str] = []
    for fixture in reading.NAMES:
        if fixture.partition("-")[0] == name:
            lines = unwrap(pl.Series(reading.lines_of(fixture).decode(errors="replace").split("\n")[:-1])).to_list()
            rows = FORMATS[name].parse(pl.Series(lines))["shape"].to_list()
            found += [line for line, shape in zip(lines, rows, strict=True) if shape is None and len(line) < 900]
    return [line for line in found if not line.startswith("#")]


def _rows(name: str, lines: list[str]) -> list[dict[str, Any]]:
    """A year that Python does not know (chrono takes a sign) is out of validation's bounds anyway."""
    known = pl.when(pl.col("time").dt.year().is_between(1, 9999)).then(pl.col("time"))
    return FORMATS[name].parse(pl.Series(lines)).with_columns(known.alias("time")).to_dicts()


def _columns(name: str, line: str) -> dict[str, Any] | None:
    (row,) = _rows(name, [line])
    if row["shape"] is not None:
        return None
    return {name: row[name] for name in RAW if name not in {"shape", "time_text"} and row[name] is not None}


def _spoilt(line: str, edits: list[tuple[int, str, bool]]) -> str:
    pieces = _PIECE.findall(line)
    for at, odd, instead in edits:
        pieces[at % len(pieces)] = odd if instead else pieces[at % len(pieces)] + odd
    return "".join(pieces)


@pytest.mark.parametrize("name", sorted(_LAYOUTS))
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_text_formats_and_reference_agree(name: str, data: st.DataObject) -> None:
    """Each good line of the fixtures, spoilt in up to three places."""
    good = data.draw(st.sampled_from(_good_lines(name)))
    line = _spoilt(good, data.draw(_EDITS))
    _assert_same(_columns(name, line), read(name, unwrap(pl.Series([line]))[0]), read(name, good))


@pytest.mark.parametrize("name", ["iis_w3c", "cloudfront"])
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_w3c_formats_and_reference_agree(name: str, data: st.DataObject) -> None:
    """Under whatever `#Fields` stands above the row."""
    lines = reading.lines_of(f"{name}-documented").decode().splitlines()
    number = data.draw(st.sampled_from([n for n, line in enumerate(lines) if not line.startswith("#")]))
    fields = next(line for line in reversed(lines[:number]) if line.startswith("#Fields"))
    line = _spoilt(lines[number], data.draw(_EDITS))
    if line.lstrip("\x00").startswith("#"):
        return
    row = _rows(name, [fields, line])[1]
    found = {n: row[n] for n in RAW if n not in {"shape", "time_text"} and row[n] is not None}
    _assert_same(found if row["shape"] is None else None, read_w3c(line, fields), read_w3c(lines[number], fields))


@pytest.mark.parametrize("name", sorted(_JSON))
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_json_formats_and_reference_agree(name: str, data: st.DataObject) -> None:
    """Values of any kind, anywhere in the object; keys that are gone."""
    good = data.draw(st.sampled_from([text for line in _good_lines(name) if _is_json(text := mended(line))]))
    value = json.loads(good)
    for _ in range(data.draw(st.integers(0, 3))):
        node = value
        while True:
            key = data.draw(st.sampled_from(sorted(node)))
            if not isinstance(node[key], dict) or not node[key] or data.draw(st.booleans()):
                break
            node = node[key]
        node[key] = copy.deepcopy(data.draw(_VALUES))
    line = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    _assert_same(_columns(name, line), read(name, line), read(name, good))


def _assert_same(found: dict[str, Any] | None, wanted: dict[str, Any] | None, good: dict[str, Any] | None) -> None:
    """What a spoilt time means is left to Python and to chrono, who are lenient in different places (a blank, a NUL,
    a zone of one digit): times are compared where both read the `good` line's own. Fixtures hold whole ones to it."""
    if found and wanted and good and ("time" not in found or wanted.get("time") != good.get("time")):
        found, wanted = ({n: v for n, v in row.items() if n != "time"} for row in (found, wanted))
    assert found == wanted


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
