"""A real audit log on a SQLite file, and the ways in which a person with the database could falsify it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from services.enricher.audit.log import CHECKPOINT_EVERY, AuditLog, Entry, checkpoint_path
from services.enricher.audit.merkle import Frontier
from services.enricher.audit.proof import Verdict, verify
from services.enricher.records import MIGRATIONS
from services.runtime.clock import FixedClock
from services.runtime.database import open_records, upgrade
from services.runtime.keys import FileKeyService

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Bench:
    folder: Path
    records: sa.Engine
    keys: FileKeyService
    clock: FixedClock
    log: AuditLog

    def verify(self, outside: Path | None = None, checkpoint_every: int = CHECKPOINT_EVERY) -> Verdict:
        witness = checkpoint_path(self.folder)
        return verify(self.records, self.keys, witness, outside, checkpoint_every=checkpoint_every)

    def fill(self, count: int, in_batches_of: int = 7) -> None:
        for start in range(0, count, in_batches_of):
            self.log.append([entry(n) for n in range(start, min(start + in_batches_of, count))])


def open_bench(folder: Path, url: str = "") -> Bench:
    folder.mkdir(exist_ok=True)
    records = open_records(url or f"sqlite:///{folder}/identity.db")
    upgrade(records, MIGRATIONS)
    keys, clock = FileKeyService(folder / "keys"), FixedClock(NOON)
    return Bench(folder, records, keys, clock, AuditLog(records, keys, clock, checkpoint_path(folder)))


def entry(number: int) -> Entry:
    return Entry(
        actor=f"agent-{number % 5}",
        role="support",
        action="viewActivity",
        tenant="club",
        subject=f"{number:032x}",
        purpose="support",
        ticket=f"SUP-{number}",
        outcome="granted",
        reason="the member cannot open the invoice" if number % 3 == 0 else "",
    )


Mutation = Callable[[sa.Connection, random.Random], str]


def _size(connection: sa.Connection) -> int:
    return int(connection.execute(sa.text("SELECT size FROM audit_head")).scalar_one())


def _leaf(connection: sa.Connection, position: int) -> bytes:
    row = connection.execute(sa.text("SELECT leaf FROM audit_leaves WHERE position = :p"), {"p": position})
    return bytes(row.scalar_one())


def edit_byte(connection: sa.Connection, dice: random.Random) -> str:
    position = dice.randrange(_size(connection))
    leaf = bytearray(_leaf(connection, position))
    at = dice.randrange(len(leaf))
    leaf[at] ^= 1 << dice.randrange(8)
    _store(connection, position, bytes(leaf))
    return f"bit of byte {at} of entry {position}"


def _store(connection: sa.Connection, position: int, leaf: bytes) -> None:
    connection.execute(sa.text("UPDATE audit_leaves SET leaf = :l WHERE position = :p"), {"l": leaf, "p": position})


def delete_entry(connection: sa.Connection, dice: random.Random) -> str:
    position = dice.randrange(_size(connection))
    connection.execute(sa.text("DELETE FROM audit_leaves WHERE position = :p"), {"p": position})
    return f"deleted {position}"


def delete_and_close_up(connection: sa.Connection, dice: random.Random) -> str:
    """Removes an entry, moves the later ones up and lowers the head: no gap is left to see."""
    size = _size(connection)
    position = dice.randrange(size)
    connection.execute(sa.text("DELETE FROM audit_leaves WHERE position = :p"), {"p": position})
    for later in range(position + 1, size):
        connection.execute(
            sa.text("UPDATE audit_leaves SET position = :n WHERE position = :p"), {"n": later - 1, "p": later}
        )
    connection.execute(sa.text("UPDATE audit_head SET size = size - 1"))
    return f"deleted {position} and closed up"


def reorder(connection: sa.Connection, dice: random.Random) -> str:
    one, other = dice.sample(range(_size(connection)), 2)
    first, second = _leaf(connection, one), _leaf(connection, other)
    _store(connection, one, second)
    _store(connection, other, first)
    return f"swapped {one} and {other}"


def insert_entry(connection: sa.Connection, dice: random.Random) -> str:
    position = _size(connection) + dice.randrange(3)
    connection.execute(
        sa.text("INSERT INTO audit_leaves (position, leaf) VALUES (:p, :l)"), {"p": position, "l": _leaf(connection, 0)}
    )
    return f"put in {position}"


def truncate(connection: sa.Connection, dice: random.Random) -> str:
    """Cuts the end off and makes head and checkpoints consistent again, as well as one can without the key: the
    newest kept checkpoint is one that was really signed, when there is one."""
    keep = dice.randrange(1, _size(connection))
    connection.execute(sa.text("DELETE FROM audit_leaves WHERE position >= :k"), {"k": keep})
    connection.execute(sa.text("DELETE FROM audit_checkpoints WHERE size > :k"), {"k": keep})
    set_head(connection, keep)
    return f"cut to {keep}"


def fork(connection: sa.Connection, dice: random.Random) -> str:
    """Writes another history from some entry on and a head that fits it."""
    size = _size(connection)
    for position in range(dice.randrange(size), size):
        _store(connection, position, _leaf(connection, position).replace(b"agent-", b"other-"))
    set_head(connection, size)
    return "forked"


def set_head(connection: sa.Connection, size: int) -> None:
    frontier = Frontier()
    for position in range(size):
        frontier.append(_leaf(connection, position))
    connection.execute(sa.text("UPDATE audit_head SET size = :s, edge = :e"), {"s": size, "e": frontier.to_bytes()})


def edit_reason(connection: sa.Connection, dice: random.Random) -> str:
    position = dice.randrange(0, _size(connection), 3)
    connection.execute(
        sa.text("UPDATE audit_leaves SET sealed_reason = :s WHERE position = :p"),
        {"s": None if dice.random() < 0.5 else dice.randbytes(60), "p": position},
    )
    return f"reason of {position}"


def edit_checkpoint(connection: sa.Connection, dice: random.Random) -> str:
    sizes = [row[0] for row in connection.execute(sa.text("SELECT size FROM audit_checkpoints"))]
    size = dice.choice(sizes)
    note = connection.execute(sa.text("SELECT note FROM audit_checkpoints WHERE size = :s"), {"s": size}).scalar_one()
    lines = note.split("\n")
    lines[1] = str(int(lines[1]) + dice.choice((-1, 1)))
    connection.execute(
        sa.text("UPDATE audit_checkpoints SET note = :n WHERE size = :s"), {"n": "\n".join(lines), "s": size}
    )
    return f"checkpoint of {size}"


def delete_checkpoint(connection: sa.Connection, dice: random.Random) -> str:
    size = dice.choice([row[0] for row in connection.execute(sa.text("SELECT size FROM audit_checkpoints"))])
    connection.execute(sa.text("DELETE FROM audit_checkpoints WHERE size = :s"), {"s": size})
    return f"deleted the checkpoint of {size}"


def swap_checkpoints(connection: sa.Connection, dice: random.Random) -> str:
    """Two notes that were really signed, each in the other's place."""
    rows = connection.execute(sa.text("SELECT size, note FROM audit_checkpoints ORDER BY size")).all()
    one, other = dice.sample(rows, 2)
    for size, note in ((one.size, other.note), (other.size, one.note)):
        connection.execute(sa.text("UPDATE audit_checkpoints SET note = :n WHERE size = :s"), {"n": note, "s": size})
    return f"swapped the checkpoints of {one.size} and {other.size}"


def insert_checkpoint(connection: sa.Connection, dice: random.Random) -> str:
    """A note that was really signed, for a size that has none."""
    rows = connection.execute(sa.text("SELECT size, note FROM audit_checkpoints")).all()
    free = sorted(set(range(1, 2 * _size(connection))) - {row.size for row in rows})
    size = dice.choice(free)
    note = dice.choice(rows).note
    connection.execute(sa.text("INSERT INTO audit_checkpoints (size, note) VALUES (:s, :n)"), {"s": size, "n": note})
    return f"put in a checkpoint for {size}"


def edit_head(connection: sa.Connection, dice: random.Random) -> str:
    connection.execute(sa.text("UPDATE audit_head SET edge = :e"), {"e": dice.randbytes(32)})
    return "head"


MUTATIONS: tuple[Mutation, ...] = (
    edit_byte, delete_entry, delete_and_close_up, reorder, insert_entry, truncate, fork, edit_reason, edit_checkpoint,
    delete_checkpoint, swap_checkpoints, insert_checkpoint, edit_head,
)  # fmt: skip
