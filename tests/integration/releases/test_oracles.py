"""Packages before programs that know nothing of Voile: minisign, sha256sum, frictionless; and the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import frictionless
import pytest

from services.runtime.keys import FileKeyService
from services.runtime.minisign import RELEASE_KEY, public_key_file
from services.stats.releases import package
from tests.unit.stats.releases.records import new_records, store_days
from tests.unit.stats.releases.test_package import WEEK

required = os.environ.get("VOILE_TEST_REQUIRE") == "all"  # then a missing tool is a failure
needs_minisign = pytest.mark.skipif(
    shutil.which("minisign") is None and not required, reason="minisign is not installed (Debian: minisign)"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose week is closed, but for one day."""
    store_days(new_records(tmp_path), "harbour", WEEK.days[1:])
    return tmp_path


@pytest.fixture
def folder(data: Path) -> Path:
    keys = FileKeyService(data / "keys" / "statistics")
    (data / "voile.pub").write_bytes(public_key_file(keys, RELEASE_KEY))
    return package.build(new_records(data), keys, "harbour", WEEK, data)[1]


def run(*command: str | Path, cwd: Path) -> int:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, check=False).returncode


@needs_minisign
def test_stock_tools_verify_a_package(folder: Path, data: Path) -> None:
    """And refuse a changed one: minisign the checksums, sha256sum the files."""
    check_signature = ("minisign", "-Vm", "SHA256SUMS", "-p", data / "voile.pub")
    check_files = ("sha256sum", "--strict", "-c", "SHA256SUMS")
    assert run(*check_signature, cwd=folder) == run(*check_files, cwd=folder) == 0
    (folder / "totals.csv").write_bytes((folder / "totals.csv").read_bytes().replace(b"3", b"4"))
    assert run(*check_files, cwd=folder) == 1
    (folder / "SHA256SUMS").write_bytes((folder / "SHA256SUMS").read_bytes().replace(b"a", b"b"))
    assert run(*check_signature, cwd=folder) == 1


def test_frictionless_accepts_the_data_package(folder: Path) -> None:
    """Sizes, hashes, columns, types and keys of the CSV files; and it finds a changed number."""
    descriptor = json.loads((folder / "datapackage.json").read_bytes())
    assert {r["path"] for r in descriptor["resources"]} == {p.name for p in folder.iterdir()} - {
        "datapackage.json", "SHA256SUMS", "SHA256SUMS.minisig",
    }  # fmt: skip
    descriptor["resources"] = [r for r in descriptor["resources"] if r["path"].endswith(".csv")]
    (folder / "csv.json").write_text(json.dumps(descriptor))
    report = frictionless.validate(str(folder / "csv.json"))
    assert report.valid, report.to_summary()
    (folder / "daily.csv").write_bytes((folder / "daily.csv").read_bytes().replace(b"50", b"60", 1))
    assert not frictionless.validate(str(folder / "csv.json")).valid


def voile(*arguments: str | Path, data: Path, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", *map(str, arguments)],
        env={"VOILE_DATA": str(data), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    return done.stdout if expect == 0 or done.stdout else done.stderr


def test_the_command_line_builds_lists_and_verifies(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A partner elsewhere needs the folder and the printed key, and no data folder."""
    span = ("--tenant", "harbour", "--from", str(WEEK.first), "--to", str(WEEK.last))
    told = json.loads(voile("release", "build", *span, "--json", data=data))
    assert (told["version"], told["days"]) == ("2026.11.1", 6)
    assert [r["version"] for r in json.loads(voile("release", "list", "--json", data=data))] == ["2026.11.1"]
    elsewhere = tmp_path_factory.mktemp("partner")
    shutil.copytree(told["release"], elsewhere / "copy")
    verified = voile("release", "verify", elsewhere / "copy", "--public-key", told["public_key"], data=elsewhere)
    assert "as it was signed" in verified
    assert [p.name for p in elsewhere.iterdir()] == ["copy"]
    (elsewhere / "copy" / "added").touch()
    refused = voile("release", "verify", elsewhere / "copy", "--public-key", told["public_key"], data=data, expect=1)
    assert "added does not belong" in refused
    assert "--public-key" in voile("release", "verify", elsewhere / "copy", data=elsewhere / "none", expect=2)


def test_wrong_use_exits_2_with_a_sentence(data: Path) -> None:
    """No period, both forms of it, a tenant nobody drew for."""
    assert "either --period" in voile("release", "build", "--tenant", "harbour", data=data, expect=2)
    assert "voile stats close" in voile("release", "build", "--tenant", "x", "--period", "2026-11", data=data, expect=2)
