"""Fifty made-up identifiers, each unlike anything else, so that a hit anywhere names what leaked."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

__all__ = ["CANARIES", "Canary"]


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


def _all(kind: str, *texts: str) -> list[Canary]:
    return [Canary(kind, text, text) for text in texts]


def _people(*names: str) -> list[Canary]:
    return [Canary("name", name.rpartition(" ")[2], name) for name in names]


CANARIES: tuple[Canary, ...] = (
    *_all("address", "203.0.113.231", "198.51.100.219", "192.0.2.187", "100.127.213.94"),
    *_all("address", "2001:db8:7f3a:91c4:5e2:b0ff:fe77:1c3d", "2001:db8:cafe::4d1e:77", "::ffff:198.51.100.143"),
    *_all("address", "fe80::a1b2:c3ff:fed4:e5f6%eth0"),
    *_all(
        "e-mail", "nina.fournier@courriel-canari.fr", "j.okafor+club@post.canary.example", "K_Lindqvist@epost.example"
    ),
    *_all("e-mail", "bounce-7731@lists.canary.example", "zoe@xn--canri-9na.example", "o'brien.t@mail.canary.example"),
    *_all("e-mail", "support.ticket.8841@helpdesk.canary.example"),
    *_people("Zelmira Quandovsky", "Oluwaseun Brimtholme", "Aurelien Vastrepuy", "Ingeborg Tjellmansk"),
    *_people("Xiulan Hvorostinko", "Mateus Pralvecchio", "Sinead Mac-Grobhtair", "Bérénice Zölmirskä"),
    *_all("phone", "+33755501991", "+44 7700 900 871", "06.39.98.74.15", "(212) 555-0187", "0049-151-23456789"),
    *_all("token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcmktNDIifQ.Qm9uam91ci1sZS1tb25kZS0yMDI2"),
    *_all("token", "9f86d081884c7d659a2feaa0c55ad015", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    *_all("token", "c2VjcmV0LWNhbmFyeS10b2tlbi0xMjM0NTY3ODkw==", "Zk9-3vQx_7TtLm0pW2sRb8Ny"),
    *_all("token", "live_sk_51Hc4n4ryQ7wErTyUiOp", "PHPSESSID8q3k1v5m7c9x2z4b6n8w0e2r4t"),
    *_all("token", "AKIAC4N4RYC4N4RYX7Q2"),
    *_all("account", "m-77120391", "KD-550-1337-XA", "u7f3q9z81", "adh.2023.004417", "0000917735", "vbriquet1961"),
    *_all("card", "4539578763621486", "5425 2334 3010 9903"),
    *_all("iban", "FR7630006000011234567890189", "DE89 3704 0044 0532 0130 00"),
    *_all("device", "Zq7xDevice-77af19c2", "imei:490154203237518"),
    *_all("uuid", "7d3c1f9e-52ab-4c0e-9f4d-8a6b21e0c7d5"),
    *_all("postal address", "17 Rue Vantrelle, 69004 Lugdunville"),
)
