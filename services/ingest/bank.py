"""Bank data has no place in an access log: card numbers and IBANs are recognised by their check digits and cut.

Cards: 13 to 19 digits, single blanks or dashes between them, ISO/IEC 7812-1 (Luhn). IBANs: ISO 13616
(mod 97-10), 15 to 34 characters. One random number in ten passes Luhn: cutting an order number costs
nothing here, keeping a card number would break a promise (S20).
"""

from __future__ import annotations

import re

__all__ = ["BANK_SUSPECT", "CARD", "IBAN", "cut_bank_data"]

CARD, IBAN = "[card]", "[iban]"
# For the Rust engine, over whole columns: what might hold one. The exact test follows on these values alone.
BANK_SUSPECT = r"(?:[0-9][ -]?){13}|[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11}"

_DIGITS = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_IBAN_CHARS_MIN = 15  # Norway; no country has a shorter one


def cut_bank_data(text: str) -> str:
    return _DIGITS.sub(_card, _IBAN.sub(_iban, text))


def _card(match: re.Match[str]) -> str:
    digits = [int(ch) for ch in match[0] if ch.isdigit()]
    odd, even = digits[-1::-2], digits[-2::-2]
    doubled = sum(2 * d - 9 if d > 4 else 2 * d for d in even)
    return CARD if (sum(odd) + doubled) % 10 == 0 else match[0]


def _iban(match: re.Match[str]) -> str:
    """Text may follow an IBAN after a blank or a dash, so each such end is tried, the longest first."""
    found = match[0]
    ends = [len(found), *(i for i in range(len(found) - 1, 0, -1) if found[i] in " -")]
    for end in ends:
        if _is_iban(re.sub(r"[ -]", "", found[:end])):
            return IBAN + found[end:]
    return found


def _is_iban(text: str) -> bool:
    if len(text) < _IBAN_CHARS_MIN:
        return False
    return int("".join(str(int(ch, 36)) for ch in text[4:] + text[:4])) % 97 == 1
