"""Many commands of Voile, some at once, each in a process of its own that is forked from one that has loaded the code already.

python -m tests.e2e.commands AT_ONCE < COMMANDS    where COMMANDS is a JSON list of lists of arguments

Prints a JSON list of exit codes on its last line. A start of the interpreter and its packages costs about a second
of CPU, which a test that gives a hundred commands cannot spend.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence

import services.enricher
from services.cli import main as cli


def _run(commands: Sequence[list[str]], at_once: int) -> list[int]:
    """Their exit codes, in order; with 1 at once they also run in order."""
    codes, waiting = [0] * len(commands), list(enumerate(commands))
    running: dict[int, int] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            number, arguments = waiting.pop(0)
            running[_start(arguments)] = number
        process, status = os.wait()
        codes[running.pop(process)] = os.waitstatus_to_exitcode(status)
    return codes


def _start(arguments: list[str]) -> int:
    """The process of one command."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.argv = ["voile", *arguments]
        code = 1
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return child


def _load_all() -> None:
    """What each command would load: two thirds of its time."""
    for entry in cli.COMMANDS.values():
        importlib.import_module(f"services.cli.{entry.module}")
    for module in pkgutil.walk_packages(services.enricher.__path__, "services.enricher."):
        if not module.ispkg and ".migrations." not in module.name:
            importlib.import_module(module.name)


if __name__ == "__main__":
    _load_all()
    gc.freeze()  # a child that collects would copy all of its parent's pages
    codes = _run(json.load(sys.stdin), int(sys.argv[1]))
    print()
    print(json.dumps(codes))
