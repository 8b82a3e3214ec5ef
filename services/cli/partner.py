"""`voile partner`: companies that get releases. It needs the plane's SQL records alone, as `voile release`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import sqlalchemy as sa

    from services.runtime.settings import Settings
    from services.stats.delivery.partners import Partners
    from services.stats.delivery.terms import TermsBook
    from services.stats.delivery.webhooks import Hooks

app = typer.Typer(
    help="Partners: who gets releases, under which terms, and what they took.\n\n"
    "Example: voile partner add acme --company 'Acme Research' --release chess-club-use",
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PartnerId = Annotated[str, typer.Argument(metavar="PARTNER", help="The partner's id, as voile partner list shows it.")]
OnlyOf = Annotated[str, typer.Option("--partner", help="Of this partner alone.")]


@app.command(epilog="Example: voile partner add acme --company 'Acme Research' --release chess-club-use")
def add(
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="An id of a-z, 0-9 and -.")],
    *,
    company: Annotated[str, typer.Option(help="What the company is called.")],
    release: Annotated[list[str], typer.Option(help="A release it may have, by name; may be repeated.")],
    as_json: Json = False,
) -> None:
    """Add a partner, or say anew what it is called and which releases it may have; it takes effect at once."""
    from services.cli import common

    with _partners() as partners:
        is_new = partners.put(partner, company, release, _who())
    told = {"partner": partner, "company": company, "releases": sorted(set(release)), "new": is_new}
    common.print_result(told, as_json, lambda _: None)
    if is_new:
        common.note(f"Next: voile partner add-member {partner} NAME, and voile partner add-key {partner} --label WHAT")


@app.command("list", epilog="Example: voile partner list --json")
def list_partners(as_json: Json = False) -> None:
    """Show the partners, what they may have, and which terms they accepted."""
    with _records() as (_, records):
        partners, terms = _partners_on(records), _terms_on(records)
        rows = [
            {
                "partner": partner.id,
                "company": partner.company,
                "releases": sorted(partner.releases),
                "members": list(partner.members),
                "keys": len(partners.keys(partner.id)),
                "terms_accepted": accepted.number if (accepted := terms.accepted(partner.id)) else None,
            }
            for partner in partners.all()
        ]
    _print(rows, ("partner", "company", "releases", "members", "keys", "terms_accepted"), as_json)


@app.command(epilog="Example: voile partner remove acme")
def remove(partner: PartnerId) -> None:
    """Remove a partner with its members, keys and webhooks. What it took stays in the log until its term."""
    with _partners() as partners:
        partners.remove(partner, _who())


@app.command("add-member", epilog="Example: voile partner add-member acme paul@acme.example")
def add_member(
    partner: PartnerId, user: Annotated[str, typer.Argument(metavar="NAME", help="How this person signs in.")]
) -> None:
    """Add somebody who signs in for the partner: sees its releases, accepts the terms."""
    from services.cli import common

    with _partners() as partners:
        partners.add_member(partner, user, _who())
    common.note(f"Next: voile user invite {user} --service statistics")


@app.command("remove-member", epilog="Example: voile partner remove-member acme paul@acme.example")
def remove_member(partner: PartnerId, user: Annotated[str, typer.Argument(metavar="NAME", help="Who.")]) -> None:
    """Remove one of a partner's members; their sessions end at once."""
    with _partners() as partners:
        partners.remove_member(partner, user, _who())


@app.command("add-key", epilog="Example: voile partner add-key acme --label 'nightly load' --release chess-club-use")
def add_key(
    partner: PartnerId,
    *,
    label: Annotated[str, typer.Option(help="What uses it.")],
    release: Annotated[
        list[str] | None,
        typer.Option(help="Only this one of its releases; may be repeated. Default: all."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=1096, help="After how many days it ends by itself.")] = 365,
    as_json: Json = False,
) -> None:
    """Make a key for the partner's programs. It is shown this once."""
    from datetime import timedelta

    from services.cli import common

    with _partners() as partners:
        key = partners.add_key(partner, label, _who(), release or (), timedelta(days=days))
    common.print_result({"key": key, "partner": partner, "days": days}, as_json, lambda _: print(key))


@app.command(epilog="Example: voile partner keys")
def keys(of: OnlyOf = "", as_json: Json = False) -> None:
    """List partners' keys; their secrets are not kept."""
    with _partners() as partners:
        rows = [
            {
                "key": k.id,
                "partner": k.partner,
                "label": k.label,
                "releases": sorted(k.releases) or ["all"],
                "expires": k.expires,
            }
            for k in partners.keys(of or None)
        ]
    _print(rows, ("key", "partner", "label", "releases", "expires"), as_json)


@app.command("revoke-key", epilog="Example: voile partner revoke-key 0123456789ab")
def revoke_key(key: Annotated[str, typer.Argument(help="The key's id, as keys lists it.")]) -> None:
    """Take a key back; it stops working at once."""
    with _partners() as partners:
        partners.revoke_key(key, _who())


@app.command("set-terms", epilog="Example: voile partner set-terms terms.txt")
def set_terms(
    file: Annotated[Path, typer.Argument(help="The text, UTF-8.")],
    as_json: Json = False,
) -> None:
    """Say under which terms partners use releases. A changed text is a new version, which every partner has to accept
    before it can download again; the same text changes nothing."""
    from services.cli import common
    from services.runtime.errors import WrongUse

    common.require_files([str(file)])
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is no text in UTF-8.") from None
    with _terms() as terms:
        found = terms.put(text, _who())
    told = {"number": found.number, "since": found.since}
    common.print_result(told, as_json, lambda _: print(f"Version {found.number} is in force."))


@app.command(epilog="Example: voile partner terms")
def terms(as_json: Json = False) -> None:
    """Show the terms in force, and who accepted which version when."""
    from dataclasses import asdict

    from services.cli import common

    with _terms() as book:
        current, given = book.current(), [asdict(found) for found in book.acceptances()]
    told = {"terms": asdict(current) if current else None, "acceptances": given}

    def show(_: Any) -> None:
        print(
            f"Version {current.number}, since {current.since}\n\n{current.text}" if current else "There are none yet."
        )
        common.print_table("Accepted", ("partner", "number", "who", "at"), [list(row.values()) for row in given])

    common.print_result(told, as_json, show)


@app.command("accept-terms", epilog="Example: voile partner accept-terms acme --number 1 --by 'P. Durand, on paper'")
def accept_terms(
    partner: PartnerId,
    *,
    number: Annotated[int, typer.Option(help="The version that was accepted.")],
    by: Annotated[str, typer.Option(help="Who accepted, and how: kept beside your own name.")],
) -> None:
    """Record that a partner accepted the terms on paper. Its members accept them on the page /partner."""
    from services.runtime.errors import WrongUse

    if not by.strip() or not by.isprintable():
        raise WrongUse("Say who accepted the terms, and how: --by 'P. Durand, on paper'.")
    with _terms() as book:
        book.accept(partner, number, f"{by.strip()} ({_who()})")


@app.command(epilog="Example: voile partner downloads --partner acme --json")
def downloads(
    of: OnlyOf = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many, the newest first.")] = 200,
    as_json: Json = False,
) -> None:
    """Show who took which file of which version, when, by which key."""
    from dataclasses import asdict

    from services.cli import common
    from services.stats.delivery.downloads import Downloads

    with _records() as (_, records):
        rows = [asdict(row) for row in Downloads(records, common.clock()).listed(of or None, limit)]
    _print(rows, ("at", "partner", "key", "person", "name", "version", "file", "bytes"), as_json)


@app.command(epilog="Example: voile partner log")
def log(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many, the newest first.")] = 200,
    as_json: Json = False,
) -> None:
    """Show what was done: publications and withdrawals, partners, keys, terms; who did it and when."""
    from dataclasses import asdict

    from services.stats.delivery.acts import listed

    with _records() as (_, records):
        rows = [asdict(row) for row in listed(records, limit)]
    _print(rows, ("at", "who", "act", "about", "reason"), as_json)


@app.command("add-webhook", epilog="Example: voile partner add-webhook acme https://hooks.acme.example/voile")
def add_webhook(
    partner: PartnerId,
    url: Annotated[str, typer.Argument(help="Where its system listens; https, on a public address.")],
    as_json: Json = False,
) -> None:
    """Tell a partner's system of what is published and withdrawn. Prints the secret it verifies with, this once."""
    from services.cli import common

    with _hooks() as hooks:
        hook, secret = hooks.add(partner, url, _who())
    common.print_result({"webhook": hook.id, "secret": secret}, as_json, lambda _: print(f"{hook.id}  {secret}"))


@app.command(epilog="Example: voile partner webhooks")
def webhooks(of: OnlyOf = "", as_json: Json = False) -> None:
    """Show the webhooks and what became of the last messages to each."""
    from dataclasses import asdict

    from services.cli import common
    from services.stats.delivery.webhooks import listed, sent

    with _records() as (_, records):
        there = [asdict(hook) for hook in listed(records, of or None)]
        messages = [asdict(message) for message in sent(records, of or None)]

    def show(_: Any) -> None:
        columns = ("hook", "event", "name", "version", "at", "tries", "outcome", "again")
        common.print_table("Webhooks", ("id", "partner", "url"), [list(hook.values()) for hook in there])
        common.print_table("Last messages", columns, [[message[c] for c in columns] for message in messages])

    common.print_result({"webhooks": there, "messages": messages}, as_json, show)


@app.command("test-webhook", epilog="Example: voile partner test-webhook 0123456789ab")
def test_webhook(hook: Annotated[str, typer.Argument(help="The webhook's id.")]) -> None:
    """Send a message of no release, by the running service; voile partner webhooks shows what became of it."""
    with _hooks() as hooks:
        hooks.test(hook)


@app.command("remove-webhook", epilog="Example: voile partner remove-webhook 0123456789ab")
def remove_webhook(hook: Annotated[str, typer.Argument(help="The webhook's id.")]) -> None:
    """Remove a webhook; nothing is sent there any more."""
    with _hooks() as hooks:
        hooks.remove(hook, _who())


@contextmanager
def _records() -> Iterator[tuple[Settings, sa.Engine]]:
    from services.cli.common import settings
    from services.runtime.database import check_schema, open_records
    from services.stats.records import MIGRATIONS

    loaded = settings()
    engine = open_records(loaded.url(loaded.statistics.records))
    try:
        check_schema(engine, MIGRATIONS)
        yield loaded, engine
    finally:
        engine.dispose()


@contextmanager
def _partners() -> Iterator[Partners]:
    with _records() as (_, records):
        yield _partners_on(records)


@contextmanager
def _terms() -> Iterator[TermsBook]:
    with _records() as (_, records):
        yield _terms_on(records)


@contextmanager
def _hooks() -> Iterator[Hooks]:
    from services.cli.common import clock
    from services.runtime.keys import open_keys
    from services.stats.delivery.webhooks import Hooks

    with _records() as (loaded, records):
        yield Hooks(records, open_keys(loaded.url(loaded.statistics.keys)), clock())


def _partners_on(records: sa.Engine) -> Partners:
    from services.cli.common import clock
    from services.stats.delivery.partners import Partners

    return Partners(records, clock())


def _terms_on(records: sa.Engine) -> TermsBook:
    from services.cli.common import clock
    from services.stats.delivery.terms import TermsBook

    return TermsBook(records, clock())


def _who() -> str:
    from services.cli.common import os_user

    return os_user()


def _print(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    from services.cli import common

    shown = [[_cell(row[column]) for column in columns] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, shown))


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
