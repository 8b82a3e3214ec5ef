"""Every text of the pages that belongs in the catalogues, found where it stands in the code and the templates.

python -m tests.parts.messages     brings each catalogue up to date; what is new has an empty translation
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jinja2
import jinja2.nodes
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from services.runtime.web.languages import LANGUAGES

__all__ = ["Text", "file_of", "read_catalogue", "texts"]

ROOT = Path(__file__).parents[2]
FOLDERS = ("services/runtime/web", "services/stats", "services/enricher", "deploy/policies")  # whose pages have texts
# Function -> which of its arguments are texts; a tuple in it: both texts of a count, which are one entry.
_CALLS: Mapping[str, Sequence[int | tuple[int, int]]] = {
    "_": [0], "N_": [0], "say": [0], "_many": [(0, 1)], "NN_": [(0, 1)], "many": [(0, 1)], "Problem": [1, 2],
    "Nobody": [0], "refusal": [2],  # said to people who look, on a page
    "WrongUse": [0], "NotNow": [0], "NoSuchCase": [0], "Gone": [0], "Held": [0], "Refused": [0],
}  # fmt: skip
Text = str | tuple[str, str]


def texts() -> dict[Text, list[str]]:
    """Text, or (one, more) of a count -> the files it stands in."""
    found: dict[Text, list[str]] = {}
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in _READERS:
                for text in _READERS[file.suffix](file.read_text("utf-8")):
                    places = found.setdefault(text, [])
                    if (place := str(file.relative_to(ROOT))) not in places:
                        places.append(place)
    return found


def _in_python(source: str) -> Iterator[Text]:
    """Babel's own extractor loses texts in nested calls."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield from _of_call(name, [a.value if isinstance(a, ast.Constant) else None for a in node.args])


def _in_template(source: str) -> Iterator[Text]:
    for call in jinja2.Environment().parse(source).find_all(jinja2.nodes.Call):
        name = getattr(call.node, "name", "")
        yield from _of_call(name, [a.value if isinstance(a, jinja2.nodes.Const) else None for a in call.args])


def _of_call(name: str, arguments: Sequence[object]) -> Iterator[Text]:
    for place in _CALLS.get(name, ()):
        places = place if isinstance(place, tuple) else (place,)
        given = tuple(arguments[at] for at in places if at < len(arguments))
        if len(given) == len(places) and all(isinstance(text, str) and text for text in given):
            yield given if len(given) == 2 else given[0]  # type: ignore[misc]  # strings, as just looked at


def _in_policies(source: str) -> Iterator[Text]:
    """What a rule says to whom it refuses."""
    yield from re.findall(r'^@advice\("([^"]+)"\)$', source, re.MULTILINE)


_READERS: Mapping[str, Callable[[str], Iterator[Text]]] = {
    ".py": _in_python, ".html": _in_template, ".cedar": _in_policies,
}  # fmt: skip


def file_of(code: str) -> Path:
    return ROOT / "services" / "runtime" / "web" / "locale" / code / "LC_MESSAGES" / "voile.po"


def read_catalogue(code: str) -> Catalog:
    with file_of(code).open("rb") as source:
        return read_po(source, locale=code)


def _renew(code: str) -> int:
    """How many texts have no translation yet."""
    before = read_catalogue(code) if file_of(code).exists() else Catalog(locale=code)
    catalogue = Catalog(
        locale=code, project="Voile", header_comment=f"# {LANGUAGES[code][0]}: texts of the pages.", fuzzy=False
    )
    catalogue.creation_date = catalogue.revision_date = before.creation_date
    for text, files in texts().items():
        known = before.get(text[0] if isinstance(text, tuple) else text)
        catalogue.add(text, known.string if known else "", locations=[(file, 0) for file in sorted(files)])
    file_of(code).parent.mkdir(parents=True, exist_ok=True)
    with file_of(code).open("wb") as target:
        write_po(target, catalogue, width=120, sort_by_file=True, include_lineno=False)
    return sum(not message.string or message.string == ("", "") for message in catalogue if message.id)


if __name__ == "__main__":
    for code in LANGUAGES:
        if code != "en":
            print(f"{code}: {_renew(code)} texts without a translation")
