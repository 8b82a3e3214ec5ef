"""Card numbers and IBANs do not pass the edge (S20)."""

from __future__ import annotations

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.bank import BANK_SUSPECT, CARD, IBAN, cut_bank_data

# Test numbers published by the card schemes, and the examples of the IBAN registry.
CARDS = [
    "4111111111111111",
    "5500005555555559",
    "378282246310005",
    "6011000990139424",
    "4222222222222",
    "6304000000000000000",
]
IBANS = [
    "FR1420041010050500013M02606", "DE89370400440532013000", "NO9386011117947", "GB29NWBK60161331926819",
    "BE68539007547034", "CH9300762011623852957", "ES9121000418450200051332", "IT60X0542811101000000123456",
    "NL91ABNA0417164300", "PT50000201231234567890154", "LU280019400644750000", "MC5811222000010123456789030",
    "MT84MALT011000012345MTLCAST001S", "LC55HEMM000100010012001200023015", "MA64011519000001205000534921",
]  # fmt: skip


@pytest.mark.parametrize(
    "card",
    [*CARDS, *(f"4111{c}1111{c}1111{c}1111" for c in " -+._\u00a0\u2009\u200b\u2011\u202f"), "3782 822463 10005"],
)
@pytest.mark.parametrize("around", ["{}", "/pay/{}/x", "card{}", "a={}&b=1", "www.{}.example"])
def test_a_card_number_is_cut(card: str, around: str) -> None:
    """With single separators, with anything but digits around it."""
    assert cut_bank_data(around.format(card)) == around.format(CARD)


@pytest.mark.parametrize(
    "iban",
    [
        *IBANS,
        "FR14 2004 1010 0505 0001 3M02 606",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        "de89370400440532013000",
    ],
)
@pytest.mark.parametrize("around", ["{}", "/pay/{}/x", "to {} today", "{}abc", "iban{}", "{}7x{}", "x9{}-0"])
def test_an_iban_is_cut(iban: str, around: str) -> None:
    """In groups of four or not, also in lower case, also with letters or digits at either end."""
    assert cut_bank_data(around.format(iban, iban)) == around.format(IBAN, IBAN)


@pytest.mark.parametrize("card", ["4111111111111111", "5500005555555559", "378282246310005", "6011000990139424"])
@pytest.mark.parametrize("around", ["{} 12/27", "{}-123", "{} 123 0927", "7 {}", "{}{}", "00{}00", "20261101{}"])
def test_a_card_number_within_more_digits_is_cut(card: str, around: str) -> None:
    """An expiry date or a security code after it does not hide it."""
    cut = cut_bank_data(around.format(card, card))
    assert card not in cut
    assert CARD in cut


@pytest.mark.parametrize(
    "other", ["4111111111111112", "FR1420041010050500013M02607", "20261101093000", "411111111111", "0x4111"]
)
def test_what_has_no_valid_check_digits_stays(other: str) -> None:
    """A wrong check digit, a time, too few digits."""
    assert cut_bank_data(other) == other


@given(st.text(st.sampled_from("0123456789ABFRabfr -+._/x"), max_size=60))
def test_nothing_is_cut_that_the_columns_do_not_suspect(text: str) -> None:
    """Only suspects are looked at exactly, so every text with something to cut must be one."""
    if cut_bank_data(text) != text:
        assert pl.Series([text]).str.contains(BANK_SUSPECT).item()


@pytest.mark.parametrize("attack", ["4" * 6000, "4111111111111112" * 375, "FR76" * 1500, "FR7600000000000000" * 300])
def test_no_text_takes_long(attack: str) -> None:
    """A path of a scanner is looked at whole, 20 000 of them in a chunk."""
    started = time.process_time()
    cut_bank_data(attack)
    assert time.process_time() - started < 0.1


def _with_check_digit(digits: str) -> str:
    total = sum(d if i % 2 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(map(int, reversed(digits))))
    return digits + str(-total % 10)


@given(st.text("0123456789", min_size=12, max_size=18))
def test_every_number_with_a_luhn_digit_is_cut(digits: str) -> None:
    """13 to 19 digits in all; the check digit is computed here from its definition."""
    assert cut_bank_data(_with_check_digit(digits)) == CARD
