"""Codes of an authenticator: the standard's own examples, the window, and the picture."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from services.runtime.web.totp import enrolment_uri, is_secret, matching_step, new_secret, qr_svg, spaced

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = datetime(2026, 3, 2, 9, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_standards_examples(seconds: int, code: str) -> None:
    """RFC 6238, appendix B (SHA-1; the last six of its eight digits)."""
    assert matching_step(RFC_SECRET, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


def test_a_code_is_good_one_step_before_and_after() -> None:
    """Ninety seconds in all; the answer says which step it is of, so that it can be taken once."""
    secret = new_secret()
    step = int(NOW.timestamp()) // 30
    codes = {distance: pyotp.TOTP(secret).at(NOW + timedelta(seconds=30 * distance)) for distance in range(-3, 4)}
    found = {distance: matching_step(secret, code, NOW) for distance, code in codes.items()}
    for distance, code in codes.items():
        near = [codes[d] for d in (-1, 0, 1)]
        assert found[distance] == (step + distance if abs(distance) <= 1 else None) or code in near


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345x", "١٢٣٤٥٦", "½½½½½½"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert matching_step(RFC_SECRET, code, NOW) is None


def test_secrets_are_of_160_bits() -> None:
    """In the letters that people type, and no two alike."""
    made = new_secret()
    assert is_secret(made)
    assert len(base64.b32decode(made)) == 20
    assert new_secret() != made
    assert new_secret(lambda count: b"\0" * count) == "A" * 32
    assert not is_secret(made.lower())
    assert not is_secret(made + "A")
    assert spaced("ABCDEFGH") == "ABCD EFGH"


def test_the_picture_says_what_apps_read_and_runs_nothing() -> None:
    """An otpauth address; an SVG without style, script or address, whatever the name is."""
    uri = enrolment_uri(RFC_SECRET, "<script>é&", "Voile statistics")
    assert pyotp.parse_uri(uri).secret == RFC_SECRET
    picture = qr_svg(uri)
    assert picture.startswith("<svg ")
    assert not re.search(r"script|style|href|xmlns|<!|<\?|on\w+=", picture)
