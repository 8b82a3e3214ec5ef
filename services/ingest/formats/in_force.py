"""Which format is in force where in a file: one that names its fields may do so again midway."""

from __future__ import annotations

from services.ingest.formats.columns import Format

__all__ = ["InForce"]


class InForce:
    """For one file, from its beginning; kept as long as the file is read on from where it was left."""

    def __init__(self, format_: Format) -> None:
        self._from = [(0, format_)]

    def at(self, offset: int) -> Format:
        return next(format_ for first, format_ in reversed(self._from) if first <= offset)

    def follow(self, first: int, text: bytes) -> None:
        """`text` begins at `first`. Text that is given back and taken again says the same again."""
        known = self.at(first)
        behind = known.after(text)
        if behind is not known and self._from[-1][0] < first + len(text):
            self._from.append((first + len(text), behind))
