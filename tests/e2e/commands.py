"""Many commands of Voile, each in a process of its own that is forked from one that has loaded the code already.

python -m tests.e2e.commands < COMMANDS    where COMMANDS is a JSON list of lists of arguments

Prints a JSON list of exit codes on its last line. A start of the interpreter and its packages costs about a second
of CPU, which a test that gives a hundred commands cannot spend.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from services.cli import main as cli
from services.enricher import service  # noqa: F401  # what the commands would load each


def _run(arguments: list[str]) -> int:
    """The exit code of one command."""
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
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    codes = [_run(arguments) for arguments in json.load(sys.stdin)]
    print()
    print(json.dumps(codes))
