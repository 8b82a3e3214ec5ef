"""Makes small bodies durable together: one thread, one batch a source, one sync for all of them.

A container an event costs a reader 33 us; bodies that come within 10 ms share one, and one transaction.
Steps of a round: 1 begin claims, 2 decide what is new, 3 publish, 4 finish claims and count, 5 answer.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from services.ingest.accounting import Outcome
from services.ingest.batches import Part
from services.ingest.preparing import Letter, Prepared
from services.ingest.publisher import Publisher
from services.ingest.request_claims import ClaimId, RequestClaim, RequestClaims
from services.ingest.source_counts import Tally
from services.runtime.clock import Clock
from services.runtime.errors import Poison, Transient
from services.runtime.log.interface import Message

__all__ = ["KEY_REUSED", "Committer", "Submission"]

SHARE_S = 0.010  # bodies that come within this time share a batch; half of it is what a lone one waits on average
ROWS_MAX = 50_000  # a round beyond this is not made larger: about 12 MB
KEY_REUSED = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Submission:
    """One parsed body. `claim` is None for one that can never be a duplicate; then `origin` is its own."""

    source: str
    origin: str
    prepared: Prepared
    claim: RequestClaim | None
    result: Future[Outcome] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Decided:
    """What of a submission is published, under which origin, and what it comes to."""

    submission: Submission
    part: Part
    letters: Sequence[Letter]
    outcome: Outcome
    finished: RequestClaim | None


class Committer:
    """`submit` from any thread; answers come by the submission's future."""

    def __init__(self, claims: RequestClaims, publisher: Publisher, clock: Clock) -> None:
        self._claims, self._publisher, self._clock = claims, publisher, clock
        self._waiting: queue.Queue[Submission | None] = queue.Queue()
        self._uncounted: list[Tally] = []
        self._thread = threading.Thread(target=self._run, daemon=True, name="committer")
        self._thread.start()

    def submit(self, submission: Submission) -> Future[Outcome]:
        """The future raises `Transient` when nothing durable is writable and `Poison(KEY_REUSED)` when its
        Idempotency-Key was sent before with another body."""
        self._waiting.put(submission)
        return submission.result

    def close(self) -> None:
        """What was submitted before is still answered."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            for submissions in _rounds([first, *self._more(first)]):
                self._round(submissions)

    def _more(self, first: Submission) -> list[Submission]:
        """What comes within `SHARE_S`."""
        found: list[Submission] = []
        rows, deadline = first.prepared.lines, time.monotonic() + SHARE_S
        while rows < ROWS_MAX and (left := deadline - time.monotonic()) > 0:
            try:
                submission = self._waiting.get(timeout=left)
            except queue.Empty:
                break
            if submission is None:
                self._waiting.put(None)  # the end is for `_run` to see
                break
            found.append(submission)
            rows += submission.prepared.lines
        return found

    def _round(self, submissions: Sequence[Submission]) -> None:
        """Every sender is told something, whatever happens; the thread goes on with the next round."""
        try:
            self._commit(submissions)
        except BaseException as error:  # polars' PanicException is no Exception
            waiting = [s for s in submissions if not s.result.done()]
            if isinstance(error, Transient) or len(submissions) == 1:
                for submission in waiting:
                    submission.result.set_exception(error)
            else:  # a body that nobody can encode must not take its neighbours down
                for submission in waiting:
                    self._round([submission])

    def _commit(self, submissions: Sequence[Submission]) -> None:
        now = self._clock.now()
        standing = self._claims.begin([s.claim for s in submissions if s.claim], now)
        decided = [d for s in submissions if (d := _decide(s, standing)) is not None]
        self._publisher.send(self._messages(decided))
        won = self._finish(decided)
        for each in decided:
            each.submission.result.set_result(_final(each, won))

    def _finish(self, decided: Sequence[_Decided]) -> frozenset[ClaimId]:
        """What became of the lines is counted with the claims. Where no claim waits for it, lines are durable now,
        and a second copy would be worse than a count that comes later."""
        finished = [d.finished for d in decided if d.finished]
        try:
            won = self._claims.finish(
                finished, lambda won: [*self._uncounted, *_tallies(decided, won, self._clock.now())]
            )
        except Transient:
            if finished:
                raise
            self._uncounted += _tallies(decided, frozenset(), self._clock.now())
            return frozenset()
        self._uncounted = []
        return won

    def _messages(self, decided: Sequence[_Decided]) -> list[Message]:
        by_source: dict[str, list[_Decided]] = defaultdict(list)
        for each in decided:
            by_source[each.submission.source].append(each)
        now = self._clock.now()
        messages: list[Message] = []
        for source, group in by_source.items():
            messages += self._publisher.messages(source, [each.part for each in group])
            for each in group:
                messages += self._publisher.letters(source, each.letters, now)
        return messages


def _rounds(submissions: Sequence[Submission]) -> list[list[Submission]]:
    """No claim twice in one round: the second finds what the first left."""
    rounds: list[dict[object, Submission]] = []
    for submission in submissions:
        key: object = submission.claim.id if submission.claim else submission.origin
        target = next((r for r in rounds if key not in r), None)
        if target is None:
            rounds.append(target := {})
        target[key] = submission
    return [list(r.values()) for r in rounds]


def _decide(submission: Submission, standing: Mapping[ClaimId, RequestClaim]) -> _Decided | None:
    """None when the sender was told that the key belongs to another body."""
    prepared = submission.prepared
    everything = Outcome(prepared.lines, prepared.accepted.height, 0, prepared.rejected)
    if submission.claim is None:
        part = Part(submission.origin, prepared.accepted, prepared.runs)
        return _Decided(submission, part, prepared.letters, everything, None)
    claim = standing[submission.claim.id]
    if claim.body != submission.claim.body:
        submission.result.set_exception(Poison(KEY_REUSED))
        return None
    if claim.done:
        return _retry(submission, claim)
    part = Part(claim.origin, prepared.accepted, prepared.runs)
    finished = replace(claim, exceptions=prepared.rejects["position"].to_list())
    return _Decided(submission, part, prepared.letters, everything, finished)


def _retry(submission: Submission, claim: RequestClaim) -> _Decided:
    """Only what was rejected before is tried again: the source's format may have been corrected since."""
    prepared = submission.prepared
    missing = pl.Series(claim.exceptions, dtype=pl.Int64).implode()
    again = prepared.accepted["position"].is_in(missing)
    rejects = prepared.rejects.filter(pl.col("position").is_in(missing))
    rejected = dict(Counter(rejects["reason"].to_list()))
    accepted = prepared.accepted.filter(again)
    outcome = Outcome(prepared.lines, accepted.height, prepared.lines - len(claim.exceptions), rejected)
    finished = replace(claim, exceptions=rejects["position"].to_list()) if accepted.height else None
    return _Decided(submission, Part(claim.origin, accepted, prepared.runs.filter(again)), (), outcome, finished)


def _tallies(decided: Sequence[_Decided], won: frozenset[ClaimId], at: datetime) -> list[Tally]:
    return [Tally(each.submission.source, _final(each, won), at) for each in decided]


def _final(decided: _Decided, won: frozenset[ClaimId]) -> Outcome:
    """What another process took meanwhile is a duplicate here."""
    outcome, finished = decided.outcome, decided.finished
    if finished is None or finished.id in won:
        return outcome
    return replace(outcome, accepted=0, duplicates=outcome.duplicates + outcome.accepted)
