"""`kill -9` at each step of a draw: a charged day is never drawn a second time.

A real process with the real stores is killed at the step; others then try to draw again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.stats.releases.ledger import charges, noisy_cells
from tests.integration.releases.store import DAY
from tests.unit.stats.releases.records import new_records

TRUE_VISITORS = 500
WEAK_DRAWS = 3  # each is a process that loads OpenDP
# argv: data folder, how to break the process. Prints one line a draw: the noisy visitors that left the sampler.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from services.runtime.clock import FixedClock
from services.stats.releases import drawing, noise
from tests.integration.releases.store import DAY, events, fill, new_store
from tests.unit.stats.releases.records import closed_at, new_records

folder, fault = Path(sys.argv[1]), sys.argv[2]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

real_draw, real_charge, real_store = noise.Noise.draw, drawing.charge, drawing.store
def draw(self, sums):
    if fault == "at_draw":
        die()
    drawn = real_draw(self, sums)
    print(drawn["visitors"], flush=True)  # the worst case: somebody sees what was drawn, stored or not
    return drawn
noise.Noise.draw = draw
if fault.startswith("no_charge"):  # the weakened twin: the ledger row comes only with the store
    drawing.charge = lambda *_: True
if fault in ("at_store", "no_charge_at_store"):
    drawing.store = die
if fault == "at_charge":
    drawing.charge = die
if fault == "after_store":
    drawing.store = lambda *a, **k: (real_store(*a, **k), die())

analytics = new_store(folder)
fill(analytics, [events({n: 2 for n in range(500)})] if not (folder / "filled").exists() else [])
(folder / "filled").touch()
drawing.bound_and_draw(analytics, new_records(folder), "harbour", DAY, FixedClock(closed_at(DAY)))
"""


def attempt(folder: Path, fault: str = "none") -> tuple[list[int], int]:
    """(noisy values that left the sampler, exit status) of one process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), fault], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return [int(line) for line in done.stdout.split()], done.returncode


def ledger(folder: Path) -> tuple[list[str], int]:
    """(states of the day, stored cells)."""
    engine: sa.Engine = new_records(folder)
    with engine.connect() as connection:
        states = [row.state for row in charges(connection, "harbour")]
        return states, len(noisy_cells(connection, "harbour", DAY, DAY))


@pytest.mark.parametrize(
    ("fault", "drawn", "after", "drawn_again", "at_the_end"),
    [
        ("at_charge", 0, ([], 0), 1, (["stored"], 2)),  # nothing was drawn: the day can still be
        ("at_draw", 0, (["charged"], 0), 0, (["charged"], 0)),  # lost
        ("at_store", 1, (["charged"], 0), 0, (["charged"], 0)),  # lost, and never drawn again
        ("after_store", 1, (["stored"], 2), 0, (["stored"], 2)),
    ],
)
def test_a_killed_draw_is_never_repeated(
    tmp_path: Path, fault: str, drawn: int, after: object, drawn_again: int, at_the_end: object
) -> None:
    """At most one noisy value of the day ever leaves the sampler, wherever the process dies."""
    values, status = attempt(tmp_path, fault)
    assert (len(values), status) == (drawn, -signal.SIGKILL)
    assert ledger(tmp_path) == after
    assert len(attempt(tmp_path)[0]) == drawn_again
    assert ledger(tmp_path) == at_the_end


def test_without_charging_first_noise_can_be_averaged_away(tmp_path: Path) -> None:
    """The switch: the weakened twin draws at every restart, and the mean comes close to the true count.

    Against the real ledger the same attacker gets one value, whose noise has sigma 13.
    """
    weak = [attempt(tmp_path, "no_charge_at_store")[0] for _ in range(WEAK_DRAWS)]
    assert [len(values) for values in weak] == [1] * WEAK_DRAWS
    assert abs(sum(v for values in weak for v in values) / WEAK_DRAWS - TRUE_VISITORS) < 6 * 13 / WEAK_DRAWS**0.5
    assert sum(len(attempt(tmp_path, "at_store")[0]) for _ in range(2)) == 1
