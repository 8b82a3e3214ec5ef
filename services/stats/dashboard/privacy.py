"""What the public page says is collected, what for, for how long and who gets it: made from where it is decided.

The text is data: the page lays it out, `/privacy.json` gives it to programs, and its history is kept word by word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from services.runtime.settings import Settings
from services.runtime.topics import TOPICS
from services.runtime.web.languages import LANGUAGES, N_, Language, language
from services.stats.collection.reports import TERM
from services.stats.days.states import AFTER_DAY, AFTER_IMPORT
from services.stats.figures.disclosure import ROUNDING, THRESHOLD
from services.stats.queries.metrics import METRICS
from services.stats.queries.request import DIMENSIONS
from services.stats.tenants.registry import Tenant

__all__ = ["Facts", "Policy", "Promise", "Section", "facts_of", "policy_of", "texts_of"]


CAMPAIGNS = frozenset({"visit:utm_source", "visit:utm_medium", "visit:utm_campaign"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the registry of tenants adds to the settings, without naming one. `linked_days`: the terms that client
    organisations have set for linked activity, shortest and longest."""

    releases: bool = False
    linked_days: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """One row: a kind of data."""

    what: str
    purpose: str
    term: str


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    promises: tuple[Promise, ...] = ()
    paragraphs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    title: str
    introduction: str
    sections: tuple[Section, ...]


def facts_of(tenants: Iterable[Tenant]) -> Facts:
    known = list(tenants)
    terms = [tenant.linked_days for tenant in known if tenant.linked_days is not None]
    releases = any(tenant.releases or tenant.platform_releases for tenant in known)
    return Facts(releases, (min(terms), max(terms)) if terms else None)


def texts_of(settings: Settings, facts: Facts) -> dict[str, Any]:
    """By code of the language, as JSON takes it."""
    return {code: asdict(policy_of(settings, facts, language(code))) for code in LANGUAGES}


def policy_of(settings: Settings, facts: Facts, language: Language) -> Policy:
    say = language.say
    return Policy(
        title=say("What is collected, what for, and for how long"),
        introduction=say(_INTRODUCTION),
        sections=(
            Section(say("Statistics of use"), tuple(_collected(settings, language)), (say(_NOT_COLLECTED),)),
            Section(say("Linked activity"), paragraphs=tuple(_linked(settings, facts, language))),
            Section(say("Who gets it"), paragraphs=tuple(_recipients(facts, language))),
            Section(say("Your rights"), paragraphs=(say(_RIGHTS),)),
            Section(say("How far figures can be trusted"), paragraphs=(say(_TRUST),)),
        ),
    )


def _collected(settings: Settings, language: Language) -> Iterator[Promise]:
    say = language.say
    log_hours = TOPICS["access-log"].kept_hours
    closes, imported = (_hours(after) for after in (AFTER_DAY, AFTER_IMPORT))
    yield Promise(say(_LINES), say(_LINES_PURPOSE), say("{n} hours", n=log_hours))
    yield Promise(say(_PSEUDONYM), say(_PSEUDONYM_PURPOSE), say(_UNTIL_CLOSED, hours=closes, import_hours=imported))
    yield Promise(say(_ACCESS), say(_ACCESS_PURPOSE), say("the same"))
    if set(DIMENSIONS) >= CAMPAIGNS:
        yield Promise(say(_CAMPAIGN), say(_CAMPAIGN_PURPOSE), say("the same"))
    if "active_accounts" in METRICS:
        yield Promise(say(_ACTIVE), say(_ACTIVE_PURPOSE), say(_ACTIVE_TERM))
    yield Promise(say("The day's key"), say("to recognise a visitor within the day"), say(_KEY_TERM))
    yield Promise(say(_LINES_SENT), say(_LINES_SENT_PURPOSE), say(_LINES_SENT_TERM, days=TERM.days))
    counts = say("Counts by day, each of at least about {threshold} visitors and rounded to {rounding}",
                 threshold=THRESHOLD, rounding=ROUNDING)  # fmt: skip
    figures = say(_FIGURES_TERM, days=settings.retention.figures_days)
    yield Promise(counts, say("these pages"), figures)


def _linked(settings: Settings, facts: Facts, language: Language) -> Sequence[str]:
    days = settings.identity.linked_days
    told = [language.say(_LINKED, days=days)]
    if facts.linked_days is not None:
        shortest, longest = (min(term, days) for term in facts.linked_days)
        told.append(language.say(_LINKED_BY_CLIENTS, shortest=shortest, longest=longest))
    return [*told, language.say(_ACCOUNTS, days=settings.retention.accounts_days)]


def _recipients(facts: Facts, language: Language) -> Sequence[str]:
    return [language.say(_INSIDE), language.say(_RELEASES if facts.releases else _NO_RELEASES), language.say(_NOBODY)]


def _hours(after: timedelta) -> int:
    return int(after / timedelta(hours=1))


_INTRODUCTION = N_(
    "Voile counts how web sites are used from the access logs that their servers write anyway. No script runs on any "
    "page and no cookie is set for counting."
)
_LINES = N_("Access log lines as the servers wrote them, after cutting query parameters")
_LINES_PURPOSE = N_("so that the two services described here can each read them; neither can reach the other")
_PSEUDONYM = N_(
    "A pseudonym of one day, made from address (IPv6: its first half), browser and site with a key of that day"
)
_PSEUDONYM_PURPOSE = N_("to count visitors without knowing them")
_UNTIL_CLOSED = N_(
    "until the day is closed, {hours} hours after its end; a day that is imported later, {import_hours} hours after "
    "its first line"
)
_ACCESS = N_(
    "For each access: page template, kind and domain of the source, country, families of browser and system, class "
    "of device, status, time to the second"
)
_ACCESS_PURPOSE = N_("to count per page, source, country, device")
_CAMPAIGN = N_(
    "For organisations that ask for it: the campaign that a link names (utm_source, utm_medium, utm_campaign)"
)
_CAMPAIGN_PURPOSE = N_("to count per campaign")
_ACTIVE = N_(
    "For each site, week and month: a pseudonym of each account that was active, made with a key of that week or "
    "month; no date, no number, nothing else"
)
_ACTIVE_PURPOSE = N_("to count how many accounts are active")
_ACTIVE_TERM = N_("until the week or month is closed, when they are deleted and their key is destroyed")
_KEY_TERM = N_(
    "destroyed when the day is closed; it is in no backup, and afterwards nobody can compute a pseudonym again"
)
_LINES_SENT = N_("How many lines each server sent, by five minutes, and how many of them could not be read")
_LINES_SENT_PURPOSE = N_("to notice when a server's logs fail to arrive")
_LINES_SENT_TERM = N_("{days} days; nothing of any line is in them")
_NOT_COLLECTED = N_(
    "Addresses, names, e-mail addresses, search words, tokens in addresses of pages and account names do not reach "
    "the statistics. The same person is unrelated on two days and on two sites."
)
_LINKED = N_(
    "Separately, and reachable from nowhere here, the accesses of signed-in members are kept sealed with a key per "
    "person for at most {days} days, to answer questions of support and security and the rights of the persons. "
    "Every look needs a purpose, a ticket and a reason, ends by itself, and is recorded."
)
_FIGURES_TERM = N_("{days} days at most; they are about no person")
_ACCOUNTS = N_(
    "Name, e-mail address, postal address and phone number of a member are kept sealed in the same way, for at most "
    "{days} days after the last that was heard of the account. When an organisation leaves, all of its data is deleted."
)
_LINKED_BY_CLIENTS = N_(
    "Organisations whose sites are counted may set a shorter term for their own members; today those terms are "
    "between {shortest} and {longest} days."
)
_INSIDE = N_(
    "Figures are seen by the product team of whoever runs this installation, and by each organisation for its own "
    "sites. Linked activity is seen by their support and security staff alone, one person at a time."
)
_RELEASES = N_(
    "Some organisations have agreed to give figures to partners. Partners get totals with noise added (differential "
    "privacy), in files that say their parameters; nothing of what is kept here about an access or a person leaves."
)
_NO_RELEASES = N_("No organisation has agreed to give figures to partners: nothing is given to anybody else.")
_NOBODY = N_("Nothing is sold, and nothing is used for advertising.")
_RIGHTS = N_(
    "Ask the organisation whose site you use for access, erasure or objection. An objection to statistics removes "
    "your visits from the open day and keeps later ones out, as long as you are signed in; without an account nothing "
    "here can be attributed to you."
)
_TRUST = N_(
    "Figures on these pages are confidential and protected against singling people out; they are not called anonymous. "
    "Rows of too few people are merged into (other). Only what is given to partners is anonymous, by differential "
    "privacy, and says so with its parameters."
)
