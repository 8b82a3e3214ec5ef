"""Releases: noisy cells as vectors over catalogues, opt-ins by day, route tables over time, withdrawal."""

import hashlib
from typing import Any

import sqlalchemy as sa
import zstandard
from alembic import op

revision = "0011"
down_revision = "0010"

_TOTAL = "[[]]"  # the catalogue of a total: one cell without a name


def upgrade() -> None:
    op.create_table(
        "route_tables",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("since", sa.String, primary_key=True),
        sa.Column("routes", sa.Text, nullable=False),
    )
    catalogues = op.create_table(
        "release_catalogues",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("keys", sa.Text, nullable=False),
    )
    vectors = op.create_table(
        "release_vectors",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("measure", sa.String, primary_key=True),
        sa.Column("sigma", sa.Integer, nullable=False),
        sa.Column("catalogue", sa.String, sa.ForeignKey("release_catalogues.digest"), nullable=False),
        sa.Column("noisy", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["tenant", "day"], ["release_days.tenant", "release_days.day"]),
    )
    op.add_column("release_days", sa.Column("own", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("release_days", sa.Column("platform", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("releases", sa.Column("withdrawn_at", sa.String))
    op.add_column("releases", sa.Column("withdrawn_reason", sa.String))
    _keep_what_was_drawn(catalogues, vectors)
    op.drop_table("release_cells")


def _keep_what_was_drawn(catalogues: sa.Table, vectors: sa.Table) -> None:
    """A drawn value is never drawn again: it goes over as it is."""
    connection = op.get_bind()
    day = sa.column("day", sa.Date)
    columns: tuple[sa.ColumnClause[Any], ...] = (
        sa.column("tenant"),
        day,
        sa.column("measure"),
        sa.column("value"),
        sa.column("sigma"),
    )
    drawn = connection.execute(sa.select(*columns).select_from(sa.table("release_cells"))).all()
    if not drawn:
        return
    digest = hashlib.sha256(_TOTAL.encode()).hexdigest()
    op.bulk_insert(catalogues, [{"digest": digest, "keys": _TOTAL}])
    op.bulk_insert(
        vectors,
        [
            {
                **{"tenant": row.tenant, "day": row.day, "measure": row.measure, "sigma": row.sigma},
                **{"catalogue": digest, "noisy": zstandard.compress(row.value.to_bytes(8, "little", signed=True))},
            }
            for row in drawn
        ],
    )
