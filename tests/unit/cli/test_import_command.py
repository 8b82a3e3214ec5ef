"""voile import and voile formats on what people give them by mistake: each says what to do, and loses nothing."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import db, doctor, formats, imports, source, tenant
from services.cli.main import main
from services.runtime.errors import Fatal
from tests.parts.edge import combined, text_of

LINES = [combined(n) for n in range(8)]
WEB = ("--source", "web")
NGINX = '$remote_addr - [$time_local] "$request" $status "$http_x_forwarded_for"'


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good log, in the working folder of an installation with the source `web` for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "voile-data"))
    _run(db.app, "upgrade")
    _run(tenant.app, "add", "acme")
    _run(source.app, "add", "web", "--tenant", "acme", "--format", "combined")
    path = tmp_path / "access.log"
    path.write_bytes(text_of(LINES))
    return path


def _run(app: Any, *arguments: str, expect: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == expect, done.output
    return done.output


def _refused(app: Any, *arguments: str) -> str:
    error = CliRunner().invoke(app, list(arguments)).exception
    assert isinstance(error, Fatal)
    return str(error)


@pytest.mark.parametrize(
    "command", [(imports.app, *WEB), (formats.app, "detect"), (formats.app, "test", "--format", "json")]
)
def test_a_name_that_is_no_file_says_what_it_is(log: Path, command: tuple[Any, ...]) -> None:
    """A folder, a device, a pipe, nothing."""
    app, *arguments = command
    os.mkfifo("pipe")
    Path("folder").mkdir()
    assert "folder is a folder; name the files in it, such as folder/*.log" in _refused(app, *arguments, "folder")
    assert "/dev/null is no file but a device or a pipe" in _refused(app, *arguments, "/dev/null")
    assert "a pipe is read with - and: < pipe" in _refused(app, *arguments, "pipe")
    assert "There is no file access.lgo" in _refused(app, *arguments, "access.lgo")


def test_one_unreadable_file_does_not_stop_the_others(log: Path) -> None:
    """It is named, with a command to paste; the exit code says that something is missing."""
    with zipfile.ZipFile("a b.zip", "w") as archive:
        archive.write(log)
    Path("windows.log").write_bytes(text_of(LINES).decode().encode("utf-16"))
    said = _run(imports.app, "a b.zip", "windows.log", str(log), *WEB, expect=1)
    assert "a b.zip: This is a ZIP archive of files; unpack it: unzip -p 'a b.zip' | voile import - ..." in said
    assert "windows.log: This text is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 windows.log" in said
    assert json.loads(_run(imports.app, str(log), *WEB, "--json")) == {
        "lines": 8, "accepted": 0, "duplicates": 8, "rejected": {},
    }  # fmt: skip


def test_a_file_that_cannot_be_opened_is_named(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission; tests run as root, who has it."""
    opening = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == log:
            raise PermissionError(13, "Permission denied")
        return opening(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert f"{log}: It cannot be read: Permission denied." in _run(imports.app, str(log), *WEB, expect=1)
    assert f"{log} cannot be read: Permission denied." in _refused(formats.app, "detect", str(log))


@pytest.mark.parametrize("custom", [False, True])
def test_rejects_say_where_to_look(log: Path, custom: bool) -> None:
    """The command that names the first line and column, ready to paste; and it does."""
    Path("mixed.log").write_bytes(text_of([*LINES, LINES[0].replace(" 200 ", " 999 ")]))
    how = ["--format", "combined"]
    if custom:
        _run(source.app, "add", "own", "--tenant", "acme", "--server", "nginx", "--log-format", NGINX)
        how = ["--server", "nginx", "--format", NGINX]
    said = _run(imports.app, "mixed.log", "--source", "own" if custom else "web", expect=1 if custom else 0)
    quoted = f"--server nginx --format '{NGINX}'" if custom else "--format combined"
    assert f"at which column: voile formats test {quoted} mixed.log" in said
    wanted = (
        "Line 1 is the first that does not fit"
        if custom
        else "Line 9 is the first that does not fit: bad_status at %>s"
    )
    assert wanted in " ".join(_run(formats.app, "test", *how, "mixed.log", expect=1).split())
    assert "formats test" not in _run(imports.app, str(log), *WEB)


def test_a_log_that_is_cut_while_it_is_read_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is taken; that lines may be missing nobody else would say."""
    taking = imports._import

    def cutting(ingest: Any, name: str, *rest: Any) -> Any:
        outcome = taking(ingest, name, *rest)
        log.write_bytes(b"")
        return outcome

    monkeypatch.setattr(imports, "_import", cutting)
    said = _run(imports.app, str(log), *WEB, expect=1)
    assert "got shorter while it was read" in said
    assert "8" in said


def test_one_file_of_two_sources_counts_for_each(log: Path) -> None:
    """They are two streams, whoever else has the file."""
    _run(source.app, "add", "copy", "--tenant", "acme", "--format", "combined")
    for name in ("web", "copy", "web"):
        _run(imports.app, str(log), "--source", name)
    again = json.loads(_run(imports.app, str(log), "--source", "copy", "--json"))
    assert (again["accepted"], again["duplicates"]) == (0, 8)


def test_another_format_for_a_log_that_was_taken_changes_nothing(log: Path) -> None:
    """What was accepted stays a duplicate; what was rejected is tried again."""
    _run(imports.app, str(log), *WEB)
    again = json.loads(_run(imports.app, str(log), *WEB, "--format", "caddy", "--json"))
    assert (again["accepted"], again["duplicates"]) == (0, 8)


@pytest.mark.parametrize("lines", [LINES, ["nothing of it"]])
def test_the_address_of_a_format_of_ones_own_is_explained(log: Path, lines: list[str]) -> None:
    """`voile doctor ip` reads by the source's own string; a log of another format is told."""
    _run(source.app, "add", "own", "--tenant", "acme", "--server", "nginx", "--log-format", NGINX)
    row = '192.0.2.7 - [22/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 "203.0.113.5"'
    ask = ("ip", "--source", "own", "--file", "own.log")
    Path("own.log").write_bytes(text_of([row]))
    found = json.loads(_run(doctor.app, *ask, "--json"))
    assert [request["client"] for request in found["requests"]] == ["192.0.2.7"]
    Path("own.log").write_bytes(text_of(lines))
    assert "try: voile formats detect own.log" in _refused(doctor.app, *ask)


def test_where_no_settings_are_found_it_says_which_folder_it_works_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cron and systemd start a command in a folder of theirs: 'there is no source' alone sends people astray."""
    for name in [name for name in os.environ if name.startswith("VOILE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "access.log").write_bytes(text_of(LINES))
    data = str(tmp_path / "voile-data")
    assert data in CliRunner().invoke(db.app, ["upgrade"]).stderr
    assert data in CliRunner().invoke(imports.app, ["access.log", *WEB]).stderr
    monkeypatch.setenv("VOILE_DATA", data)
    assert data not in CliRunner().invoke(imports.app, ["access.log", *WEB]).stderr


def test_a_file_s_name_gives_the_terminal_no_orders(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write into the log folder chose it, and root imports *.log."""
    monkeypatch.setattr("sys.argv", ["voile", "import", "x\x1b[31m\x07.log", *WEB])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "voile: There is no file x\ufffd[31m\ufffd.log.\n"
