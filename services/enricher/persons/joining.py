"""Accounts that a tenant says have become another one: each stays a person of its own, with its own key and blocks,
and points at the one that it has become. Nothing is sealed anew, and a word that was wrong can be taken back.

A pointer never leads to a subject that points itself: the one pointed at stands for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from services.enricher import records

__all__ = ["join", "split", "standing_for", "together"]


def join(connection: sa.Connection, subject: str, other: str) -> None:
    """`subject` has become `other`, with all that became `subject` before. The newest word counts: when `other` had
    become `subject`, it is the other way round from now on."""
    table = records.subjects
    root = _root(connection, other)
    if root == subject:
        split(connection, [other])
        root = other
    everyone = sa.or_(table.c.subject == subject, table.c.merged_into == subject)
    connection.execute(sa.update(table).where(everyone, table.c.subject != root).values(merged_into=root))


def split(connection: sa.Connection, subjects: Sequence[str]) -> None:
    """None of `subjects` has become another one."""
    table = records.subjects
    for some in records.chunks(subjects):
        at = (table.c.subject.in_(some), table.c.merged_into.is_not(None))
        connection.execute(sa.update(table).where(*at).values(merged_into=None))


def together(connection: sa.Connection, subject: str) -> list[str]:
    """`subject` and all that have become it."""
    table = records.subjects
    query = sa.select(table.c.subject).where(table.c.merged_into == subject).order_by(table.c.subject)
    return [subject, *connection.execute(query).scalars()]


def standing_for() -> sa.ColumnElement[str]:
    """Of a row of `subjects`, who it has become, or itself."""
    return sa.func.coalesce(records.subjects.c.merged_into, records.subjects.c.subject)


def _root(connection: sa.Connection, subject: str) -> str:
    query = sa.select(standing_for()).where(records.subjects.c.subject == subject)
    found: str = connection.execute(query).scalar_one()
    return found
