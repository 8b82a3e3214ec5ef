"""Rows from one store into another: at one moment, and whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime import copying
from services.runtime.copying import copy_tables, open_file, open_snapshot, seal_file, tables_with_rows
from services.runtime.database import open_records
from services.runtime.errors import Fatal

FIRST, SECOND = (
    sa.Table("first", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True)),
    sa.Table("second", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True), sa.Column("day", sa.Date)),
)


def _store(path: Path, rows: int = 0) -> sa.Engine:
    engine = open_records(f"sqlite:///{path}")
    with engine.begin() as connection:
        for table in (FIRST, SECOND):
            table.create(connection)
            if rows:
                connection.execute(sa.insert(table), [{"n": n} for n in range(rows)])
    return engine


def _count(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return [connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in (FIRST, SECOND)]


def everything(_table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.true()


@pytest.mark.parametrize("snapshot", [True, False])
def test_what_is_written_meanwhile_is_not_in_the_copy(
    tmp_path: Path, snapshot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tables that belong together are of one moment, and the writer does not wait. The switch: read without a
    transaction, the second table has what the first one has not."""
    source, target = _store(tmp_path / "source.db", 1000), _store(tmp_path / "target.db")
    if not snapshot:
        monkeypatch.setattr(sa.event, "listens_for", lambda *_: lambda function: function)

    def write_first(_table: sa.Table) -> sa.ColumnElement[bool]:
        with source.begin() as connection:
            for table in (FIRST, SECOND):
                connection.execute(sa.insert(table), [{"n": 5000}])
        return sa.true()

    reading = open_snapshot(f"sqlite:///{tmp_path / 'source.db'}")
    found = copy_tables(reading, target, {"first": everything, "second": write_first})
    assert found == {"first": 1000, "second": 1000 if snapshot else 1001}
    assert _count(source) == [1001, 1001]


def test_a_copy_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """Rows that do not fit end it, and nothing of it stays."""
    source, target = _store(tmp_path / "source.db", 3), _store(tmp_path / "target.db", 2)
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON second BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sa.exc.IntegrityError):
        copy_tables(source, target, {"first": everything, "second": everything})
    assert _count(target) == [2, 2]


def test_rows_are_replaced_in_more_than_one_chunk(tmp_path: Path) -> None:
    """Also where there were some before."""
    rows = 3 * copying.CHUNK_ROWS + 1
    source, target = _store(tmp_path / "source.db", rows), _store(tmp_path / "target.db", 5)
    copy_tables(source, target, {"first": everything, "second": lambda table: table.c.n < 2})
    assert _count(target) == [rows, 2]
    assert tables_with_rows(target, {"first": everything, "second": everything}) == ["first", "second"]


def test_a_sealed_file_is_read_from_where_nothing_can_be_written(tmp_path: Path) -> None:
    """One file, without a log beside it."""
    folder = tmp_path / "medium"
    folder.mkdir()
    engine = _store(folder / "one.db", 7)
    seal_file(folder / "one.db", engine)
    folder.chmod(0o500)
    try:
        assert [entry.name for entry in folder.iterdir()] == ["one.db"]
        assert _count(open_file(folder / "one.db")) == [7, 7]
        assert [entry.name for entry in folder.iterdir()] == ["one.db"]
    finally:
        folder.chmod(0o700)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A wrong `data` folder must not give an empty backup."""
    with pytest.raises(Fatal, match="check the settings"):
        open_snapshot(f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir())
