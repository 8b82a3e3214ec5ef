"""A PostgreSQL server as a store of records: how long it is waited for, and what its refusals mean for an operator."""

from __future__ import annotations

import sqlalchemy as sa

from services.runtime.errors import Fatal, Transient, VoileError

__all__ = ["answers", "open_postgres", "tables_without_rights", "trouble_opening", "trouble_working"]

POOL_WAIT_S = 10  # for a connection: a store that hangs must not hang every page; they say 503 then
ANSWER_S_MAX = 2  # of a probe; libpq takes no less
# libpq's own: a server whose machine is gone without a word is noticed within a minute, not by the system's two hours.
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,  # ms
}
# Part of what libpq or the server says -> what is wrong, and whether waiting cannot help. The server may speak another
# language than English: then the general sentence has to do.
_OPENING = (
    ("password", "the role or its password is wrong; correct the setting `records` of its plane", True),
    ("pg_hba.conf", "its pg_hba.conf does not let this role in from here", True),
    ("does not exist", "it has no such role or database; docs/production.md says how they are made", True),
    (
        "permission denied",
        "the role may not look into this database; run deploy/postgresql/roles.sql and grants.sql",
        True,
    ),
    ("too many", "it takes no more connections; raise its max_connections, or the role's limit", False),
    ("connection slots", "it takes no more connections; raise its max_connections", False),
    ("starting up", "it is starting", False),
    ("shutting down", "it is stopping", False),
    ("refused", "nobody listens there; start the server, or correct the setting `records` of its plane", False),
    ("timeout", "it does not answer; look whether its machine is up and hangs", False),
    ("resolve", "its host's name is not known; correct the setting `records` of its plane", False),
)
_GENERAL = "check that the server runs, the setting `records` of its plane, and the password"


def open_postgres(url: str) -> sa.Engine:
    """An engine of psycopg's. What the URL says of waiting itself (`?connect_timeout=3`) goes before."""
    place = sa.make_url(url).set(drivername="postgresql+psycopg")
    patience = {name: value for name, value in _PATIENCE.items() if name not in place.query}
    return sa.create_engine(place, pool_pre_ping=True, pool_timeout=POOL_WAIT_S, connect_args=patience)


def answers(engine: sa.Engine) -> bool:
    """Whether the server lets this role in within `ANSWER_S_MAX`. By a connection of its own: those of the pool may
    all wait for a server that hangs."""
    import psycopg  # a tenth of a command's start, which who uses SQLite does without

    _, how = engine.dialect.create_connect_args(engine.url)
    try:
        engine.dialect.connect(**{**how, "connect_timeout": ANSWER_S_MAX}).close()
    except psycopg.Error:
        return False
    return True


def tables_without_rights(connection: sa.Connection) -> list[str]:
    """Which tables this role may not read or not add to; Alembic's own is for the owner alone."""
    has = sa.func.has_table_privilege
    names = [name for name in sa.inspect(connection).get_table_names() if name != "alembic_version"]
    may = connection.execute(sa.select(*(sa.and_(has(name, "SELECT"), has(name, "INSERT")) for name in names))).one()
    return [name for name, allowed in zip(names, may, strict=True) if not allowed]


def trouble_opening(place: str, error: sa.exc.DBAPIError) -> VoileError:
    """What to raise when the records at `place` could not be opened: `Fatal` when waiting cannot help."""
    said = str(error.orig).lower()
    found = next(((why, final) for part, why, final in _OPENING if part in said), None)
    why, is_final = found or (f"{_GENERAL} ({type(error.orig).__name__})", False)
    return (Fatal if is_final else Transient)(f"The records database {place} cannot be opened: {why}.")


def trouble_working(place: str, error: sa.exc.DBAPIError) -> VoileError | None:
    """What to raise when a statement failed; None for a defect of ours."""
    state = getattr(error.orig, "sqlstate", None)
    if state == "42501":  # insufficient_privilege
        return Fatal(
            f"A right of the database role on {place} is missing; run deploy/postgresql/roles.sql and grants.sql "
            "(docs/production.md)."
        )
    if state == "42P01":  # undefined_table
        return Fatal(f"A table is missing in {place}: is it the right database? See: voile db status")
    if state == "25006":  # read_only_sql_transaction: a standby that nobody promoted, or an administrator's switch
        return Transient("The records database takes no changes now: it is a standby, or was set read-only.")
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return Transient(f"The records database does not answer ({type(error.orig).__name__}).")
    return None
