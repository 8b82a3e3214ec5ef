"""Who asks for a partner: a key in the header, or a member who is signed in; and whether the terms were accepted."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from fastapi import Depends, Request, params
from fastapi.security import APIKeyCookie, HTTPBasic, HTTPBearer

from services.runtime.web.languages import N_
from services.runtime.web.problems import Problem, wants_page
from services.runtime.web.quota import Quota
from services.runtime.web.signin import SignInNeeded, session_of
from services.stats.delivery.downloads import Downloads
from services.stats.delivery.partners import Asker, Partners
from services.stats.delivery.publications import Publications
from services.stats.delivery.terms import TermsBook
from services.stats.queries.api import take_from

__all__ = ["REQUESTS_PER_HOUR", "Delivery", "asking", "member", "require_terms"]

REQUESTS_PER_HOUR = 3600  # a package has a dozen files; who takes them in pieces has many more requests

# For the OpenAPI document; `_asker` does the checking. One is enough.
_KEY = HTTPBearer(scheme_name="PartnerKey", description="From: voile partner add-key", auto_error=False)
_BASIC = HTTPBasic(scheme_name="PartnerKeyAsPassword", description="Any name, the key as password.", auto_error=False)
_SESSION = APIKeyCookie(
    name="__Host-voile_stats", scheme_name="Session", description="Of a partner's signed-in member.", auto_error=False
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the routes for partners need."""

    partners: Partners
    terms: TermsBook
    publications: Publications
    downloads: Downloads
    quota: Quota


def asking(delivery: Delivery) -> list[params.Depends]:
    """Dependencies of a route: `request.state.asker` is then who asks, `request.state.rate_headers` what is said of the
    quota. Refuses who is no partner, and who asks too often."""

    def put_asker(request: Request) -> None:
        asker = _asker(request, delivery.partners)
        request.state.asker = asker
        request.state.rate_headers = take_from(delivery.quota, f"key {asker.key}" if asker.key else asker.person)

    return [Depends(_KEY), Depends(_BASIC), Depends(_SESSION), Depends(put_asker)]


def member(request: Request, partners: Partners) -> Asker:
    """The partner's member who is signed in. Raises 401 or 403."""
    session = session_of(request)
    if session is None:
        raise SignInNeeded
    asker = partners.of_person(session.user)
    if asker is None:
        raise Problem(
            403, "This is for partners", "Your account belongs to no partner; the operator can add a member to one."
        )
    return asker


def require_terms(delivery: Delivery, asker: Asker) -> None:
    """Raises a 403 that says who can accept them, and where."""
    if delivery.terms.accepted(asker.partner) is not None:
        return
    if delivery.terms.current() is None:
        raise Problem(
            403,
            "There are no terms yet",
            "Nothing can be downloaded before the operator has set them; ask the operator.",
        )
    raise Problem(
        403,
        "The terms have not been accepted",
        "A member of your company has to sign in and accept them first, on the page /partner.",
        accept="/partner",
    )


def _asker(request: Request, partners: Partners) -> Asker:
    key = _key_of(request.headers.get("authorization", ""))
    if key is None:
        if session_of(request) is None and not wants_page(request):
            raise _refused(N_("There is no key in the request"), N_("Send one: Authorization: Bearer voile_par_..."))
        return member(request, partners)
    asker = partners.of_key(key)
    if asker is None:
        raise _refused(
            N_("The key is not good"), N_("It is mistyped, revoked or over; ask the operator for another one.")
        )
    return asker


def _refused(title: str, detail: str) -> Problem:
    return Problem(401, title, detail, headers={"www-authenticate": 'Bearer, Basic realm="Voile releases"'})


def _key_of(header: str) -> str | None:
    """None: no key was sent. Basic is for feed readers and the like, which cannot send Bearer."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(text.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
