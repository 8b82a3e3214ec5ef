"""Counts by source and block: they add up to what was told, whatever crashes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.ingest.accounting import Outcome
from services.ingest.committer import Committer, Submission
from services.ingest.formats import FORMATS
from services.ingest.preparing import prepare
from services.ingest.request_claims import BODY_TERM, RequestClaim, RequestClaims
from services.ingest.service import Ingest
from services.ingest.source_counts import TERM, Refusals, SourceCounts, Tally, block_of
from services.runtime.errors import Transient
from tests.parts.edge import NOW, POLICY, SOURCE, combined, lines_of, opened, text_of

BAD = "no line of a log"


def counted(ingest: Ingest, source: str = "web") -> Mapping[str, int]:
    """Over all blocks."""
    found: Counter[str] = Counter()
    with ingest.engine.connect() as connection:
        query = sa.text("SELECT outcome, count FROM source_counts WHERE source = :source")
        for outcome, count in connection.execute(query, {"source": source}):
            found[outcome] += count
    return found


def as_counted(*outcomes: Outcome) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for outcome in outcomes:
        found.update({"accepted": outcome.accepted, "duplicates": outcome.duplicates})
        found.update({f"rejected:{reason}": count for reason, count in outcome.rejected.items()})
    return +found


def body(number: int, *lines: str, claim: bool = True) -> Submission:
    prepared = prepare(lines_of(*lines), FORMATS["combined"], SOURCE, POLICY, NOW)
    wanted = RequestClaim("web", f"c{number}", f"{number:024x}", f"b{number}", prepared.lines, NOW + BODY_TERM)
    return Submission("web", f"{number:024x}", prepared, wanted if claim else None)


def test_a_block_is_five_minutes() -> None:
    """By the clock, not by when the first line came."""
    at = datetime(2026, 11, 23, 12, 9, 59, 999, tzinfo=UTC)
    assert block_of(at) == datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
    assert block_of(at + timedelta(seconds=1)) == datetime(2026, 11, 23, 12, 10, tzinfo=UTC)


def test_imports_and_requests_add_up(tmp_path: Path) -> None:
    """New, again, rejected, with a corrected format, with a claim and without: the blocks hold what was told."""
    lines = [*[combined(n) for n in range(50)], BAD, BAD]
    with opened(tmp_path) as ingest:
        told = [ingest.import_stream(io.BytesIO(text_of(lines)), "web") for _ in range(2)]
        told.append(ingest.import_stream(io.BytesIO(text_of([*lines, combined(99)])), "web"))
        committer = Committer(ingest.request_claims, ingest.publisher, ingest.clock)
        bodies = [body(1, combined(200), BAD), body(1, combined(200), BAD), body(2, combined(201), claim=False)]
        told += [committer.submit(each).result(10) for each in bodies]
        committer.close()
        assert told[0] == Outcome(52, 50, 0, {"unknown_shape": 2})
        assert counted(ingest) == as_counted(*told)


def test_a_file_is_counted_once_when_its_import_is_killed(tmp_path: Path) -> None:
    """Between the mark and the end of the import: the count is in the same transaction as the mark."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    text = text_of([combined(n) for n in range(10)])
    with opened(tmp_path) as ingest:
        with pytest.raises(KeyboardInterrupt):
            ingest.import_stream(io.BytesIO(text), "web", "", killed)
        assert counted(ingest) == {"accepted": 10}
        again = ingest.import_stream(io.BytesIO(text), "web")
        assert again == Outcome(10, 0, 10)
        assert counted(ingest) == {"accepted": 10, "duplicates": 10}


class _Killed(RequestClaims):
    """Dies within the transaction that marks and counts."""

    crashes = 1

    def _finish(self, connection: sa.Connection, claim: RequestClaim) -> bool:
        done = super()._finish(connection, claim)
        if self.crashes:
            self.crashes -= 1
            raise Transient("gone")
        return done


class _KilledBefore(_Killed):
    """The switch: counts that are written apart from the mark."""

    def finish(self, done, tallies):  # type: ignore[no-untyped-def]  # as the class it replaces
        super().finish((), lambda _: tallies(frozenset(claim.id for claim in done)))
        return super().finish(done, lambda _: ())


@pytest.mark.parametrize(("claims", "accepted"), [(_Killed, 1), (_KilledBefore, 2)])
def test_a_request_is_counted_once_when_ingest_is_killed(
    tmp_path: Path, claims: type[RequestClaims], accepted: int
) -> None:
    """The sender repeats what it got no answer for; with counts apart from the claims there would be one too many."""
    with opened(tmp_path) as ingest:
        committer = Committer(claims(ingest.engine), ingest.publisher, ingest.clock)
        with pytest.raises(Transient):
            committer.submit(body(1, combined(1))).result(10)
        assert committer.submit(body(1, combined(1))).result(10) == Outcome(1, 1)
        committer.close()
        assert counted(ingest) == {"accepted": accepted}


class _AwayOnce(RequestClaims):
    """The records do not answer when the first round is to be counted."""

    away = 1

    def finish(self, done, tallies):  # type: ignore[no-untyped-def]  # as the class it replaces
        if self.away:
            self.away -= 1
            raise Transient("away")
        return super().finish(done, tallies)


def test_lines_without_a_claim_are_not_sent_again_for_a_count(tmp_path: Path) -> None:
    """They are durable, so they are answered for; their count is written with the next ones."""
    with opened(tmp_path) as ingest:
        committer = Committer(_AwayOnce(ingest.engine), ingest.publisher, ingest.clock)
        for number in (1, 2):
            assert committer.submit(body(number, combined(number), claim=False)).result(10) == Outcome(1, 1)
        committer.close()
        assert counted(ingest) == {"accepted": 2}


def test_refusals_are_counted_for_declared_sources_alone(tmp_path: Path) -> None:
    """A name that somebody made up makes no row, and one that nobody can tell is not kept."""
    refusals = Refusals()
    for source in ("web", "web", "", "made-up"):
        refusals.add(source, "bad_key", NOW)
    with opened(tmp_path) as ingest:
        ingest.source_counts.add_refusals(refusals)
        ingest.source_counts.add_refusals(refusals)
        assert counted(ingest) == {"refused:bad_key": 2}
        assert [c.source for c in ingest.source_counts.unreported(10)] == ["web"]


def test_refusals_wait_for_the_records(tmp_path: Path) -> None:
    """What could not be written is written the next time."""
    refusals = Refusals()
    refusals.add("web", "bad_key", NOW)
    with opened(tmp_path) as ingest:
        away = SourceCounts(sa.create_engine(f"sqlite:///{tmp_path}/nowhere/at-all.db"))
        with pytest.raises(Transient):
            away.add_refusals(refusals)
        ingest.source_counts.add_refusals(refusals)
        assert counted(ingest) == {"refused:bad_key": 1}


def test_what_changed_since_it_was_reported_is_reported_again(tmp_path: Path) -> None:
    """Also when it changed between the look and the mark."""
    with opened(tmp_path) as ingest:
        counts = ingest.source_counts
        counts.add(Tally("web", Outcome(2, 2), NOW))
        seen = counts.unreported(10)
        assert [(c.source, c.tenant, c.block, c.outcome, c.count) for c in seen] == [
            ("web", "acme", NOW, "accepted", 2)
        ]
        counts.add(Tally("web", Outcome(1, 1), NOW))
        counts.mark_reported(seen)
        assert [c.count for c in counts.unreported(10)] == [3]
        counts.mark_reported(counts.unreported(10))
        assert counts.unreported(10) == []


def test_blocks_are_deleted_at_their_term(tmp_path: Path) -> None:
    """Two weeks after they began."""
    with opened(tmp_path) as ingest:
        ingest.source_counts.add(Tally("web", Outcome(1, 1), NOW))
        assert ingest.source_counts.forget(NOW + TERM) == 0
        assert ingest.source_counts.forget(NOW + TERM + timedelta(seconds=1)) == 1
