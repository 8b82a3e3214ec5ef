"""`voile audit verify`: proves from the bytes alone that no entry was changed, removed, moved or put in between.

1. The head and every stored checkpoint are read at one moment; every checkpoint's signature is checked.
2. Every leaf is hashed again in order; positions have no gap; a sealed reason is the one its leaf names.
   There is one for each thousand entries: none was removed.
3. The root recomputed at each checkpoint's size equals the signed one. One recomputation thus proves that all
   checkpoints are consistent with each other.
4. So are the checkpoint file in the data folder and, when given, an older one kept elsewhere: only these can tell
   that the end of the log was cut off by someone who owns the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.enricher.access.records import audit_checkpoints, audit_head, audit_leaves
from services.enricher.audit.checkpoints import NOTE_BYTES_MAX, Checkpoint, Untrusted, Verifier
from services.enricher.audit.log import CHECKPOINT_EVERY, SIGNING_KEY
from services.enricher.audit.merkle import Frontier
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from services.runtime.keys import KeyService

__all__ = ["Verdict", "verify"]

PAGE_ENTRIES = 20_000  # read in pages: writers get their turn in between
NO_REASON = b'"reason_sha256":""'  # quotes inside a value are escaped, so these bytes can only be this field


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problem` is one sentence, empty when the log is whole. `outside`: checkpoints from outside the database that
    were compared; 0 means that a cut at the end could not have been noticed."""

    entries: int
    checkpoints: int
    outside: int
    root: str
    problem: str

    @property
    def whole(self) -> bool:
        return not self.problem


class _Broken(Exception):
    """Its text is the verdict's sentence."""


class _Standing(NamedTuple):
    size: int
    edge: bytes
    beyond: int
    notes: Sequence[tuple[int, str]]


def verify(
    records: sa.Engine,
    keys: KeyService,
    witness: Path,
    outside: Path | None = None,
    *,
    checkpoint_every: int = CHECKPOINT_EVERY,
) -> Verdict:
    """Raises `Transient` when the database is away and `Fatal` when a file given cannot be read."""
    standing = _read_standing(records)
    files = [(witness, _read_note(witness))] if witness.exists() else []
    files += [(outside, _read_note(outside))] if outside else []
    frontier = Frontier()
    try:
        verifier = _verifier(keys, standing)
        points = {size: _stored(verifier, size, note) for size, note in standing.notes}
        _check_head(standing, points)
        _refuse_removed(standing.size, points, checkpoint_every)
        claims = [(f"in the file {path}", _opened(verifier, f"in {path}", note)) for path, note in files]
        _refuse_longer(claims, standing.size)
        _walk(records, frontier, standing.size, _by_size(points, claims))
        _check_edge(standing, frontier)
    except _Broken as broken:
        return Verdict(standing.size, len(standing.notes), len(files), "", str(broken))
    except (TypeError, ValueError, AttributeError):
        sentence = "A row of the log is not of the kind that Voile writes: it was changed."
        return Verdict(standing.size, len(standing.notes), len(files), "", sentence)
    return Verdict(standing.size, len(standing.notes), len(files), frontier.root().hex(), "")


def _read_standing(records: sa.Engine) -> _Standing:
    with transaction(records) as connection:
        head = connection.execute(sa.select(audit_head)).one_or_none()
        notes = connection.execute(sa.select(audit_checkpoints).order_by(audit_checkpoints.c.size)).all()
        size, edge = (head.size, head.edge) if head else (-1, b"")
        outlying = (audit_leaves.c.position >= size) | (audit_leaves.c.position < 0)
        beyond = connection.scalar(sa.select(sa.func.count()).select_from(audit_leaves).where(outlying))
    return _Standing(size, edge, beyond or 0, [(row.size, row.note) for row in notes])


def _read_note(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(NOTE_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise Fatal(f"The checkpoint file {path} cannot be read ({type(error).__name__}).") from None


def _verifier(keys: KeyService, standing: _Standing) -> Verifier:
    if (seed := keys.get(SIGNING_KEY)) is None:
        if standing.size <= 0 and not standing.notes:
            raise _Broken("The audit log has never been written: no identity service ran with these settings yet.")
        raise _Broken("The key that signs checkpoints is gone from the key folder; restore it to verify the log.")
    return Verifier(Ed25519PrivateKey.from_private_bytes(seed).public_key())


def _opened(verifier: Verifier, where: str, note: str) -> Checkpoint:
    try:
        return verifier.open(note)
    except Untrusted as error:
        raise _Broken(f"The checkpoint {where} {error}.") from None


def _stored(verifier: Verifier, size: int, note: str) -> Checkpoint:
    checkpoint = _opened(verifier, f"stored for {size} entries", note)
    if checkpoint.size != size:
        raise _Broken(f"The checkpoint stored for {size} entries speaks of {checkpoint.size}: it was moved.")
    return checkpoint


def _check_head(standing: _Standing, points: Mapping[int, Checkpoint]) -> None:
    if standing.size < 0:
        raise _Broken("The audit log's head is gone.")
    if standing.beyond:
        raise _Broken(f"{standing.beyond} entries lie outside the log's {standing.size}: they were put in.")
    if standing.size and max(points, default=0) != standing.size:
        raise _Broken(
            f"The log says {standing.size} entries but its newest checkpoint says {max(points, default=0)}: "
            "entries or checkpoints were removed or added."
        )


def _refuse_removed(size: int, points: Mapping[int, Checkpoint], every: int) -> None:
    """Whoever appends keeps the newest checkpoint of each `every` entries."""
    missing = set(range(size // every + 1)) - {point // every for point in points} if size else set()
    if missing:
        first = min(missing) * every
        raise _Broken(f"No checkpoint is stored for {max(first, 1)} to {first + every - 1} entries: it was removed.")


def _refuse_longer(claims: Sequence[tuple[str, Checkpoint]], size: int) -> None:
    for where, checkpoint in claims:
        if checkpoint.size > size:
            raise _Broken(
                f"The checkpoint {where} proves {checkpoint.size} entries but the log has {size}: "
                "the end was cut off, or an older backup was restored."
            )


def _by_size(
    points: Mapping[int, Checkpoint], claims: Sequence[tuple[str, Checkpoint]]
) -> dict[int, list[tuple[str, bytes]]]:
    expected = {size: [("stored in the database", point.root)] for size, point in points.items()}
    for where, checkpoint in claims:
        expected.setdefault(checkpoint.size, []).append((where, checkpoint.root))
    return expected


def _walk(
    records: sa.Engine, frontier: Frontier, size: int, expected: Mapping[int, Sequence[tuple[str, bytes]]]
) -> None:
    proven = 0
    for position, leaf, sealed in _leaves(records, size):
        if position != frontier.size:
            break
        if sealed is not None or NO_REASON not in leaf:
            _check_reason(position, leaf, sealed)
        frontier.append(leaf)
        if frontier.size in expected:
            _compare(frontier, expected[frontier.size], proven)
            proven = frontier.size
    if frontier.size != size:
        raise _Broken(f"Entry {frontier.size} is missing.")


def _leaves(records: sa.Engine, size: int) -> Iterator[tuple[int, bytes, bytes | None]]:
    for start in range(0, size, PAGE_ENTRIES):
        within = audit_leaves.c.position.between(start, min(start + PAGE_ENTRIES, size) - 1)
        # The cast gives the stored bytes even when someone stored them as another type.
        leaf, sealed = (
            sa.cast(column, sa.LargeBinary) for column in (audit_leaves.c.leaf, audit_leaves.c.sealed_reason)
        )
        query = sa.select(audit_leaves.c.position, leaf, sealed).where(within).order_by(audit_leaves.c.position)
        with transaction(records) as connection:
            rows = connection.execute(query).all()
        yield from (tuple(row) for row in rows)


def _check_reason(position: int, leaf: bytes, sealed: bytes | None) -> None:
    try:
        named = json.loads(leaf)["reason_sha256"]
    except (ValueError, KeyError, TypeError):
        raise _Broken(f"Entry {position} was changed: it is no entry any more.") from None
    if named != (sha256(sealed).hexdigest() if sealed else ""):
        raise _Broken(f"The sealed reason of entry {position} was changed or removed.")


def _compare(frontier: Frontier, expected: Sequence[tuple[str, bytes]], proven: int) -> None:
    for where, root in expected:
        if root != frontier.root():
            raise _Broken(
                f"An entry between {proven} and {frontier.size - 1} was changed, removed, moved or put in: the root of "
                f"the first {frontier.size} entries differs from the signed checkpoint {where}."
            )


def _check_edge(standing: _Standing, frontier: Frontier) -> None:
    if frontier.to_bytes() != standing.edge:
        raise _Broken("The log's head does not belong to its entries: it was changed.")
