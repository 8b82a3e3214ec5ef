"""Documents are held to the code: what they name exists, and what exists is named."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from services.cli.main import COMMANDS
from services.ingest.accounting import MEANING, RejectReason
from services.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "bench" / "README.md"])
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")


def _commands() -> Iterator[str]:
    for name, entry in COMMANDS.items():
        app = importlib.import_module(f"services.cli.{entry.module}").app
        if not entry.group:
            yield name
        else:
            yield from (f"{name} {sub}" for sub in typer.main.get_group(app).commands)


KNOWN = sorted(_commands())


@pytest.mark.parametrize("command", KNOWN)
def test_every_command_is_in_the_reference(command: str) -> None:
    """A command without documentation fails the suite."""
    assert f"`voile {command}`" in REFERENCE


@pytest.mark.parametrize("command", KNOWN)
def test_every_command_shows_an_example(command: str) -> None:
    """`--help` ends with something to copy."""
    first, _, second = command.partition(" ")
    entry = COMMANDS[first]
    app = importlib.import_module(f"services.cli.{entry.module}").app
    found = typer.main.get_group(app).commands[second] if second else typer.main.get_command(app)
    assert "Example: voile" in (found.help or "") + (found.epilog or ""), command


def _settings(model: object = Settings, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]  # a pydantic model
        if hasattr(field.annotation, "model_fields"):
            yield from _settings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("setting", sorted(_settings()))
def test_every_setting_is_in_the_reference(setting: str) -> None:
    """With its section."""
    assert f"`{setting}`" in REFERENCE


@pytest.mark.parametrize("reason", list(RejectReason))
def test_every_reason_of_a_reject_is_in_the_reference(reason: RejectReason) -> None:
    """With the words that the commands say."""
    assert f"| `{reason}` | {MEANING[reason]}" in REFERENCE


def _named_commands(text: str) -> set[str]:
    names = "|".join(sorted((re.escape(c) for c in COMMANDS), key=len, reverse=True))
    return {
        " ".join(m.groups(default="")).strip()
        for m in re.finditer(rf"(?<![\w/.-])(?:\./)?voile ({names})\b(?: ([a-z][a-z-]+))?", text)
    }


@pytest.mark.parametrize("document", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_document_names_a_command_that_does_not_exist(document: Path) -> None:
    """Renaming a command breaks this test before it breaks a reader."""
    for named in _named_commands(document.read_text("utf-8")):
        first, _, second = named.partition(" ")
        if COMMANDS[first].group and second:
            assert named in KNOWN, f"{document.name} names voile {named}"


@pytest.mark.parametrize("document", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_document_begins_with_its_title(document: Path) -> None:
    """The reference once began with a command's output."""
    assert document.read_text("utf-8").startswith("# ")


@pytest.mark.parametrize("document", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    """Pages, pictures and files."""
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_place_that_a_document_names_exists() -> None:
    """Above all in the map and in the table of what holds; decisions (docs/adr) speak of their own time."""
    for document in (one for one in DOCS if "adr" not in one.parts):
        for path in re.findall(r"`((?:services|schemas|tests|docs)/[\w/.*-]+)`", document.read_text("utf-8")):
            assert list(ROOT.glob(path.rstrip("/"))), f"{document.name} names {path}"


def test_every_test_that_a_claim_names_exists() -> None:
    """docs/status.md says which test holds which claim: none of them may have moved away."""
    named = re.findall(r"\btests/[\w/]+(?:\.py)?", (ROOT / "docs" / "status.md").read_text("utf-8"))
    assert len(named) > 100
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_every_dependency_has_its_reason() -> None:
    """One line each in docs/dependencies.md."""
    import tomllib

    reasons = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    for requirement in wanted:
        name = re.split(r"[\[<>= ]", requirement)[0]
        short = name.removeprefix("ua-parser-")
        assert name in reasons or (name != short and short in reasons), f"{name} has no reason"


def _anchors(document: Path) -> set[str]:
    """Of its headings, as the usual viewers make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_to_a_heading_finds_it(document: Path) -> None:
    """In this document or another; a heading that is renamed takes its links along."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", document.read_text("utf-8")):
        if "://" not in target:
            found = document.parent / target if target else document
            assert anchor in _anchors(found), f"{document.name} links to {target}#{anchor}"
