"""The languages that pages are read in: texts from one gettext catalogue a language, figures and dates by Babel.

A text is its own key, in English. Where a text stands as a constant it is marked with `N_`; where it is shown,
`Language.say` translates it and fills in its `{names}`. Templates call `_` and `_many`, which escape what they fill in.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from gettext import NullTranslations
from importlib import resources
from typing import Final

from babel import Locale, dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from jinja2.runtime import Context
from jinja2.utils import pass_context
from markupsafe import Markup
from starlette.requests import Request

from services.runtime.marks import N_

__all__ = ["LANGUAGES", "LANGUAGE_COOKIE", "NN_", "N_", "Language", "chosen_language", "html", "html_many", "language"]

LANGUAGE_COOKIE = "voile_language"
# Code of the address and of <html lang> -> (its own name, locale of figures and dates).
LANGUAGES: Final = {"en": ("English", "en_GB"), "fr": ("Français", "fr_FR")}
_CATALOGUES = "services.runtime.web"


def NN_(one: str, more: str) -> tuple[str, str]:
    """The two texts of a count, marked for the catalogue; for `Language.many`."""
    return one, more


@dataclass(frozen=True, slots=True)
class Language:
    """How one language says and writes things."""

    code: str
    name: str
    locale: Locale
    texts: NullTranslations

    def say(self, text: str, /, **values: object) -> str:
        """`text` in this language, its `{names}` filled in; what has no translation stays English."""
        found = self.texts.gettext(text) if text else ""
        return found.format(**values) if values else found

    def many(self, one: str, more: str, count: int, /, **values: object) -> str:
        """`one` or `more` as the language counts; `{n}` is the count, written."""
        return self.texts.ngettext(one, more, count).format(n=self.number(count), **values)

    def number(self, value: float, decimals: int = 0) -> str:
        """12340.5 -> 12,340 or 12 340."""
        return str(numbers.format_decimal(value, format=_number_pattern(decimals), locale=self.locale))

    def percent(self, value: float, decimals: int = 0) -> str:
        """38.1 -> 38% or 38 %; `value` is in percent already."""
        sample = str(numbers.format_percent(0, locale=self.locale))
        return sample.replace("0", self.number(value, decimals), 1)

    def day(self, day: date) -> str:
        """15 Mar 2026."""
        return str(dates.format_skeleton("yMMMd", day, locale=self.locale))

    def weekday(self, day: date, *, year: bool = False) -> str:
        """Sun 15 Mar."""
        return str(dates.format_skeleton("yMMMEd" if year else "MMMEd", day, locale=self.locale))

    def weekday_name(self, day: date) -> str:
        """Sun."""
        return str(dates.format_date(day, "ccc", locale=self.locale))

    def days(self, first: date, last: date) -> str:
        """23 Feb – 1 Mar 2026."""
        return str(dates.format_interval(first, last, skeleton="yMMMd", locale=self.locale))

    def month(self, day: date) -> str:
        """Mar 2026."""
        return str(dates.format_skeleton("yMMM", day, locale=self.locale))

    def time(self, at: datetime) -> str:
        """14:05, in the zone that `at` is in."""
        return f"{at:%H:%M}"

    def country(self, code: str) -> str:
        """By its ISO 3166 code; an unknown code as it is."""
        return str(self.locale.territories.get(code, code))


@cache
def language(code: str) -> Language:
    """One of `LANGUAGES`; its catalogue is read once."""
    name, locale = LANGUAGES[code]
    return Language(code, name, Locale.parse(locale), _texts(code))


def chosen_language(request: Request, offered: Sequence[str]) -> Language:
    """By `?lang=`, else by the cookie, else as the browser prefers; the first of `offered` when nothing fits."""
    wanted = [request.query_params.get("lang", ""), request.cookies.get(LANGUAGE_COOKIE, "")]
    wanted += _preferred(request.headers.get("accept-language", ""))
    return language(next((code for code in wanted if code in offered), offered[0]))


@pass_context
def html(context: Context, text: str, /, **values: object) -> Markup:
    """`_` of the templates: the catalogue's own markup stands, what is filled in is escaped."""
    found = context["language"].texts.gettext(text)
    return Markup(found).format(**values) if values else Markup(found)  # noqa: S704  # from the catalogue, not from anybody


@pass_context
def html_many(context: Context, one: str, more: str, count: int, /, **values: object) -> Markup:
    """`_many` of the templates."""
    chosen: Language = context["language"]
    found = chosen.texts.ngettext(one, more, count)
    return Markup(found).format(n=chosen.number(count), **values)  # noqa: S704  # as above


def _texts(code: str) -> NullTranslations:
    file = resources.files(_CATALOGUES).joinpath("locale", code, "LC_MESSAGES", "voile.po")
    if not file.is_file():
        return NullTranslations()
    packed = io.BytesIO()
    with file.open("rb") as source:
        write_mo(packed, read_po(source, locale=code))
    packed.seek(0)
    return Translations(packed)


def _preferred(header: str) -> list[str]:
    """Languages of an Accept-Language header (RFC 9110, 12.5.4), the most wanted first, without their regions."""
    found = []
    for part in header.split(",")[:20]:  # nobody reads twenty languages
        name, _, weight = part.partition(";q=")
        try:
            found.append((-float(weight or 1), name.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    return [name for weight, name in sorted(found, key=lambda item: item[0]) if weight]


@cache
def _number_pattern(decimals: int) -> numbers.NumberPattern:
    return numbers.parse_pattern(f"#,##0.{'0' * decimals}" if decimals else "#,##0")
