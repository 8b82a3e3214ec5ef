"""Whether a tenant that a command names is registered: asked of the registry's topic, whatever service runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.runtime.settings import Settings

__all__ = ["require_tenants"]


def require_tenants(settings: Settings, tenants: Iterable[str]) -> None:
    """Raises `Fatal` for the first one that is not registered, with the name that may be meant, and `Transient` when
    the event log is away."""
    from difflib import get_close_matches

    from services.cli.common import clock
    from services.enricher.tenants.registry import Registry
    from services.runtime.errors import Fatal
    from services.runtime.log import open_log
    from services.runtime.topics import TOPICS

    log = open_log(settings.url(settings.events), settings.kafka, clock())
    try:
        log.ensure_topics([TOPICS["tenant"]])
        registry = Registry(log)
        registry.follow()
        registry.close()
    finally:
        log.close()
    known = [tenant.tenant for tenant in registry.all()]
    for name in tenants:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise Fatal(f"There is no tenant {name!r}.{meant} See voile tenant list, or add it with voile tenant add.")
