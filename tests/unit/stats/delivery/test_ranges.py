"""Parts of a file, for any header that somebody may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stats.delivery.ranges import Unsatisfiable, known, part

TAG = '"abc"'


@given(st.text(alphabet="bytes=0123456789-, \t", max_size=40), st.integers(0, 50))
def test_a_part_is_always_inside(header: str, size: int) -> None:
    """Never empty, never beyond the end; or refused, or the whole."""
    try:
        found = part({"range": header}, TAG, size)
    except Unsatisfiable:
        return
    assert found is None or (0 <= found.start < found.stop <= size and found.step == 1)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 50))
def test_first_and_last_are_both_in_it(first: int, last: int, size: int) -> None:
    """As RFC 9110 counts; a part that begins beyond the end is refused."""
    header = {"range": f"bytes={first}-{last}"}
    if last < first:
        assert part(header, TAG, size) is None
    elif first >= size:
        with pytest.raises(Unsatisfiable):
            part(header, TAG, size)
    else:
        assert part(header, TAG, size) == range(first, min(last + 1, size))


def test_an_empty_file_has_no_parts() -> None:
    """Each one lies beyond its end."""
    for header in ("bytes=0-", "bytes=-1", "bytes=-0"):
        with pytest.raises(Unsatisfiable):
            part({"range": header}, TAG, 0)


def test_tags_are_compared_whole() -> None:
    """In a list, weak or strong; the star is any."""
    assert known({"if-none-match": f'"x", W/{TAG}'}, TAG)
    assert known({"if-none-match": "*"}, TAG)
    assert not known({"if-none-match": '"ab"'}, TAG)
    assert not known({}, TAG)
