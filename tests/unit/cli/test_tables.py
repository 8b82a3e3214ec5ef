"""Tables that commands print: as wide as the terminal, and nothing in them is cut or broken."""

from __future__ import annotations

import pytest

from services.cli.common import print_table

COLUMNS = ("entry", "time (UTC)", "who did what", "about", "reason")
ROW = (31, "2026-11-24 02:50:30", "os:root viewCases: granted", "chess-club/f9791eb6 rights", "she asked by mail")


def _printed(capsys: pytest.CaptureFixture[str], *rows: tuple[object, ...]) -> list[str]:
    print_table("", COLUMNS, rows)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_pipe_gets_a_line_for_each_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever searches it finds all of a row."""
    monkeypatch.delenv("COLUMNS", raising=False)
    _, row = _printed(capsys, ROW)
    assert row.split() == " ".join(map(str, ROW)).split()


def test_a_terminal_gets_lines_that_fit_with_every_word_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is short keeps its line: times, ids. Free text takes a second one."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = _printed(capsys, ROW)
    assert max(map(len, lines)) <= 80
    assert any("2026-11-24 02:50:30" in line for line in lines)
    assert set(" ".join(map(str, ROW)).split()) <= set(" ".join(lines).split())


def test_what_no_line_holds_is_a_block(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and a value a line; nothing identifies a row that is not there, and text that looks like markup stays."""
    monkeypatch.setenv("COLUMNS", "40")
    other = (30, "2026-11-24 02:50:25", "[bold]ada[/bold]", "x" * 60, "")
    lines = _printed(capsys, ROW, other)
    assert lines == [
        "entry         31", "time (UTC)    2026-11-24 02:50:30", "who did what  os:root viewCases: granted",
        "about         chess-club/f9791eb6 rights", "reason        she asked by mail", "",
        "entry         30", "time (UTC)    2026-11-24 02:50:25", "who did what  [bold]ada[/bold]",
        f"about         {'x' * 60}", "reason",
    ]  # fmt: skip
