"""Logs that real servers wrote."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pytest

from services.ingest.accounting import Outcome
from services.ingest.sources import Source
from tests.parts.edge import opened, published
from tests.parts.nginx import running_nginx, visits

CAPTURED = Path(__file__).parent.parent / "fixtures" / "nginx-combined-1000.log"
# Its own way of counting: GoAccess's and Matomo's documentation give this shape for `combined`.
COUNTED = re.compile(r'^(\S+) \S+ .*? \[[^\]]+\] "([A-Z]+) ([^ ?"]+)[^"]*" (\d{3}) (\d+) ')


def test_a_captured_log_is_accepted_whole(tmp_path: Path) -> None:
    """Statuses, bytes, addresses and paths as counted from the text."""
    text = CAPTURED.read_text()
    found = [match.groups() for match in map(COUNTED.match, text.splitlines()) if match]
    with opened(tmp_path) as ingest:
        assert ingest.import_file(CAPTURED, "web") == Outcome(1000, 1000)
        rows = published(ingest.log)
    wanted = pl.DataFrame(found, schema=["client_address", "method", "path", "status", "response_bytes"], orient="row")
    assert rows.select(pl.col(wanted.columns).cast(pl.String)).equals(wanted)
    assert rows["referrer"].str.contains(r"\?|@").sum() == 0


@pytest.mark.servers
def test_both_formats_of_a_real_nginx_say_the_same(tmp_path: Path) -> None:
    """The same requests in combined and in JSON: equal rows, all accepted."""
    with running_nginx(tmp_path / "nginx") as nginx:
        nginx.serve(visits(300, seed=7))
    with opened(tmp_path / "data") as ingest:
        ingest.clock.sleep(365 * 86_400)  # the server's own clock is later than the tests'
        ingest.add_source(Source("api", "acme", "nginx_json", site="web"))
        first = ingest.import_stream(io.BytesIO(nginx.combined_log.read_bytes()), "web")
        second = ingest.import_stream(io.BytesIO(nginx.json_log.read_bytes()), "api")
        rows = published(ingest.log)
    assert first == second == Outcome(first.lines, first.lines)
    assert first.lines >= 300
    shared = [
        "timestamp", "client_address", "user_agent", "method", "path", "protocol", "status", "response_bytes", "referrer",
    ]  # fmt: skip
    by_source = [rows.filter(source=name).select(shared).sort(shared) for name in ("web", "api")]
    assert by_source[0].equals(by_source[1])
