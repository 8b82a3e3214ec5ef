"""What docs/partners.md tells partners to run, runs in a package, and says what it says."""

from __future__ import annotations

import contextlib
import io
import math
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from services.stats.releases.split import declared_split
from tests.integration.releases.test_oracles import needs_minisign
from tests.integration.releases.test_readers import needs_r
from tests.integration.releases.whole import MISSING, build_whole

PAGE = (Path(__file__).parents[3] / "docs" / "partners.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = build_whole(tmp_path_factory.mktemp("partner"))
    shutil.copy(built.parents[2] / "voile.pub", built.parent)
    return built


def output(block: str, folder: Path) -> str:
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(block, "docs/partners.md", "exec"), {})  # the page's own code
    return printed.getvalue()


def test_python_of_the_page_runs(folder: Path) -> None:
    """Loading in pandas and DuckDB, sums, and a gap where a day is missing."""
    loaded, largest, summed, gap = (output(block, folder) for block in blocks("python"))
    assert "page_views" in loaded
    assert "users.show" in largest
    assert str(MISSING) in gap
    assert "NaN" in gap
    assert re.fullmatch(r"-?\d+ \(-?\d+ to -?\d+\)\n", summed)


def test_the_page_names_the_bounds_of_the_split() -> None:
    """A change of them is a change of the page."""
    routes, views = (declared_split()[name] for name in ("visitors_by_route", "page_views"))
    assert f"at most {routes.cells_max} routes and {views.contribution_max} page views a day" in PAGE


def test_the_page_s_sum_has_the_interval_of_the_noise(folder: Path) -> None:
    """Its rule gives what the variances give, up to the rounding of each half width."""
    block = next(block for block in blocks("python") if "half" in block).replace(
        'startswith("/members/")', 'startswith("/")'
    )
    value, low, high = map(int, re.findall(r"-?\d+", output(block, folder)))
    routes = pl.read_csv(folder / "visitors_by_route.csv").filter(pl.col("route").str.starts_with("/"))
    sigma = declared_split()["visitors_by_route"].sigma
    half = 1.959964 * sigma * math.sqrt(int(routes["days"].sum()))
    assert value == routes["value"].sum()
    assert high - value == pytest.approx(half, abs=len(routes))
    assert value - low == pytest.approx(half, abs=len(routes))
    assert sum(routes["value_hi"] - routes["value"]) > 2 * half, "the ends added up would be far too wide"


@needs_r
@pytest.mark.full
def test_r_of_the_page_runs(folder: Path) -> None:
    """Days are dates there."""
    (block,) = blocks("r")
    done = subprocess.run(["Rscript", "-e", block], cwd=folder, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1 + 6


@needs_minisign
def test_the_page_s_check_passes_a_package_and_no_other(folder: Path, tmp_path: Path) -> None:
    """With a changed byte it fails."""
    (block,) = blocks("sh")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.copy(folder.parent / "voile.pub", copy)
    assert subprocess.run(["sh", "-ec", block], cwd=copy, capture_output=True, check=False).returncode == 0
    (copy / "totals.csv").write_bytes((copy / "totals.csv").read_bytes().replace(b"visitors", b"visitorz"))
    assert subprocess.run(["sh", "-ec", block], cwd=copy, capture_output=True, check=False).returncode != 0
