"""Runs one plane with steps of minimisation taken out, for the test that must notice it.

python -m tests.privacy.leaky_planes PLANE
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from services.cli.supervisor import run_plane
from services.runtime import dead_letters
from services.runtime.batches import decode_access_batch
from services.runtime.log.interface import Message, Record
from services.runtime.metrics import HTTP_REQUESTS
from services.runtime.settings import load_settings
from services.runtime.topics import TOPICS
from services.runtime.web import problems
from services.runtime.web.guard import Guard

__all__ = ["LEAKS"]

# What is taken out, and where it must be found.
LEAKS = {
    "a path is its own template": "clickhouse default.events.route",
    "and is published with its day": "clickhouse default.cells.dim1",
    "and kept in a backup": "backup statistics.db day_cells.",
    "a dead letter keeps the record's key": "topic access-log.dead-letter.v1 key",
    "requests are counted by their path": "answer 200 of identity to GET /metrics",
    "an error repeats what was sent": "answer 400 of identity to PUT",
}


def keep_paths() -> None:
    from services.stats.counting.routes import Templater

    Templater.template = lambda _self, path: path  # type: ignore[assignment, method-assign]  # the test's replaced step


def keep_keys() -> None:
    from services.stats import service

    def quoting(record: Record, reason: str, plane: str, at: datetime) -> Message:
        letter = dead_letters.dead_letter(record, reason, plane, at)
        return Message(letter.topic, record.key, letter.value)

    service.dead_letter = quoting  # type: ignore[attr-defined, assignment]


def count_by_path() -> None:
    def count(self: Guard, scope: Any, exchange: Any) -> None:
        self._metrics.count(HTTP_REQUESTS, method="GET", route=scope["path"], status=str(exchange.status))

    Guard._count = count  # type: ignore[method-assign]


def repeat_input() -> None:
    problems._of_invalid = lambda error: problems.Problem(400, repr(error.errors()))


def tell_what_is_spooled() -> None:
    from services.ingest.spool import Spool

    append = Spool.append

    def telling(self: Spool, messages: Sequence[Message]) -> None:
        append(self, messages)
        for message in messages:
            if message.topic == TOPICS["access-log"].name and message.value is not None:
                accounts = decode_access_batch(message.value).frame["account"].drop_nulls().to_list()
                print(accounts, file=sys.stderr, flush=True)
                (self._folder / quote(accounts[0], safe="")).touch()

    Spool.append = telling  # type: ignore[method-assign]


def main() -> None:
    for take_out in (keep_paths, keep_keys, count_by_path, repeat_input, tell_what_is_spooled):
        take_out()
    run_plane(sys.argv[1], load_settings())


if __name__ == "__main__":
    main()
