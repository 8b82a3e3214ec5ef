"""Keyed digests and packed positions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.fingerprints import Fingerprints, pack_positions, unpack_positions

PRINTS = Fingerprints(b"k" * 32)


@given(st.sets(st.integers(0, 2**50)).map(sorted))
def test_positions_come_back(positions: list[int]) -> None:
    """Whatever they are."""
    assert unpack_positions(pack_positions(positions)) == positions


@given(st.binary(min_size=1, max_size=3000), st.integers(0, 3000))
def test_a_shorter_copy_is_recognised(text: bytes, size: int) -> None:
    """By its whole blocks."""
    assert PRINTS.begins(text[:size], PRINTS.blocks(text), len(text))


@given(st.binary(min_size=100, max_size=3000), st.data())
def test_a_changed_copy_is_not(text: bytes, data: st.DataObject) -> None:
    """One byte anywhere but in the last piece of a shorter copy, which cannot be compared."""
    size = data.draw(st.sampled_from([len(text), len(text) // 64 * 64]))
    at = data.draw(st.integers(0, size - 1))
    changed = bytearray(text[:size])
    changed[at] ^= 1
    assert not PRINTS.begins(bytes(changed), PRINTS.blocks(text), len(text))


def test_origins_depend_on_key_and_on_each_part() -> None:
    """No two lists of parts are one."""
    names = {
        PRINTS.origin("a", "b"),
        PRINTS.origin("ab"),
        PRINTS.origin("", "ab"),
        Fingerprints(b"x" * 32).origin("ab"),
    }
    assert len(names) == 4
