"""voile kafka: topics and rights on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.runtime.log.kafka_access import Grantee, Right
    from services.runtime.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Topics and rights on Kafka.\n\nExample: voile kafka setup --dry-run")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _kafka() -> None:
    """Topics and rights on Kafka."""


@app.command(epilog="Example: voile kafka setup --dry-run")
def setup(
    *,
    acls: Annotated[Path | None, typer.Option(help="Your own file; deploy/kafka/acls.toml when left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print it, as lines for kafka-acls.sh.")] = False,
    as_json: Json = False,
) -> None:
    """Make Voile's topics and give each service's user its rights. Run it as the cluster's administrator.

    Again, it changes nothing that is there. A right that one of these users has beyond the file is told, and the exit
    code is 1: taking it away is yours, with kafka-acls.sh --remove.
    """
    from services.cli import common
    from services.runtime.log.kafka_access import SHIPPED, load_grantees, rights_of, shell_line

    settings, grantees = common.settings(), load_grantees(acls or SHIPPED)
    wanted = [right for grantee in grantees for right in rights_of(grantee)]
    if dry_run:
        lines = [shell_line(right, _servers(settings)) for right in wanted]
        common.print_result(lines, as_json, lambda found: print("\n".join(found)))
        return
    surplus = set_up(settings, grantees)
    result = {"given": len(wanted), "surplus": [_row(right) for right in surplus]}
    common.print_result(result, as_json, _print)
    if surplus:
        raise typer.Exit(1)


def set_up(settings: Settings, grantees: Sequence[Grantee]) -> Sequence[Right]:
    """Makes the topics and gives the rights; returns what these users have beyond them."""
    from services.runtime.log.kafka import KafkaLog
    from services.runtime.log.kafka_access import rights_of
    from services.runtime.log.kafka_rights import KafkaRights
    from services.runtime.topics import TOPICS

    servers = _servers(settings)
    log = KafkaLog(servers, settings.kafka)
    try:
        log.ensure_topics(list(TOPICS.values()))
    finally:
        log.close()
    wanted = {right for grantee in grantees for right in rights_of(grantee)}
    rights = KafkaRights(servers, settings.kafka)
    rights.give(wanted)
    return sorted(rights.of({grantee.user for grantee in grantees}) - wanted)


def _servers(settings: Settings) -> str:
    from services.runtime.errors import Fatal

    scheme, _, servers = settings.events.partition("://")
    if scheme != "kafka":
        raise Fatal("The event log is a file here (`events`), which has no users: rights are for kafka://host:9092.")
    return servers


def _row(right: Right) -> dict[str, str]:
    return {"user": right.user, "operation": right.operation, right.kind: right.name}


def _print(result: dict[str, Any]) -> None:
    print(f"The topics are there, and {result['given']} rights are given.")
    for row in result["surplus"]:
        print("Beyond the file: " + ", ".join(f"{name} {value}" for name, value in row.items()))
