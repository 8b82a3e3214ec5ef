"""A package proves itself with its public key alone; any change shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from minisign import PublicKey

from services.runtime.errors import Fatal
from services.runtime.keys import FileKeyService
from services.runtime.minisign import RELEASE_KEY, public_key_line, read_public_key, sign
from services.stats.releases import checksums, package
from services.stats.releases.verify import verify
from tests.unit.stats.releases.records import new_records, store_days
from tests.unit.stats.releases.test_package import WEEK


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PublicKey]:
    folder = tmp_path_factory.mktemp("release")
    engine = new_records(folder)
    store_days(engine, "harbour", WEEK.days)
    keys = FileKeyService(folder / "keys")
    _, built = package.build(engine, keys, "harbour", WEEK, folder)
    return built, read_public_key(public_key_line(keys, RELEASE_KEY))


def add(folder: Path) -> None:
    (folder / "extra.csv").write_text("a\n")


def remove(folder: Path) -> None:
    (folder / "daily.csv").unlink()


def change(folder: Path) -> None:
    data = bytearray((folder / "totals.parquet").read_bytes())
    data[10] ^= 1
    (folder / "totals.parquet").write_bytes(data)


def change_and_list(folder: Path) -> None:
    """A forger who also writes the checksums again has no key."""
    change(folder)
    listed = {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(checksums.NAME)}
    (folder / checksums.NAME).write_bytes(checksums.render(listed))


def link(folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("privacy.json")


def nest(folder: Path) -> None:
    (folder / "more").mkdir()


def retell(folder: Path) -> None:
    """The trusted comment is signed too."""
    signature = (folder / checksums.SIGNATURE).read_text()
    (folder / checksums.SIGNATURE).write_text(signature.replace("2026.11.1", "2026.11.9"))


def test_a_whole_package_has_no_problem(original: tuple[Path, PublicKey]) -> None:
    """As it was built."""
    assert verify(*original) == []


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (add, "extra.csv does not belong"),
        (remove, "daily.csv is missing"),
        (change, "totals.parquet was changed"),
        (change_and_list, "not signed by this key"),
        (link, "README.md is no plain file"),
        (nest, "more is no plain file"),
        (retell, "not signed by this key"),
    ],
)
def test_any_change_shows(
    original: tuple[Path, PublicKey], tmp_path: Path, tamper: Callable[[Path], None], told: str
) -> None:
    """And says which file."""
    copy = tmp_path / "copy"
    shutil.copytree(original[0], copy)
    tamper(copy)
    problems = verify(copy, original[1])
    assert len(problems) == 1
    assert told in problems[0]


def test_another_key_does_not_verify(original: tuple[Path, PublicKey], tmp_path: Path) -> None:
    """A package signed by somebody else."""
    other = read_public_key(public_key_line(FileKeyService(tmp_path), RELEASE_KEY))
    assert verify(original[0], other) != []


def test_a_signature_of_another_release_does_not_pass(original: tuple[Path, PublicKey], tmp_path: Path) -> None:
    """Signed by the right key, over these very sums, but told to be another version."""
    keys = FileKeyService(tmp_path / "keys")
    copy = tmp_path / "copy"
    shutil.copytree(original[0], copy)
    listing = (copy / checksums.NAME).read_bytes()
    signature = sign(keys, RELEASE_KEY, listing, "voile release harbour-use 2026.11.9 x", what="release")
    (copy / checksums.SIGNATURE).write_bytes(signature)
    key = read_public_key(public_key_line(keys, RELEASE_KEY))
    assert verify(copy, key) == ["The signature is of another release than datapackage.json says."]


def test_what_is_no_package_is_refused(original: tuple[Path, PublicKey], tmp_path: Path) -> None:
    """An empty folder is no verified release."""
    with pytest.raises(Fatal, match="is no release"):
        verify(tmp_path, original[1])
