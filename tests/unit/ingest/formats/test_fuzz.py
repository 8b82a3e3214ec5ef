"""Nothing that stands in a line makes a format fail, move its neighbours, or take long.

60 s for all formats together; ten minutes each with VOILE_TEST_FULL.
"""

from __future__ import annotations

import os
import time
from random import Random

import polars as pl
import pytest

from services.ingest.accounting import RejectReason
from services.ingest.formats import FORMATS, format_named
from services.ingest.formats.columns import RAW
from services.ingest.lines import split_lines
from services.ingest.preparing import prepare
from services.ingest.sources import Source
from tests.fixtures.formats import reading
from tests.parts.edge import POLICY

FULL = "VOILE_TEST_FULL" in os.environ
BUDGET_S = 600.0 if FULL else 60.0 / len(reading.NAMES)
LINES = 200  # a round
_ODD = (b'"', b"\\", b"\\x", b"\\x22", b"[", b"]", b"{", b"}", b"#", b"#Fields: ", b"\x00", b"\xff\xfe", b"\xf0\x9f\x98\x80",
        b"%25", b"\r", b" ", b"\t", b"-", b"::", b"1e999", b"99999999999999999999", b"\xed\xa0\x80", b"'", b":", b",", b"null")  # fmt: skip


def _spoilt(line: bytes, random: Random) -> bytes:
    """Bytes are put in, taken out, repeated; the line is cut, or joined with itself."""
    for _ in range(random.randint(1, 4)):
        at, end = sorted((random.randint(0, len(line)), random.randint(0, len(line))))
        way = random.randrange(6)
        if way == 0:
            line = line[:at] + random.choice(_ODD) + line[at:]
        elif way == 1:
            line = line[:at] + random.choice(_ODD) + line[end:]
        elif way == 2:
            line = line[:at] + random.randbytes(random.randint(1, 4)) + line[at:]
        elif way == 3:
            line = line[:at]
        elif way == 4:
            line = line[:at] + line[at:end] * 2 + line[end:]
        else:
            line = line[:at] + line[end:]
    return line.replace(b"\n", b"")


@pytest.mark.timeout(BUDGET_S + 120)
@pytest.mark.parametrize("name", reading.NAMES)
def test_spoilt_lines_are_rows_or_rejects(name: str) -> None:
    """A row a line, with RAW's columns and a reason of the list; the steps after it hold too."""
    format_ = format_named(reading.format_of(name))
    source = Source("fuzz", "acme", reading.format_of(name), authenticated=True)
    good = [line for line in reading.lines_of(name).split(b"\n") if line]
    deadline, seed = time.monotonic() + BUDGET_S, 0
    while time.monotonic() < deadline:
        random = Random(f"{name}/{seed}")
        seed += 1
        text = b"\n".join(_spoilt(random.choice(good), random) for _ in range(LINES)) + b"\n"
        lines = format_.records(split_lines(text))
        frame = format_.parse(lines.text)
        assert dict(frame.schema) == dict(RAW), f"seed {seed}"
        assert frame.height == len(lines), f"seed {seed}"
        prepared = prepare(lines, format_, source, POLICY, reading.NOW)
        assert prepared.lines == prepared.accepted.height + prepared.rejects.height, f"seed {seed}"
        assert set(prepared.rejects["reason"]) <= set(RejectReason), f"seed {seed}"
    assert seed > 0


# A spoilt `#Fields` changes the rows below it, as it should.
@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"iis_w3c", "cloudfront"}))
def test_spoilt_lines_do_not_move_their_neighbours(name: str) -> None:
    """Good lines between spoilt ones give what they give alone."""
    format_ = FORMATS[name]
    random = Random(name)
    fixture = next(n for n in reading.NAMES if n.partition("-")[0] == name)
    found = format_.records(split_lines(reading.lines_of(fixture)))
    alone = format_.parse(found.text)
    spoilt = [_spoilt(line.encode(), random).decode(errors="replace") for line in found.text.to_list()]
    mixed = [text for pair in zip(spoilt, found.text.to_list(), strict=True) for text in pair]
    among = format_.parse(pl.Series(mixed))
    assert among.gather_every(2, offset=1).equals(alone)
