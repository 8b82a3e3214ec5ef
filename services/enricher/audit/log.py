"""The audit log: who looked at whose data, why, and what came of it. Append-only, provable (`proof`).

An entry is durable *before* anything it speaks of is shown. It holds no personal data of the person looked at:
the subject is a keyed digest, and the free-text reason is sealed beside the leaf, which keeps only the SHA-256
of the sealed bytes (docs/adr/0040).
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.enricher.access.records import audit_checkpoints, audit_head, audit_leaves
from services.enricher.audit.checkpoints import Signer, Untrusted, parse_body
from services.enricher.audit.merkle import Frontier
from services.enricher.persons.normalising import normalise
from services.enricher.persons.vault import bound_to
from services.runtime.clock import Clock
from services.runtime.database import has_rows, transaction
from services.runtime.errors import Fatal, Transient
from services.runtime.keys import KeyService, lasting_key

__all__ = ["CHECKPOINT_EVERY", "SIGNING_KEY", "AuditLog", "Entry", "Logged", "checkpoint_path", "reason_key"]

SIGNING_KEY = "audit/checkpoint"
SUBJECT_KEY = "audit/subject"
CHECKPOINT_EVERY = 1000  # kept for good at each; verifying a million entries then costs a thousand signatures
NONCE_BYTES = 12
READ_ENTRIES_MAX = 10_000  # how far back a search looks, so that a page answers within a second
_REASON_AAD = b"voile.audit.reason"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. Only `reason` may hold free text; the writer (`gate`) passes the rest from closed sets or
    checked patterns."""

    actor: str
    role: str
    action: str
    tenant: str
    subject: str = ""
    purpose: str = ""
    ticket: str = ""
    fields: tuple[str, ...] = ()
    outcome: str = ""
    rules: tuple[str, ...] = ()
    policy: str = ""
    grant: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry as it stands: its position, its leaf and, when it can be opened, its reason."""

    position: int
    leaf: dict[str, Any]
    reason: str


def checkpoint_path(data: Path) -> Path:
    """Where the newest checkpoint lies outside the database; copy it to another machine."""
    return data / "audit-checkpoint"


def reason_key(time: str) -> str:
    """The reasons of a month share a key, so that destroying it at the end of their term closes them all."""
    return f"audit/reason/{time[:7]}"


class AuditLog:
    """Appends are serialised by the head's row; every process of the plane may append."""

    def __init__(
        self,
        records: sa.Engine,
        keys: KeyService,
        clock: Clock,
        witness: Path,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
        checkpoint_every: int = CHECKPOINT_EVERY,
    ) -> None:
        self._records, self._keys, self._clock = records, keys, clock
        self._witness, self._random, self._every = witness, random, checkpoint_every
        self._signer = Signer(lasting_key(keys, SIGNING_KEY, self._has_entries))
        self._subject_key = lasting_key(keys, SUBJECT_KEY, self._has_entries)

    def _has_entries(self) -> bool:
        return has_rows(self._records, sa.select(audit_leaves.c.position))

    @property
    def key_line(self) -> str:
        return self._signer.key_line

    def subject(self, tenant: str, account: str, by: str = "account") -> str:
        """The pseudonym (32 hex digits) under which the log speaks of this person, or of an e-mail or phone number
        that was looked for."""
        return hmac.digest(self._subject_key, bound_to(by, tenant, normalise(by, account)), "sha256")[:16].hex()

    def append(self, entries: Sequence[Entry]) -> int:
        """Make the entries durable, with a signed checkpoint, in one transaction; the log's new size.

        Raises `Transient` when they may not be durable, and `Fatal` when the log was cut back: show nothing then.
        """
        time = self._clock.now()
        lines = [self._line(entry, time) for entry in entries]
        with transaction(self._records) as connection:
            frontier = _locked_head(connection)
            self._refuse_cut_back(frontier)
            note = self._write(connection, frontier, lines)
        self._hand_out(note, frontier.size)
        return frontier.size

    def reason(self, position: int) -> str:
        """The reason of one entry; empty when there is none, or its term is over."""
        query = sa.select(audit_leaves).where(audit_leaves.c.position == position)
        with transaction(self._records) as connection:
            row = connection.execute(query).one_or_none()
        return self._open_reason(_parsed(row.leaf), row.sealed_reason) if row else ""

    def newest(
        self, limit: int, matching: Callable[[dict[str, Any]], bool] = lambda _: True, before: int | None = None
    ) -> list[Logged]:
        """Newest first, at most `limit` of the `READ_ENTRIES_MAX` entries before position `before` (None: the end)."""
        query = sa.select(audit_leaves).order_by(audit_leaves.c.position.desc()).limit(READ_ENTRIES_MAX)
        if before is not None:
            query = query.where(audit_leaves.c.position < before)
        found: list[Logged] = []
        with transaction(self._records) as connection:
            for row in connection.execute(query):
                leaf = _parsed(row.leaf)
                if len(found) < limit and matching(leaf):
                    found.append(Logged(row.position, leaf, self._open_reason(leaf, row.sealed_reason)))
        return found

    def leaves(
        self, mentions: Sequence[str] = (), since: str = ""
    ) -> Iterator[tuple[int, dict[str, Any], bytes | None]]:
        """(position, leaf, sealed reason) of every entry that has one of `mentions` in its bytes (none: of every
        entry) and is not older than `since` (ISO, UTC), oldest first. Read in pages: writers get their turn."""
        words = [json.dumps(word, ensure_ascii=False).encode() for word in mentions]
        last = -1
        while rows := self._page_after(last):
            for position, leaf, sealed in rows:
                if words and not any(word in leaf for word in words):
                    continue
                parsed = _parsed(leaf)
                if parsed["time"] >= since:
                    yield position, parsed, sealed
            last = rows[-1][0]

    def opened(self, position: int, leaf: dict[str, Any], sealed: bytes | None) -> Logged:
        return Logged(position, leaf, self._open_reason(leaf, sealed))

    def _page_after(self, position: int) -> Sequence[tuple[int, bytes, bytes | None]]:
        query = sa.select(audit_leaves).where(audit_leaves.c.position > position).order_by(audit_leaves.c.position)
        with transaction(self._records) as connection:
            return [tuple(row) for row in connection.execute(query.limit(READ_ENTRIES_MAX))]

    def _line(self, entry: Entry, time: datetime) -> tuple[bytes, bytes | None]:
        stamp = time.isoformat(timespec="milliseconds")
        sealed = self._seal_reason(entry.reason, stamp) if entry.reason else None
        fields = {name: getattr(entry, name) for name in entry.__slots__ if name != "reason"}
        fields |= {"time": stamp, "reason_sha256": sha256(sealed).hexdigest() if sealed else ""}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode(), sealed

    def _seal_reason(self, reason: str, stamp: str) -> bytes:
        nonce = self._random(NONCE_BYTES)
        return nonce + AESGCM(self._keys.get_or_create(reason_key(stamp))).encrypt(
            nonce, reason.encode("utf-8", "replace"), _REASON_AAD
        )

    def _open_reason(self, leaf: dict[str, Any], sealed: bytes | None) -> str:
        key = self._keys.get(reason_key(leaf["time"])) if sealed else None
        if sealed is None or key is None:
            return ""
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _REASON_AAD).decode()
        except InvalidTag:
            return "(unreadable; run: voile audit verify)"

    def _write(self, connection: sa.Connection, frontier: Frontier, lines: Sequence[tuple[bytes, bytes | None]]) -> str:
        before = frontier.size
        rows = [
            {"position": before + n, "leaf": leaf, "sealed_reason": sealed} for n, (leaf, sealed) in enumerate(lines)
        ]
        kept = []
        for leaf, _ in lines:
            frontier.append(leaf)
            if (frontier.size + 1) % self._every == 0:  # the newest of its thousand: kept for good
                kept.append({"size": frontier.size, "note": self._signer.sign(frontier.size, frontier.root())})
        note = self._signer.sign(frontier.size, frontier.root())
        connection.execute(audit_leaves.insert(), rows)
        connection.execute(audit_head.update().values(size=frontier.size, edge=frontier.to_bytes()))
        if (before + 1) % self._every:
            connection.execute(audit_checkpoints.delete().where(audit_checkpoints.c.size == before))
        kept = [row for row in kept if row["size"] != frontier.size]
        connection.execute(audit_checkpoints.insert(), [*kept, {"size": frontier.size, "note": note}])
        return note

    def _refuse_cut_back(self, frontier: Frontier) -> None:
        """Going on over a log that was cut back would bury the proof: the newer checkpoint would be overwritten."""
        if (said := _read_witness(self._witness)) is None:
            return
        size, root = said
        if size > frontier.size or (size == frontier.size and root != frontier.root()):
            raise Fatal(
                f"The audit log does not continue the checkpoint in {self._witness}: it was cut back, changed, or "
                "restored from a backup. Run voile audit verify; after a restore, move that file away and keep it."
            )

    def _hand_out(self, note: str, size: int) -> None:
        try:
            with _exclusively(self._witness):
                said = _read_witness(self._witness)
                if said is None or said[0] < size:  # another process may have been faster with a newer one
                    _replace(self._witness, note)
        except OSError as error:
            raise Transient(f"The audit checkpoint {self._witness} cannot be written; is the disk full?") from error


def _parsed(leaf: bytes) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(leaf)
    except ValueError:
        raise Fatal("An entry of the audit log is damaged; run: voile audit verify") from None
    return fields


def _locked_head(connection: sa.Connection) -> Frontier:
    head = connection.execute(sa.select(audit_head).with_for_update()).one_or_none()
    if head is None:
        raise Fatal("The audit log has no head; run: voile db upgrade, then voile audit verify")
    try:
        return Frontier.from_bytes(head.size, head.edge)
    except ValueError:
        raise Fatal("The audit log's head is damaged; run: voile audit verify") from None


def _read_witness(path: Path) -> tuple[int, bytes] | None:
    """(size, root) of the checkpoint file, None when there is none. Its signature is `proof`'s business."""
    try:
        checkpoint = parse_body(path.read_text("utf-8").partition("\n\n")[0])
    except FileNotFoundError:
        return None
    except (Untrusted, UnicodeDecodeError):
        raise Fatal(f"{path} is no audit checkpoint; run: voile audit verify") from None
    return checkpoint.size, checkpoint.root


@contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
