"""Spoilt lines and spoilt format strings, through all that a line passes in ingest.

    python -m tests.parts.fuzzing SECONDS [--first SEED] [NAME ...]     # by hand: a row a format, and the failing lines

A format is fuzzed with the lines of all its fixtures. `NAME` is one of `targets()`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import polars as pl

from services.ingest.accounting import RejectReason
from services.ingest.formats import SERVERS, Format, format_named
from services.ingest.formats.columns import RAW
from services.ingest.lines import split_lines
from services.ingest.preparing import prepare
from services.ingest.sources import Source
from services.runtime.errors import Fatal
from tests.fixtures.formats import reading
from tests.parts.edge import POLICY

__all__ = ["Failed", "Fuzzed", "fuzz", "spoilt", "targets"]

LINES = 200  # a round
POINTERS = 2  # a round: explaining a line is for people, and slow
_SMALL, _SMALL_BYTES = 0.5, 4
_DIRECTIVE_ODDS = 0.02  # every layout costs the compiling of a pattern, and most spoilt ones read nothing
SPEED_S_MAX = 5.0  # of CPU, a round of 200 short lines: more is a pattern that backtracks, or a quadratic one
STRINGS = "strings-"
_ODD = (b'"', b"\\", b"\\x", b"\\x22", b"[", b"]", b"{", b"}", b"#", b"#Fields: ", b"\x00", b"\xff\xfe", b"\xf0\x9f\x98\x80",
        b"%25", b"\r", b" ", b"\t", b"-", b"::", b"1e999", b"99999999999999999999", b"\xed\xa0\x80", b"'", b":", b",", b"null",
        b"%", b"$", b"%{", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"<134>", b"+00:00", b"\x1b[31m")  # fmt: skip


class Failed(AssertionError):
    """A round that did not hold, with the smallest text that shows it."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """`examples`: lines, or format strings. `seconds`: of CPU, so that a busy machine shortens nothing."""

    examples: int
    seconds: float
    rejected: Mapping[str, int]


def targets() -> list[str]:
    """The compiled formats first, then the built-in ones, then the strings of each server."""
    names = list(dict.fromkeys(name if name.startswith("custom") else _built_in(name) for name in reading.NAMES))
    return [*sorted(names, key=lambda name: not name.startswith("custom")), *(STRINGS + server for server in SERVERS)]


def fuzz(name: str, seconds: float, first: int = 0) -> Fuzzed:
    """Rounds until so many seconds of CPU are used, each from a seed of its own (`first` and up). Raises `Failed`."""
    one = _strings(name.removeprefix(STRINGS)) if name.startswith(STRINGS) else _lines(name)
    start, seed, examples = time.process_time(), first, 0
    rejected: dict[str, int] = {}
    while not examples or time.process_time() < start + seconds:
        for reason, count in one(Random(f"{name}/{seed}")).items():
            rejected[reason] = rejected.get(reason, 0) + count
            examples += count
        seed += 1
    return Fuzzed(examples, time.process_time() - start, rejected)


def spoilt(line: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """Bytes are put in, taken out, repeated; the line is cut, or joined with itself or another. Half of the lines
    are spoilt in one small place, so that what is behind the pattern is reached too."""
    small = random.random() < _SMALL
    for _ in range(1 if small else random.randint(1, 4)):
        at, end = sorted((random.randint(0, len(line)), random.randint(0, len(line))))
        if small:
            end = min(end, at + _SMALL_BYTES)
        way = random.choice((0, 1, 2, 4, 5) if small else range(7 if others else 6))
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
        elif way == 5:
            line = line[:at] + line[end:]
        else:
            other = random.choice(others)
            line = line[:at] + other[random.randint(0, len(other)) :]
    return line.replace(b"\n", b"")


def _built_in(fixture: str) -> str:
    return fixture.partition("-")[0]


def _lines(name: str) -> Callable[[Random], Mapping[str, int]]:
    fixtures = [f for f in reading.NAMES if f == name or _built_in(f) == name]
    format_ = format_named(reading.format_of(fixtures[0]))
    source = Source("fuzz", "acme", reading.format_of(fixtures[0]), authenticated=True)
    good = [line for f in fixtures for line in reading.lines_of(f).split(b"\n") if line]

    def one(random: Random) -> Mapping[str, int]:
        texts = [_one_of(good, random) for _ in range(LINES)]
        return _checked(texts, format_, source, random)

    return one


def _one_of(good: Sequence[bytes], random: Random) -> bytes:
    line = random.choice(good)
    if line.startswith(b"#") and random.random() > _DIRECTIVE_ODDS:
        return line
    return spoilt(line, random, good)


def _checked(texts: Sequence[bytes], format_: Format, source: Source, random: Random) -> Mapping[str, int]:
    try:
        return _held(texts, format_, source, random)
    except Exception as error:
        raise Failed(f"{error!r} of {_smallest(texts, format_, source)!r}") from error


def _held(texts: Sequence[bytes], format_: Format, source: Source, random: Random) -> Mapping[str, int]:
    """A row a line, with RAW's columns and a reason of the list; the steps after it hold too. reason -> lines."""
    begun = time.process_time()
    lines = format_.records(split_lines(b"\n".join(texts) + b"\n"))
    frame = format_.parse(lines.text)
    assert dict(frame.schema) == dict(RAW), "the columns are others"
    assert frame.height == len(lines), "not a row a line"
    prepared = prepare(lines, format_, source, POLICY, reading.NOW)
    assert prepared.lines == prepared.accepted.height + prepared.rejects.height, "lines do not add up"
    assert set(prepared.rejects["reason"]) <= set(RejectReason), "a reason of its own"
    assert prepared.accepted["client_address"].null_count() == 0, "an access without a client"
    for line in random.choices(lines.text.to_list(), k=POINTERS):
        assert isinstance(format_.pointer(line), str), "no pointer"
    assert time.process_time() - begun < SPEED_S_MAX, "too slow"
    return {"accepted": prepared.accepted.height, **prepared.rejected}


def _smallest(texts: Sequence[bytes], format_: Format, source: Source) -> list[bytes]:
    """The first line that fails alone, or all of them."""
    for text in texts:
        try:
            _held([text], format_, source, Random(0))
        except Exception:
            return [text]
    return list(texts)


def _strings(server: str) -> Callable[[Random], Mapping[str, int]]:
    """Spoilt format strings: each is refused, or is a format that reads any line."""
    strings = [string for name, string in _known_strings() if name == server]
    lines = pl.Series([line.decode(errors="replace") for name in reading.NAMES for line in _some_lines(name)])

    def one(random: Random) -> Mapping[str, int]:
        text = spoilt(random.choice(strings).encode(), random, [s.encode() for s in strings]).decode(errors="replace")
        try:
            format_ = format_named(f"{server}:{text}")
        except Fatal:
            return {"refused": 1}
        except Exception as error:
            raise Failed(f"{error!r} of the string {text!r}") from error
        try:
            frame = format_.parse(lines)
            assert (dict(frame.schema), frame.height) == (dict(RAW), lines.len())
            format_.pointer(lines[0])
        except Exception as error:
            raise Failed(f"{error!r} of lines under {text!r}") from error
        return {"compiled": 1}

    return one


def _known_strings() -> Iterator[tuple[str, str]]:
    from services.ingest.formats import builtin

    yield from reading.CUSTOM.values()
    for string in (builtin._COMBINED, builtin._TRAEFIK):
        yield "apache", string
    yield from (("haproxy", builtin._HAPROXY), ("envoy", builtin._ENVOY), ("w3c", builtin._IIS))
    yield from (("w3c", builtin._CLOUDFRONT), ("python", builtin._GUNICORN), ("python", builtin._UVICORN))


def _some_lines(name: str) -> list[bytes]:
    return reading.lines_of(name).splitlines()[:3]


def main(arguments: Sequence[str]) -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("seconds", type=float)
    asked.add_argument("--first", type=int, default=0, help="the first round's seed: other rounds than before")
    asked.add_argument("names", nargs="*", default=targets())
    given = asked.parse_intermixed_args(arguments)
    failures = 0
    print("| format | examples | seconds | accepted | rejected | failures |\n|---|---|---|---|---|---|", flush=True)
    for name in given.names:
        found, failed = Fuzzed(0, 0.0, {}), 0
        try:
            found = fuzz(name, given.seconds, given.first)
        except Failed as failure:
            failed = 1
            print(f"<!-- {name}: {failure} -->", flush=True)
        good = found.rejected.get("accepted", 0) + found.rejected.get("compiled", 0)
        row = (name, f"{found.examples:,}", f"{found.seconds:.0f}", f"{good:,}", f"{found.examples - good:,}", failed)
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        failures += failed
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
