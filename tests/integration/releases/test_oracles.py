"""Packages before programs that know nothing of Voile: minisign, sha256sum, frictionless, rdflib; and the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import frictionless
import pytest
import rdflib
from jsonschema import Draft7Validator

from services.runtime.keys import FileKeyService
from services.runtime.minisign import RELEASE_KEY, public_key_file, read_public_key
from services.stats.releases import checksums, package
from services.stats.releases.verify import verify
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


def by_stock_tools(folder: Path, key: Path) -> bool:
    """Whether minisign takes the signature and sha256sum every file of the list."""
    signed = run("minisign", "-Vm", "SHA256SUMS", "-p", key, cwd=folder) == 0
    return signed and run("sha256sum", "--strict", "-c", "SHA256SUMS", cwd=folder) == 0


def spoiled(folder: Path, name: str, place: float) -> bytes:
    """Changes one bit of one byte of the file, `place` of its length in; what was there before."""
    before = (folder / name).read_bytes()
    changed = bytearray(before)
    changed[int(place * (len(before) - 1))] ^= 1
    (folder / name).write_bytes(changed)
    return before


@needs_minisign
def test_a_changed_byte_of_any_file_is_found(folder: Path, data: Path) -> None:
    """The first, one in the middle and the last of each: by us, and by stock minisign and sha256sum."""
    key = read_public_key(str(data / "voile.pub"))
    assert verify(folder, key) == []
    assert by_stock_tools(folder, data / "voile.pub")
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 14
    for name in names:
        for place in (0, 0.5, 1):
            before = spoiled(folder, name, place)
            assert len(verify(folder, key)) == 1, (name, place)
            if not (name == checksums.SIGNATURE and place == 1):  # the line's end: minisign reads over it
                assert not by_stock_tools(folder, data / "voile.pub"), (name, place)
            (folder / name).write_bytes(before)
    assert verify(folder, key) == []


@needs_minisign
def test_every_byte_of_the_signature_counts(folder: Path, data: Path) -> None:
    """Also those of the first line, which no signature covers and minisign itself reads over."""
    key = read_public_key(str(data / "voile.pub"))
    length = len((folder / checksums.SIGNATURE).read_bytes())
    passed_by_stock = []
    for at in range(length):
        before = spoiled(folder, checksums.SIGNATURE, at / (length - 1) + 1e-9)
        assert verify(folder, key) != [], at
        if at % 20 == 0 and by_stock_tools(folder, data / "voile.pub"):
            passed_by_stock.append(at)
        (folder / checksums.SIGNATURE).write_bytes(before)
    assert passed_by_stock, "the switch: without our own look at the form these would pass"
    assert max(passed_by_stock) < before.index(b"\n")


@needs_minisign
def test_an_added_or_removed_file_is_found(folder: Path, data: Path) -> None:
    """Whichever is removed. An added one is found by us; sha256sum looks at the list alone, and docs/partners.md says so."""
    key = read_public_key(str(data / "voile.pub"))
    for path in [p for p in sorted(folder.iterdir()) if not p.name.startswith(checksums.NAME)]:
        before = path.read_bytes()
        path.unlink()
        assert verify(folder, key) == [f"{path.name} is missing."]
        assert not by_stock_tools(folder, data / "voile.pub"), path.name
        path.write_bytes(before)
    (folder / "more.csv").write_text("a\n")
    assert verify(folder, key) == ["more.csv does not belong to the release."]
    assert by_stock_tools(folder, data / "voile.pub")


@needs_minisign
def test_without_the_checksums_a_change_would_pass(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: a list of other files' checksums, rightly signed, finds nothing."""
    real = checksums.render
    monkeypatch.setattr(checksums, "render", lambda files: real({"README.md": files["README.md"]}))
    records, keys = new_records(data / "weak"), FileKeyService(data / "keys" / "statistics")
    store_days(records, "harbour", WEEK.days)
    weak = package.build(records, keys, "harbour", WEEK, data / "weak")[1]
    spoiled(weak, "totals.csv", 0.5)
    assert by_stock_tools(weak, data / "voile.pub")


def descriptor_of(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / "datapackage.json").read_bytes())
    return described


def test_frictionless_accepts_the_data_package(folder: Path) -> None:
    """Sizes, hashes, columns, types, keys and constraints of CSV and Parquet; and it finds a changed number."""
    described = descriptor_of(folder)
    assert {r["path"] for r in described["resources"]} == {p.name for p in folder.iterdir()} - {
        "datapackage.json", "SHA256SUMS", "SHA256SUMS.minisig",
    }  # fmt: skip
    for resource in (r for r in described["resources"] if r["format"] == "parquet"):
        del (
            resource["bytes"],
            resource["hash"],
        )  # frictionless counts and hashes no Parquet, and calls that a difference
    (folder / "to-check.json").write_text(json.dumps(described))
    report = frictionless.validate(str(folder / "to-check.json"))
    assert report.valid, report.to_summary()
    assert {task.name: task.stats.get("rows") for task in report.tasks}["daily-parquet"] == 12
    (folder / "daily.csv").write_bytes((folder / "daily.csv").read_bytes().replace(b"50", b"60", 1))
    assert not frictionless.validate(str(folder / "to-check.json")).valid


def test_the_descriptor_follows_the_published_profile(folder: Path) -> None:
    """Data Package 2.0, with resources, dialects and schemas, each of which says so; a wrong one is found."""
    profile = json.loads(resources.files("dplib").joinpath("profiles/2.0/datapackage.json").read_text("utf-8"))
    validator = Draft7Validator(profile)
    described = descriptor_of(folder)
    assert not list(validator.iter_errors(described))
    tables = [r for r in described["resources"] if r.get("type") == "table"]
    for part in [described, *described["resources"], *(r["schema"] for r in tables), tables[0]["dialect"]]:
        assert part["$schema"].startswith("https://datapackage.org/profiles/2.0/")
    tables[0]["schema"]["fields"][0]["constraints"]["required"] = "yes"
    assert list(validator.iter_errors(described))


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib, of itself
def test_the_catalogue_entry_is_linked_data_about_these_files(folder: Path) -> None:
    """DCAT as rdflib reads it: wherever it lies, its addresses lead to the files beside it, with size and checksum."""
    at = "https://figures.example/releases/harbour-use/2026.11.1/"
    graph = rdflib.Graph().parse(folder / "dcat.jsonld", publicID=f"{at}dcat.jsonld")
    dcat, dct, spdx = rdflib.DCAT, rdflib.DCTERMS, rdflib.Namespace("http://spdx.org/rdf/terms#")
    dataset = rdflib.URIRef(at)
    assert (dataset, rdflib.RDF.type, dcat.Dataset) in graph
    assert str(graph.value(dataset, dct.identifier)) == "harbour-use/2026.11.1"
    period = graph.value(dataset, dct.temporal)
    ends = [str(graph.value(period, end)) for end in (dcat.startDate, dcat.endDate)]
    assert ends == [str(WEEK.first), str(WEEK.last)]
    told = {}
    for file in graph.objects(dataset, dcat.distribution):
        checksum = graph.value(graph.value(file, spdx.checksum), spdx.checksumValue)
        told[str(graph.value(file, dcat.downloadURL))] = (int(str(graph.value(file, dcat.byteSize))), str(checksum))
    data = [path for path in folder.iterdir() if path.suffix in {".csv", ".parquet"}]
    assert told == {
        f"{at}{path.name}": (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in data
    }


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
