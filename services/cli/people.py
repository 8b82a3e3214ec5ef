"""What `voile user` needs of a plane: its people and keys, opened for one command."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.runtime.errors import Fatal

if TYPE_CHECKING:
    import sqlalchemy as sa

    from services.runtime.settings import Settings
    from services.runtime.web.sessions import Sessions

__all__ = ["PLANES", "People", "opened"]


@dataclass(frozen=True, slots=True)
class People:
    """Where a plane keeps who signs in. `name`: the host of its pages in the embedded profile; two names, because
    cookies of one name's services would meet."""

    package: str
    tables: tuple[str, str]
    roles: tuple[str, ...]
    name: str


PLANES: Mapping[str, People] = {
    "statistics": People("services.stats", ("access_records", "dashboard_sessions"), ("viewer",), "localhost"),
    "identity": People(
        "services.enricher", ("access_records", "console_sessions"), ("support", "dpo", "operator"), "127.0.0.1"
    ),
}


def plane_of(plane: str) -> People:
    """Raises `Fatal` on a name that has no pages."""
    if plane not in PLANES:
        raise Fatal(f"There are no people in {plane!r}; choose one of: {', '.join(PLANES)}")
    return PLANES[plane]


@contextlib.contextmanager
def opened_engine(plane: str) -> Iterator[sa.Engine]:
    """The plane's records with the newest schema; an empty store gets its tables, like at a service's start."""
    from services.cli.common import settings
    from services.runtime import database

    loaded, package = settings(), plane_of(plane).package
    migrations = importlib.import_module(f"{package}.records").MIGRATIONS
    engine = database.open_records(loaded.url(getattr(loaded, plane).records))
    try:
        if database.current_revision(engine) is None:
            database.upgrade(engine, migrations)
        database.check_schema(engine, migrations)
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def opened(plane: str) -> Iterator[Sessions]:
    from services.cli.common import clock
    from services.runtime.web.sessions import Sessions

    module, name = plane_of(plane).tables
    with opened_engine(plane) as engine:
        tables = getattr(importlib.import_module(f"{plane_of(plane).package}.{module}"), name)
        yield Sessions(engine, tables, clock())


def address(plane: str, settings: Settings) -> str:
    """Where the plane's pages are for people: the first of its `hosts`, else this machine's own name."""
    section = getattr(settings, plane)
    if section.hosts:
        return f"https://{section.hosts[0]}"
    return f"http://{plane_of(plane).name}:{section.listen.rpartition(':')[2]}"
