"""How pages call what the code has names for. Each text is in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.runtime.marks import N_

__all__ = ["ACTIONS", "FIELDS", "OUTCOMES", "PURPOSES", "ROLES", "RULES", "STATES", "VERDICTS", "WORDS", "roles_said"]

PURPOSES: Mapping[str, str] = {
    "support": N_("support"),
    "rights": N_("rights request"),
    "security": N_("security"),
    "legal": N_("legal matter"),
}
FIELDS: Mapping[str, str] = {
    "name": N_("name"),
    "email": N_("e-mail"),
    "phone": N_("phone"),
    "postal_address": N_("postal address"),
    "client_address": N_("address"),
    "user_agent": N_("browser"),
    "referrer": N_("referrers"),
    "query": N_("queries"),
}
ACTIONS: Mapping[str, str] = {
    "findPerson": N_("looked for a person"),
    "askAccess": N_("asked for access"),
    "breakGlass": N_("broke the glass"),
    "viewActivity": N_("saw activity"),
    "revealField": N_("revealed fields"),
    "writeNote": N_("wrote a note"),
    "endAccess": N_("gave access back"),
    "approve": N_("answered a request"),
    "viewGrants": N_("saw who holds access"),
    "revokeAccess": N_("ended another’s access"),
    "reviewBreakGlass": N_("reviewed a broken glass"),
    "viewUnusual": N_("saw unusual looks"),
    "viewAudit": N_("read this log"),
    "exportAudit": N_("exported this log"),
    "erase": N_("erased a person"),
    "restrict": N_("took an objection or a restriction"),
    "openCase": N_("opened a case"),
    "viewCases": N_("saw cases"),
    "decideCase": N_("decided a case"),
    "executeCase": N_("carried out a case"),
    "exportPerson": N_("made an access package"),
    "holdPerson": N_("held data back"),
    "viewRetention": N_("saw the terms"),
    "setRetention": N_("changed a term"),
    "viewTenants": N_("saw the tenants"),
    "manageTenants": N_("changed a tenant"),
}
OUTCOMES: Mapping[str, str] = {
    "granted": N_("granted"),
    "refused": N_("refused"),
    "waits": N_("waits"),
    "withdrawn": N_("withdrawn"),
}
VERDICTS: Mapping[str, str] = {"justified": N_("justified"), "not-justified": N_("not justified")}
STATES: Mapping[str, str] = {
    "waiting": N_("waits for an answer"),
    "approved": N_("approved"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "started": N_("taken up"),
}
ROLES: Mapping[str, str] = {
    "support": N_("support"),
    "dpo": N_("data protection officer"),
    "operator": N_("operator"),
    "tenant-admin": N_("the organisation’s own staff"),
}
RULES: Mapping[str, str] = {
    "broken-glass": N_("Broke the glass"),
    "many-people": N_("Saw many people in a day"),
    "many-viewers": N_("One person seen by many in a week"),
    "one-person-often": N_("Saw one person on many days"),
    "many-reveals": N_("Revealed many fields of one person"),
    "many-refusals": N_("Was refused many times in a day"),
    "off-hours": N_("Looked outside working hours"),
    "own-members": N_("Organisation’s own staff saw many of its members"),
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "purpose": PURPOSES,
    "field": FIELDS,
    "action": ACTIONS,
    "outcome": OUTCOMES,
    "verdict": VERDICTS,
    "state": STATES,
    "rule": RULES,
}


def roles_said(roles: Sequence[str]) -> Sequence[str]:
    """Texts of the catalogue; a role of one's own policies by its name."""
    return [ROLES.get(role, role) for role in roles]
