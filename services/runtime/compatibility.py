"""Which schema changes are refused: readers of yesterday's topics must read today's, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SENSITIVITIES", "incompatibilities"]

SENSITIVITIES = ("plain", "quasi-identifier", "identifier")  # rising


def incompatibilities(released: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """One sentence per change from `released` to `current` that breaks a reader; empty when none does.

    Rules of Avro schema resolution (specification 1.12, "Schema Resolution"), full compatibility: a field
    neither goes nor changes its type; a new one has a default. Voile's own: sensitivity never falls.
    """
    before = {field["name"]: field for field in released["fields"]}
    now = {field["name"]: field for field in current["fields"]}
    name = released["name"]
    found = [f"{name}.{gone} was removed" for gone in before.keys() - now.keys()]
    found += [
        f"{name}.{new} is new and has no default" for new in now.keys() - before.keys() if "default" not in now[new]
    ]
    for shared in before.keys() & now.keys():
        found += _changes(f"{name}.{shared}", before[shared], now[shared])
    return sorted(found)


def _changes(path: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    if before["type"] != now["type"]:
        found.append(f"{path} changed its type")
    if SENSITIVITIES.index(now["sensitivity"]) < SENSITIVITIES.index(before["sensitivity"]):
        found.append(f"{path} lowered its sensitivity")
    if now.get("required") and not before.get("required"):
        found.append(f"{path} became required")
    return found
