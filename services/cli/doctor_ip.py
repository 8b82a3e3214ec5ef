"""`voile doctor ip`: which address is taken for the client's, and why. It shows addresses: only those it was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

    from services.ingest.service import Ingest

__all__ = ["explain_address"]

_SHOWN_MAX = 20  # different lists of hops of a file; the most frequent come first


def explain_address(
    *,
    source: Annotated[str, typer.Option(help="Whose setting is tried; see: voile source list")],
    file: Annotated[str, typer.Option(metavar="FILE", help="A log of this source; its first lines are read.")] = "",
    hops: Annotated[
        str, typer.Option(metavar="HEADER", help="A header as the proxy writes it, such as '203.0.113.9, 10.0.0.2'.")
    ] = "",
    connection: Annotated[str, typer.Option(help="Who connected to the server that writes the log.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Explain which hop of a request counts as the client. Nothing is imported, stored or logged.

    Give a log with --file, or a header with --hops and who connected with --connection.
    """
    from services.cli import common, edge
    from services.runtime.errors import WrongUse

    if bool(file) == bool(hops or connection):
        raise WrongUse("Give either a log with --file, or a header with --hops and the peer with --connection.")
    with edge.opened() as ingest:
        place = ingest.sources.named(source).client_address_from
        cases = _of_file(ingest, source, Path(file)) if file else [(1, hops, connection)]
        explained = [_explain(ingest, place, *case) for case in cases]
    result = {"source": source, "client_address_from": place, "requests": explained}
    common.print_result(result, as_json, _print)


def _of_file(ingest: Ingest, source: str, path: Path) -> list[tuple[int, str, str]]:
    """(lines, header, who connected), the most frequent first, of the first 4 MB."""
    import polars as pl

    from services.ingest.addresses import HEADERS
    from services.runtime.errors import Fatal

    place = ingest.sources.named(source).client_address_from
    frame = ingest.first_lines(path, source).filter(pl.col("shape").is_null())
    if frame.is_empty():
        raise Fatal(f"None of the first lines of {path} has the format of {source}; try: voile formats detect {path}")
    header = pl.col(HEADERS[place]) if place in HEADERS else pl.lit("")
    rows = frame.select(header.fill_null("").alias("header"), pl.col("address").fill_null("").alias("address"))
    return list(_most_frequent(rows))


def _most_frequent(rows: pl.DataFrame) -> Iterator[tuple[int, str, str]]:
    counted = rows.group_by("header", "address", maintain_order=True).len().sort("len", descending=True)
    for header, address, count in counted.head(_SHOWN_MAX).iter_rows():
        yield count, header, address


def _explain(ingest: Ingest, place: str, lines: int, header: str, connection: str) -> dict[str, Any]:
    from ipaddress import ip_network

    from services.ingest.addresses import CONNECTION, hops_of
    from services.ingest.hops import choose, split_hops

    trusted = ingest.settings.ingest.trusted_proxies
    read = place != CONNECTION and bool(trusted)
    judged = choose(
        [*(hops_of(header, place) if read else []), *split_hops(connection)], [ip_network(cidr) for cidr in trusted]
    )
    client = next((str(hop.address) for hop in judged if hop.is_client), None)
    rows = [{"hop": hop.text, "is": hop.verdict.value} for hop in judged]
    return {"lines": lines, "client": client, "hops": rows, "note": _note(place, trusted, header)}


def _note(place: str, trusted: Sequence[str], header: str) -> str:
    if place != "connection" and not trusted:
        return "No header is read: `ingest.trusted_proxies` names no proxy that could have written it."
    if place == "connection" and header:
        return "The header is not read: this source takes who connected. See: voile source set-client-address"
    return ""


def _print(result: dict[str, Any]) -> None:
    from services.cli import common

    rows = []
    for request in result["requests"]:
        said = [f"{hop['hop']}: {hop['is']}" for hop in request["hops"]] or ["nobody connected: give --connection"]
        reasons = "\n".join([*said, *([request["note"]] if request["note"] else [])])
        rows.append([request["lines"], request["client"] or "none", reasons])
    title = f"The client's address of {result['source']} is taken from: {result['client_address_from']}"
    common.print_table(title, ("lines", "client", "hops, from the left, and what each is"), rows)
