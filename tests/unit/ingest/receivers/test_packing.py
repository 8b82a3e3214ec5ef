"""What is no text in UTF-8 is told apart by its first bytes, before any line is made of it."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from random import Random

import pytest

from services.ingest.accounting import Outcome
from services.ingest.receivers.files import Damaged
from services.ingest.receivers.packing import Unreadable, encoding_of
from services.ingest.service import Ingest
from tests.parts.edge import combined, opened, published, text_of
from tests.unit.ingest.receivers.test_files import PACKERS

LINES = [combined(n) for n in range(60)]


def _import(ingest: Ingest, data: bytes) -> Outcome:
    return ingest.import_stream(io.BytesIO(data), "web")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (text_of(LINES).decode().encode("utf-16"), "This text is UTF-16; convert it: iconv"),
        (text_of(LINES).decode().encode("utf-16-le"), "This text is UTF-16LE"),
        (text_of(LINES).decode().encode("utf-16-be"), "This text is UTF-16BE"),
        (b"PK\x03\x04" + b"x" * 100, "This is a ZIP archive.*unzip -p"),
    ],
    ids=["utf-16", "utf-16-le", "utf-16-be", "zip"],
)
def test_what_is_no_text_says_how_to_make_it_one(tmp_path: Path, data: bytes, said: str) -> None:
    """Nothing of it is taken."""
    with opened(tmp_path) as ingest:
        with pytest.raises(Unreadable, match=said):
            _import(ingest, data)
        assert published(ingest.log).is_empty()


@pytest.mark.parametrize("pack", ["", "gz", "bz2", "xz"])
def test_an_archive_of_tar_is_not_read_as_lines(tmp_path: Path, pack: str) -> None:
    """Its heads would spoil the first line of each file."""
    file = tmp_path / "access.log"
    file.write_bytes(text_of(LINES))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{pack}") as archive:  # type: ignore[call-overload]  # its modes are literals
        archive.add(file, "access.log")
    with opened(tmp_path) as ingest, pytest.raises(Unreadable, match=r"tar archive.*tar -xOf FILE"):
        _import(ingest, packed.getvalue())


@pytest.mark.parametrize(
    "head", [b"", b"1", b"\x00\x00\x00\x00\x00\x00\x001", b"192.0.2.", b"\x00" * 8, b"\xff\xfe"[:1]]
)
def test_ordinary_beginnings_are_text(head: bytes) -> None:
    """NULs of a crash, short files."""
    assert encoding_of(head) == ""


def test_a_file_without_a_whole_line_is_no_beginning_of_others(tmp_path: Path) -> None:
    """A packed file that breaks off in its first line leaves nothing behind that a later one could be taken for."""
    long = text_of([combined(n) for n in range(1000, 9000)])
    with opened(tmp_path) as ingest:
        with pytest.raises(Damaged):
            _import(ingest, gzip.compress(Random(1).randbytes(9000).replace(b"\n", b""))[:500])
        assert _import(ingest, long).accepted == 8000
        assert _import(ingest, text_of(LINES[:12])) == Outcome(12, 12)  # less than a block of the long one


@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_file_in_several_members_is_one_text(tmp_path: Path, kind: str) -> None:
    """Rotation and parallel packers append members; positions are in the decompressed text."""
    pack = PACKERS[kind]
    packed = pack(text_of(LINES[:7])) + pack(b"") + pack(text_of(LINES[7:]))
    with opened(tmp_path) as ingest:
        assert _import(ingest, packed) == Outcome(60, 60)
        assert _import(ingest, text_of(LINES)) == Outcome(60, 0, 60)
        assert _import(ingest, pack(text_of(LINES))) == Outcome(60, 0, 60)
