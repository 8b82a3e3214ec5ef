"""The form in which two spellings of one account id, e-mail or phone number are equal.

Accounts: Unicode NFKC, exact otherwise. E-mails: NFKC and case folded, the local part too (no provider of note tells
`Ann@` from `ann@`), the domain in its ASCII form (IDNA, RFC 3490). Phones: E.164 by libphonenumber's metadata;
what that cannot read, by its digits alone.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import phonenumbers

__all__ = ["FORM", "normalise"]

FORM = 2  # raise it when equal values change: the look-ups of all persons are then made anew (docs/adr/0203)


def normalise(field: str, value: str, region: str = "") -> str:
    """`region` (two letters; empty: none) is where a phone number without a country code belongs."""
    text = unicodedata.normalize("NFKC", value).strip()
    if field == "email":
        return _email(text)
    return _phone(text, region) if field == "phone" else text


def _email(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text.casefold()).strip()
    local, at, domain = folded.rpartition("@")
    try:
        return local + at + domain.encode("idna").decode("ascii")
    except UnicodeError:
        return folded  # no name of a host: compared as it is


def _phone(text: str, region: str) -> str:
    import phonenumbers  # 90 ms of a start, for what many processes never ask

    international = re.sub(r"^00", "+", text)
    try:
        number = phonenumbers.parse(international, region or None)
    except phonenumbers.NumberParseException:
        number = None
    if number is not None and phonenumbers.is_possible_number(number):
        return _e164(number)
    return re.sub(r"^00", "+", re.sub(r"[^\d+]", "", text))


def _e164(number: phonenumbers.PhoneNumber) -> str:
    """With the extension: a company's people share all but that."""
    import phonenumbers

    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain};ext={number.extension}" if number.extension else str(plain)
