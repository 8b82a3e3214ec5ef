"""How many requests were people's and how many were bots', from published cells alone.

Counted on its own, such a cube gives few people away: the row of people that is too small merges with bots, which
pass the rule by their number, and the bots are told by reason as well. What is left after subtracting is the people.
"""

from __future__ import annotations

import polars as pl

from services.stats.closing.suspects import REASONS
from services.stats.counting.agents import NO_AGENT
from services.stats.figures.cubes import OTHER
from services.stats.figures.disclosure import PublishedCells, retold

__all__ = ["bot_classes"]

_SUSPECTED = (NO_AGENT, *REASONS)


def bot_classes(cells: PublishedCells) -> PublishedCells:
    """The cube `bot_class` of the days in `cells`: human, declared, suspected; `(other)` is bots of merged reasons."""
    cube, reason = pl.col("cube"), pl.col("dim1")
    of_bots = pl.when(reason.is_in(_SUSPECTED)).then(pl.lit("suspected")).otherwise(pl.lit("declared"))
    of_bots = pl.when(reason == OTHER).then(reason).otherwise(of_bots)
    names = pl.when(cube == "traffic").then(pl.lit("human")).when(cube == "bot_reason").then(of_bots)
    return retold(cells, "bot_class", pl.when(pl.col("measure") == "requests").then(names))
