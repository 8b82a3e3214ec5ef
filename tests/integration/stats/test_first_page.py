"""The statistics pages before there is anything to show."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.parts.dashboard import a_dashboard


def test_nobody_has_figures_yet(tmp_path: Path) -> None:
    """An empty installation says what will appear and what fills it; what has no figures is not an error."""
    with a_dashboard(tmp_path, filled=False) as empty, httpx.Client(headers={"accept": "text/html"}) as client:
        assert client.post(empty.login("ada"), follow_redirects=True).status_code == 200
        page = client.get(empty.url)
        assert page.status_code == 200
        assert "voile import access.log" in page.text
        assert "voile source add" in client.get(f"{empty.url}/sources").text
        assert client.post(empty.login("ben"), follow_redirects=True).status_code == 200
        assert "Nothing has been published" in client.get(f"{empty.url}/?tenant=chess-club").text
        assert client.get(f"{empty.url}/csv?tenant=chess-club&of=event:page").text.splitlines() == [
            "event:page,visitors"
        ]
