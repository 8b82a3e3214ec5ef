"""Models of collectors that could not be had: what each does with a batch on each answer. The time is the test's.

- Fluent Bit, `http_post` in plugins/out_http/http.c (github.com/fluent/fluent-bit, read at 00cd2e27): 200 to 205 is
  done; 408 and 429 are tried again; any other 4xx drops the chunk ("chunk will not be retried"); all else, also 207 and
  no connection, is tried again. How often says `retry_limit`, once unless it is set
  (docs.fluentbit.io/manual/administration/scheduling-and-retries); `no_limits` is for ever, as our page sets it.
- Vector, `HttpRetryLogic` in src/sinks/util/http.rs and http_service/retry.rs (github.com/vectordotdev/vector, read at
  fe2e4a44, newer ones also try 408 again): 2xx is done; 429 and 5xx are tried again but 501; all else drops the batch; errors
  of the connection are always tried again. `request.retry_attempts` has no limit unless it is set (its issue 396).
- OpenTelemetry specification, OTLP/HTTP, "Failures" and "Throttling": 200 is done; 429, 502, 503, 504 are tried again
  after Retry-After; all else drops the batch. The SDK and, by hand, the Collector do so themselves
  (tests/integration/test_contract_with_real_senders.py, docs/status.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["COLLECTORS", "FLUENT_BIT_RETRIES", "Collector", "Fate", "fluent_bit", "otlp", "vector"]

TRIES_MAX = 20  # a test that needs more has a fault
FLUENT_BIT_RETRIES = 1  # of its own accord


class Fate(Enum):
    DONE, AGAIN, DROPPED = range(3)


def fluent_bit(status: int) -> Fate:
    if 200 <= status <= 205:
        return Fate.DONE
    return Fate.DROPPED if 400 <= status < 500 and status not in {408, 429} else Fate.AGAIN


def vector(status: int) -> Fate:
    if 200 <= status < 300:
        return Fate.DONE
    return Fate.AGAIN if status in {408, 429} or (status >= 500 and status != 501) else Fate.DROPPED


def otlp(status: int) -> Fate:
    if status == 200:
        return Fate.DONE
    return Fate.AGAIN if status in {429, 502, 503, 504} else Fate.DROPPED


COLLECTORS: Mapping[str, Callable[[int], Fate]] = {"Fluent Bit": fluent_bit, "Vector": vector, "OTLP": otlp}


@dataclass
class Collector:
    """Sends each batch until its rule says that it is done or dropped. `send` answers with a status, or None when
    the connection broke before an answer came, which every collector tries again. `pause` is called before a
    repeat; after `retries_max` of them the batch is dropped."""

    rule: Callable[[int], Fate]
    send: Callable[[bytes], int | None]
    pause: Callable[[], None]
    statuses: list[int | None] = field(default_factory=list)
    dropped: int = 0
    retries_max: int | None = None

    def ship(self, batches: Iterator[bytes]) -> None:
        for batch in batches:
            if self._ship(batch) is Fate.DROPPED:
                self.dropped += 1

    def _ship(self, batch: bytes) -> Fate:
        for tried in range(TRIES_MAX):
            if self.retries_max is not None and tried > self.retries_max:
                return Fate.DROPPED
            status = self.send(batch)
            self.statuses.append(status)
            fate = Fate.AGAIN if status is None else self.rule(status)
            if fate is not Fate.AGAIN:
                return fate
            self.pause()
        raise AssertionError(f"never done: {self.statuses[-TRIES_MAX:]}")
