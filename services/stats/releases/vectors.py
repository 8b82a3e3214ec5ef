"""The noisy cells of the days: one vector a (tenant, day, measure), in the order of a catalogue that is kept once.

A day of one tenant has a thousand cells and more, so they are kept as columns: a platform's month is added up from
tens of thousands of vectors without a row in SQL for each number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import sqlalchemy as sa
import zstandard
from sqlalchemy.dialects import postgresql, sqlite

from services.stats.records import metadata
from services.stats.releases.catalogues import Catalogue, Key
from services.stats.releases.split import Split

__all__ = ["NoisySum", "NoisyVector", "add_up", "kept_days", "noisy_vectors", "put_vectors"]

_VALUES = np.dtype("<i8")
_READ_AT_ONCE = 2000  # vectors held while a long period is added up: some megabytes

_catalogues = sa.Table(
    "release_catalogues",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("keys", sa.Text, nullable=False),  # JSON: the names of each cell
)
_vectors = sa.Table(
    "release_vectors",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("measure", sa.String, primary_key=True),
    sa.Column("sigma", sa.Integer, nullable=False),
    sa.Column("catalogue", sa.String, sa.ForeignKey("release_catalogues.digest"), nullable=False),
    sa.Column("noisy", sa.LargeBinary, nullable=False),  # zstd of little-endian 64-bit integers
    sa.ForeignKeyConstraint(["tenant", "day"], ["release_days.tenant", "release_days.day"]),
)


@dataclass(frozen=True)
class NoisyVector:
    tenant: str
    day: date
    measure: str
    sigma: int
    catalogue: str  # digest
    values: np.ndarray


@dataclass(frozen=True)
class NoisySum:
    """One cell added up. `days`: vectors in the sum (a tenant's day each); `variance`: of its noise, exactly."""

    measure: str
    key: Key
    days: int
    value: int
    variance: int


def put_vectors(
    connection: sa.Connection,
    tenant: str,
    day: date,
    noisy: Mapping[str, Sequence[int]],
    *,
    split: Split,
    catalogues: Mapping[str, Catalogue],
) -> None:
    """Inside the caller's transaction. `noisy`: measure -> values in the order of its catalogue."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    used = {catalogues[name].digest: catalogues[name].text for name in noisy}
    connection.execute(
        insert(_catalogues).on_conflict_do_nothing(), [{"digest": d, "keys": text} for d, text in used.items()]
    )
    rows = [
        {
            **{"tenant": tenant, "day": day, "measure": name, "sigma": split[name].sigma},
            **{"catalogue": catalogues[name].digest, "noisy": _packed(values)},
        }
        for name, values in noisy.items()
    ]
    connection.execute(sa.insert(_vectors), rows)


def noisy_vectors(
    connection: sa.Connection, tenants: Sequence[str], first: date, last: date, measures: Sequence[str] | None = None
) -> Iterator[NoisyVector]:
    """The stored vectors of `tenants` between both days, by day and tenant."""
    chosen = _vectors.c.tenant.in_(tenants) & _vectors.c.day.between(first, last)
    if measures is not None:
        chosen &= _vectors.c.measure.in_(measures)
    query = sa.select(_vectors).where(chosen).order_by(_vectors.c.day, _vectors.c.tenant, _vectors.c.measure)
    rows = connection.execute(query.execution_options(yield_per=_READ_AT_ONCE))
    for tenant, day, measure, sigma, catalogue, noisy in rows:
        yield NoisyVector(tenant, day, measure, sigma, catalogue, _unpacked(noisy))


def kept_days(connection: sa.Connection, tenants: Collection[str], first: date, last: date) -> set[tuple[str, date]]:
    """Whose vectors of which days are stored and not deleted yet (`retention.releases_days`)."""
    chosen = _vectors.c.tenant.in_(sorted(tenants)) & _vectors.c.day.between(first, last)
    rows = connection.execute(sa.select(_vectors.c.tenant, _vectors.c.day).where(chosen).distinct())
    return {(tenant, day) for tenant, day in rows}


def add_up(connection: sa.Connection, vectors: Iterable[NoisyVector]) -> list[NoisySum]:
    """Sums by measure and cell, in the order of measure and key. Vectors of one catalogue are added as columns."""
    sums: dict[tuple[str, str], tuple[np.ndarray, int, int]] = {}
    for vector in vectors:
        values, days, variance = sums.get((vector.measure, vector.catalogue), (0, 0, 0))
        added = values + vector.values
        sums[vector.measure, vector.catalogue] = (added, days + 1, variance + vector.sigma**2)
    cells: dict[tuple[str, Key], tuple[int, int, int]] = {}
    for (measure, digest), (values, days, variance) in sums.items():
        for key, value in zip(_catalogue(connection, digest).keys, values.tolist(), strict=True):
            before = cells.get((measure, key), (0, 0, 0))
            cells[measure, key] = (before[0] + days, before[1] + value, before[2] + variance)
    return [NoisySum(measure, key, *cells[measure, key]) for measure, key in sorted(cells)]


def _catalogue(connection: sa.Connection, digest: str) -> Catalogue:
    query = sa.select(_catalogues.c["keys"]).where(_catalogues.c.digest == digest)
    return Catalogue.read(connection.execute(query).scalar_one())


def _packed(values: Sequence[int]) -> bytes:
    return zstandard.compress(np.asarray(values, _VALUES).tobytes())


def _unpacked(noisy: bytes) -> np.ndarray:
    return np.frombuffer(zstandard.decompress(noisy), _VALUES)
