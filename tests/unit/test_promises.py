"""docs/promises.toml is complete, and what it names exists."""

from __future__ import annotations

import re

import pytest

from services.cli.promise_book import ROOT, Promise, load_promises
from services.cli.promise_checks import CHECKS

PROMISES = load_promises()


def test_every_promise_stands_in_the_book_and_has_a_check() -> None:
    """S1 to S20, in order."""
    assert [promise.id for promise in PROMISES] == [f"S{number}" for number in range(1, 21)] == list(CHECKS)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_a_promise_names_the_code_that_keeps_it_and_the_tests_that_prove_it(promise: Promise) -> None:
    """Files that are there; a test that is named is defined in its file."""
    assert promise.promise.endswith(".")
    assert promise.kept_by
    assert promise.proved_by
    assert [path for path in promise.kept_by if not (ROOT / path).exists()] == []
    assert [named for named in promise.proved_by if not _is_a_test(named)] == []


def _is_a_test(named: str) -> bool:
    file, _, test = named.partition("::")
    path = ROOT / file
    if not path.name.startswith("test_") or not path.exists():
        return False
    return re.search(rf"^def {test or 'test_'}", path.read_text("utf-8"), re.MULTILINE) is not None


def test_a_test_that_does_not_exist_is_noticed() -> None:
    """The switch of the one above."""
    assert not _is_a_test("tests/unit/test_none.py")
    assert not _is_a_test("tests/unit/test_promises.py::test_none")
    assert not _is_a_test("tests/unit/conftest.py")
    assert _is_a_test("tests/unit/test_promises.py::test_a_test_that_does_not_exist_is_noticed")
