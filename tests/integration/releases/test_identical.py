"""Who asks, how often, when and on which machine changes no byte of a version."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.runtime.keys import FileKeyService
from services.stats.releases import documents, package
from tests.integration.releases.whole import build_whole
from tests.unit.stats.releases.records import new_records
from tests.unit.stats.releases.test_package import WEEK

# argv: the data folder, and where the package goes. Forty days later, as far as Python's own clock says.
ELSEWHERE = """
import sys, time
from pathlib import Path
real = time.time
time.time = lambda: real() + 40 * 86_400
from tests.integration.releases.whole import build_whole
print(build_whole(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_is_the_same_on_another_day_in_another_process(data: Path) -> None:
    """Other clock, zone, language, order of hashes, number of threads and rights of new files."""
    first = build_whole(data)
    other = {
        **os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "4711", "POLARS_MAX_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-c", ELSEWHERE, str(data), "elsewhere"]
    done = subprocess.run(command, env=other, umask=0o077, capture_output=True, text=True, check=True)
    again = Path(done.stdout.strip())
    assert again != first
    assert contents(again) == contents(first)


@pytest.mark.parametrize("times", [20, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_asking_again_and_again_gives_the_same_bytes(data: Path, tmp_path: Path, times: int) -> None:
    """Two partners in turn, each into a folder of its own, and one version in the end."""
    build_whole(data)
    records, keys = new_records(data), FileKeyService(data / "keys" / "statistics")
    built = [package.build(records, keys, "harbour", WEEK, tmp_path / str(n % 2)) for n in range(times)]
    assert len({release for release, _ in built}) == len(package.releases(records)) == 1
    one, other = (contents(folder) for _, folder in built[:2])
    assert one == other
    fresh = package.build(records, keys, "harbour", WEEK, tmp_path / "third")[1]
    assert contents(fresh) == one


def test_a_package_that_told_when_it_was_built_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch: with the time of the build in it, the second one would have other bytes."""
    build_whole(data)
    monkeypatch.setattr(documents, "second", lambda _stamp: "2027-01-01T00:00:00Z")
    with pytest.raises(Fatal, match="other bytes"):
        build_whole(data, str(tmp_path / "later"))
