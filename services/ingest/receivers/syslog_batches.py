"""Messages that came by syslog -> durable batches, with a bound on what is in memory meanwhile."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

from services.ingest.committer import Committer, Submission
from services.ingest.meters import Meters
from services.ingest.preparing import Policy, Prepared, prepare
from services.ingest.receivers.syslog_messages import log_lines
from services.ingest.senders import Sender, Senders
from services.runtime.clock import Clock
from services.runtime.errors import Transient
from services.runtime.logs import get_logger
from services.runtime.metrics import SYSLOG_DROPPED

__all__ = ["FLUSH_S", "HELD_BYTES_MAX", "SyslogBatches"]

FLUSH_S = 0.05  # what comes within it is one batch
HELD_BYTES_MAX = 16 * 1024 * 1024  # in memory, not durable yet: 60 000 lines, seconds of a busy site
BATCH_MESSAGES_MAX = 50_000  # as a round of the committer
RETRY_S_MAX = 5.0


class SyslogBatches:
    """Used by one event loop. `origin` is this start's random name: a position is a message's number under it."""

    def __init__(
        self, senders: Senders, committer: Committer, policy: Policy, *, meters: Meters, clock: Clock, origin: str
    ) -> None:
        self._senders, self._committer, self._policy = senders, committer, policy
        self._meters, self._clock, self._origin = meters, clock, origin
        self._waiting: dict[str, list[bytes]] = defaultdict(list)
        self._next: dict[str, int] = defaultdict(int)
        self.held_bytes = 0  # also of the batch that is being made durable
        self.stopping = False

    def take(self, source: str | None, messages: Sequence[bytes]) -> None:
        """From a listener. None: nobody declared this peer."""
        if source is None:
            self.dropped("unknown_peer", len(messages))
        elif self.held_bytes >= HELD_BYTES_MAX:
            self.dropped("too_many", len(messages))
        else:
            self._waiting[source] += messages
            self.held_bytes += sum(map(len, messages))

    def dropped(self, reason: str, count: int) -> None:
        if count:
            self._meters.metrics.count(SYSLOG_DROPPED, count, reason=reason)

    async def work(self, pool: Executor) -> None:
        """Until `stopping`, and then what is held. Parsing is done in `pool`."""
        while not self.stopping:
            await asyncio.sleep(FLUSH_S)
            await self._flush(pool)
        await self._flush(pool)

    async def _flush(self, pool: Executor) -> None:
        for source, messages in self._batches():
            first = self._next[source]
            self._next[source] += len(messages)
            try:
                await self._deliver(pool, source, messages, first)
            except Exception as error:  # one batch that nobody can encode must not end the receiver
                get_logger().error("syslog batch given up", error_type=type(error).__name__, count=len(messages))
                self.dropped("not_durable", len(messages))
            self.held_bytes -= sum(map(len, messages))

    def _batches(self) -> Iterator[tuple[str, list[bytes]]]:
        for source in list(self._waiting):
            messages = self._waiting.pop(source)
            for at in range(0, len(messages), BATCH_MESSAGES_MAX):
                yield source, messages[at : at + BATCH_MESSAGES_MAX]

    async def _deliver(self, pool: Executor, source: str, messages: list[bytes], first: int) -> None:
        """Tried until it is durable: what comes meanwhile fills the memory, and then the senders wait or lose."""
        in_thread = asyncio.get_running_loop().run_in_executor
        prepared: Prepared | None = None
        while True:
            try:
                sender = await in_thread(pool, self._admitted, source)
                if sender is None:
                    return self.dropped("inactive", len(messages))
                if prepared is None:
                    prepared = await in_thread(pool, self._prepared, sender, messages, first)
                submission = Submission(source, self._origin, prepared, None)
                return self._meters.lines(await asyncio.wrap_future(self._committer.submit(submission)))
            except Transient as error:
                if self.stopping:
                    return self.dropped("not_durable", len(messages))
                await asyncio.sleep(min(RETRY_S_MAX, error.retry_after_s))

    def _admitted(self, source: str) -> Sender | None:
        sender = self._senders.named(source)
        return sender if sender is not None and self._senders.is_active(sender) else None

    def _prepared(self, sender: Sender, messages: list[bytes], first: int) -> Prepared:
        self._meters.text("syslog", sum(map(len, messages)))
        lines = log_lines(messages, first)
        prepared = prepare(lines, sender.format, sender.source, self._policy, self._clock.now())
        self._meters.cut(prepared)
        return prepared
