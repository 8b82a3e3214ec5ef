"""voile promises: what the operator has promised, and whether this installation keeps it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

app = typer.Typer()
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_WORDS = {"kept": "kept", "broken": "BROKEN", "unknown": "not checkable here"}


@app.command(epilog="Example: voile promises --json")
def promises(as_json: Json = False) -> None:
    """Check each promise of docs/promises.toml against this installation. Exits 1 when one is broken.

    Each line says what was looked at. "Not checkable here" is a promise that no look at the stores can tell of, or of
    which there is nothing yet; the tests named in docs/promises.toml prove those.
    """
    from services.cli import common
    from services.cli.promise_book import load_promises
    from services.cli.promise_checks import BROKEN, look
    from services.cli.promise_place import opened_place

    with opened_place(common.settings(), common.clock()) as place:
        verdicts = [(promise, look(promise.id, place)) for promise in load_promises()]
    rows: list[dict[str, Any]] = [
        {"id": promise.id, "promise": promise.promise, "verdict": verdict.state, "looked_at": verdict.looked_at}
        for promise, verdict in verdicts
    ]
    table = [[row["id"], row["promise"], _WORDS[row["verdict"]], row["looked_at"]] for row in rows]
    columns = ("", "promise", "verdict", "what was looked at")
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, table))
    if any(row["verdict"] == BROKEN for row in rows):
        raise typer.Exit(1)
