"""The control socket: a command reaches the owner of a store, or learns that there is none."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.runtime import control
from services.runtime.errors import Fatal, Transient


def _refuse(_: object) -> object:
    raise Fatal("no such day")


def _be_away(_: object) -> object:
    raise Transient("Kafka does not answer.")


def test_an_operation_is_answered_by_the_running_service(tmp_path: Path) -> None:
    """And the socket is nobody else's."""
    with control.serve(tmp_path, "statistics", {"double": lambda a: a["n"] * 2, "refuse": _refuse, "away": _be_away}):
        assert control.call(tmp_path, "statistics", "double", {"n": 21}) == (True, 42)
        assert stat.S_IMODE(control.socket_path(tmp_path, "statistics").stat().st_mode) == 0o600
        with pytest.raises(Fatal, match="no such day"):
            control.call(tmp_path, "statistics", "refuse", {})
        with pytest.raises(Transient, match="Kafka does not answer"):  # worth another try, which a refusal is not
            control.call(tmp_path, "statistics", "away", {})
        with pytest.raises(Fatal, match="does not know"):
            control.call(tmp_path, "statistics", "unknown", {})
    assert control.call(tmp_path, "statistics", "double", {"n": 1}) == (False, None)


def test_a_defect_is_told_without_what_was_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A traceback in the service's log would quote it, and who asked would learn nothing."""

    def fail(arguments: object) -> object:
        raise ValueError(f"cannot do {arguments}")

    with (
        control.serve(tmp_path, "statistics", {"fail": fail}),
        pytest.raises(Fatal, match=r"internal error ValueError in the running service\."),
    ):
        control.call(tmp_path, "statistics", "fail", {"account": "ann"})
    logged = capfd.readouterr()
    assert "ValueError" in logged.out + logged.err
    assert "ann" not in logged.out + logged.err


def test_a_socket_left_by_a_killed_service_is_no_service(tmp_path: Path) -> None:
    """kill -9 leaves the file."""
    with control.serve(tmp_path, "statistics", {}):
        path = control.socket_path(tmp_path, "statistics")
        other = path.with_suffix(".left")
        path.rename(other)
    other.rename(path)
    assert control.call(tmp_path, "statistics", "double", {}) == (False, None)


def test_a_deep_data_folder_works(tmp_path: Path) -> None:
    """A socket's path has at most 107 bytes; a folder's has not."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with control.serve(deep, "statistics", {"one": lambda _: 1}):
        assert control.call(deep, "statistics", "one", {}) == (True, 1)
