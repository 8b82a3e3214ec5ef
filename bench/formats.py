"""Lines a second of every format, on one thread: python -m bench.formats [NAME...]

Lines are the fixtures' accepted ones, repeated. CPU is this process's own: only ratios within one run hold.
"""

from __future__ import annotations

import sys
import time

import polars as pl

from services.ingest.formats import FORMATS, Format
from services.ingest.lines import Lines, split_lines
from tests.fixtures.formats import reading

LINES = 100_000
ROUNDS = 3


def main() -> None:
    wanted = sys.argv[1:] or list(FORMATS)
    print(f"{'format':16} {'lines/s':>12} {'us CPU/line':>12}")
    for name in wanted:
        speed, cpu_us = measure(FORMATS[name], lines_of(FORMATS[name]))
        print(f"{name:16} {speed:12,.0f} {cpu_us:12.2f}")


def lines_of(format_: Format) -> Lines:
    """Good lines alone; of files that name their fields, with the lines that do."""
    fixture = next(name for name in reading.NAMES if name.partition("-")[0] == format_.name)
    lines = format_.records(split_lines(reading.lines_of(fixture)))
    kept = lines.where(format_.parse(lines.text)["shape"].is_null())
    times = -(-LINES // len(kept))
    text = pl.concat([kept.text] * times, rechunk=True).head(LINES)
    return Lines(text, pl.arange(0, LINES, eager=True), text.str.len_bytes().cast(pl.Int64))


def measure(format_: Format, lines: Lines) -> tuple[float, float]:
    """(lines a second, CPU us a line), the best of `ROUNDS`."""
    best_s, best_cpu_s = float("inf"), float("inf")
    for _ in range(ROUNDS):
        start, cpu = time.perf_counter(), time.process_time()
        format_.parse(lines.text)
        best_s = min(best_s, time.perf_counter() - start)
        best_cpu_s = min(best_cpu_s, time.process_time() - cpu)
    return len(lines) / best_s, best_cpu_s / len(lines) * 1e6


if __name__ == "__main__":
    main()
