"""Marks for texts of the catalogues, apart from the catalogues themselves, which commands need not load."""

from __future__ import annotations

__all__ = ["N_"]


def N_(text: str) -> str:  # gettext's own name for it
    """`text`, marked for the catalogue."""
    return text
