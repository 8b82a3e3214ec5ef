"""Logs: what is not on the list does not get out."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest

from services.runtime import avro
from services.runtime.logs import _Foreign, configure_logs, get_logger, place_of


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_key_that_is_not_allowed_is_dropped() -> None:
    """Even when somebody means well."""
    stream = io.StringIO()
    configure_logs("ingest", stream=stream)
    get_logger().info("batch stored", rows=3, client_address="192.0.2.1", line="GET /secret")
    (line,) = _lines(stream)
    assert line["rows"] == 3
    assert line["service"] == "ingest"
    assert "192.0.2.1" not in stream.getvalue()
    assert "secret" not in stream.getvalue()


def test_of_an_exception_only_its_type_is_kept() -> None:
    """Its text may quote what came with an event."""
    stream = io.StringIO()
    configure_logs("stats", stream=stream)
    try:
        raise ValueError("bob@example.com")
    except ValueError:
        get_logger().exception("step failed", stage="locate")
    assert _lines(stream)[0]["error_type"] == "ValueError"
    assert "bob@" not in stream.getvalue()


def test_the_place_of_an_error_is_in_our_own_code() -> None:
    """The innermost line of ours, also when a library raised it; of a foreign one nothing is said."""
    with pytest.raises(FileNotFoundError) as caught:
        avro.schema("bob")
    assert re.fullmatch(r"services\.runtime\.avro:\d+", place_of(caught.value))
    assert place_of(ValueError("bob@example.com")) == ""


def test_a_library_message_is_not_repeated() -> None:
    """Only who spoke."""
    stream = io.StringIO()
    configure_logs("stats", stream=stream)
    logging.getLogger("some.library").error("cannot parse %s", "bob@example.com")
    assert _lines(stream)[0]["logger"] == "some.library"
    assert "bob@" not in stream.getvalue()


def test_one_event_is_one_line() -> None:
    """No log injection by line breaks or terminal codes."""
    stream = io.StringIO()
    configure_logs("stats", stream=stream)
    get_logger().info("x", source="a\nb\x1b[31m\u2028c")
    assert len(stream.getvalue().splitlines()) == 1
    assert _lines(stream)[0]["source"] == "a?b?[31m?c"


def test_a_stderr_that_was_replaced_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that swaps its stderr (a test runner, a daemon) does not break whoever logs later."""
    gone, now = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", gone)
    configure_logs("stats")
    logger = get_logger()
    gone.close()
    monkeypatch.setattr("sys.stderr", now)
    logger.info("still here", rows=1)
    assert _lines(now)[0]["rows"] == 1


def test_a_library_that_repeats_itself_is_heard_once_a_minute() -> None:
    """With how often it spoke since; another kind is heard at once."""
    stream, seconds = io.StringIO(), iter([0.0, 1.0, 2.0, 61.0])
    now = [0.0]
    configure_logs("ingest", stream=stream)
    handler = _Foreign("ingest", lambda: now[0])
    for text in ("rubbish", "rubbish", "rubbish", "rubbish"):
        now[0] = next(seconds)
        handler.emit(logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, text, None, None))
    handler.emit(logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "worse", None, None))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["status"], line["count"]) for line in lines] == [("WARNING", 1), ("WARNING", 3), ("ERROR", 1)]
