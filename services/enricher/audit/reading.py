"""Reading the audit log: search, export, what stands out, and who looked at one person. Reading is recorded, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.enricher.access.deciding import Decider
from services.enricher.access.decisions import EVERY_TENANT, Action, Actor, Request
from services.enricher.audit.log import AuditLog, Logged
from services.enricher.audit.unusual import Finding, Limits, unusual
from services.enricher.persons.directory import Directory

__all__ = ["UNUSUAL_DAYS", "Auditing", "Look", "Wanted", "looks_at"]

UNUSUAL_DAYS = 30  # what the page of looks that stand out goes over

# What happened to the person's data, as against what was done about the log itself.
_LOOKS = frozenset(
    {
        Action.FIND_PERSON,
        Action.ASK_ACCESS,
        Action.BREAK_GLASS,
        Action.VIEW_ACTIVITY,
        Action.REVEAL_FIELD,
        Action.WRITE_NOTE,
        Action.EXPORT_PERSON,
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to search for: `equal` are fields of a leaf, `since` and `until` ISO days or times in UTC (`until` is left
    out itself), `before` a position."""

    equal: Mapping[str, str]
    since: str = ""
    until: str = ""
    before: int | None = None

    def fits(self, leaf: Mapping[str, Any]) -> bool:
        if not all(leaf.get(name) == value for name, value in self.equal.items()):
            return False
        return leaf["time"] >= self.since and not (self.until and leaf["time"] >= self.until)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a person, for that person: who they were by role, and by name where asked for."""

    time: str
    role: str
    action: str
    purpose: str
    ticket: str
    fields: Sequence[str]
    actor: str = ""


class Auditing:
    def __init__(self, decider: Decider, directory: Directory) -> None:
        self._decider, self._audit, self._clock = decider, decider.audit, decider.clock
        self._directory = directory

    def entries(self, actor: Actor, limit: int, wanted: Wanted | Mapping[str, str] | None = None) -> Sequence[Logged]:
        """The newest entries that fit, of the actor's tenants alone. Raises `Refused`, `Transient`."""
        search = wanted if isinstance(wanted, Wanted) else Wanted(wanted or {})
        own = self._decider.audited(Request(actor, Action.VIEW_AUDIT, self._clock.now()))

        def shown(leaf: dict[str, Any]) -> bool:
            return _is_own(actor, leaf) and search.fits(leaf)

        found = self._audit.newest(limit + 1, shown, search.before)
        return [entry for entry in found if entry.position != own][:limit]  # this very look is not what was asked for

    def export(self, actor: Actor, wanted: Wanted, form: str) -> Iterator[Logged]:
        """Every entry that fits, of the actor's tenants, oldest first; decided and recorded before this returns.
        Raises `Refused`, `Transient`."""
        own = self._decider.audited(Request(actor, Action.EXPORT_AUDIT, self._clock.now()), fields=(form,))
        return (
            self._audit.opened(position, leaf, sealed)
            for position, leaf, sealed in self._audit.leaves(since=wanted.since)
            if position < own and _is_own(actor, leaf) and wanted.fits(leaf)
        )

    def unusual(
        self, actor: Actor, zone: ZoneInfo, bound: Mapping[str, Sequence[str]], limits: Limits
    ) -> list[Finding]:
        """Looks of the last UNUSUAL_DAYS that stand out, of the actor's tenants. `bound`: staff that see some tenants
        only, and which. Raises `Refused`, `Transient`."""
        now = self._clock.now()
        self._decider.audited(Request(actor, Action.VIEW_UNUSUAL, now))
        since = (now - timedelta(days=UNUSUAL_DAYS)).isoformat()
        own = ((position, leaf) for position, leaf, _ in self._audit.leaves(since=since) if _is_own(actor, leaf))
        return unusual(own, zone, bound, limits)

    def report(self, actor: Actor, tenant: str, account: str, *, names: bool = False) -> Sequence[Look]:
        """Who looked at this person's data, oldest first, for the person; decided and recorded as an export.

        Staff are named by role unless `names`: a person learns when and what for, and who it was only where that is
        needed to judge it (CJEU, C-579/21). Raises `Refused`, `Transient`.
        """
        subject = self._audit.subject(tenant, account)
        request = Request(actor, Action.EXPORT_AUDIT, self._clock.now(), tenant=tenant, subject=subject)
        self._decider.audited(request, fields=("report",))
        return [_look(leaf, names) for leaf in looks_at(self._audit, self._directory, tenant, account)]


def looks_at(audit: AuditLog, directory: Directory, tenant: str, account: str) -> Sequence[Mapping[str, Any]]:
    """The leaves of every look that was granted at this person, oldest first. For who has decided and recorded
    already, such as an access package. Raises `Transient`."""
    names = _pseudonyms(audit, directory, tenant, account)
    found = (leaf for _, leaf, _ in audit.leaves(names))
    return [
        leaf for leaf in found
        if leaf["subject"] in names and leaf["action"] in _LOOKS and leaf["outcome"] == "granted"
    ]  # fmt: skip


def _pseudonyms(audit: AuditLog, directory: Directory, tenant: str, account: str) -> Sequence[str]:
    """Under which the log speaks of this person: by each of their accounts, and by the e-mail and phone of each that
    they were searched by."""
    if not directory.find(tenant, "account", account):
        return [audit.subject(tenant, account)]
    found: list[str] = []
    for name in dict.fromkeys([account, *directory.accounts_of(tenant, account)]):
        profile = directory.profile_of(tenant, name)
        values = {"email": profile.email, "phone": profile.phone} if profile else {}
        found += [audit.subject(tenant, name)]
        found += [audit.subject(tenant, value, by) for by, value in values.items() if value]
    return found


def _look(leaf: Mapping[str, Any], names: bool) -> Look:
    return Look(
        time=leaf["time"],
        role=leaf["role"],
        action=leaf["action"],
        purpose=leaf["purpose"],
        ticket=leaf["ticket"],
        fields=tuple(leaf["fields"]),
        actor=leaf["actor"] if names else "",
    )


def _is_own(actor: Actor, leaf: Mapping[str, Any]) -> bool:
    return EVERY_TENANT in actor.tenants or leaf["tenant"] in actor.tenants
