"""Access batches for benches: many visitors whose requests lie together, popular pages by a power law, a few bots."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from services.runtime import avro
from services.runtime.batches import AccessBatch, Span, encode_access_batch

__all__ = ["EVENTS_PER_BATCH", "write_batches"]

EVENTS_PER_BATCH = 3000  # about 850 kB: a batch is at most 900 kB
DAY = datetime(2026, 3, 10)  # noqa: DTZ001  # frames carry naive UTC
REQUESTS_PER_VISITOR = 8  # pages and what they bring along
VISITORS_AT_ONCE = 4000  # whose requests are mixed in the log
HOST = "www.chess.example"


def write_batches(folder: Path, events: int, seed: int = 1, members: int = 0) -> list[Path]:
    """One file an Avro container, in the order of time. With `members` every visitor is one of so many accounts;
    without, a tenth of the accesses is of one of 5000, at random."""
    found = []
    for number, value in enumerate(_batches(events, random.Random(seed), members)):
        path = folder / f"{number:05}.avro"
        path.write_bytes(value)
        found.append(path)
    return found


def _batches(events: int, chance: random.Random, members: int) -> Iterator[bytes]:
    visitors = [(_address(chance), chance.choice(_AGENTS)) for _ in range(events // REQUESTS_PER_VISITOR + 1)]
    pages = [f"/{chance.choice(_AREAS)}/{chance.choice(_WORDS)}-{chance.choice(_WORDS)}" for _ in range(1500)]
    for first in range(0, events, EVENTS_PER_BATCH):
        numbers = range(first, min(events, first + EVENTS_PER_BATCH))
        rows = [_row(n, n / events, visitors, pages, chance, members) for n in numbers]
        frame = pl.DataFrame(rows, schema=dict(avro.columns("access_log")), orient="row")
        span = Span("web", "access.log", first, numbers[-1], frame.height)
        yield encode_access_batch(AccessBatch(frame, "web", [span]))


def _row(
    number: int, through: float, visitors: list[tuple[str, str]], pages: list[str], chance: random.Random, members: int
) -> dict[str, object]:
    visitor = (number // REQUESTS_PER_VISITOR + chance.randrange(VISITORS_AT_ONCE)) % len(visitors)
    address, agent = visitors[visitor]
    at = DAY + timedelta(milliseconds=int(through * 86_400_000))
    return {
        "position": number,
        "timestamp": at,
        "received_at": at,
        "tenant": "chess-club",
        "site": HOST,
        "source": "web",
        "client_address": address,
        "account": f"member-{visitor % members}" if members else _sometimes(chance),
        "user_agent": agent,
        "method": "GET",
        "host": HOST,
        "path": _path(pages, chance),
        "protocol": "HTTP/1.1",
        "status": chance.choice((200, 200, 200, 200, 200, 200, 304, 404)),
        "response_bytes": chance.randrange(100_000),
        "duration_ms": chance.randrange(900),
        "referrer": chance.choice(_REFERRERS),
    }


def _sometimes(chance: random.Random) -> str | None:
    return f"member-{chance.randrange(5000)}" if chance.random() < 0.1 else None


def _path(pages: list[str], chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.15:
        return f"/products/{chance.randrange(5000)}"
    if kind < 0.2:
        return f"/members/{chance.choice(_WORDS)}.{chance.choice(_WORDS)}"
    if kind < 0.45:
        return f"/static/{chance.choice(_WORDS)}.{chance.choice(('js', 'css', 'png'))}"
    return pages[min(int(chance.paretovariate(0.7)), len(pages)) - 1]


def _address(chance: random.Random) -> str:
    return ".".join(str(chance.randrange(1, 255)) for _ in range(4))


_AREAS = ("blog", "products", "docs", "help", "club")
_WORDS = (
    "intro",
    "pricing",
    "opening",
    "endgame",
    "rules",
    "teams",
    "news",
    "start",
    "board",
    "clock",
    "queen",
    "rook",
)
_REFERRERS = (
    *[None] * 6, f"https://{HOST}/rules", "https://www.google.com/", "https://t.co/x",
    *(f"https://site{n}.example.com/p{n}" for n in range(100)),
)  # fmt: skip
_AGENTS = (
    *(
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.{m}.0 Safari/537.36"
        for n in range(100, 140)
        for m in range(15)
    ),
    *(
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_{n} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        f"Version/17.{m} Mobile/15E148 Safari/604.1"
        for n in range(10)
        for m in range(20)
    ),
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)
