"""Telling a tenant's system that the status of its request changed, at addresses that it gave: signed, and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.enricher import records
from services.enricher.rights.book import CaseBook
from services.enricher.rights.opendsr import Signer, status_body, status_of
from services.enricher.rights.records import case_callbacks
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.logs import get_logger
from services.runtime.web.outbound import NotSent, Sender

__all__ = ["AGAIN_AFTER", "URLS_MAX", "Callbacks"]

URLS_MAX = 5  # of one request
AT_ONCE_MAX = 20  # callbacks of one round: each may take the sender's five seconds
# After each failure; after the last the status is only told when it changes again, or when it is asked for.
AGAIN_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 720))


class Callbacks:
    def __init__(self, engine: sa.Engine, book: CaseBook, signer: Signer, sender: Sender, clock: Clock) -> None:
        self._engine, self._book, self._signer, self._sender, self._clock = engine, book, signer, sender, clock

    def add(self, case: str, urls: Sequence[str]) -> None:
        """The caller has the status of now already."""
        now = {"status": "", "told": status_of(self._book.get(case)), "tries": 0, "next_ms": 0}
        rows = [{"case": case, "url": url, **now} for url in urls]
        if rows:
            with transaction(self._engine) as connection:
                insert = records.insert(connection, case_callbacks)
                connection.execute(insert.on_conflict_do_nothing(index_elements=["case", "url"]), rows)

    def tell(self) -> int:
        """Send what is due; how many were told."""
        now = self._clock.now()
        query = sa.select(case_callbacks).where(case_callbacks.c.next_ms <= _ms(now)).order_by(case_callbacks.c.next_ms)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        due = [row for row in rows if _is_due(row, status_of(self._book.get(row.case)))]
        return sum(self._tell(row, now) for row in due[:AT_ONCE_MAX])

    def _tell(self, row: Any, now: datetime) -> bool:
        file = self._book.get(row.case)
        status = status_of(file)
        body = status_body(file, self._signer.domain) | {"status_callback_url": row.url}
        signed = self._signer.sign(body)
        try:
            answer = self._sender.post(row.url, signed.body, signed.headers)
            why = "" if 200 <= answer < 300 else f"it answers {answer}"  # success, RFC 9110
        except NotSent as error:
            why = str(error)
        tries = (row.tries if row.status == status else 0) + 1
        if why:
            get_logger().warning("callback not delivered", case=row.case, attempt=tries, reason=why)
            self._note(
                row, status=status, tries=tries, next_ms=_ms(now + AGAIN_AFTER[min(tries, len(AGAIN_AFTER)) - 1])
            )
            return False
        self._note(row, status=status, told=status, tries=0, next_ms=0)
        return True

    def _note(self, row: Any, **changes: object) -> None:
        table = case_callbacks
        with transaction(self._engine) as connection:
            connection.execute(sa.update(table).where(table.c.case == row.case, table.c.url == row.url).values(changes))


def _is_due(row: Any, status: str) -> bool:
    given_up = row.status == status and row.tries >= len(AGAIN_AFTER)
    return bool(row.told != status and not given_up)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
