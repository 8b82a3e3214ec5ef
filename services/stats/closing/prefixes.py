"""A path prefix with many different children that day loses them: they are names of things, or of people.

`/blog/a`, `/blog/b`, ... become `/blog/{*}` when there are more than 50. Sentry's clusterer does the same with a trie
that it keeps; here one pass over the day's distinct routes does, and nothing is kept.
"""

from __future__ import annotations

import polars as pl

__all__ = ["ANY_CHILD", "CHILDREN_MAX", "collapse_crowded"]

CHILDREN_MAX = 50
ANY_CHILD = "{*}"
_SEGMENTS_MAX = 6  # as routes.py cuts them; the root itself is never collapsed
_DAY = ["tenant", "day"]


def collapse_crowded(routes: pl.DataFrame) -> pl.DataFrame:
    """`routes`: tenant, day, route, page (whether people were served it as a page). Returns tenant, day, route and
    `shown`, only of routes that change.

    Only pages that were served count as children: whoever asks for a thousand missing paths collapses nothing.
    From the top down, since a level that collapses brings the levels under it together.
    """
    split = routes.with_columns(pl.col("route").str.strip_prefix("/").str.split("/").alias("segments"))
    for depth in range(1, _SEGMENTS_MAX):
        split = _collapse_at(split, depth)
    shown = split.with_columns(shown=pl.lit("/") + pl.col("segments").list.join("/"))
    return shown.filter(pl.col("shown") != pl.col("route")).select(*_DAY, "route", "shown")


def _collapse_at(split: pl.DataFrame, depth: int) -> pl.DataFrame:
    """The segment under each prefix of `depth` segments becomes `{*}` where it has too many values."""
    segments = pl.col("segments")
    deep = segments.list.len() > depth
    found = split.with_columns(
        prefix=pl.when(deep).then(segments.list.head(depth).list.join("/")),
        child=pl.when(deep).then(segments.list.get(depth, null_on_oob=True)),
    )
    children = found.filter(pl.col("page") & deep).group_by(*_DAY, "prefix").agg(pl.col("child").n_unique())
    crowded = children.filter(pl.col("child") > CHILDREN_MAX).select(*_DAY, "prefix", crowded=pl.lit(True))
    marked = found.join(crowded, on=[*_DAY, "prefix"], how="left", maintain_order="left")
    rest = segments.list.slice(depth + 1)
    collapsed = pl.concat_list(segments.list.head(depth), pl.lit([ANY_CHILD]), rest)
    new = pl.when(pl.col("crowded").fill_null(False)).then(collapsed).otherwise(segments)
    return marked.with_columns(segments=new).drop("prefix", "child", "crowded")
