"""The tenants whose figures somebody may see."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """None: all of them."""

    tenants: frozenset[str] | None = None
