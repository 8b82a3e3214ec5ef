"""Telling partners' systems what was published or withdrawn: Standard Webhooks, signed, tried again, bounded.

Source: Standard Webhooks 1.0 (headers, signature `v1`, schedule). A hook's secret is derived from a key of the plane
and the hook's id, so that no store holds it (ADR 0247). What is sent holds a name and a version, no figure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import has_rows, transaction
from services.runtime.errors import WrongUse
from services.runtime.keys import KeyService, lasting_key
from services.runtime.logs import get_logger
from services.runtime.web.outbound import NotSent, Sender, refuse_private
from services.stats.delivery.acts import Act, note
from services.stats.delivery.records import hook_messages as messages
from services.stats.delivery.records import hooks, partners
from services.stats.records import metadata

__all__ = ["AGAIN_AFTER", "Event", "Hook", "Hooks", "Message", "Post", "announce", "listed", "sent", "signed"]

SECRETS_KEY = "webhook/secrets"
HOOKS_MAX = 5  # of one partner
KEPT_MAX = 50  # messages of one hook: more is no list that somebody reads
AT_ONCE_MAX = 20  # messages of one round: each may take the sender's five seconds
CLAIM = timedelta(minutes=2)  # a message that is being sent is nobody else's for so long: a round at its slowest
AGAIN_AFTER = (
    *(timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
WAITS, TOLD = "waits", "told"


class Event(StrEnum):
    """What a message is about."""

    PUBLISHED = "release.published"
    WITHDRAWN = "release.withdrawn"
    TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class Hook:
    id: str
    partner: str
    url: str


@dataclass(frozen=True, slots=True)
class Message:
    """`outcome`: waits, told, or why it is not told (yet); `again`: when it is tried next, None: never."""

    id: str
    hook: str
    event: str
    name: str
    version: str
    at: datetime
    tries: int
    outcome: str
    again: datetime | None


def announce(connection: sa.Connection, event: Event, name: str, version: str, now: datetime) -> None:
    """A message for each hook of a partner that may have `name`; inside the transaction that publishes or withdraws."""
    rows = connection.execute(sa.select(hooks.c.id, partners.c.releases).join(partners)).all()
    for row in rows:
        if name in row.releases:
            _put(connection, row.id, event, (name, version), now)


class Hooks:
    """Partners' addresses. `keys` are the plane's. Every method is one transaction; raises `Transient`."""

    def __init__(
        self,
        engine: sa.Engine,
        keys: KeyService,
        clock: Clock,
        random_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._engine, self._keys, self._clock, self._random_hex = engine, keys, clock, random_hex

    def add(self, partner: str, url: str, who: str) -> tuple[Hook, str]:
        """The hook and its secret, to be shown this once. Raises `WrongUse`."""
        try:
            refuse_private(url)
        except NotSent as error:
            raise WrongUse(f"Nothing can be sent there: {error}.") from None
        hook = Hook(self._random_hex(6), partner, url)
        secret = self.secret(hook.id)
        with transaction(self._engine) as connection:
            if connection.scalar(sa.select(partners.c.id).where(partners.c.id == partner)) is None:
                raise WrongUse(f"There is no partner {partner}; see voile partner list.")
            count = sa.select(sa.func.count()).select_from(hooks).where(hooks.c.partner == partner)
            if connection.execute(count).scalar_one() >= HOOKS_MAX:
                raise WrongUse(f"A partner has at most {HOOKS_MAX} webhooks; remove one first.")
            row = {"id": hook.id, "partner": partner, "url": url, "created": int(self._clock.now().timestamp())}
            connection.execute(sa.insert(hooks).values(row))
            note(connection, self._clock.now(), who, Act.HOOK_ADDED, partner, reason=hook.id)
        return hook, secret

    def remove(self, hook: str, who: str) -> None:
        with transaction(self._engine) as connection:
            owner = connection.scalar(sa.select(hooks.c.partner).where(hooks.c.id == hook))
            if owner is None:
                raise _no_hook(hook)
            connection.execute(sa.delete(hooks).where(hooks.c.id == hook))
            note(connection, self._clock.now(), who, Act.HOOK_REMOVED, owner, reason=hook)

    def test(self, hook: str) -> None:
        """A message of no release, sent like any other."""
        with transaction(self._engine) as connection:
            if connection.scalar(sa.select(hooks.c.id).where(hooks.c.id == hook)) is None:
                raise _no_hook(hook)
            _put(connection, hook, Event.TEST, ("", self._random_hex(4)), self._clock.now())

    def secret(self, hook: str) -> str:
        """As Standard Webhooks writes it."""
        is_used = sa.select(hooks.c.id)
        master = lasting_key(self._keys, SECRETS_KEY, lambda: has_rows(self._engine, is_used))
        return "whsec_" + base64.b64encode(_derived(master, hook)).decode()


def listed(records: sa.Engine, partner: str | None = None) -> Sequence[Hook]:
    query = sa.select(hooks).order_by(hooks.c.created, hooks.c.id)
    chosen = query if partner is None else query.where(hooks.c.partner == partner)
    with transaction(records) as connection:
        return [Hook(row.id, row.partner, row.url) for row in connection.execute(chosen)]


def sent(records: sa.Engine, partner: str | None = None, limit: int = KEPT_MAX) -> Sequence[Message]:
    """Messages to a partner's hooks, or to all; the newest first."""
    query = sa.select(messages).join(hooks).order_by(messages.c.at.desc(), messages.c.id).limit(limit)
    chosen = query if partner is None else query.where(hooks.c.partner == partner)
    with transaction(records) as connection:
        return [_message(row) for row in connection.execute(chosen)]


class Post:
    """Sends what is due. `origin`: this service's address, as partners know it."""

    def __init__(self, engine: sa.Engine, own: Hooks, sender: Sender, origin: str, clock: Clock) -> None:
        self._engine, self._hooks, self._sender = engine, own, sender
        self._origin, self._clock = origin, clock

    def deliver(self) -> int:
        """How many arrived. Several processes may ask at once: each message is one's."""
        return sum(self._send(row) for row in self._claimed())

    def _claimed(self) -> Sequence[Any]:
        now = int(self._clock.now().timestamp())
        due = sa.select(messages, hooks.c.url).join(hooks).where(messages.c.next <= now)
        with transaction(self._engine) as connection:
            rows = connection.execute(due.order_by(messages.c.next).limit(AT_ONCE_MAX)).all()
            return [row for row in rows if self._claims(connection, row, now)]

    def _claims(self, connection: sa.Connection, row: Any, now: int) -> bool:
        mine = (messages.c.id == row.id, messages.c.next == row.next)
        later = now + int(CLAIM.total_seconds())
        changed = connection.execute(sa.update(messages).where(*mine).values(next=later).returning(messages.c.id))
        return changed.first() is not None

    def _send(self, row: Any) -> bool:
        now, body = int(self._clock.now().timestamp()), self._body(row)
        try:
            answer = self._sender.post(row.url, body, signed(self._hooks.secret(row.hook), row.id, now, body))
            why = "" if 200 <= answer < 300 else f"it answers {answer}"  # success, RFC 9110
        except NotSent as error:
            why = str(error)
        again = now + int(AGAIN_AFTER[row.tries].total_seconds()) if why and row.tries < len(AGAIN_AFTER) else None
        if why:
            get_logger().warning("webhook not delivered", attempt=row.tries + 1, reason=why)
        with transaction(self._engine) as connection:
            changes = {"tries": row.tries + 1, "next": again, "outcome": why or TOLD}
            connection.execute(sa.update(messages).where(messages.c.id == row.id).values(changes))
        return not why

    def _body(self, row: Any) -> bytes:
        data = {"name": row.name, "version": row.version} if row.event != Event.TEST else {}
        if data:
            data["url"] = f"{self._origin}/exports/v1/datasets/{row.name}/{row.version}"
        if row.event == Event.WITHDRAWN:
            data["reason"] = self._reason(row.name, row.version)
        told = {"type": row.event, "timestamp": _time(row.at).isoformat(), "data": data}
        return json.dumps(told).encode()

    def _reason(self, name: str, version: str) -> str:
        releases = metadata.tables["releases"]
        query = sa.select(releases.c.withdrawn_reason).where(releases.c.name == name, releases.c.version == version)
        with transaction(self._engine) as connection:
            return connection.scalar(query) or ""


def signed(secret: str, message: str, at: int, body: bytes) -> Mapping[str, str]:
    """The headers of a message. `secret`: whsec_..., `at`: seconds, of this try."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "user-agent": "Voile",
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _derived(master: bytes, hook: str) -> bytes:
    """32 bytes of one hook: a PRF of its id, so one partner's secret tells nothing of another's."""
    return hmac.new(master, b"voile webhook secret " + hook.encode(), hashlib.sha256).digest()


def _put(connection: sa.Connection, hook: str, event: Event, of: tuple[str, str], now: datetime) -> None:
    """`of`: name and version. The same event of the same version has the same id: a receiver that sees it twice
    knows."""
    (name, version), at = of, int(now.timestamp())
    told = {"hook": hook, "event": event.value, "name": name, "version": version, "outcome": WAITS}
    message = "-".join(filter(None, ("msg", *list(told.values())[:4])))
    connection.execute(sa.insert(messages).values(id=message, at=at, tries=0, next=at, **told))
    kept = sa.select(messages.c.id).where(messages.c.hook == hook).order_by(messages.c.at.desc()).limit(KEPT_MAX)
    newest = set(connection.scalars(kept))
    settled = (messages.c.hook == hook, messages.c.next.is_(None), messages.c.id.not_in(newest))
    connection.execute(sa.delete(messages).where(*settled))


def _message(row: Any) -> Message:
    again = None if row.next is None else _time(row.next)
    return Message(row.id, row.hook, row.event, row.name, row.version, _time(row.at), row.tries, row.outcome, again)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _no_hook(hook: str) -> WrongUse:
    return WrongUse(f"There is no webhook {hook}; see voile partner webhooks.")
