"""How names are written in a package, so that pandas, R, DuckDB and spreadsheets read them as the text they are."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

__all__ = ["neutralised", "written"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"
# What pandas (`read_csv`, na_values), R (`type.convert`) and DuckDB (casts of `read_csv`) take for a missing value, a
# truth or a number; in lower case. What starts with a digit or a point may be a number or a date to one of them.
_MISSING = ("", "#n/a", "#n/a n/a", "#na", "<na>", "n/a", "na", "nan", "none", "null")
_TRUTHS = ("f", "false", "no", "t", "true", "yes")
_NUMBERS = ("inf", "infinity")
_MISREAD = frozenset((*_MISSING, *_TRUTHS, *_NUMBERS))
_OF_THE_APPLICATION = frozenset({"route", "tenant"})  # the other columns' names are ours, and none is misread


def written(column: str, name: str) -> str:
    """The text of a cell of `column` in CSV and Parquet. Raises KeyError on a country that is not in the catalogue."""
    if column == "country":
        return _alpha3()[name]
    if column in _OF_THE_APPLICATION and _misread(name):
        return f"'{name}"
    return neutralised(name)


def neutralised(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _misread(name: str) -> bool:
    text = name.strip().lower()
    return text in _MISREAD or text[0] in "'." or text[0].isdigit()  # so that one apostrophe is never the name's own


@cache
def _alpha3() -> Mapping[str, str]:
    text = resources.files(__package__).joinpath("countries.toml").read_text("utf-8")
    return dict(pair.split(":") for pair in tomllib.loads(text)["alpha3"].split())
