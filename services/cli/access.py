"""What the commands that look at personal data share: the gate, and who is asking."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.enricher.access.decisions import Actor
    from services.enricher.access.service import Access
    from services.enricher.service import Identity

__all__ = ["opened_access", "operator"]


@contextlib.contextmanager
def opened_access() -> Iterator[tuple[Identity, Access]]:
    from services.cli import identity
    from services.enricher.access.service import open_access

    with identity.opened() as plane:
        yield plane, open_access(plane)


def operator() -> Actor:
    """Who can open the plane's keys runs the installation: role operator, every tenant, named as the machine knows
    them. The environment is not asked: anybody can set LOGNAME."""
    from services.cli import common
    from services.enricher.access.decisions import EVERY_TENANT, Actor

    return Actor(common.os_user(), frozenset({"operator"}), frozenset({EVERY_TENANT}))
