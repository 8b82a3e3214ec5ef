"""Models of collectors: what each does with a batch on each answer, as its source says. The time is the test's.

Fluent Bit, plugins/out_http/http.c: 200 to 205 is done; 408 and 429 are tried again; any other 4xx drops the chunk;
all else (also 207) is tried again. Vector, src/sinks/util/http.rs: 2xx is done; 408 and 429 and 5xx are tried again but
501; all else drops the batch. OpenTelemetry specification, OTLP/HTTP: 200 is done; 429, 502, 503, 504 are tried again
after Retry-After; all else drops the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["COLLECTORS", "Collector", "Fate", "fluent_bit", "otlp", "vector"]

TRIES_MAX = 20  # a test that needs more has a fault


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
    repeat."""

    rule: Callable[[int], Fate]
    send: Callable[[bytes], int | None]
    pause: Callable[[], None]
    statuses: list[int | None] = field(default_factory=list)
    dropped: int = 0

    def ship(self, batches: Iterator[bytes]) -> None:
        for batch in batches:
            if self._ship(batch) is Fate.DROPPED:
                self.dropped += 1

    def _ship(self, batch: bytes) -> Fate:
        for _ in range(TRIES_MAX):
            status = self.send(batch)
            self.statuses.append(status)
            fate = Fate.AGAIN if status is None else self.rule(status)
            if fate is not Fate.AGAIN:
                return fate
            self.pause()
        raise AssertionError(f"never done: {self.statuses[-TRIES_MAX:]}")
