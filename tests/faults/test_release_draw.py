"""`kill -9` at each step of a draw: a charged day is never drawn a second time.

A real process closes a day with the real stores and is killed at the step; others then try to draw again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.database import open_records
from services.stats.closing.steps import STEPS
from services.stats.days.states import Days
from services.stats.releases.ledger import charges
from tests.parts.closing import FIRST
from tests.unit.stats.releases.records import noisy_cells

TRUE_VISITORS = 500
TENANTS = ("club", "harbour")
# One line in: a data folder and how to break the process that is forked off for it, from one that has the libraries read
# and nothing opened. Lines out: a draw each (the tenant and its noisy visitors, as they leave the sampler; the worst case:
# somebody sees what was drawn, stored or not), and the status. Each is a whole close of both tenants' day.
PROGRAM = """
import os, signal, sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
import opendp.prelude  # noqa: F401  # read once, before the forks
from services.stats.closing import close, steps as closing
from services.stats.releases import drawing, ledger, noise, vectors
from tests.integration.releases.store import drawing as new_drawing
from tests.parts.closing import FIRST, crowd, new_world, rows

for line in sys.stdin:
    if (child := os.fork()) == 0:
        break
    print("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
folder, fault = Path(line.split()[0]), line.split()[1]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def before(kill, real):
    return lambda *a, **k: (kill(), real(*a, **k))[1]

def after(kill, real):
    return lambda *a, **k: (real(*a, **k), kill())[0]

@contextmanager
def uncommitted(records, real=ledger.transaction):
    with real(records) as connection:
        yield connection
        die()

draw_one, real_draw = drawing.Drawing._draw_one, noise.Noise.draw
now = ["?"]  # whose turn it is
def remember(self, pair, *rest):
    now[0] = pair.tenant
    return draw_one(self, pair, *rest)
def draw(self, sums):
    drawn = real_draw(self, sums)
    print(now[0], drawn["visitors"][0], flush=True)
    return drawn
drawing.Drawing._draw_one, noise.Noise.draw = remember, draw

if fault.startswith("no_charge"):  # the weakened twin: the ledger row comes only with the store
    drawing.charge = lambda *_, **__: True
if fault == "at_bounding":
    drawing.bounded_sums = die
if fault == "at_charge":
    drawing.charge = die
if fault == "in_charge":  # inside its transaction: the row is written, and not committed
    ledger.transaction = uncommitted
if fault == "at_draw":
    noise.Noise.draw = die
if fault == "in_draw":  # one measure has its noise, the others not yet
    noise.Noise.draw = after(die, lambda self, sums: draw(self, {"visitors": sums["visitors"]}))
if fault in ("at_store", "no_charge_at_store"):
    drawing.store = die
if fault == "in_store":  # inside its transaction: cells are written, and not committed
    ledger.put_vectors = after(die, vectors.put_vectors)
if fault == "after_store":
    drawing.store = after(die, drawing.store)
at_step = fault.partition(":")[2]
steps = [replace(s, run=before(die, s.run)) if s.run.__name__ == at_step else s for s in closing.STEPS]

world = new_world(folder)
if not (folder / "filled").exists():
    for tenant in ("club", "harbour"):
        world.put(rows(tenant, FIRST, crowd(500)))
    (folder / "filled").touch()
made = new_drawing(world.analytics, world.closer.records, world.clock)
closer = replace(world.closer, draw_releases=made.draw)
close.discover(closer)
pairs = [d.pair for d in closer.days.listed("open", "closing", "published", "events_dropped")]
close.close_days(closer, pairs, steps)
"""

Attempts = Callable[..., list[list[str]]]


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attempts]:
    """(folder, *faults) -> of each process, one after the other: a line a tenant whose noise left the sampler, with the
    value."""
    errors = tmp_path_factory.mktemp("errors") / "stderr"
    command = [sys.executable, "-c", PROGRAM]
    with (
        errors.open("w") as file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True) as process,
    ):
        assert process.stdin
        assert process.stdout

        told, asked = iter(process.stdout.readline, ""), process.stdin

        def attempt(folder: Path, fault: str) -> list[str]:
            print(folder, fault, file=asked, flush=True)
            found: list[str] = []
            while not (line := next(told, "")).startswith("status"):
                assert line, errors.read_text()
                found.append(line.rstrip())
            ended = 0 if fault == "none" else -signal.SIGKILL
            assert line.split()[1] == str(int(ended)), (fault, errors.read_text())
            return found

        yield lambda folder, *faults: [attempt(folder, fault) for fault in faults]
        process.stdin.close()


def ledger(folder: Path) -> dict[str, tuple[str, int]]:
    """Tenant -> state of its day, and how many cells are stored."""
    engine: sa.Engine = open_records(f"sqlite:///{folder}/records.db")
    with engine.connect() as connection:
        cells = {tenant: len(noisy_cells(connection, tenant, FIRST, FIRST)) for tenant in TENANTS}
        found = {row.tenant: (row.state, cells[row.tenant]) for row in charges(connection)}
    assert all(cells[tenant] == 0 for tenant in TENANTS if tenant not in found), "a stored cell without its charge"
    engine.dispose()
    return found


STORED, LOST = ("stored", 1019), ("charged", 0)


BOTH = ["club", "harbour"]


@pytest.mark.parametrize(
    ("fault", "drawn", "drawn_again", "club"),
    [
        ("at_bounding", [], BOTH, STORED),  # nothing was charged: the day can still be drawn
        ("at_charge", [], BOTH, STORED),
        ("in_charge", [], BOTH, STORED),
        ("at_draw", [], ["harbour"], LOST),  # the other tenant goes on
        ("in_draw", ["club"], ["harbour"], LOST),  # of one measure only
        ("at_store", ["club"], ["harbour"], LOST),  # lost, and never drawn again
        ("in_store", ["club"], ["harbour"], LOST),
        ("after_store", ["club"], ["harbour"], STORED),
    ],
)
def test_a_killed_draw_is_never_repeated(
    attempts: Attempts, tmp_path: Path, fault: str, drawn: list[str], drawn_again: list[str], club: object
) -> None:
    """At most one noisy value of a (tenant, day) ever leaves the sampler, wherever the process dies."""
    first, second = attempts(tmp_path, fault, "none")
    assert (_tenants(first), _tenants(second)) == (drawn, drawn_again)
    assert ledger(tmp_path) == {"club": club, "harbour": STORED}


def test_a_close_that_is_killed_at_each_step_draws_once(attempts: Attempts, tmp_path: Path) -> None:
    """Before each step of the close in turn: one draw a (tenant, day) in all, stored with its charge; the day closes."""
    found = attempts(tmp_path, *(f"step:{step.run.__name__}" for step in STEPS), "none")
    assert sorted(_tenants([line for lines in found for line in lines])) == ["club", "harbour"]
    assert ledger(tmp_path) == {"club": STORED, "harbour": STORED}
    engine = open_records(f"sqlite:///{tmp_path}/records.db")
    assert {day.state for day in Days(engine).listed()} == {"closed"}
    engine.dispose()


def test_without_charging_first_noise_can_be_averaged_away(attempts: Attempts, tmp_path: Path) -> None:
    """The switch: the weakened twin draws at every restart, and the mean comes close to the true count.

    Against the real ledger the same attacker gets one value, whose noise has sigma 13.
    """
    weak = attempts(tmp_path, *["no_charge_at_store"] * 4)
    assert [_tenants(lines) for lines in weak] == [["club"]] * 4
    assert abs(sum(int(lines[0].split()[1]) for lines in weak) / 4 - TRUE_VISITORS) < 6 * 13 / 4**0.5
    assert sum("club" in _tenants(lines) for lines in attempts(tmp_path, "at_store", "at_store")) == 1


def _tenants(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]
