"""Nothing that stands in a line or in a format string makes a format fail, move its neighbours, or take long.

60 s for all together, always the same lines first; ten minutes each with VOILE_TEST_FULL.
"""

from __future__ import annotations

import os
from random import Random

import polars as pl
import pytest

from services.ingest.formats import FORMATS, SERVERS, Format
from services.ingest.formats import format_named as compiled
from services.ingest.formats.columns import RAW, complete
from services.ingest.lines import split_lines
from tests.fixtures.formats import reading
from tests.parts import fuzzing
from tests.parts.fuzzing import Failed, fuzz, spoilt, targets

FULL = "VOILE_TEST_FULL" in os.environ
ALL_S = 60.0
BUDGET_S = 600.0 if FULL else ALL_S / len(targets())


@pytest.mark.timeout(BUDGET_S + 120)
@pytest.mark.parametrize("name", targets())
def test_spoilt_lines_are_rows_or_rejects(name: str) -> None:
    """A row a line, with RAW's columns and a reason of the list; a spoilt string is refused or reads any line."""
    assert fuzz(name, BUDGET_S).examples > 0


def test_every_format_and_dialect_is_fuzzed() -> None:
    """Those built in, each server's compiled one, and each server's strings."""
    assert set(FORMATS) <= set(targets())
    assert {reading.CUSTOM[name][0] for name in targets() if name.startswith("custom")} >= SERVERS.keys() - {"w3c"}
    assert {f"strings-{server}" for server in SERVERS} <= set(targets())


class _Fragile(Format):
    """Fails for one line of many, as a defect would."""

    def parse(self, lines: pl.Series) -> pl.DataFrame:
        if lines.str.contains(r"\\x22\\x").any():
            raise ValueError("spoilt")
        return complete(pl.DataFrame({"shape": ["unknown_shape"] * lines.len()}))


def test_a_format_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the one line that does it."""
    monkeypatch.setattr(fuzzing, "format_named", lambda _: _Fragile("fragile", "", []))
    with pytest.raises(Failed, match=r"ValueError\('spoilt'\) of \[b'[^']*'\]|of \[b\"[^\"]*\"\]"):
        fuzz("combined", 30)


# Found by fuzzing.
@pytest.mark.parametrize("string", ['python:[%(time)s] %(addr)s "%({method)s %(path)s"'])
def test_what_fuzzing_found_stays_mended(string: str) -> None:
    """Each is a format now, or refused in words."""
    assert compiled(string).parse(pl.Series(["x"])).height == 1


# A spoilt `#Fields` changes the rows below it, as it should.
@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"iis_w3c", "cloudfront"}))
def test_spoilt_lines_do_not_move_their_neighbours(name: str) -> None:
    """Good lines between spoilt ones give what they give alone."""
    format_ = FORMATS[name]
    random = Random(name)
    fixture = next(n for n in reading.NAMES if n.partition("-")[0] == name)
    found = format_.records(split_lines(reading.lines_of(fixture)))
    alone = format_.parse(found.text)
    bad = [spoilt(line.encode(), random).decode(errors="replace") for line in found.text.to_list()]
    mixed = [text for pair in zip(bad, found.text.to_list(), strict=True) for text in pair]
    among = format_.parse(pl.Series(mixed))
    assert list(among.columns) == list(RAW)
    assert among.gather_every(2, offset=1).equals(alone)
