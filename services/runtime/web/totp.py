"""Codes of an authenticator app (RFC 6238: SHA-1, six digits, 30 s, what every app does), and the page's QR code."""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Callable
from datetime import datetime

__all__ = ["enrolment_uri", "is_secret", "matching_step", "new_secret", "qr_svg", "spaced"]

SECRET_BYTES = 20  # RFC 4226, 4: 160 bits
STEP_S = 30
WINDOW = 1  # steps before and after: RFC 6238, 5.2, for clocks that differ and fingers that are slow
_SECRET = re.compile(r"[A-Z2-7]{32}")
_CODE = re.compile(r"[0-9]{6}")


def new_secret(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """In base32, as it is typed into an app that has no camera."""
    return base64.b32encode(random_bytes(SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    return _SECRET.fullmatch(text) is not None


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The step of time that `code` belongs to, None when it is wrong or over. Compares every step in any case."""
    if _CODE.fullmatch(code) is None:
        return None
    import pyotp

    codes, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP_S
    steps = [
        s for s in range(present - WINDOW, present + WINDOW + 1) if hmac.compare_digest(codes.generate_otp(s), code)
    ]
    return max(steps, default=None)


def enrolment_uri(secret: str, name: str, issuer: str) -> str:
    """What the QR code says, in the form that apps read."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def qr_svg(text: str) -> str:
    """As an element for a page: dark on light in every theme, because cameras want it so. Nothing in it runs."""
    import segno

    return segno.make(text, error="m").svg_inline(
        omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )


def spaced(secret: str) -> str:
    """In groups of four, to be typed."""
    return " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
