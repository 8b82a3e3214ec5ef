"""Bank data has no place in an access log: card numbers and IBANs are recognised by their check digits and cut.

Cards: a run of 13 to 19 digits, single separators between them, ISO/IEC 7812-1 (Luhn). One random number in ten
passes: cutting an order number costs nothing here, keeping a card number would break a promise (S20). Within more
digits (an expiry date or a security code written after it) only a number of a known issuer's range and length is
one. IBANs: ISO 13616, mod 97-10, with the length of their country, whatever is written around them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

__all__ = ["BANK_SUSPECT", "CARD", "IBAN", "cut_bank_data"]

CARD, IBAN = "[card]", "[iban]"
# People write blanks, forms make + of them, applications put dots, dashes and underscores; what is copied from a page
# or a document has its blanks and hyphens: those that do not break, thin ones, ones of no width, all dashes.
_BETWEEN = "[ +._\u00a0\u00ad\u2000-\u200d\u2010-\u2015\u202f\u2060\u2212\ufeff-]?"
# For the Rust engine, over whole columns: what might hold one. The exact test follows on these values alone.
BANK_SUSPECT = rf"(?:[0-9]{_BETWEEN}){{13}}|[A-Za-z]{{2}}[0-9]{{2}}(?:{_BETWEEN}[A-Za-z0-9]){{11}}"

_DIGITS = re.compile(rf"[0-9](?:{_BETWEEN}[0-9]){{12,}}")
_CARD_DIGITS = range(13, 20)
# Issuer ranges and lengths as the schemes publish them: Visa, Mastercard, American Express, Diners Club, JCB,
# Discover, UnionPay, Maestro.
_ISSUERS: Sequence[tuple[re.Pattern[str], Sequence[int]]] = [
    (re.compile("4"), (13, 16, 19)),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile("3[47]"), (15,)),
    (re.compile("3[689]|30[0-5]"), (14, 16)),
    (re.compile("352[89]|35[3-8]"), (16,)),
    (re.compile("6011|64[4-9]|65"), (16, 19)),
    (re.compile("62"), (16, 17, 18, 19)),
    (re.compile("50|5[6-9]|6[0-9]"), (16, 18, 19)),
]

# Lengths by country, from the IBAN registry (release 99), then those of countries that use IBANs unregistered.
_IBAN_CHARS = {
    country: int(chars)
    for chars, countries in (
        line.split(": ")
        for line in (
            "15: NO", "16: BE", "18: DK FI FK FO GL NL SD", "19: MK SI", "20: AT BA EE KZ LT LU MN XK",
            "21: CH HR LI LV", "22: BG BH CR DE GB GE IE ME RS VA", "23: AE GI IL IQ OM SO TL",
            "24: AD CZ ES MD PK RO SA SE SK TN VG", "25: LY PT ST", "26: IS TR",
            "27: BI DJ FR GR IT MC MR SM", "28: AL AZ BY CY DO GT HN HU LB NI PL SV", "29: BR EG PS QA UA",
            "30: JO KW MU YE", "31: MT SC", "32: LC", "33: RU",
            "25: AO CV GW MZ", "26: DZ IR", "27: CF CG CM GA GQ KM MG TD", "28: BF BJ CI MA ML NE SN TG",
        )
    )
    for country in countries.split()
}  # fmt: skip
_IBAN_START = re.compile(r"[A-Za-z]{2}[0-9]{2}")
_IBAN_BODY = re.compile(rf"[A-Za-z]{{2}}[0-9]{{2}}(?:{_BETWEEN}[A-Za-z0-9]){{11,30}}")  # the longest has 33


def cut_bank_data(text: str) -> str:
    return _DIGITS.sub(lambda match: _without(match[0], _cards(match[0]), CARD), _without(text, _ibans(text), IBAN))


def _without(text: str, places: Iterator[tuple[int, int]], mark: str) -> str:
    """`places` in order; one that begins within the one before is passed over."""
    kept, end = [], 0
    for first, behind in places:
        if first >= end:
            kept += [text[end:first], mark]
            end = behind
    return "".join([*kept, text[end:]])


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """Places of card numbers in a run of digits and separators; the whole run, or numbers of known issuers."""
    places = [at for at, ch in enumerate(text) if ch.isdigit()]
    digits = "".join(text[at] for at in places)
    sums = _luhn_sums(digits)
    if len(digits) in _CARD_DIGITS and _passes(sums, 0, len(digits)):
        yield 0, len(text)
        return
    for first in range(len(digits) - _CARD_DIGITS[0] + 1):
        for size in _sizes(digits, first):
            if first + size <= len(digits) and _passes(sums, first, first + size):
                yield places[first], places[first + size - 1] + 1
                break


def _sizes(digits: str, first: int) -> Sequence[int]:
    """The lengths that a number which begins here may have, the longest first."""
    found = [sizes for pattern, sizes in _ISSUERS if pattern.match(digits, first)]
    return sorted(set(itertools.chain(*found)), reverse=True)


def _luhn_sums(digits: str) -> tuple[Sequence[int], Sequence[int]]:
    """Running sums, of which every second digit is doubled: those at even places, those at odd ones."""
    values = [int(ch) for ch in digits]
    doubled = [2 * d - 9 if d > 4 else 2 * d for d in values]
    even = [doubled[n] if n % 2 == 0 else values[n] for n in range(len(values))]
    odd = [values[n] if n % 2 == 0 else doubled[n] for n in range(len(values))]
    return list(itertools.accumulate(even, initial=0)), list(itertools.accumulate(odd, initial=0))


def _passes(sums: tuple[Sequence[int], Sequence[int]], first: int, behind: int) -> bool:
    """Counted from the right, every second digit is doubled: those at places as even or odd as `behind`."""
    total = sums[behind % 2]
    return (total[behind] - total[first]) % 10 == 0


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while match := _IBAN_START.search(text, at):
        at = match.start() + 1
        body = _IBAN_BODY.match(text, match.start())
        behind = _iban_end(body[0]) if body else None
        if behind is not None:
            yield match.start(), match.start() + behind
            at = match.start() + behind


def _iban_end(body: str) -> int | None:
    """Where the IBAN that `body` begins with ends; None when it is none."""
    size = _IBAN_CHARS.get(body[:2].upper(), 0)
    places = [at for at, ch in enumerate(body) if ch.isalnum()][:size]
    if not size or len(places) < size:
        return None
    chars = "".join(body[at] for at in places)
    number = int("".join(str(int(ch, 36)) for ch in chars[4:] + chars[:4]))
    return places[-1] + 1 if number % 97 == 1 else None
