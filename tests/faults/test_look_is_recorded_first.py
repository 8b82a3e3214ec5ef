"""A process killed at any point of a look: whatever came out of it is in the audit log, and the log is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.enricher.access.service import open_access
from services.enricher.audit.log import checkpoint_path
from services.enricher.audit.proof import verify
from tests.parts.identity import opened

# Dies at the place named in argv[2], without any clean-up; prints a path only when it got to see one.
CHILD = """
import os, sys
from pathlib import Path
from services.enricher.audit import log as audit
from services.enricher.access import deciding
from services.enricher.access import grants
from services.enricher.access.service import open_access
from services.enricher.activity.blocks import Activity
from services.enricher.access.decisions import Actor
from tests.parts.identity import opened, TENANT

def die(*_, **__):
    os._exit(9)

def dies_after(function):
    def wrapped(*args, **kwargs):
        function(*args, **kwargs)
        os._exit(9)
    return wrapped

place = sys.argv[2]
with opened(Path(sys.argv[1])) as identity:
    access, actor = open_access(identity), Actor("sam", frozenset({"support"}), frozenset({"*"}))
    grant = access.gate.ask(actor, grants.Ask(TENANT, "42", "support", "SUP-1", "cannot open the invoice"))
    if place == "no record":
        deciding.Decider.audited = lambda *_, **__: 0
    if place == "before commit":
        audit.AuditLog._write = dies_after(audit.AuditLog._write)
    if place == "after commit":
        audit.AuditLog._hand_out = die
    if place == "before read":
        Activity.read = die
    for visit in access.gate.view(actor, grant.id).visits:
        print(visit.accesses[0].path, flush=True)
    os._exit(9)
"""


def look(data: Path, place: str) -> tuple[bool, int]:
    """(whether data came out, how many views the log knows afterwards); the log must be whole."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(data), place], capture_output=True, timeout=60, check=False)
    assert done.returncode == 9, done.stderr.decode()
    with opened(data) as identity:
        verdict = verify(identity.engine, identity.keys, checkpoint_path(data.absolute()))
        assert verdict.whole, verdict.problem
        entries = open_access(identity).audit.newest(100)
    return b"/invoices" in done.stdout, sum(e.leaf["action"] == "viewActivity" for e in entries)


@pytest.mark.parametrize(
    ("place", "shown", "recorded"),
    [
        ("before commit", False, 0),
        ("after commit", False, 1),
        ("before read", False, 1),
        ("after read", True, 1),
    ],
)
def test_killed_at(filled: Path, place: str, shown: bool, recorded: int) -> None:
    """An entry without data may be left behind; data without an entry never."""
    assert look(filled, place) == (shown, recorded)


def test_without_the_recording_step_data_comes_out_unrecorded(filled: Path) -> None:
    """The switch: the same look with its second step taken out shows data and leaves no entry."""
    assert look(filled, "no record") == (True, 0)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A data folder in which account 42 has asked for /invoices."""
    from tests.parts.identity import access, batch, link, send

    with opened(tmp_path) as identity:
        send(identity, batch([access("42", "/invoices")]))
        link(identity)
    return tmp_path
