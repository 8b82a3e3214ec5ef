"""A process that closes days, to be killed: `python -m tests.parts.closing_process FOLDER put|close|show`."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl

from services.stats.closing.close import close_through
from tests.parts.closing import FIRST, World, new_world, random_day


def main(folder: Path, what: str) -> None:
    world = new_world(folder)
    try:
        {"put": _put, "close": _close, "show": _show}[what](world)
    finally:
        world.close()


def _put(world: World) -> None:
    world.put(pl.concat([random_day("a", FIRST + timedelta(days=d), 3000, d) for d in range(3)]))


def _close(world: World) -> None:
    print("closing", flush=True)
    close_through(world.closer, FIRST + timedelta(days=3))
    print("closed", flush=True)


def _show(world: World) -> None:
    events = world.analytics.frame("SELECT countIf(kind = 'event') AS n FROM events")["n"][0]
    cells = [list(row) for row in world.cells().cast(pl.String).iter_rows()]
    shown = {"events": events, "cells": cells, "states": sorted({d.state for d in world.days.listed()})}
    shown["keys"] = len(world.keyring.days("a"))
    print(json.dumps(shown))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
