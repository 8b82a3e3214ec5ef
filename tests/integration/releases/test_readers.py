"""Packages are read by pandas, DuckDB and R as the numbers, days and texts they are, without an option.

What has to come out is read by the csv module with the types of datapackage.json.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from services.stats.releases import egress, tables
from tests.integration.releases.whole import MISSING, build_whole
from tests.unit.stats.releases.records import new_records, store_days
from tests.unit.stats.releases.test_package import WEEK, built

Read = Callable[[Path], dict[str, list[Any]]]  # column -> its cells as Python's int, str and date

needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed (Debian: r-base-core)")
PARSED: Mapping[str, Callable[[str], Any]] = {"integer": int, "string": str, "date": date.fromisoformat}
# Of each column a line with its name, length and class, then one a cell; a line no cell has where R has no value.
IN_R = """
table <- read.csv(commandArgs(trailingOnly = TRUE))
for (name in names(table)) {
  cat(name, nrow(table), class(table[[name]]), "\\n", sep = "\\t")
  writeLines(ifelse(is.na(table[[name]]), "<missing>", as.character(table[[name]])))
}
"""


def pandas_csv(path: Path) -> dict[str, list[Any]]:
    return pandas_cells(pd.read_csv(path), date.fromisoformat)


def pandas_parquet(path: Path) -> dict[str, list[Any]]:
    return pandas_cells(pd.read_parquet(path), lambda day: day)


def pandas_cells(frame: pd.DataFrame, day: Callable[[Any], date]) -> dict[str, list[Any]]:
    cells = {str(name): column.tolist() for name, column in frame.items()}
    return cells | ({"day": [day(d) for d in cells["day"]]} if "day" in cells else {})


def in_duckdb(path: Path) -> dict[str, list[Any]]:
    found = relation(path)
    return dict(zip(found.columns, map(list, zip(*found.fetchall(), strict=True)), strict=True))


def relation(path: Path) -> duckdb.DuckDBPyRelation:
    found = duckdb.sql(f"FROM '{path}'")
    assert found is not None
    return found


def in_r(path: Path) -> dict[str, list[Any]]:
    done = subprocess.run(["Rscript", "-e", IN_R, path], capture_output=True, text=True, check=True)
    lines, found = iter(done.stdout.splitlines()), {}
    for line in lines:
        name, count, kind, _ = line.split("\t")
        cells = [next(lines) for _ in range(int(count))]
        found[name] = [{"integer": int, "character": str}.get(kind, repr)(cell) for cell in cells]
    return found | ({"day": [date.fromisoformat(d) for d in found["day"]]} if "day" in found else {})


READERS = [
    pytest.param(pandas_csv, ".csv", id="pandas csv"),
    pytest.param(pandas_parquet, ".parquet", id="pandas parquet"),
    pytest.param(in_duckdb, ".csv", id="duckdb csv"),
    pytest.param(in_duckdb, ".parquet", id="duckdb parquet"),
    pytest.param(in_r, ".csv", id="R csv", marks=[needs_r, pytest.mark.full]),
]


def expected(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """Table -> column -> cells."""
    resources = json.loads((folder / "datapackage.json").read_bytes())["resources"]
    found = {}
    for resource in (r for r in resources if r["format"] == "csv"):
        with (folder / resource["path"]).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kinds = {field["name"]: PARSED[field["type"]] for field in resource["schema"]["fields"]}
        stem = resource["path"].removesuffix(".csv")
        found[stem] = {name: [kind(row[name]) for row in rows] for name, kind in kinds.items()}
    return found


def misread(folder: Path, read: Read, suffix: str) -> list[str]:
    """The columns of which a cell or its type comes out otherwise."""
    return [
        f"{table}.{name}"
        for table, columns in expected(folder).items()
        for found in [read(folder / f"{table}{suffix}")]
        for name, cells in columns.items()
        if found[name] != cells or {type(c) for c in found[name]} != {type(c) for c in cells}
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_whole(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(("read", "suffix"), READERS)
def test_every_cell_of_every_table_comes_out_as_it_is(folder: Path, read: Read, suffix: str) -> None:
    """Integers as integers, also where a day is missing; days as days or texts; names as the texts they are."""
    assert misread(folder, read, suffix) == []


def test_what_is_read_is_all_there(folder: Path) -> None:
    """Seven tables; Namibia, a name that is "NA", a formula, a negative value and the missing day among them."""
    found = expected(folder)
    assert len(found) == 7
    places, routes = found["visitors_by_country_and_device"], found["visitors_by_route"]
    assert places["country"].count("NAM") == 4
    assert {"'NA", "'=2+2", "'1e3", "/it's/{id}", '/"quoted"'} <= set(routes["route"])
    assert min(places["value"]) < 0
    assert found["missing_days"]["day"] == [MISSING]


@pytest.mark.parametrize(("read", "suffix"), [READERS[0], READERS[4]])
def test_two_letters_and_bare_names_are_misread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read, suffix: str
) -> None:
    """The switch: names as they are. Namibia and "NA" are gone."""
    for module in (tables, egress):
        monkeypatch.setattr(module, "written", lambda _column, name: name)
    found = misread(build_whole(tmp_path), read, suffix)
    assert {"visitors_by_country_and_device.country", "visitors_by_route.route"} <= set(found)


def test_a_table_of_no_missing_days_is_read_too(tmp_path: Path) -> None:
    """Its header alone: no reader stumbles."""
    records = new_records(tmp_path)
    store_days(records, "harbour", WEEK.days)
    listed = built(tmp_path, records)[1] / "missing_days.csv"
    assert listed.read_text() == "tenant,day,reason\n"
    assert list(pd.read_csv(listed).columns) == relation(listed).columns == ["tenant", "day", "reason"]
