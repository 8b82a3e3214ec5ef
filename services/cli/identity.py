"""What the identity plane's commands share: its resources, opened for one command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.enricher.service import Identity
    from services.enricher.tenants.registry import Tenant

__all__ = ["opened", "require_tenant"]


@contextlib.contextmanager
def opened() -> Iterator[Identity]:
    from services.cli import common
    from services.enricher.service import open_identity

    identity = open_identity(common.settings(), common.clock())
    try:
        yield identity
    finally:
        identity.close()


def require_tenant(identity: Identity, tenant: str) -> Tenant:
    """Raises `Fatal`, naming the commands that help."""
    from services.runtime.errors import Fatal

    found = identity.registry.get(tenant)
    if found is None:
        raise Fatal(f"There is no tenant {tenant!r}; see voile tenant list, or add it with voile tenant add.")
    return found
