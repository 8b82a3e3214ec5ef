"""Names of people, and those who come from an OpenID provider: their roles are what their groups give them today."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from services.runtime.database import transaction
from services.runtime.settings import OidcGroup
from services.runtime.web.tables import SessionTables

__all__ = ["NAME_MAX", "NotAdmitted", "ProviderPeople", "Rights", "is_name", "rights_of"]

NAME_MAX = 100
KEPT = ("os:", "api:")  # the command line's people, and tenants' systems with their keys
SYSTEM = "voile"  # who acts when nobody does


class NotAdmitted(Exception):
    """The provider vouches for them, and they may not come in. `code`: `no_group`, `no_name` or `name_taken`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Rights:
    roles: frozenset[str]
    tenants: frozenset[str]


def is_name(text: str) -> bool:
    """Not one of those that the audit log and the evidence of cases give to who is no person of the pages."""
    taken = text == SYSTEM or text.startswith(KEPT)
    return text.isprintable() and 1 <= len(text) <= NAME_MAX and text == text.strip() and not taken


def rights_of(groups: Collection[str], rules: Sequence[OidcGroup], service: str) -> Rights | None:
    """What membership gives in `service`; None: nothing.

    The first rule that fits says the role, and every other rule with that role adds its tenants. Roles never add up:
    an administrator of one tenant who may look at another would otherwise be an administrator of both.
    """
    fitting = [rule for rule in rules if rule.service == service and rule.group in groups]
    if not fitting:
        return None
    role = fitting[0].role
    return Rights(frozenset({role}), frozenset(t for rule in fitting if rule.role == role for t in rule.tenants))


class ProviderPeople:
    """Each method is one transaction; a store that is away is `Transient`."""

    def __init__(self, engine: sa.Engine, tables: SessionTables) -> None:
        self._engine, self._users = engine, tables.users

    def admit(self, subject: str, name: str, rights: Rights | None) -> str:
        """The name under which `subject` is known here, with the rights of now. Raises `NotAdmitted`.

        Who is known keeps their first name: the audit log's entries go on being theirs. A name that somebody else has
        is refused: whoever may choose a name at the provider could become them. Without rights they are removed.
        """
        users = self._users
        with transaction(self._engine) as connection:
            known: str | None = connection.scalar(sa.select(users.c.name).where(users.c.subject == subject))
            if rights is None:
                connection.execute(sa.delete(users).where(users.c.subject == subject))
            else:
                values = {"roles": sorted(rights.roles), "tenants": sorted(rights.tenants)}
                if known is None:
                    self._refuse_name(connection, name)
                    connection.execute(sa.insert(users).values(name=name, subject=subject, **values))
                    return name
                connection.execute(sa.update(users).where(users.c.subject == subject).values(values))
                return known
        raise NotAdmitted("no_group")

    def _refuse_name(self, connection: sa.Connection, name: str) -> None:
        if not is_name(name):
            raise NotAdmitted("no_name")
        if connection.scalar(sa.select(self._users.c.name).where(self._users.c.name == name)) is not None:
            raise NotAdmitted("name_taken")
