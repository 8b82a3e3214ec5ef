"""kill -9 in the middle of a close, again and again: the same cells, nobody left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

ROUNDS = 4


def _run(folder: Path, what: str) -> str:
    command = [sys.executable, "-m", "tests.parts.closing_process", str(folder), what]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout


def _show(folder: Path) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(_run(folder, "show"))
    return shown


def _kill_after(folder: Path, delay_s: float) -> bool:
    """Starts a close and kills it; True when it had not finished."""
    command = [sys.executable, "-m", "tests.parts.closing_process", str(folder), "close"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "closing\n"
        time.sleep(delay_s)
        process.kill()
        return process.stdout.read() == ""


@pytest.mark.timeout(400)
def test_kill_minus_nine_at_random_moments(tmp_path: Path) -> None:
    """A close that nobody disturbs tells what must come out: the same keys give the same cells."""
    live = tmp_path / "live"
    live.mkdir()
    _run(live, "put")
    # back to the same path each time: the engine's folder has absolute links in it
    shutil.copytree(live, tmp_path / "saved", symlinks=True)
    began = time.monotonic()
    _run(live, "close")
    whole_s = time.monotonic() - began
    expected = _show(live)
    assert expected["states"] == ["closed"]
    assert len(expected["cells"]) > 100

    draw, killed = Random(20261102), 0
    for _ in range(ROUNDS):
        shutil.rmtree(live)
        shutil.copytree(tmp_path / "saved", live, symlinks=True)
        killed += _kill_after(live, draw.uniform(0.02, 0.7) * whole_s)
        _run(live, "close")
        assert _show(live) == expected
    assert killed >= 1  # or the rounds proved nothing
    assert (expected["events"], expected["keys"]) == (0, 0)
