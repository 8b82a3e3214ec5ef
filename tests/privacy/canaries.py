"""Two hundred made-up identifiers, each unlike anything else, so that a hit anywhere names what leaked."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar
from urllib.parse import quote

__all__ = ["CANARIES", "TURNS", "Canary", "by_turns", "first", "in_turn"]

TURNS = 4 if "VOILE_TEST_FULL" in os.environ else 10  # each place is tried by every fourth, or tenth, canary


class Canary(NamedTuple):
    """`text` is searched for; `phrase` is how a person or a program writes it."""

    kind: str
    text: str
    phrase: str

    @property
    def segment(self) -> str:
        """As one segment of a path, percent-encoded. A name alone is a word like any other, so it comes as an
        application would write it: first name, dot, surname."""
        return quote(self.phrase.lower().replace(" ", ".") if self.kind == "name" else self.phrase, safe="")

    @property
    def host_label(self) -> str:
        """As a part of a host name; empty where it cannot be one."""
        return self.text.lower() if self.text.isascii() and self.text.replace("-", "").isalnum() else ""


Place = TypeVar("Place")


def in_turn(number: int, place: int) -> bool:
    """Whether the numbered canary goes to the numbered place of an input. Each goes to every input, to a fourth of
    its places; neighbours, which are of one kind, go to others, so that each place gets every kind."""
    return (number + place) % TURNS == 0


def by_turns(places: Iterable[Place]) -> Iterator[tuple[Canary, Place]]:
    """Every canary with the places that are its own."""
    listed = list(places)
    for number, canary in enumerate(CANARIES):
        yield from ((canary, place) for index, place in enumerate(listed) if in_turn(number, index))


def first(kind: str) -> Canary:
    return next(canary for canary in CANARIES if canary.kind == kind)


def _all(kind: str, *texts: str) -> list[Canary]:
    return [Canary(kind, text, text) for text in texts]


def _people(*names: str) -> list[Canary]:
    return [Canary("name", name.rpartition(" ")[2], name) for name in names]


# ---- More of each kind, by rule: `number` makes them differ ----


def _noise(number: int, what: str) -> str:
    """64 hexadecimal digits that belong to this number alone."""
    return hashlib.sha256(f"canary {what} {number}".encode()).hexdigest()


def _digits(number: int, what: str, count: int) -> str:
    return str(int(_noise(number, what), 16))[-count:]


def _address(number: int) -> str:
    if number % 2:
        return f"203.0.113.{100 + number * 7}"
    groups = [_noise(number, "address")[4 * group : 4 * group + 4].lstrip("0") or "0" for group in range(5)]
    return f"2001:db8:7f3a:{':'.join(groups)}"


_BEGINNINGS = ("Quand", "Brim", "Vastr", "Tjell", "Hvor", "Pralv", "Grobh", "Zölm", "Klaug", "Wexth", "Djurf", "Ybarn")
_ENDS = ("ovelki", "athulme", "ilmayas", "unskog")
_FIRST_NAMES = ("Zelmira", "Oluwaseun", "Aurelien", "Ingeborg", "Xiulan", "Mateus", "Sinead", "Berenice")


def _name(number: int) -> str:
    surname = f"{_BEGINNINGS[number % len(_BEGINNINGS)]}{_ENDS[number % len(_ENDS)]}{chr(97 + number % 26)}ra"
    return f"{_FIRST_NAMES[number % len(_FIRST_NAMES)]} {surname}"


def _e_mail(number: int) -> str:
    user = _name(number).lower().replace(" ", (".", "_", "+", "-")[number % 4]).encode("ascii", "ignore").decode()
    return f"{user}@{('courriel', 'post', 'epost', 'mail')[number % 4]}.canary.example"


def _phone(number: int) -> str:
    digits = _digits(number, "phone", 8)
    pairs = [digits[pair : pair + 2] for pair in range(0, 8, 2)]
    forms = (f"+336{digits}", f"+44 7700 {digits[:6]}", f"07.{'.'.join(pairs)}", f"0049-151-{digits}")
    return forms[number % len(forms)]


def _token(number: int) -> str:
    noise = _noise(number, "token")
    packed = base64.urlsafe_b64encode(bytes.fromhex(noise)).decode().rstrip("=")
    return (noise[:32], packed[:30], f"live_sk_{packed[:24]}", noise[:40])[number % 4]


def _account(number: int) -> str:
    digits = _digits(number, "account", 8)
    forms = (f"m-{digits}", f"KD-{digits[:3]}-{digits[3:7]}-XB", f"adh.2024.{digits[:6]}", f"00{digits}")
    return forms[number % len(forms)]


def _card(number: int) -> str:
    """With the check digit of ISO/IEC 7812 (Luhn)."""
    body = f"4539{_digits(number, 'card', 11)}"
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(body)]
    total = sum(value - 9 if value > 9 else value for value in doubled)
    return f"{body}{-total % 10}"


def _iban(number: int) -> str:
    """With the check digits of ISO 13616."""
    account = _digits(number, "iban", 18)
    return f"DE{98 - int(f'{account}131400') % 97:02}{account}"


def _postal_address(number: int) -> str:
    return f"{20 + number} Rue {_name(number + 50).rpartition(' ')[2]}, 690{10 + number} Lugdunville"


def _made(kind: str, make: object, count: int) -> list[Canary]:
    assert callable(make)
    return _all(kind, *(make(number) for number in range(count)))


CANARIES: tuple[Canary, ...] = (
    *_all("address", "203.0.113.231", "198.51.100.219", "192.0.2.187", "100.127.213.94"),
    *_all("address", "2001:db8:7f3a:91c4:5e2:b0ff:fe77:1c3d", "2001:db8:cafe::4d1e:77", "::ffff:198.51.100.143"),
    *_all("address", "fe80::a1b2:c3ff:fed4:e5f6%eth0"),
    *_made("address", _address, 16),
    *_all(
        "e-mail", "nina.fournier@courriel-canari.fr", "j.okafor+club@post.canary.example", "K_Lindqvist@epost.example"
    ),
    *_all("e-mail", "bounce-7731@lists.canary.example", "zoe@xn--canri-9na.example", "o'brien.t@mail.canary.example"),
    *_all("e-mail", "support.ticket.8841@helpdesk.canary.example"),
    *_made("e-mail", _e_mail, 17),
    *_people("Zelmira Quandovsky", "Oluwaseun Brimtholme", "Aurelien Vastrepuy", "Ingeborg Tjellmansk"),
    *_people("Xiulan Hvorostinko", "Mateus Pralvecchio", "Sinead Mac-Grobhtair", "Bérénice Zölmirskä"),
    *_people(*(_name(number) for number in range(16))),
    *_all("phone", "+33755501991", "+44 7700 900 871", "06.39.98.74.15", "(212) 555-0187", "0049-151-23456789"),
    *_made("phone", _phone, 19),
    *_all("token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcmktNDIifQ.Qm9uam91ci1sZS1tb25kZS0yMDI2"),
    *_all("token", "9f86d081884c7d659a2feaa0c55ad015", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    *_all("token", "c2VjcmV0LWNhbmFyeS10b2tlbi0xMjM0NTY3ODkw==", "Zk9-3vQx_7TtLm0pW2sRb8Ny"),
    *_all("token", "live_sk_51Hc4n4ryQ7wErTyUiOp", "PHPSESSID8q3k1v5m7c9x2z4b6n8w0e2r4t"),
    *_all("token", "AKIAC4N4RYC4N4RYX7Q2"),
    *_made("token", _token, 16),
    *_all("account", "m-77120391", "KD-550-1337-XA", "u7f3q9z81", "adh.2023.004417", "0000917735", "vbriquet1961"),
    *_made("account", _account, 18),
    *_all("card", "4539578763621486", "5425 2334 3010 9903"),
    *_made("card", _card, 6),
    *_all("iban", "FR7630006000011234567890189", "DE89 3704 0044 0532 0130 00"),
    *_made("iban", _iban, 6),
    *_all("device", "Zq7xDevice-77af19c2", "imei:490154203237518"),
    *_made("device", lambda number: f"Zq{number}xDevice-{_noise(number, 'device')[:8]}", 10),
    *_all("uuid", "7d3c1f9e-52ab-4c0e-9f4d-8a6b21e0c7d5"),
    *_made("uuid", lambda number: str(uuid.UUID(_noise(number, "uuid")[:32], version=4)), 11),
    *_all("postal address", "17 Rue Vantrelle, 69004 Lugdunville"),
    *_made("postal address", _postal_address, 15),
)
