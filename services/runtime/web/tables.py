"""The tables of people who sign in, for a plane's own records. Times are whole seconds since 1970 (UTC)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

__all__ = ["SessionTables", "session_tables"]


@dataclass(frozen=True, slots=True)
class SessionTables:
    users: sa.Table
    login_links: sa.Table
    sessions: sa.Table
    credentials: sa.Table
    recovery_codes: sa.Table

    @staticmethod
    def of(metadata: sa.MetaData) -> SessionTables:
        """Those that `session_tables` put there."""
        tables = metadata.tables
        names = ("users", "login_links", "sessions", "credentials", "recovery_codes")
        return SessionTables(*(tables[name] for name in names))


def session_tables(metadata: sa.MetaData) -> SessionTables:
    """Makes them, for a plane's `access/records.py`."""
    _people(metadata)
    _sessions(metadata)
    _credentials(metadata)
    return SessionTables.of(metadata)


def _people(metadata: sa.MetaData) -> None:
    """`subject`: "issuer sub" of who comes from an OpenID provider; None for who is kept here."""
    sa.Table(
        "users",
        metadata,
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("roles", sa.JSON, nullable=False),
        sa.Column("tenants", sa.JSON, nullable=False),
        sa.Column("subject", sa.String),
        sa.Index("users_subject", "subject", unique=True),
    )


def _sessions(metadata: sa.MetaData) -> None:
    sa.Table(
        "login_links",
        metadata,
        sa.Column("hash", sa.String, primary_key=True),
        _user(),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger),
    )
    sa.Table(
        "sessions",
        metadata,
        sa.Column("hash", sa.String, primary_key=True),
        _user(),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("csrf", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False, server_default="link"),  # link, password or oidc
    )


def _credentials(metadata: sa.MetaData) -> None:
    """`factor`: the secret of the authenticator, sealed under the password. `last_step`: of the last code used."""
    sa.Table(
        "credentials",
        metadata,
        _user(primary_key=True),
        sa.Column("password_hash", sa.String, nullable=False),
        sa.Column("factor", sa.LargeBinary),
        sa.Column("last_step", sa.BigInteger, nullable=False),
    )
    sa.Table(
        "recovery_codes",
        metadata,
        _user(primary_key=True),
        sa.Column("hash", sa.String, primary_key=True),
    )


def _user(*, primary_key: bool = False) -> sa.Column[str]:
    owner = sa.ForeignKey("users.name", ondelete="CASCADE")
    return sa.Column("user", sa.String, owner, nullable=False, primary_key=primary_key)
