"""Bodies made durable together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.ingest.accounting import Outcome
from services.ingest.batches import Part
from services.ingest.committer import KEY_REUSED, Committer, Submission
from services.ingest.formats import FORMATS
from services.ingest.preparing import prepare
from services.ingest.publisher import Publisher
from services.ingest.request_claims import BODY_TERM, RequestClaim, RequestClaims
from services.ingest.service import Ingest
from services.runtime.errors import Poison, Transient
from services.runtime.log.interface import Message
from tests.parts.edge import (
    NOW,
    POLICY,
    SOURCE,
    AwayLog,
    absorbed,
    combined,
    lines_of,
    opened,
    published,
    records,
)

ORIGINS = iter(f"{n:024x}" for n in range(10_000))


def _body(*lines: str, claim: str | None = "c1", body: str = "b1", format_: str = "combined") -> Submission:
    prepared = prepare(lines_of(*lines), FORMATS[format_], SOURCE, POLICY, NOW)
    origin = next(ORIGINS)
    wanted = RequestClaim("web", claim, origin, body, prepared.lines, NOW + BODY_TERM) if claim else None
    return Submission("web", origin, prepared, wanted)


@contextmanager
def _committing(ingest: Ingest, claims: RequestClaims | None = None, log: AwayLog | None = None) -> Iterator[Committer]:
    publisher = Publisher(log) if log else ingest.publisher
    committer = Committer(claims or ingest.request_claims, publisher, ingest.clock)
    try:
        yield committer
    finally:
        committer.close()


def _outcome(committer: Committer, submission: Submission) -> Outcome:
    return committer.submit(submission).result(10)


def test_bodies_that_come_together_share_a_batch(tmp_path: Path) -> None:
    """One message, each row under its own origin; each sender gets its own counts."""
    with opened(tmp_path) as ingest, _committing(ingest) as committer:
        bodies = [_body(combined(n), claim=f"c{n}") for n in range(20)]
        results = [committer.submit(body) for body in bodies]
        assert [result.result(10) for result in results] == [Outcome(1, 1)] * 20
        assert len(records(ingest.log, "access-log")) < 20
        assert sorted(published(ingest.log)["origin"].to_list()) == sorted(body.origin for body in bodies)


def test_the_same_body_again_is_a_duplicate(tmp_path: Path) -> None:
    """After a lost answer, and twice at once."""
    with opened(tmp_path) as ingest, _committing(ingest) as committer:
        both = [committer.submit(_body(combined(1), combined(2))) for _ in range(2)]
        assert sorted(result.result(10).accepted for result in both) == [0, 2]
        assert _outcome(committer, _body(combined(1), combined(2))) == Outcome(2, 0, 2)
        assert published(ingest.log).height == 2


def test_rejects_are_tried_again_under_the_same_origin(tmp_path: Path) -> None:
    """The source's format was corrected meanwhile."""
    lines = [combined(1), f"x.example:80 {combined(2)}", "never"]
    with opened(tmp_path) as ingest, _committing(ingest) as committer:
        first = {"bad_address": 1, "unknown_shape": 1}
        assert _outcome(committer, _body(*lines)) == Outcome(3, 1, 0, first)
        again = _outcome(committer, _body(*lines, format_="vhost_combined"))
        assert again == Outcome(3, 1, 1, {"unknown_shape": 1})
        assert _outcome(committer, _body(*lines)) == Outcome(3, 0, 2, {"unknown_shape": 1})
        assert absorbed(ingest.log).height == 2
        assert published(ingest.log)["origin"].n_unique() == 1


def test_a_body_without_a_claim_is_never_a_duplicate(tmp_path: Path) -> None:
    """Its lines carry no time of their own: an equal one may well be new."""
    with opened(tmp_path) as ingest, _committing(ingest) as committer:
        outcomes = [_outcome(committer, _body(combined(1), claim=None)) for _ in range(2)]
        assert outcomes == [Outcome(1, 1)] * 2
        assert absorbed(ingest.log).height == 2


class _Choosy(Publisher):
    """Fails on one body, as a defect of ours would."""

    def messages(self, source: str, parts: Sequence[Part]) -> list[Message]:
        if any("/pages/13" in part.frame["path"].to_list() for part in parts):
            raise ZeroDivisionError
        return super().messages(source, parts)


def test_a_body_that_fails_does_not_take_its_neighbours_down(tmp_path: Path) -> None:
    """It alone gets the error."""
    with opened(tmp_path) as ingest:
        committer = Committer(ingest.request_claims, _Choosy(ingest.log), ingest.clock)
        results = [committer.submit(_body(combined(n), claim=f"c{n}")) for n in (12, 13, 14)]
        with pytest.raises(ZeroDivisionError):
            results[1].result(10)
        assert [results[n].result(10) for n in (0, 2)] == [Outcome(1, 1)] * 2
        committer.close()
        assert absorbed(ingest.log)["path"].to_list() == ["/pages/12", "/pages/14"]


def test_after_its_term_an_equal_body_is_a_new_one(tmp_path: Path) -> None:
    """Under a new origin, or consumers would absorb it."""
    with opened(tmp_path) as ingest, _committing(ingest) as committer:
        assert _outcome(committer, _body(combined(1))) == Outcome(1, 1)
        ingest.clock.sleep(BODY_TERM / timedelta(seconds=1) + 1)
        assert _outcome(committer, _body(combined(1))) == Outcome(1, 1)
        assert absorbed(ingest.log).height == 2


def test_a_key_with_another_body_is_refused(tmp_path: Path) -> None:
    """And its neighbours in the round are not."""
    with opened(tmp_path) as ingest, _committing(ingest) as committer:
        _outcome(committer, _body(combined(1)))
        wrong, right = _body(combined(2), body="b2"), _body(combined(3), claim="c3")
        results = [committer.submit(wrong), committer.submit(right)]
        with pytest.raises(Poison, match=KEY_REUSED):
            results[0].result(10)
        assert results[1].result(10) == Outcome(1, 1)


def test_when_the_log_is_away_nothing_is_taken(tmp_path: Path) -> None:
    """Every sender is told; the same body is accepted when it is back."""
    with opened(tmp_path) as ingest:
        log = AwayLog(ingest.log)
        with _committing(ingest, log=log) as committer:
            log.away = True
            with pytest.raises(Transient):
                _outcome(committer, _body(combined(1)))
            log.away = False
            assert _outcome(committer, _body(combined(1))) == Outcome(1, 1)
        assert absorbed(ingest.log).height == 1


class _CrashingClaims(RequestClaims):
    """Dies between publish and mark, once."""

    crashes = 1

    def finish(self, done, tallies):  # type: ignore[no-untyped-def]  # as the class it replaces
        if self.crashes:
            self.crashes -= 1
            raise Transient("gone")
        return super().finish(done, tallies)


def test_a_crash_between_publish_and_mark_doubles_nothing(tmp_path: Path) -> None:
    """The claim was written first, so the retry is published under the same origin and absorbed."""
    with opened(tmp_path) as ingest, _committing(ingest, _CrashingClaims(ingest.engine)) as committer:
        with pytest.raises(Transient):
            _outcome(committer, _body(combined(1)))
        assert _outcome(committer, _body(combined(1))) == Outcome(1, 1)
        assert published(ingest.log).height == 2
        assert absorbed(ingest.log).height == 1


class _LateClaims(_CrashingClaims):
    """The switch: claims that are not written before rows are published."""

    def begin(self, wanted, now):  # type: ignore[no-untyped-def]  # as the class it replaces
        return {claim.id: replace(claim) for claim in wanted}


def test_without_the_claim_written_first_the_crash_would_double(tmp_path: Path) -> None:
    """So the test above can fail."""
    with opened(tmp_path) as ingest, _committing(ingest, _LateClaims(ingest.engine)) as committer:
        with pytest.raises(Transient):
            _outcome(committer, _body(combined(1)))
        _outcome(committer, _body(combined(1)))
        assert absorbed(ingest.log).height == 2


def test_another_process_that_was_first_has_accepted_them(tmp_path: Path) -> None:
    """Both published; the second answers that they are duplicates."""

    class _Beaten(RequestClaims):
        def begin(self, wanted, now):  # type: ignore[no-untyped-def]  # as the class it replaces
            found = super().begin(wanted, now)
            RequestClaims(ingest.engine).finish(
                [replace(claim, exceptions=[]) for claim in found.values()], lambda _: ()
            )
            return found

    with opened(tmp_path) as ingest, _committing(ingest, _Beaten(ingest.engine)) as committer:
        assert _outcome(committer, _body(combined(1))) == Outcome(1, 0, 1)


def test_claims_past_their_term_are_deleted(tmp_path: Path) -> None:
    """They hold digests of what was sent."""
    with opened(tmp_path) as ingest, _committing(ingest) as committer:
        _outcome(committer, _body(combined(1)))
        assert ingest.request_claims.forget(NOW + BODY_TERM / 2) == 0
        assert ingest.request_claims.forget(NOW + BODY_TERM) == 1
