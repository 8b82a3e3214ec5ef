"""`docs/promises.toml` as values: each promise, the code that keeps it, the tests that prove it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BOOK", "ROOT", "Promise", "load_promises"]

ROOT = Path(__file__).parents[2]  # Voile runs from its checkout
BOOK = ROOT / "docs" / "promises.toml"


@dataclass(frozen=True, slots=True)
class Promise:
    """`kept_by`: files and folders; `proved_by`: test files, or one test in one (`file::test`)."""

    id: str
    promise: str
    kept_by: tuple[str, ...]
    proved_by: tuple[str, ...]


def load_promises(book: Path = BOOK) -> list[Promise]:
    """In the order of the file."""
    entries = tomllib.loads(book.read_text("utf-8"))
    return [Promise(id_, e["promise"], tuple(e["kept_by"]), tuple(e["proved_by"])) for id_, e in entries.items()]
