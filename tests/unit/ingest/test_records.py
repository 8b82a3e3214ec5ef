"""Ingest's schema."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.ingest.records import metadata
from services.runtime.errors import Fatal
from tests.parts.edge import opened


def test_migrations_make_what_the_code_expects(tmp_path: Path) -> None:
    """Tables, columns, indexes."""
    with opened(tmp_path) as ingest, ingest.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_another_schema_is_refused(tmp_path: Path) -> None:
    """The start names what to run."""
    with opened(tmp_path) as ingest, ingest.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(Fatal, match="voile db upgrade"), opened(tmp_path):
        pass
