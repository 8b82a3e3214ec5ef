"""The certificate of an erasure: what was deleted where, how it was verified, and what ends by itself and when.

It names nobody: the case, the tenant, and the person under the audit log's pseudonym. Signed in minisign's format, as
JSON for programs and as text for people, so that it can be checked without Voile. Issued when every store was counted
empty, and once more, completed, when what ends later has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from services.enricher.rights.book import CaseFile
from services.runtime.keys import KeyService
from services.runtime.minisign import CERTIFICATE_KEY, sign
from services.runtime.receipts import Receipt
from services.runtime.web.languages import N_, Language, language

__all__ = ["COMPLETED", "ISSUED", "KEPT", "Erased", "documents_of"]

ISSUED, COMPLETED = "issued", "completed"
FORMAT = "voile erasure certificate 1"

_DESTROYED = N_("The person's key was destroyed, and these rows were deleted and counted afterwards:")
_NOBODY = N_(
    "Nobody was known under this account, so there was no key to destroy; these rows were deleted and counted:"
)

# What an erasure leaves on purpose.
KEPT = {
    "privacy-signal.v1": N_("The account's id with the time of its erasure, so that no replay brings it back."),
    "audit log": N_("Who looked at this person's data and why, under a pseudonym."),
    "rights case": N_("This case and its evidence, under a pseudonym."),
    "published statistics": N_("Counts of closed days, which name nobody."),
}


@dataclass(frozen=True, slots=True)
class Erased:
    """What is certified. `deleted` and `remaining` (counted at the end): rows by store, of all accounts of the person;
    `without`: workers that the DPO went on without."""

    file: CaseFile
    cutoff: datetime
    deleted: Mapping[str, int]
    remaining: Mapping[str, int]
    receipts: Sequence[Receipt]
    without: Sequence[str]
    later: Sequence[Mapping[str, Any]]
    status: str
    at: datetime


def documents_of(erased: Erased, keys: KeyService) -> dict[str, bytes]:
    """File name -> content: the certificate as JSON and as text, each with its signature."""
    stem = f"certificate-{erased.file.case}-{erased.status}"
    comment = f"voile certificate {erased.file.case} {erased.status} {_stamp(erased.at)}"
    told = facts(erased)
    contents = {
        f"{stem}.json": orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n",
        f"{stem}.txt": readable(told, language(erased.file.language)).encode(),
    }
    signatures = {
        f"{name}.minisig": sign(keys, CERTIFICATE_KEY, content, comment, what="certificate")
        for name, content in contents.items()
    }
    return contents | signatures


def facts(erased: Erased) -> dict[str, Any]:
    """The certificate as JSON values; times are UTC, ISO 8601."""
    file = erased.file
    own = [
        {"plane": "identity", "store": store, "deleted": count, "remaining": erased.remaining.get(store, 0)}
        for store, count in sorted(erased.deleted.items())
    ]
    others = [
        {"plane": r.plane, "worker": r.worker, "store": r.store, "deleted": r.deleted, "remaining": r.remaining}
        for r in sorted(erased.receipts, key=lambda r: (r.worker, r.store))
    ]
    return {
        "format": FORMAT,
        "status": erased.status,
        "case": file.case,
        "tenant": file.tenant,
        "person": file.pseudonym,
        "requested": _stamp(file.opened),
        "covers_until": _stamp(erased.cutoff),
        "issued": _stamp(erased.at),
        "key_destroyed": erased.deleted.get("person_keys", 0) > 0,
        "stores": own + others,
        "not_answered": list(erased.without),
        "ends_later": [{"store": end["store"], "until": end["until"]} for end in erased.later],
        "kept": [{"store": store, "why": why} for store, why in KEPT.items()],
    }


def readable(told: Mapping[str, Any], chosen: Language) -> str:
    """The same as a page of text, in the person's language."""
    say = chosen.say
    done = told["status"] == COMPLETED
    lines = [
        say(N_("Certificate of erasure")),
        "",
        say(N_("Case {case} of the organisation {tenant}"), case=told["case"], tenant=told["tenant"]),
        say(N_("Person (pseudonym): {person}"), person=told["person"]),
        say(N_("Requested: {at}"), at=told["requested"]),
        say(N_("Everything up to: {at}"), at=told["covers_until"]),
        say(N_("Issued: {at}"), at=told["issued"]),
        "",
        say(_DESTROYED if told["key_destroyed"] else _NOBODY),
        *(f"  {_place(row)}: {row['deleted']} -> {row['remaining']}" for row in told["stores"]),
        "",
        say(N_("Ended by itself since then:") if done else N_("Ends by itself, unread, at:")),
        *(f"  {end['store']}: {end['until']}" for end in told["ends_later"]),
        "",
        say(N_("Kept on purpose:")),
        *(f"  {kept['store']}: {say(kept['why'])}" for kept in told["kept"]),
    ]
    if told["not_answered"]:
        lines += ["", say(N_("Did not answer: {workers}"), workers=", ".join(told["not_answered"]))]
    return "\n".join([*lines, ""])


def _place(row: Mapping[str, Any]) -> str:
    return " / ".join(part for part in (row.get("worker") or row["plane"], row["store"]) if part)


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
