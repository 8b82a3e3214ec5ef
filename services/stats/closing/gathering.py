"""From event rows to publishable cells: objectors out, visits numbered, cubes built; for a close and a snapshot."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from functools import partial
from string import Template

import polars as pl

from services.runtime.clickhouse import Analytics, sql
from services.stats.closing.bots import bot_classes
from services.stats.closing.prefixes import collapse_crowded
from services.stats.closing.suspects import find_suspected
from services.stats.counting.campaigns import UTM
from services.stats.days.forgetting import bound
from services.stats.days.states import TenantDay
from services.stats.figures.cubes import TOLD, Cube, cell_sums, contributions, declared_cubes, people_in
from services.stats.figures.disclosure import KEYS, DayKeys, PublishedCells, publish_sums, together
from services.stats.figures.rows import Rows, number_names
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.store import SQL

__all__ = [
    "Gathered",
    "Objectors",
    "Tables",
    "build_cells",
    "find_objected",
    "gather",
    "put_pairs",
    "rows_there",
    "working_tables",
]

_EVERY_ROW = ("traffic", "bot_reason")  # people's requests and bots': together each row once
VISIT_GAP_S = 30 * 60  # the usual end of a visit (Plausible, Matomo, GA4)

Objectors = Callable[[str], Iterable[str]]  # tenant -> accounts with an objection in force


@dataclass(frozen=True, slots=True)
class Tables:
    """The working tables: in memory only, one set for closing and one for snapshots, which may run beside it."""

    pairs: str
    objectors: str
    objected: str
    rows: str
    routes: str
    names: str
    habits: str
    suspects: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """`accounted`: rows that the cubes saw, which must be the rows there are."""

    cells: PublishedCells
    accounted: Mapping[TenantDay, int]


@contextmanager
def working_tables(analytics: Analytics, prefix: str) -> Iterator[Tables]:
    """Empty names to fill; whatever stands under them is dropped at the end."""
    tables = Tables(*(f"{prefix}_{field.name}" for field in fields(Tables)))
    try:
        yield tables
    finally:
        for name in astuple(tables):
            analytics.command("DROP TABLE IF EXISTS {table:Identifier} SYNC", {"table": name})


def find_objected(analytics: Analytics, tables: Tables, keys: DayKeys, objectors: Objectors) -> None:
    """Fills `tables.objected`: every visitor of the days of `keys` that carried an account with an objection."""
    accounts = {tenant: list(objectors(tenant)) for tenant in sorted({tenant for tenant, _ in keys})}
    digests = [
        (tenant, day, account_pseudonym(key, tenant, account))
        for (tenant, day), key in keys.items()
        for account in accounts[tenant]
    ]
    schema = {"tenant": pl.String(), "day": pl.Date(), "account": pl.UInt64()}
    analytics.command(sql(SQL, "make_objectors"), {"table": tables.objectors})
    if digests:
        analytics.insert(tables.objectors, pl.DataFrame(digests, schema=schema, orient="row"))
    names = {"table": tables.objected, "objectors": tables.objectors}
    analytics.command(sql(SQL, "make_objected"), names)


def put_pairs(analytics: Analytics, tables: Tables, pairs: Sequence[TenantDay]) -> None:
    """Fills `tables.pairs`: whose days what follows is about."""
    schema = {"tenant": pl.String(), "day": pl.Date()}
    analytics.command(sql(SQL, "make_pairs"), {"table": tables.pairs})
    analytics.insert(tables.pairs, pl.DataFrame([tuple(p) for p in pairs], schema=schema, orient="row"))


def gather(analytics: Analytics, tables: Tables, pairs: Sequence[TenantDay]) -> None:
    """Fills `tables.rows` with the rows of `pairs`: without the objected visitors and the names of crowded prefixes,
    and with the visitors that behave as programs do among the bots."""
    put_pairs(analytics, tables, pairs)
    names = asdict(tables)
    suspected = find_suspected(analytics, names)
    collapsed = _collapse_routes(analytics, tables)
    named = bool(analytics.frame(sql(SQL, "any_campaign"), {"pairs": tables.pairs})["named"][0])
    analytics.command(_gathering(suspected, collapsed, named), {**names, "visit_gap_s": VISIT_GAP_S})


def _gathering(suspected: bool, collapsed: bool, named: bool) -> str:
    """Most days no prefix is crowded; then every row is spared a look-up (a fifth of the gathering). The same for
    suspected visitors and for links that name a campaign."""
    fill = dict.fromkeys(("suspected", "collapsed"), "")
    fill |= {name: f"events.{name}" for name in ("route", "bot_class", "bot_reason")}
    if suspected:
        fill |= {"suspected": sql(SQL, "join_suspects")}
        fill |= {"bot_class": _unless("suspects.reason", "'suspected'", "events.bot_class")}
        fill |= {"bot_reason": _unless("suspects.reason", "suspects.reason", "events.bot_reason")}
    if collapsed:
        fill |= {"collapsed": sql(SQL, "join_collapsed")}
        fill |= {"route": _unless("collapsed.shown", "collapsed.shown", "events.route")}
    empty = ", ".join(f"toLowCardinality('') AS visit_{name}" for name in UTM)
    fill |= {"campaign": sql(SQL, "visit_campaign") if named else empty, "no_campaign": empty}
    return Template(sql(SQL, "gather_rows")).substitute(fill)


def _unless(found: str, then: str, usual: str) -> str:
    """SQL: `usual` where the joined column `found` is empty."""
    return f"toLowCardinality(if({found} = '', {usual}, {then}))"


def _collapse_routes(analytics: Analytics, tables: Tables) -> bool:
    """Fills `tables.routes` with the routes that lose a segment. Returns whether there is any."""
    names = {"pairs": tables.pairs, "objected": tables.objected, "suspects": tables.suspects}
    routes = analytics.frame(sql(SQL, "distinct_routes"), names).rename({"tenant_name": "tenant"})
    collapsed = collapse_crowded(routes.with_columns(pl.col("page").cast(pl.Boolean)))
    analytics.command(sql(SQL, "make_routes"), {"table": tables.routes})
    if collapsed.height:
        analytics.insert(tables.routes, collapsed)
    return collapsed.height > 0


def build_cells(analytics: Analytics, tables: Tables, cubes: Iterable[Cube], keys: DayKeys) -> Gathered:
    """Every cube of the gathered rows, by the disclosure rule. `cubes` must hold those of `_EVERY_ROW`.

    Two at a time, each on an engine thread of its own: while one is summed, another's cells are rounded.
    """
    rows = number_names(analytics, tables.rows, tables.names, declared_cubes().dimensions.values())
    built: list[tuple[PublishedCells, Mapping[TenantDay, int]]] = []
    with contextlib.closing(analytics.another()) as second, ThreadPoolExecutor(2) as pool:
        waiting = deque(
            sorted((c for c in cubes if c.rows != TOLD), key=lambda cube: cube.rows in {"people", "pages", "events"})
        )  # the long ones first
        lanes = [pool.submit(_build_waiting, client, rows, waiting, keys) for client in (analytics, second)]
        for lane in lanes:
            built += lane.result()
    counted = together(cells for cells, _ in built)
    accounted: Counter[TenantDay] = Counter()
    for _, seen in built:
        accounted.update(seen)
    return Gathered(together([counted, bot_classes(counted)]), accounted)


def _build_waiting(
    analytics: Analytics, rows: Rows, waiting: deque[Cube], keys: DayKeys
) -> list[tuple[PublishedCells, Mapping[TenantDay, int]]]:
    """Takes cubes as long as there are any: the cells that may be shown, and of a cube over all rows their number."""
    built: list[tuple[PublishedCells, Mapping[TenantDay, int]]] = []
    while waiting:
        try:
            cube = waiting.popleft()
        except IndexError:  # the other lane took the last one
            break
        sums, small = cell_sums(analytics, cube, declared_cubes().dimensions, rows)
        people_of = partial(_people_of, analytics, rows, cube, small)
        built.append((publish_sums(sums, people_of, cube, keys), _rows_seen(sums) if cube.name in _EVERY_ROW else {}))
    return built


def _people_of(analytics: Analytics, rows: Rows, cube: Cube, small: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """Everybody in `cells`: from `small` where they came along, else from the engine."""
    here = people_in(small.join(cells, on=KEYS, how="semi"), cube)
    large = cells.join(small.select(KEYS), on=KEYS, how="anti")
    if large.is_empty():
        return here
    hidden = f"{rows.table}_hidden_{threading.get_ident()}"  # two cubes are built at a time
    try:
        analytics.command(sql(SQL, "make_hidden"), {"table": hidden})
        analytics.insert(hidden, rows.put_numbers(large))
        fetched = contributions(analytics, cube, declared_cubes().dimensions, rows, hidden)
    finally:
        analytics.command("DROP TABLE IF EXISTS {table:Identifier} SYNC", {"table": hidden})
    return pl.concat([here, fetched.select(here.columns).cast(dict(here.schema))])  # type: ignore[arg-type]


def rows_there(analytics: Analytics, tables: Tables, pairs: Sequence[TenantDay]) -> dict[TenantDay, int]:
    """Event rows of each of `pairs` that the cubes have to account for."""
    found = analytics.frame(sql(SQL, "count_rows"), {**bound(pairs), "objected": tables.objected})
    return {TenantDay(tenant, day): rows for tenant, day, rows in found.iter_rows()}


def _rows_seen(sums: pl.DataFrame) -> dict[TenantDay, int]:
    rows_of = sums.group_by("tenant", "day").agg(pl.col("requests").sum())
    return {TenantDay(tenant, day): rows for tenant, day, rows in rows_of.iter_rows()}
