"""Who visits: people with an address, a browser, a loyalty and perhaps an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate, pairwise
from random import Random

from services.demo.places import address
from services.demo.tenants import Club

__all__ = ["Member", "Population", "agents", "busiest_account", "members", "population"]

LOYALTY_EXPONENT = 0.55  # how unevenly visits are spread: a power law over people
SHARED_ADDRESS = 0.08  # of people sit behind somebody else's address (a family, an office)
_FIRST = [
    "Alice",
    "Bruno",
    "Camille",
    "Denis",
    "Elsa",
    "Farid",
    "Gilda",
    "Hugo",
    "Inès",
    "Jonas",
    "Karin",
    "Léon",
    "Maya",
    "Nils",
    "Olga",
    "Paul",
    "Rosa",
    "Samir",
    "Tess",
    "Yann",
]
_LAST = [
    "Arnaud",
    "Becker",
    "Colin",
    "Dubois",
    "Evrard",
    "Faure",
    "Girard",
    "Henrion",
    "Imbert",
    "Janssen",
    "Klein",
    "Lambert",
    "Moreau",
    "Noël",
    "Petit",
    "Rossi",
]
_STREETS = ["rue du Port", "avenue des Tilleuls", "quai Nord", "place du Marché", "chemin des Dunes"]


@dataclass(frozen=True)
class Member:
    """One row of the accounts' CSV; the telephone range 01 99 00 is kept free for fiction."""

    account: str
    name: str
    email: str
    postal_address: str
    phone: str


@dataclass(frozen=True)
class Population:
    """Columns, one entry a person; the first ones are the members, `account` is "" for the rest."""

    addresses: Sequence[str]
    agents: Sequence[str]
    accounts: Sequence[str]
    loyalty_sums: Sequence[float]  # running sums, for `Random.choices(cum_weights=...)`


@cache
def agents(kind: str) -> tuple[Sequence[str], Sequence[int]]:
    """(user agents, weights) of that kind: person, bot or tool. "" is a request without one."""
    text = resources.files(__package__).joinpath("agents.txt").read_text("utf-8")
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    chosen = [(agent, int(weight)) for its_kind, weight, agent in lines if its_kind == kind]
    return [agent for agent, _ in chosen], [weight for _, weight in chosen]


def members(club: Club) -> list[Member]:
    random = Random(f"{club.tenant}/members")
    return [_member(club, number, random) for number in range(club.members)]


def population(club: Club) -> Population:
    random = Random(f"{club.tenant}/people")
    names, weights = agents("person")
    countries = random.choices(list(club.countries), list(club.countries.values()), k=club.people)
    addresses: list[str] = []
    for country in countries:
        shared = addresses and random.random() < SHARED_ADDRESS
        addresses.append(random.choice(addresses) if shared else address(country, random))
    ranks = list(range(1, club.people + 1))
    random.shuffle(ranks)
    return Population(
        addresses=addresses,
        agents=random.choices(names, weights, k=club.people),
        accounts=[_account(club, n) if n < club.members else "" for n in range(club.people)],
        loyalty_sums=list(accumulate(rank**-LOYALTY_EXPONENT for rank in ranks)),
    )


def busiest_account(club: Club) -> str:
    """The account of the member who comes most often: somebody to look up."""
    sums = population(club).loyalty_sums[: club.members]
    loyalty = [after - before for before, after in pairwise((0.0, *sums))]
    return _account(club, loyalty.index(max(loyalty)))


def _member(club: Club, number: int, random: Random) -> Member:
    first, last = random.choice(_FIRST), random.choice(_LAST)
    return Member(
        account=_account(club, number),
        name=f"{first} {last}",
        email=f"{_plain(first)}.{_plain(last)}{number}@members.example",
        postal_address=f"{random.randrange(1, 90)} {random.choice(_STREETS)}, 9{random.randrange(1000):03d}0 Portville",
        phone=f"+331990{random.randrange(10**5):05d}",
    )


def _account(club: Club, number: int) -> str:
    return f"{club.tenant[0].upper()}{10_000 + number}"


def _plain(name: str) -> str:
    return name.lower().translate(str.maketrans("éèëï", "eeei"))
