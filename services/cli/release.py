"""`voile release`: packages of noisy figures for partners.

It needs the plane's SQL records alone, which several processes may open: no word with a running service.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import sqlalchemy as sa
    from minisign import PublicKey

    from services.runtime.settings import Settings
    from services.stats.releases.period import Period

app = typer.Typer(
    help="Partner releases.\n\nExample: voile release build --tenant harbour --period 2026-11", no_args_is_help=True
)

_JSON = typer.Option(False, "--json", help="Print JSON.")
_NO_PUBLIC_KEY = "Give the publisher's public key with --public-key (a minisign key file, or its line RW...)."


@app.command()
def build(
    *,
    tenant: str = typer.Option("", help="The tenant's id."),
    platform: bool = typer.Option(False, "--platform", help="The sums of every tenant that opted in to them."),
    period: str = typer.Option("", help="A month like 2026-11, a week like 2026-W47 or a day like 2026-11-23."),
    first: str = typer.Option("", "--from", help="First day; with --to."),
    last: str = typer.Option("", "--to", help="Last day, included."),
    out: Path | None = typer.Option(None, help="Where packages go. Default: `releases` in the data folder."),
    json: bool = _JSON,
) -> None:
    """Sum the stored noisy days of a period into a signed package; again, it gives the same bytes.

    Example: voile release build --tenant harbour --from 2026-11-01 --to 2026-11-14
    """
    from services.cli.common import print_result, settings
    from services.runtime import minisign
    from services.runtime.keys import open_keys
    from services.stats.releases import package

    loaded = settings()
    keys = open_keys(loaded.url(loaded.statistics.keys))
    wanted, whose = _period(period, first, last), _whose(tenant, platform)
    with _records(loaded) as records:
        release, folder = package.build(records, keys, whose, wanted, out or _folder(loaded))
        _warn_of_open_days(records, whose, wanted, loaded)
    result = {
        **_told(release),
        "release": str(folder),
        "public_key": minisign.public_key_line(keys, minisign.RELEASE_KEY),
    }
    print_result(result, json, _print_pairs)


@app.command()
def plan(
    *,
    tenant: str = typer.Option("", help="The tenant's id: its size is read from its published figures."),
    visitors: float = typer.Option(0.0, min=0.0, help="Or its visitors a day, when nothing is published yet."),
    routes: bool = typer.Option(True, "--routes/--no-routes", help="Whether it has a route table."),
    json: bool = _JSON,
) -> None:
    """Before a tenant opts in: the error to expect of each measure, and what its releases cost a person.

    Example: voile release plan --visitors 30000
    """
    from dataclasses import asdict

    from services.cli.common import print_result
    from services.stats.releases.plan import expected_errors, person_level
    from services.stats.releases.split import declared_split

    size, split = visitors or _visitors_of(tenant), declared_split()
    errors = [asdict(e) for e in expected_errors(split, size) if routes or e.measure != "visitors_by_route"]
    result = {"visitors_a_day": size, "errors": errors, "person_level": person_level(split, routes)}
    print_result(result, json, _print_plan)


@app.command()
def verify(
    folder: Path = typer.Argument(..., help="The package: the folder that holds SHA256SUMS."),
    public_key: str = typer.Option(
        "", help="minisign public key: a file, or its line. Default: the setting, then this installation's own."
    ),
    json: bool = _JSON,
) -> None:
    """Check a package's signature and every file of it; exits 1 when something is not as it was signed.

    Example: voile release verify harbour-use/2026.11.1 --public-key voile.pub
    """
    from services.cli.common import print_result
    from services.stats.releases.verify import verify as problems_of

    problems = problems_of(folder, _public_key(public_key))
    print_result({"verified": not problems, "problems": problems}, json, _print_verdict)
    if problems:
        raise typer.Exit(1)


@app.command()
def audit(
    seed: int = typer.Option(1, help="Which tenants have a canary; run it again with another."),
    json: bool = _JSON,
) -> None:
    """Attack the installed mechanism with canaries at a raised budget; exits 1 when they learn more than declared.

    Takes half a minute of CPU and touches no data of yours. Example: voile release audit --seed 7
    """
    import tempfile
    from dataclasses import asdict

    from services.cli.common import print_result
    from services.runtime.clickhouse import open_analytics
    from services.stats.releases import audit as auditing
    from services.stats.store import create_tables

    with tempfile.TemporaryDirectory(prefix="voile-audit-") as folder:
        analytics = open_analytics(f"chdb://{folder}/store")
        try:
            create_tables(analytics)
            findings = auditing.audit(analytics, seed)
        finally:
            analytics.close()
    violations = [finding for finding in findings if finding.violation]
    told = {"passed": not violations, "guesses": auditing.TENANTS * auditing.DRAWS, "alpha": auditing.ALPHA}
    print_result({**told, "findings": [asdict(finding) for finding in findings]}, json, _print_audit)
    if violations:
        raise typer.Exit(1)


@app.command()
def publish(
    name: str = typer.Argument(..., help="The release's name, such as harbour-use."),
    version: str = typer.Argument(..., help="Its version, such as 2026.11.1."),
    *,
    folder: Path | None = typer.Option(None, "--from", help="Its package. Default: where build put it."),
    json: bool = _JSON,
) -> None:
    """Offer a built release to the partners that may have it, and tell their webhooks; again, it changes nothing.

    Example: voile release publish harbour-use 2026.11.1
    """
    from services.cli.common import clock, os_user, print_result, settings
    from services.stats.delivery.publications import Publications

    loaded = settings()
    place = folder or _folder(loaded) / name / version
    with _records(loaded) as records:
        found = Publications(records, clock()).publish(name, version, place, _own_key(loaded), os_user())
    told = {"name": found.name, "version": found.version, "published": found.published}
    print_result(told, json, _print_pairs)


@app.command()
def withdraw(
    name: str = typer.Argument(..., help="The release's name, such as harbour-use."),
    version: str = typer.Argument(..., help="Its version, such as 2026.11.1."),
    reason: str = typer.Option(..., help="Why; partners are told."),
    json: bool = _JSON,
) -> None:
    """Withdraw a release, with a reason. It is never corrected: the numbers of its days stay what was drawn. Partners
    are told, and get it no more.

    Example: voile release withdraw harbour-use 2026.11.1 --reason 'The site was measured twice from 3 to 5 November'
    """
    from services.cli.common import clock, os_user, print_result, settings
    from services.stats.delivery.publications import Publications

    with _records(settings()) as records:
        release = Publications(records, clock()).withdraw(name, version, reason, os_user())
    print_result(_told(release), json, _print_pairs)


@app.command("list")
def list_releases(json: bool = _JSON) -> None:
    """Show every release that was built.

    Example: voile release list --json
    """
    from services.cli.common import print_result, print_table, settings
    from services.stats.releases import package

    with _records(settings()) as records:
        rows = [_told(release) for release in package.releases(records)]
    columns = ("name", "version", "first_day", "last_day", "days", "created", "withdrawn_at")
    print_result(
        rows, json, lambda value: print_table("", columns, [[row.get(c, "") for c in columns] for row in value])
    )


@app.command("public-key")
def public_key() -> None:
    """Print the minisign public key that partners verify with; give it to them by another way than the packages.

    Example: voile release public-key > voile.pub
    """
    from services.cli.common import settings
    from services.runtime import minisign
    from services.runtime.keys import open_keys

    loaded = settings()
    keys = open_keys(loaded.url(loaded.statistics.keys))
    typer.echo(minisign.public_key_file(keys, minisign.RELEASE_KEY), nl=False)


@contextmanager
def _records(loaded: Settings) -> Iterator[sa.Engine]:
    from services.runtime.database import check_schema, open_records
    from services.stats.records import MIGRATIONS

    engine = open_records(loaded.url(loaded.statistics.records))
    try:
        check_schema(engine, MIGRATIONS)
        yield engine
    finally:
        engine.dispose()


def _warn_of_open_days(records: sa.Engine, whose: str, period: Period, loaded: Settings) -> None:
    from services.cli.common import clock
    from services.runtime.database import transaction
    from services.stats.releases.contents import not_drawn

    with transaction(records) as connection:
        days = not_drawn(connection, whose, period, clock().now().astimezone(loaded.zone).date())
    if days:
        typer.echo(
            f"Days of this period are not drawn yet: {len(days)}, the last is {days[-1]}. That they are missing may "
            f"tell partners that nobody came. Before you publish: voile stats close --through {days[-1]}, "
            "then build again.",
            err=True,
        )


def _folder(loaded: Settings) -> Path:
    return loaded.data / "releases"


def _visitors_of(tenant: str) -> float:
    from services.cli.common import settings
    from services.runtime.errors import Fatal
    from services.stats.releases.plan import visitors_published

    if not tenant:
        raise Fatal("Say how large the tenant is: --visitors a day, or --tenant to read it from its published figures.")
    with _records(settings()) as records:
        found = visitors_published(records, tenant)
    if found is None:
        raise Fatal(f"No figures of {tenant} were published yet; say --visitors a day instead.")
    return found


def _print_plan(result: dict[str, Any]) -> None:
    from services.cli.common import print_table

    shares = {1.0: "all", 0.1: "a tenth", 0.01: "a hundredth"}
    rows = [
        [e["measure"], e["period"], str(e["half_width"]), *(_percent(e["relative"].get(s)) for s in shares)]
        for e in result["errors"]
    ]
    typer.echo(
        f"{result['visitors_a_day']:.0f} visitors a day. 95 % of values lie within +- of the count without noise;"
    )
    typer.echo("relative to a cell with all of the period's visitors, a tenth and a hundredth of them.")
    print_table("", ("measure", "period", "+-", *shares.values()), rows)
    people = [
        [str(p["pseudonyms_a_day"]), str(p["days"]), p["rho_zcdp"], f"{p['best_guess_right']:.1%}"]
        for p in result["person_level"]
    ]
    typer.echo("Whether a person was there: how often the best attacker is right, from even odds, after so many days.")
    print_table("", ("pseudonyms a day", "days", "rho", "right"), people)


def _print_audit(result: dict[str, Any]) -> None:
    from services.cli.common import print_table

    columns = ("canary", "measure", "mu", "estimate", "at_least", "right")
    typer.echo(f"{result['guesses']} guesses of each canary. mu: declared; at least: what was seen, wrong by chance of")
    typer.echo(f"{result['alpha']:g}; it must not exceed mu. right: how often the attacker was, from even odds.")
    print_table("", columns, [[str(finding[column]) for column in columns] for finding in result["findings"]])
    typer.echo(
        "Nothing learned more than is declared." if result["passed"] else "A CANARY LEARNED MORE THAN IS DECLARED."
    )


def _percent(relative: float | None) -> str:
    return "" if relative is None else f"{relative:.1%}"


def _period(period: str, first: str, last: str) -> Period:
    from services.runtime.errors import Fatal
    from services.stats.releases.period import declared, span

    if bool(period) == bool(first or last) or bool(first) != bool(last):
        raise Fatal("Say which days: either --period 2026-11, or both --from and --to.")
    return declared(period) if period else span(first, last)


def _whose(tenant: str, platform: bool) -> str:
    from services.runtime.errors import Fatal
    from services.stats.releases.contents import PLATFORM

    if bool(tenant) == platform:
        raise Fatal("Say whose figures: either --tenant, or --platform for the sums of all tenants that opted in.")
    return PLATFORM if platform else tenant


def _public_key(given: str) -> PublicKey:
    from services.cli.common import settings
    from services.runtime import minisign
    from services.runtime.errors import Fatal
    from services.runtime.keys import open_keys

    if given:
        return minisign.read_public_key(given)
    loaded = settings()
    if loaded.statistics.release_public_key:
        return minisign.read_public_key(loaded.statistics.release_public_key)
    keys = open_keys(loaded.url(loaded.statistics.keys)) if loaded.data.exists() else None
    own = minisign.existing_public_key(keys, minisign.RELEASE_KEY) if keys else None
    if own is None:
        raise Fatal(_NO_PUBLIC_KEY)
    return own


def _own_key(loaded: Settings) -> PublicKey:
    """What is published was signed here, whatever key `verify` uses."""
    from services.runtime import minisign
    from services.runtime.errors import Fatal
    from services.runtime.keys import open_keys

    own = minisign.existing_public_key(open_keys(loaded.url(loaded.statistics.keys)), minisign.RELEASE_KEY)
    if own is None:
        raise Fatal("Nothing was signed here yet; build the release first: voile release build.")
    return own


def _told(release: Any) -> dict[str, Any]:
    fields = ("name", "version", "tenant", "first_day", "last_day", "days", "created")
    withdrawal = ("withdrawn_at", "withdrawn_reason") if release.withdrawn_at else ()
    return {field: getattr(release, field) for field in (*fields, *withdrawal)}


def _print_pairs(result: dict[str, Any]) -> None:
    for name, value in result.items():
        typer.echo(f"{name.replace('_', ' '):<12} {value}")


def _print_verdict(result: dict[str, Any]) -> None:
    for problem in result["problems"]:
        typer.echo(problem)
    typer.echo("The package is as it was signed." if result["verified"] else "Do not use this package.")
