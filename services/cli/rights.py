"""voile rights: requests of one person as cases, with receipt, due date, approval, execution and certificate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.enricher.rights.book import CaseFile
    from services.enricher.rights.carrying import Progress
    from services.enricher.rights.desk import Cases, CaseView
    from services.enricher.service import Identity

app = typer.Typer(no_args_is_help=True)
certificate = typer.Typer(
    no_args_is_help=True,
    help="Certificates of erasures.",
    epilog="Example: voile rights certificate save CASE-000000017 --out certificates",
)
app.add_typer(certificate, name="certificate")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Number = Annotated[str, typer.Argument(help="The case's number.")]
Why = Annotated[str, typer.Option(help="For the evidence and the audit log; at least 10 characters.")]


class Kind(StrEnum):
    """What a person can ask for."""

    ACCESS = "access"
    PORTABILITY = "portability"
    ERASURE = "erasure"
    OBJECTION = "objection"
    LINKING_OBJECTION = "linking-objection"
    RESTRICTION = "restriction"
    WITHDRAWAL = "withdrawal"


class Check(StrEnum):
    """How it was made sure who asks."""

    SIGNED_IN = "signed-in"
    KNOWN_CONTACT = "known-contact"
    DOCUMENT = "document"
    TENANT = "tenant"
    REPRESENTATIVE = "representative"


class Ground(StrEnum):
    """Why a request is refused."""

    NOT_IDENTIFIED = "not-identified"
    UNFOUNDED = "unfounded"
    EXCESSIVE = "excessive"
    LEGAL_DUTY = "legal-duty"
    LEGAL_CLAIMS = "legal-claims"
    OTHERS_RIGHTS = "others-rights"
    NOT_OURS = "not-ours"


@app.callback()
def _rights() -> None:
    """Requests of one person: access, portability, erasure, objection, restriction, withdrawal of consent."""


@app.command("open", epilog="Example: voile rights open --kind erasure --tenant chess-club --account 42")
def open_(
    *,
    kind: Annotated[Kind, typer.Option(help="objection: to statistics; withdrawal: of consent, to both uses.")],
    tenant: Annotated[str, typer.Option(help="Whose account it is.")],
    account: Annotated[str, typer.Option(help="The tenant's account id.")],
    case: Annotated[str, typer.Option("--case", "--ticket", help="A number of your own, such as DSR-17.")] = "",
    checked: Annotated[Check | None, typer.Option(help="How the person's identity was checked, if it was.")] = None,
    language: Annotated[str, typer.Option(help="Of what is written to the person: en, fr.")] = "en",
    lift: Annotated[bool, typer.Option("--lift", help="Take an objection or a restriction back.")] = False,
    at_once: Annotated[bool, typer.Option("--at-once", help="Carry it out now, alone.")] = False,
    reason: Annotated[str, typer.Option(help="What the person asked for; kept sealed.")] = "The person asked for it.",
    as_json: Json = False,
) -> None:
    """Take a request in: prints its number and by when it has to be answered.

    With --at-once it is carried out in the same step, without a second person (never access or portability). After a
    crash give the same command again: it goes on where it stopped.
    """
    from services.enricher.rights.desk import Wanted
    from services.enricher.rights.states import IdentityCheck
    from services.enricher.rights.states import Kind as Asked

    wanted = Wanted(
        tenant, account, Asked(kind.value), note=reason, case=case, lift=lift, language=language, origin="command"
    )
    how = IdentityCheck(checked.value) if checked else None
    with _desk() as (plane, cases):
        _require_tenant(plane, tenant)
        if at_once:
            file = cases.at_once(_operator(), wanted, how or IdentityCheck.TENANT).file
        else:
            file = cases.open(_operator(), wanted)
            file = cases.check(_operator(), file.case, how, reason) if how else file
        _print(cases.view(_operator(), file.case), as_json)


@app.command(epilog="Example: voile rights check CASE-000000017 --how known-contact")
def check(
    case: Number,
    *,
    how: Annotated[Check, typer.Option(help="How it was done.")],
    note: Annotated[str, typer.Option(help="Kept sealed; no copy of a document.")] = "",
    as_json: Json = False,
) -> None:
    """Record how it was made sure that the person who asks is the one it is about."""
    from services.enricher.rights.states import IdentityCheck

    with _desk() as (_, cases):
        cases.check(_operator(), case, IdentityCheck(how.value), note)
        _print(cases.view(_operator(), case), as_json)


@app.command(epilog="Example: voile rights approve CASE-000000017 --reason 'Identity and request are in order.'")
def approve(case: Number, *, reason: Why, as_json: Json = False) -> None:
    """Agree to a request that somebody else opened."""
    with _desk() as (_, cases):
        cases.approve(_operator(), case, reason)
        _print(cases.view(_operator(), case), as_json)


@app.command(epilog="Example: voile rights refuse CASE-000000017 --why excessive --reason 'The fourth one this month.'")
def refuse(
    case: Number,
    *,
    why: Annotated[Ground, typer.Option(help="The ground in law.")],
    reason: Annotated[str, typer.Option(help="In words for the person; kept sealed.")],
    as_json: Json = False,
) -> None:
    """Refuse a request that somebody else opened, with its ground."""
    from services.enricher.rights.states import Refusal

    with _desk() as (_, cases):
        cases.refuse(_operator(), case, Refusal(why.value), reason)
        _print(cases.view(_operator(), case), as_json)


@app.command(epilog="Example: voile rights extend CASE-000000017 --reason 'The person has eleven accounts.'")
def extend(case: Number, *, reason: Why, as_json: Json = False) -> None:
    """Take two months more, once, before the due date is over."""
    with _desk() as (_, cases):
        cases.extend(_operator(), case, reason)
        _print(cases.view(_operator(), case), as_json)


@app.command(epilog="Example: voile rights cancel CASE-000000017 --reason 'The person took it back by e-mail.'")
def cancel(case: Number, *, reason: Why, as_json: Json = False) -> None:
    """The person takes the request back."""
    with _desk() as (_, cases):
        cases.cancel(_operator(), case, reason)
        _print(cases.view(_operator(), case), as_json)


@app.command(epilog="Example: voile rights execute CASE-000000017")
def execute(
    case: Number,
    *,
    without: Annotated[str, typer.Option(help="Wait no longer for this worker, such as stats/host2.")] = "",
    reason: Annotated[str, typer.Option(help="Why not, with --without.")] = "",
    as_json: Json = False,
) -> None:
    """Carry an approved request out. Again: see how far it is."""
    with _desk() as (_, cases):
        if without:
            cases.go_on_without(_operator(), case, without, reason)
        else:
            cases.execute(_operator(), case)
        _print(cases.view(_operator(), case), as_json)


@app.command("list", epilog="Example: voile rights list --json")
def list_(
    *,
    closed: Annotated[bool, typer.Option("--closed", help="Those that are done, refused or cancelled.")] = False,
    as_json: Json = False,
) -> None:
    """The cases, the first due first."""
    from services.cli import common

    with _desk() as (_, cases):
        rows = [_row(file) for file in cases.listed(_operator(), closed=closed)]
    columns = ("case", "tenant", "kind", "state", "due", "opened_by")
    common.print_result(
        rows, as_json, lambda _: common.print_table("", columns, [[row[c] for c in columns] for row in rows])
    )


@app.command(epilog="Example: voile rights show CASE-000000017")
def show(case: Number, as_json: Json = False) -> None:
    """One case with its evidence."""
    with _desk() as (_, cases):
        _print(cases.view(_operator(), case), as_json)


@app.command(epilog="Example: voile rights package CASE-000000017 --out answer.zip")
def package(
    case: Number, *, out: Annotated[Path, typer.Option("--out", "--output", help="A file that is not there yet.")]
) -> None:
    """Take the package of an access or portability case: once, then it is gone here."""
    from services.cli import common
    from services.runtime.errors import Fatal

    try:  # before the one time is used up
        out.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise Fatal(f"{out} is there already; name a new file.") from None
    except OSError as error:
        raise Fatal(f"{out} cannot be written ({type(error).__name__}); name another file.") from None
    try:
        with _desk() as (_, cases):
            _, content = cases.take_package(_operator(), case)
    except BaseException:
        out.unlink()
        raise
    out.write_bytes(content)
    common.note(f"Written to {out}; hand it over by a way that nobody else reads.")


@certificate.command("save", epilog="Example: voile rights certificate save CASE-000000017 --out certificates")
def save(case: Number, *, out: Annotated[Path, typer.Option("--out", "--output", help="A folder.")] = Path()) -> None:
    """Write a case's certificates, their signatures and the public key into a folder."""
    from services.runtime.minisign import CERTIFICATE_KEY, public_key_file

    with _desk() as (plane, cases):
        out.mkdir(parents=True, exist_ok=True)
        names = [d.name for d in cases.view(_operator(), case).documents if not d.sealed]
        for name in names:
            (out / name).write_bytes(cases.document(_operator(), case, name))
        (out / "voile-certificates.pub").write_bytes(public_key_file(plane.keys, CERTIFICATE_KEY))
    for name in names:
        typer.echo(out / name)


@certificate.command(epilog="Example: voile rights certificate verify certificate-CASE-000000017-issued.json")
def verify(
    file: Annotated[Path, typer.Argument(help="The certificate; its signature lies beside it as FILE.minisig.")],
    *,
    public_key: Annotated[str, typer.Option(help="A key file, or its line RW... Default: this installation's.")] = "",
    as_json: Json = False,
) -> None:
    """Check a certificate's signature; exits 1 when it is not as it was signed. Stock minisign does the same."""
    from services.cli import common
    from services.cli.identity import opened
    from services.runtime import minisign
    from services.runtime.errors import Fatal

    signature = file.with_name(f"{file.name}.minisig")
    if not file.is_file() or not signature.is_file():
        raise Fatal(f"{file} or {signature.name} beside it is missing.")
    with contextlib.ExitStack() as stack:
        if public_key:
            key = minisign.read_public_key(public_key)
        else:
            plane = stack.enter_context(opened())
            key = minisign.read_public_key(minisign.public_key_line(plane.keys, minisign.CERTIFICATE_KEY))
    comment = minisign.signed_comment(key, file.read_bytes(), signature.read_bytes())
    told = f"As it was signed: {comment}" if comment else "Do not believe this certificate: it is not as it was signed."
    common.print_result({"verified": bool(comment), "signed": comment or ""}, as_json, lambda _: typer.echo(told))
    if not comment:
        raise typer.Exit(1)


@contextlib.contextmanager
def _desk() -> Iterator[tuple[Identity, Cases]]:
    from services.cli.access import opened_access
    from services.enricher.rights.service import open_cases

    with opened_access() as (plane, access):
        yield plane, open_cases(plane, access.gate, access.audit)


def _operator() -> Any:
    from services.cli.access import operator

    return operator()


def _require_tenant(plane: Identity, tenant: str) -> None:
    from services.cli.identity import require_tenant

    require_tenant(plane, tenant)


def _row(file: CaseFile) -> dict[str, Any]:
    return {
        "case": file.case,
        "tenant": file.tenant,
        "kind": file.kind.value,
        "lift": file.lift,
        "state": file.state.value,
        "opened": file.opened.isoformat(timespec="seconds"),
        "opened_by": file.opened_by,
        "due": file.due.isoformat(),
        "extended": file.extended,
        "identity_check": file.identity_check,
        "approved_by": file.approved_by,
        "refusal": file.refusal,
    }


def _shown(view: CaseView) -> dict[str, Any]:
    evidence = [
        {"at": e.at.isoformat(timespec="seconds"), "actor": e.actor, "step": e.step, "outcome": e.outcome}
        | {"facts": dict(e.facts)}
        for e in view.evidence
    ]
    documents = [{"name": d.name, "sha256": d.sha256, "there": d.there} for d in view.documents]
    return (
        _row(view.file)
        | {"known": view.known, "also_open": list(view.others)}
        | {**_waits(view.progress), "evidence": evidence, "documents": documents}
    )


def _waits(progress: Progress) -> dict[str, Any]:
    return {"waiting_for": list(progress.waiting), "ends_later": list(progress.later)}


def _print(view: CaseView, as_json: bool) -> None:
    from services.cli import common

    common.print_result(_shown(view), as_json, lambda _: _render(view))


def _render(view: CaseView) -> None:
    from services.cli import common

    file = view.file
    typer.echo(f"{file.case}: {file.kind.value} for {file.tenant}, {file.state.value}; due {file.due}.")
    if view.held:
        typer.echo("A legal hold stands on this person's data.")
    if not view.known:
        typer.echo("Nobody is known under this account: ask the person how it is written.")
    lists = {"Also open": view.others, "Waits for": view.progress.waiting, "Ends by itself": view.progress.later}
    for what, names in lists.items():
        if names:
            typer.echo(f"{what}: {', '.join(names)}")
    rows = [
        [f"{e.at:%Y-%m-%d %H:%M:%S}", e.step, e.outcome, e.actor, ", ".join(f"{k}={v}" for k, v in e.facts.items())]
        for e in view.evidence
    ]
    common.print_table("Evidence (UTC)", ("at", "step", "outcome", "by", "facts"), rows)
    for document in view.documents:
        typer.echo(f"{document.name}{'' if document.there else ' (taken, or over)'}")
