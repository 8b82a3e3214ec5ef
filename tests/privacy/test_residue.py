"""The search of a data folder finds what it looks for, in each form; a search that cannot find proves nothing."""

from __future__ import annotations

import base64
import gzip
import io
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import lz4.block
import polars as pl
import pytest

from tests.privacy.residue import Residue, blocks_of

NUMBER = 0x9F3A_17C2_55D0_E481
KEY = bytes(range(7, 39))
RESIDUE = Residue([NUMBER], [KEY])


def _block(content: bytes) -> bytes:
    packed = bytes(lz4.block.compress(content, store_size=False))
    return bytes(16) + bytes([0x82]) + struct.pack("<II", len(packed) + 9, len(content)) + packed


def _arrow() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"visitor": pl.Series([1, NUMBER], dtype=pl.UInt64)}).write_ipc(buffer, compression="zstd")
    return buffer.getvalue()


FORMS = {
    "as the machine writes it": b"abc" + struct.pack("<Q", NUMBER),
    "as SQLite writes it": b"a" + struct.pack(">Q", NUMBER),
    "in decimal": f'"visitor": {NUMBER}'.encode(),
    "in hexadecimal": f"visitor={NUMBER:016x}".encode(),
    "in a part": _block(bytes(100)) + _block(b"x" * 41 + struct.pack("<Q", NUMBER)),
    "packed": gzip.compress(str(NUMBER).encode()),
    "in a frame": bytes(9) + _arrow(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_pseudonym_is_found(form: str) -> None:
    """And a neighbour of it is not."""
    assert RESIDUE.in_bytes(FORMS[form]) == {"pseudonym"}
    assert Residue([NUMBER + 1], []).in_bytes(FORMS[form]) == set()


@pytest.mark.parametrize("form", [KEY, KEY.hex().encode(), base64.b64encode(KEY), _block((b"k" + KEY[:16]) * 9 + KEY)])
def test_a_key_is_found(form: bytes) -> None:
    """Raw, in text, in a part."""
    assert RESIDUE.in_bytes(form) == {"key"}


def test_what_was_deleted_from_a_database_is_found_on_its_free_page(tmp_path: Path) -> None:
    """SQLite leaves the bytes of a deleted row where they were."""
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE t (who INTEGER)")
        database.executemany("INSERT INTO t VALUES (?)", [(n,) for n in (1, NUMBER - 2**64, 3)])
        database.execute("DELETE FROM t")
        database.commit()
    assert RESIDUE.in_folder(tmp_path)["pseudonym"] == {"a.db"}


def test_a_file_that_is_no_part_has_no_blocks() -> None:
    """Any bytes may begin like one."""
    assert list(blocks_of(b"SQLite format 3\0" + bytes(200))) == []
