"""Partners, and releases that were built and published for them, on a plane's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.keys import FileKeyService
from services.runtime.minisign import RELEASE_KEY, existing_public_key
from services.stats.delivery.partners import Partners
from services.stats.delivery.publications import Publications
from services.stats.delivery.terms import TermsBook
from services.stats.releases import package
from services.stats.releases.period import Period
from tests.unit.stats.releases.records import store_days

__all__ = ["NAME", "OTHER_NAME", "TERMS", "WHO", "Delivered", "build_release", "fill_delivery", "publish"]

NAME, OTHER_NAME = "chess-club-use", "riverside-use"
TERMS = "Use the figures as they are.\nTell nobody that you could single out a person with them.\n"
WHO = "os:operator"
ROUTES = ("/", "/agenda/{id}", "/members/{id}")


@dataclass(frozen=True)
class Delivered:
    """`acme` may have NAME, `bolt` OTHER_NAME, `late` has accepted nothing. `keys`: by partner."""

    version: str
    folders: Mapping[str, Path]
    keys: Mapping[str, str]

    @property
    def folder(self) -> Path:
        return self.folders[NAME]


def build_release(records: sa.Engine, folder: Path, tenant: str, period: Period) -> tuple[package.Release, Path]:
    """From noisy days that are stored here; built again when they are."""
    store_days(records, tenant, period.days, routes=ROUTES)
    return package.build(records, FileKeyService(folder / "release-keys"), tenant, period, folder / "releases")


def publish(records: sa.Engine, clock: Clock, folder: Path, name: str, version: str) -> None:
    key = existing_public_key(FileKeyService(folder / "release-keys"), RELEASE_KEY)
    assert key is not None
    Publications(records, clock).publish(name, version, folder / "releases" / name / version, key, WHO)


def fill_delivery(records: sa.Engine, clock: Clock, folder: Path) -> Delivered:
    """Two releases of a fortnight, three partners with a member (`paul` at acme) and a key each, terms."""
    last = clock.now().date() - timedelta(days=2)
    period, folders, version = Period(last - timedelta(days=13), last), {}, ""
    for tenant, name in (("chess-club", NAME), ("riverside", OTHER_NAME)):
        release, folders[name] = build_release(records, folder, tenant, period)
        publish(records, clock, folder, name, release.version)
        version = release.version
    partners, terms = Partners(records, clock), TermsBook(records, clock)
    number = terms.put(TERMS, WHO).number
    keys = {}
    for partner, may in (("acme", NAME), ("bolt", OTHER_NAME), ("late", NAME)):
        partners.put(partner, f"{partner.title()} Research", [may], WHO)
        keys[partner] = partners.add_key(partner, "nightly load", WHO)
        if partner != "late":
            terms.accept(partner, number, f"{partner}'s lawyer")
    for user, partner in (("paul", "acme"), ("bea", "bolt"), ("lou", "late")):
        partners.add_member(partner, user, WHO)
    return Delivered(version, folders, keys)
