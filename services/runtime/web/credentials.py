"""Passwords and second factors of the people that are kept here, in the plane's own records.

A wrong name, password or code cost the same time and get the same answer. The authenticator's secret is sealed under
the password; recovery codes are random enough for a plain hash; each code works once.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.web.passwords import Passwords
from services.runtime.web.tables import SessionTables
from services.runtime.web.totp import matching_step

__all__ = ["RECOVERY_CODES", "Credentials", "Standing", "forget", "standings"]

RECOVERY_CODES = 10
_CODE_BYTES = 10  # 80 bits, sixteen letters and digits: nothing to guess, so nothing to slow down
_NO_STEP = -1


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody has to sign in with."""

    password: bool = False
    factor: bool = False
    recovery_codes: int = 0


def standings(engine: sa.Engine, tables: SessionTables) -> Mapping[str, Standing]:
    """What everybody has to sign in with; nothing for who comes from a provider, or by links alone."""
    held, codes = tables.credentials.c, tables.recovery_codes.c
    with transaction(engine) as connection:
        rows = connection.execute(sa.select(held.user, held.factor.is_not(None).label("factor"))).all()
        left = connection.execute(sa.select(codes.user, sa.func.count().label("left")).group_by(codes.user)).all()
    counts = {row.user: row.left for row in left}
    found = {row.user: Standing(True, bool(row.factor), counts.get(row.user, 0)) for row in rows}
    return defaultdict(Standing, found)


def forget(engine: sa.Engine, tables: SessionTables, name: str) -> bool:
    """Password, factor and recovery codes are gone; True when there was a password."""
    with transaction(engine) as connection:
        connection.execute(sa.delete(tables.recovery_codes).where(tables.recovery_codes.c.user == name))
        return connection.execute(sa.delete(tables.credentials).where(tables.credentials.c.user == name)).rowcount == 1


@dataclass(frozen=True, slots=True)
class _Row:
    user: str
    stored: str
    sealed: bytes | None


class Credentials:
    """Every public method may raise `Transient`. Call them from a worker thread: a password costs a tenth of a second
    of computing. `factor_required`: a password alone opens nothing."""

    def __init__(
        self,
        engine: sa.Engine,
        tables: SessionTables,
        clock: Clock,
        passwords: Passwords,
        *,
        factor_required: bool = True,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._engine, self._tables, self._clock = engine, tables, clock
        self._passwords, self.factor_required, self._random_bytes = passwords, factor_required, random_bytes

    def check(self, name: str, password: str, code: str) -> bool:
        """Whether these let somebody in. Uses `code` up: one of the authenticator, or a recovery code."""
        opened = self._open(name, password)
        if opened is None:
            return False
        row, secret = opened
        if secret:
            good = self._take_step(name, secret.decode(), code) or self._take_recovery(name, code)
        else:
            good = not self.factor_required
        if good and self._passwords.is_outdated(row.stored):
            self._keep(name, password, secret, row.stored)
        return good

    def standing(self, name: str) -> Standing:
        return standings(self._engine, self._tables)[name]

    def set_up(self, name: str, password: str, secret: str = "", code: str = "") -> Sequence[str] | None:
        """A first password, or a new one for who has lost theirs, with an authenticator's secret (empty: none); what
        was before is over. Recovery codes, to be shown this once; None when `code` is not the authenticator's."""
        step = self._step(secret, code) if secret else _NO_STEP
        if step is None:
            return None
        self._keep(name, password, secret.encode(), step=step)
        return self._new_codes(name) if secret else ()

    def change_password(self, name: str, current: str, new: str) -> bool:
        """False when `current` is wrong."""
        opened = self._open(name, current)
        if opened is None:
            return False
        row, secret = opened
        return self._keep(name, new, secret, row.stored)

    def replace_factor(self, name: str, current: str, secret: str, code: str) -> Sequence[str] | None:
        """A new authenticator and new recovery codes; None when the password or the new authenticator's code is
        wrong."""
        opened, step = self._open(name, current), self._step(secret, code)
        if opened is None or step is None:
            return None
        return self._new_codes(name) if self._keep(name, current, secret.encode(), opened[0].stored, step) else None

    def _open(self, name: str, password: str) -> tuple[_Row, bytes] | None:
        """The row and the authenticator's secret (empty: none); None, after the same work, when anything is wrong."""
        with transaction(self._engine) as connection:
            row = self._row(connection, name)
        stored, sealed = (row.stored, row.sealed) if row else (None, None)
        good = self._passwords.check(stored, password)
        try:
            secret = self._passwords.unseal(stored, password, sealed)
        except InvalidTag:  # the password is wrong
            return None
        return (row, secret) if row and good else None

    def _row(self, connection: sa.Connection, name: str) -> _Row | None:
        table = self._tables.credentials
        row = connection.execute(sa.select(table).where(table.c.user == name)).one_or_none()
        return _Row(row.user, row.password_hash, row.factor) if row else None

    def _keep(
        self, name: str, password: str, secret: bytes, before: str | None = None, step: int | None = None
    ) -> bool:
        """Store both anew, and the `step` of the code that was given with them. With `before`, only while that is
        still the password's hash: of two changes at once one is told that the password is wrong now."""
        stored, table = self._passwords.hash(password), self._tables.credentials
        sealed = self._passwords.seal(stored, password, secret) if secret else None
        values: dict[str, Any] = {"password_hash": stored, "factor": sealed}
        values |= {} if step is None else {"last_step": step}
        with transaction(self._engine) as connection:
            same = () if before is None else (table.c.password_hash == before,)
            changed = connection.execute(sa.update(table).where(table.c.user == name, *same).values(values)).rowcount
            if changed == 0 and before is None:
                connection.execute(sa.insert(table).values(user=name, **values))
        return changed == 1 or before is None

    def _step(self, secret: str, code: str) -> int | None:
        return matching_step(secret, _bare(code), self._clock.now())

    def _take_step(self, name: str, secret: str, code: str) -> bool:
        """RFC 6238, 5.2: a code is taken once, and none from before it."""
        step, table = self._step(secret, code), self._tables.credentials
        if step is None:
            return False
        with transaction(self._engine) as connection:
            newer = sa.update(table).where(table.c.user == name, table.c.last_step < step).values(last_step=step)
            return connection.execute(newer).rowcount == 1

    def _take_recovery(self, name: str, code: str) -> bool:
        table = self._tables.recovery_codes
        with transaction(self._engine) as connection:
            used = sa.delete(table).where(table.c.user == name, table.c.hash == _digest(code))
            return connection.execute(used).rowcount == 1

    def _new_codes(self, name: str) -> Sequence[str]:
        codes, table = [self._code() for _ in range(RECOVERY_CODES)], self._tables.recovery_codes
        rows: list[dict[str, Any]] = [{"user": name, "hash": _digest(code)} for code in codes]
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(table).where(table.c.user == name))
            connection.execute(sa.insert(table), rows)
        return codes

    def _code(self) -> str:
        text = base64.b32encode(self._random_bytes(_CODE_BYTES)).decode().lower()
        return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def _bare(code: str) -> str:
    """Without what people put between its parts."""
    return "".join(code.split()).replace("-", "").lower()


def _digest(code: str) -> str:
    return hashlib.sha256(_bare(code).encode()).hexdigest()
