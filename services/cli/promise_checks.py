"""Live checks: whether this installation keeps each promise, by looking at its stores, keys, settings and policies.

A check answers from what is there now. What only a person or an attack could show is no check but a test; there the
answer is that it cannot be checked here, and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final

import sqlalchemy as sa
from minisign import PublicKey

from services.cli.promise_place import Place
from services.enricher.access.decisions import EVERY_TENANT, PURPOSES, Action, Actor, Policies, Request
from services.enricher.audit.log import checkpoint_path
from services.enricher.audit.proof import verify
from services.enricher.rights.service import open_carrying
from services.enricher.tenants import departure
from services.ingest.bank import cut_bank_data
from services.ingest.departure import tenant_stores
from services.ingest.records import source_counts
from services.runtime.database import has_rows, transaction
from services.runtime.departures import TenantStore
from services.runtime.errors import VoileError
from services.runtime.minisign import signed_comment
from services.runtime.retention.terms import GONE
from services.runtime.topics import TOPICS
from services.stats.dashboard.policies import Policies as Said
from services.stats.dashboard.privacy import facts_of, texts_of
from services.stats.days.states import CLOSED, Days, due
from services.stats.releases.split import declared_split
from services.stats.tenants.departure import records_stores
from services.stats.tenants.registry import Tenant, Tenants

__all__ = ["BROKEN", "CHECKS", "KEPT", "UNKNOWN", "Verdict", "look"]

KEPT: Final = "kept"
BROKEN: Final = "broken"
UNKNOWN: Final = "unknown"
_release_days = sa.table("release_days", sa.column("tenant"), sa.column("rho"))
LATE = timedelta(hours=2)  # a day closes within minutes of being due


@dataclass(frozen=True, slots=True)
class Verdict:
    """`looked_at`: what, and what was found, in a sentence for people."""

    state: str
    looked_at: str


def look(promise: str, place: Place) -> Verdict:
    """A part that cannot be opened breaks no promise: then nobody can tell."""
    try:
        return CHECKS[promise](place)
    except VoileError as error:
        return Verdict(UNKNOWN, str(error))


def _judge(kept: bool, looked_at: str) -> Verdict:
    return Verdict(KEPT if kept else BROKEN, looked_at)


def collects(place: Place) -> Verdict:
    """S1."""
    sources = place.ingest.sources.all()
    came = has_rows(place.ingest.engine, sa.select(source_counts.c.source).where(source_counts.c.outcome == "accepted"))
    if not came:
        return Verdict(UNKNOWN, f"{len(sources)} log sources; nothing was taken from one within 14 days")
    return Verdict(KEPT, f"{len(sources)} log sources; lines were taken from them within 14 days")


def closes_days(place: Place) -> Verdict:
    """S2, S3: figures come out when a day closes."""
    now, zone = place.clock.now(), place.settings.zone
    days = Days(place.statistics).listed()
    late = [day for day in days if day.state != CLOSED and due(day, now - LATE, zone)]
    if not days:
        return Verdict(UNKNOWN, "no day has been counted yet")
    return _judge(not late, f"{len(days)} days of tenants; {len(late)} are due and not closed")


def links(place: Place) -> Verdict:
    """S4."""
    sources = [source for source in place.ingest.sources.all() if source.authenticated]
    linked = place.identity.ledger.events_linked()
    if not sources:
        return Verdict(UNKNOWN, "no log source is declared authenticated: nothing may be linked")
    return Verdict(KEPT, f"{len(sources)} authenticated log sources; {linked:,} accesses were ever linked")


def audits(place: Place) -> Verdict:
    """S5: every look is recorded, and nobody has touched the record."""
    identity = place.identity
    verdict = verify(identity.engine, identity.keys, checkpoint_path(place.settings.data.absolute()))
    found = "it is whole" if verdict.whole else verdict.problem
    return _judge(verdict.whole, f"the audit log's {verdict.entries:,} entries and their signatures: {found}")


def answers(place: Place) -> Verdict:
    """S6: that a question can be answered takes a question."""
    behind = place.identity.status().lag
    return Verdict(UNKNOWN, f"{behind} batches wait to be linked; the look-up itself is tried by the tests")


def releases(place: Place) -> Verdict:
    """S7: what left was charged, and for nobody who did not agree."""
    place.identity.registry.follow()
    agreed = {tenant.tenant for tenant in place.identity.registry.all() if tenant.releases}
    with transaction(place.statistics) as connection:
        charged = connection.execute(sa.select(_release_days.c.tenant, _release_days.c.rho)).all()
    if not charged:
        return Verdict(UNKNOWN, f"{len(agreed)} tenants take part in releases; no day was drawn yet")
    budget = declared_split().rho_day_max
    beyond = [row for row in charged if Fraction(row.rho) > budget]
    return _judge(not beyond, f"{len(charged)} days drawn, {len(beyond)} of them beyond the declared budget {budget}")


def keeps_terms(_place: Place) -> Verdict:
    """S8."""
    from services.cli.retaining import of_every_plane

    lines = of_every_plane(run=False)
    over = [line for line in lines if not line.kept]
    named = ", ".join(sorted({line.kind for line in over}))
    return _judge(not over, f"{len(lines)} types of data and tenants; too old: {named or 'none'}")


def keeps_clients_terms(place: Place) -> Verdict:
    """S9."""
    from services.cli.retaining import of_every_plane

    chosen = {tenant.tenant: tenant.retention for tenant in place.identity.registry.all() if tenant.retention}
    if not chosen:
        return Verdict(UNKNOWN, "no tenant has set terms of its own")
    mine = [line for line in of_every_plane(run=False) if line.kind in chosen.get(line.tenant, {})]
    wrong = [line for line in mine if not line.kept or line.term > timedelta(days=chosen[line.tenant][line.kind])]
    return _judge(not wrong, f"terms of {len(chosen)} tenants; {len(wrong)} of {len(mine)} are not kept")


def lets_go(place: Place) -> Verdict:
    """S10: who has left has nothing left here, and a certificate that holds."""
    place.identity.registry.follow()
    gone = [tenant.tenant for tenant in place.identity.registry.all() if tenant.status in GONE]
    if not gone:
        return Verdict(UNKNOWN, "no tenant has left")
    left = [f"{store.name} of {tenant}" for tenant in gone for store in _stores(place) if store.count(tenant)]
    unproved = [tenant for tenant in gone if not _is_certified(place, tenant)]
    found = f"left: {', '.join(left) or 'nothing'}; without a valid certificate: {', '.join(unproved) or 'none'}"
    return _judge(not left and not unproved, f"{len(gone)} tenants that left; {found}")


def honours_rights(place: Place) -> Verdict:
    """S11."""
    late = open_carrying(place.identity).overdue()
    return _judge(not late, f"rights cases past their date: {late}")


def separates_clients(place: Place) -> Verdict:
    """S12, S17: each log source is one registered tenant's, each host at most one's."""
    known = set(place.tenants())
    strangers = [source.name for source in place.ingest.sources.all() if source.tenant not in known]
    hosts = [host for tenant in place.identity.registry.all() for host in tenant.hosts]
    shared = len(hosts) - len(set(hosts))
    found = f"sources of no tenant: {', '.join(strangers) or 'none'}; hosts of two: {shared}"
    return _judge(not strangers and not shared, f"{len(known)} tenants, {len(hosts)} hosts; {found}")


def secures(place: Place) -> Verdict:
    """S13: as `voile doctor` sees it."""
    from services.cli.doctor import examine

    findings = list(examine(place.settings))
    wrong = [finding.check for finding in findings if not finding.ok]
    return _judge(not wrong, f"{len(findings)} checks of voile doctor; not in order: {', '.join(wrong) or 'none'}")


def separates_planes(place: Place) -> Verdict:
    """S14: no store and no key folder is two planes'."""
    settings = place.settings
    places = [
        settings.url(getattr(plane, part))
        for plane in (settings.ingest, settings.identity, settings.statistics)
        for part in ("records", "keys")
    ]
    shared = len(places) - len(set(places))
    return _judge(not shared, f"records and keys of three planes, by the settings: {shared} are shared")


def answers_authorities(place: Place) -> Verdict:
    """S15: the policies in force let the DPO ask for the purpose `legal`, and nobody of support."""
    allowed = {role: _may_ask(place, role, "legal") for role in ("dpo", "support")}
    found = ", ".join(f"{role}: {'yes' if may else 'no'}" for role, may in allowed.items())
    return _judge(allowed == {"dpo": True, "support": False}, f"who may ask for access for legal reasons: {found}")


def publishes(place: Place) -> Verdict:
    """S16: what the public page says is what holds."""
    said = Said(place.statistics, place.clock)
    history = said.history()
    if not history:
        return Verdict(UNKNOWN, "the statistics service has not run yet: /privacy has not been published")
    place.identity.registry.follow()
    now = json.loads(json.dumps(texts_of(place.settings, facts_of(_as_told(place)))))
    current = said.texts(history[0].number) == now
    word = "says what holds" if current else "is not what holds; it is renewed when the service runs"
    return _judge(current, f"/privacy, version {history[0].number} of {history[0].since:%Y-%m-%d}: it {word}")


def measures_use(place: Place) -> Verdict:
    """S18."""
    cells = place.counted["cells_published"]
    if not cells:
        return Verdict(UNKNOWN, "no figure has been published yet")
    return Verdict(KEPT, f"{cells:,} published figures, of routes, events, times and active accounts among others")


def never_sells(place: Place) -> Verdict:
    """S19: for any other purpose the policies in force permit nothing, to nobody."""
    other = [purpose for purpose in ("marketing", "advertising", "sale") if purpose in PURPOSES]
    roles = ("support", "dpo", "operator", "tenant-admin")
    allowed = [f"{role} for {p}" for role in roles for p in ("marketing", "") if _may_ask(place, role, p)]
    return _judge(not allowed and not other, f"purposes: {', '.join(PURPOSES)}; for any other: {allowed or 'nobody'}")


def cuts_bank_data(_place: Place) -> Verdict:
    """S20: with made-up numbers, through the step of ingest that cuts them."""
    given = "/pay/4111111111111111/to/FR7630006000011234567890189"  # the card schemes' and the banks' own test values
    cut = cut_bank_data(given)
    left = [number for number in given.split("/") if number.isalnum() and len(number) > 10 and number in cut]
    return _judge(not left, f"a test card's number and a test IBAN in an address: {len(left)} came through")


def _stores(place: Place) -> list[TenantStore]:
    """Where rows or keys of a tenant can be seen from here; the statistics' column store tells in `keeps_terms`."""
    identity = place.identity
    own = departure.tenant_stores(identity.engine, identity.keys, identity.signals, place.clock)
    return [*tenant_stores(place.ingest.engine), *own, *records_stores(place.statistics)]


def _is_certified(place: Place, tenant: str) -> bool:
    certificates = place.identity.certificates
    found = certificates.newest(tenant)
    key = PublicKey.from_base64(certificates.public_key)
    return found is not None and signed_comment(key, found.document, found.signature) is not None


def _as_told(place: Place) -> Sequence[Tenant]:
    """The registry as the statistics plane reads it."""
    follower, tenants = place.identity.log.follower([TOPICS["tenant"].name]), Tenants()
    try:
        tenants.apply(follower.poll())
    finally:
        follower.close()
    return tenants.all()


def _may_ask(place: Place, role: str, purpose: str) -> bool:
    """Whether the policies in force let somebody of that role ask for access, perhaps with a second person's word."""
    policies = Policies.load(place.settings.identity.policies, ".+")
    actor = Actor("somebody", frozenset({role}), frozenset({EVERY_TENANT}))
    wanted = Request(
        *(actor, Action.ASK_ACCESS, place.clock.now()),
        tenant="any",
        subject="somebody",
        purpose=purpose,
        ticket="any",
        reason="Asked by voile promises, of nobody.",
        minutes=15,
        days=1,
    )
    decision = policies.decide(wanted)
    return decision.allowed or decision.needs_approval


CHECKS: Mapping[str, Callable[[Place], Verdict]] = {
    "S1": collects,
    "S2": closes_days,
    "S3": closes_days,
    "S4": links,
    "S5": audits,
    "S6": answers,
    "S7": releases,
    "S8": keeps_terms,
    "S9": keeps_clients_terms,
    "S10": lets_go,
    "S11": honours_rights,
    "S12": separates_clients,
    "S13": secures,
    "S14": separates_planes,
    "S15": answers_authorities,
    "S16": publishes,
    "S17": separates_clients,
    "S18": measures_use,
    "S19": never_sells,
    "S20": cuts_bank_data,
}
