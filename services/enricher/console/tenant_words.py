"""How the pages of terms and tenants call what the code has names for. Each text is in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from services.runtime.marks import N_

__all__ = ["ENDS", "KINDS_SAID", "STATUSES"]

KINDS_SAID: Mapping[str, str] = {
    "raw": N_("accesses as the servers sent them"),
    "raw-lines": N_("lines of collectors"),
    "dead-letters": N_("what could not be read, without its text"),
    "claims": N_("which requests were taken already"),
    "source-counts": N_("lines of each log source"),
    "account-words": N_("accounts as they were sent"),
    "linked": N_("linked activity"),
    "isolated": N_("linked activity kept apart"),
    "accounts": N_("accounts nothing is heard of"),
    "grants": N_("who was allowed to look"),
    "audit": N_("the reasons in the audit log"),
    "cases": N_("closed rights cases"),
    "open-days": N_("pseudonymised events of open days"),
    "active-accounts": N_("keyed accounts of open weeks and months"),
    "figures": N_("published figures"),
    "releases": N_("noisy figures of releases"),
    "deliveries": N_("which partner took what"),
    "collection": N_("lines of each log source, as reported"),
}
ENDS: Mapping[str, str] = {
    "delete": N_("deleted"),
    "anonymise": N_("made anonymous"),
    "isolate": N_("isolated"),
}
STATUSES: Mapping[str, str] = {
    "active": N_("active"),
    "suspended": N_("suspended"),
    "terminating": N_("is being deleted"),
    "terminated": N_("deleted"),
}
