"""The gate: nobody sees anything of a person but through here.

Every look takes the same three steps: decide and record (`deciding`), and only then read.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.enricher.access.deciding import (
    DAYS,
    MINUTES,
    NO_GRANT,
    NO_GRANT_ADVICE,
    Ask,
    Decider,
    Nobody,
    Refused,
    Surroundings,
)
from services.enricher.access.decisions import Action, Actor, Request
from services.enricher.access.grant_book import Grant, GrantBook
from services.enricher.access.notes import NOTES_SHOWN, Note, Notes
from services.enricher.access.request_book import TERM, AccessRequest, RequestBook
from services.enricher.activity.blocks import Activity
from services.enricher.activity.timeline import (
    PERSON_FIELDS,
    VISIT_FIELDS,
    Cell,
    Revealed,
    Visit,
    profile_cells,
    visits,
)
from services.enricher.activity.timeline import masked_name as _masked_name
from services.enricher.activity.troubles import Trouble, troubles
from services.enricher.persons.directory import LOOK_UPS, Directory, Profile
from services.runtime.errors import VoileError
from services.runtime.logs import get_logger
from services.runtime.marks import N_

__all__ = ["DAYS_SHOWN", "MINUTES", "Ask", "Gate", "Nobody", "Refused", "Surroundings", "View", "Waits", "new_grant"]

DAYS_SHOWN = DAYS
BREAK_GLASS_MINUTES = 15  # what the policies allow at most
UNREVIEWED_MAX = 5  # of one person: an emergency concerns few; without an end it would be a way around every rule
ROWS_SHOWN = 2000  # of one page: more than anybody reads, little enough to render in a second
HELD_SINCE = timedelta(days=1)  # how long a grant stays in its holder's list
ID_BYTES = 16
_CHANGED = N_("This grant was changed in the records; tell the operator, and the data protection officer.")
_REVIEWS_FIRST = N_(
    "You broke the glass five times and nobody has reviewed it; the data protection officer does so first."
)


class Waits(VoileError):
    """The request was taken in, and waits for somebody else to approve it."""

    def __init__(self, request: AccessRequest) -> None:
        super().__init__("Your request waits for an approval; take it up under My grants when somebody gave it.")
        self.request = request


@dataclass(frozen=True, slots=True, repr=False)
class View:
    """What may be shown of `since` to `until`: masked, but for `revealed`. `complete` is False when older accesses
    were left out. `troubles` are this person's failed and slow pages. `isolated`: what was kept apart at the end of its
    term, and never together with the rest."""

    grant: Grant
    name_hint: str
    profile: Mapping[str, Cell]
    visits: Sequence[Visit]
    days: int
    complete: bool
    since: datetime
    until: datetime
    troubles: Sequence[Trouble] = ()
    notes: Sequence[Note] = ()
    revealed: Collection[Revealed] = ()
    isolated: bool = False


class Gate:
    def __init__(
        self,
        *,
        decider: Decider,
        book: GrantBook,
        requests: RequestBook,
        directory: Directory,
        activity: Activity,
        notes: Notes,
    ) -> None:
        self._decider, self._book, self._requests = decider, book, requests
        self._directory, self._activity, self._notes = directory, activity, notes
        self._clock = decider.clock

    def ask(self, actor: Actor, ask: Ask) -> Grant:
        """A grant to one person's data. Raises `Refused`, `Nobody`, `Waits`, `Transient`."""
        request, account = self._asked(actor, Action.ASK_ACCESS, ask)
        new_id = secrets.token_hex(ID_BYTES)
        waits, entry = self._decider.queued(request, grant=new_id)
        subject = self._subject(ask.tenant, account)
        if waits:
            raise Waits(self._queue(new_id, subject, request, ask, entry))
        grant = new_grant(new_id, subject, request, ask.until, entry)
        self._book.add(grant)
        return grant

    def break_glass(self, actor: Actor, ask: Ask) -> Grant:
        """A grant at once, without an approval, to be reviewed afterwards. Raises `Refused`, `Nobody`, `Transient`."""
        request, account = self._asked(actor, Action.BREAK_GLASS, ask)
        if self._book.unreviewed_of(actor.name) >= UNREVIEWED_MAX:
            raise self._decider.refusal(request, "reviews-come-first", _REVIEWS_FIRST)
        new_id = secrets.token_hex(ID_BYTES)
        entry = self._decider.audited(request, grant=new_id)
        grant = new_grant(new_id, self._subject(ask.tenant, account), request, ask.until, entry)
        broken = replace(grant, break_glass=True)
        self._book.add(broken)
        get_logger().warning("glass broken", tenant=ask.tenant, code=ask.purpose)
        return broken

    def again(self, actor: Actor, grant_id: str, reason: str, minutes: int = MINUTES) -> Grant:
        """A new grant to the same person for the same ticket, as a running one ends. Raises as `ask` does."""
        grant, request = self._under_grant(actor, Action.VIEW_ACTIVITY, grant_id)
        self._decider.audited(request, grant=grant.id, fields=("account",))
        days = max((request.now - grant.since).days, 1)
        account = self._profile(grant).account
        return self.ask(
            actor, Ask(grant.tenant, account, grant.purpose, grant.ticket, reason, minutes=minutes, days=days)
        )

    def view(self, actor: Actor, grant_id: str, days: int = DAYS_SHOWN, *, isolated: bool = False) -> View:
        """The person's last `days` of activity within the grant's window, masked. What is `isolated` is asked for as
        restricted data is: the policies leave it to the data protection officer.

        Raises `Refused`, `Nobody`, `Transient`."""
        grant, request = self._under_grant(actor, Action.VIEW_ACTIVITY, grant_id, isolated)
        self._decider.audited(request, grant=grant.id, fields=("isolated" if isolated else "activity",))
        return self._read(grant, days, (), isolated)

    def reveal(
        self,
        actor: Actor,
        grant_id: str,
        what: Collection[Revealed],
        reason: str,
        days: int = DAYS_SHOWN,
        *,
        isolated: bool = False,
    ) -> View:
        """The same view with these fields in clear, this once. Raises as `view` does."""
        if not all(one.exists for one in what):
            raise Nobody(f"There is no such field to reveal; there are: {', '.join((*PERSON_FIELDS, *VISIT_FIELDS))}.")
        grant, request = self._under_grant(actor, Action.REVEAL_FIELD, grant_id, isolated)
        fields = (*sorted({one.field for one in what}), *(["isolated"] if isolated else []))
        self._decider.audited(replace(request, reason=reason), grant=grant.id, fields=fields)
        return self._read(grant, days, what, isolated)

    def write_note(self, actor: Actor, grant_id: str, text: str) -> None:
        """Keep `text` with the ticket, sealed under the person's key. Raises as `view` does."""
        if not text.strip():
            raise Nobody("The note is empty; nothing was written.")
        grant, request = self._under_grant(actor, Action.WRITE_NOTE, grant_id)
        self._decider.audited(request, grant=grant.id, fields=("note",))
        if not self._notes.write(grant, text.strip(), request.now):
            raise Nobody("This person's data is gone: it was erased, or its term is over.")

    def end(self, actor: Actor, grant_id: str) -> None:
        """Give a grant back. Raises `Refused`, `Transient`."""
        grant, request = self._under_grant(actor, Action.END_ACCESS, grant_id)
        self._decider.audited(request, grant=grant.id)
        self._book.end(grant.id, request.now, actor.name)

    def runs(self, actor: Actor, grant_id: str) -> bool:
        """Whether the actor's page may stay open: as long as it would be shown again. Shows nothing of the person, so
        nothing is recorded."""
        grant = self._book.get(grant_id)
        if grant is None or (profile := self._directory.profile(grant.subject)) is None:
            return False
        request = self._question(actor, Action.VIEW_ACTIVITY, grant, profile)
        return self._decider.policies.decide(request).allowed

    def held(self, actor: Actor) -> Sequence[Grant]:
        return self._book.held_by(actor.name, self._clock.now() - HELD_SINCE)

    def permit(
        self, actor: Actor, action: Action, ask: Ask, *, requester: str = "", approver: str = "", kind: str = ""
    ) -> None:
        """For what is done to one person elsewhere (rights, holds): decided and recorded here, before it is done.

        `requester` opened the case of `kind` that this is about, `approver` agreed to it. Raises `Refused` (whose
        decision says whether an approval is all that is missing), `Transient`.
        """
        request = self._decider.request(actor, action, ask)
        self._decider.refuse_unknown_tenant(request)
        facts = replace(request, requester=requester, approver=approver, kind=kind)
        self._decider.audited(replace(facts, subject=self._decider.subject(ask)))

    def permit_known(
        self,
        actor: Actor,
        action: Action,
        tenant: str,
        pseudonym: str,
        reason: str,
        *,
        ticket: str = "",
        requester: str = "",
        approver: str = "",
        kind: str = "",
    ) -> None:
        """As `permit`, for a person of whom no more than the log's pseudonym is known: their case or their hold."""
        request = self._decider.request(actor, action, Ask(tenant, "", "rights", ticket, reason))
        facts = replace(request, subject=pseudonym, requester=requester, approver=approver, kind=kind)
        self._decider.audited(facts)

    def permit_tenant(self, actor: Actor, action: Action, tenant: str = "", reason: str = "") -> None:
        """For what is seen or changed of one tenant, or, without one, of all that are the actor's own (show them no
        other): decided and recorded here. A tenant that is to be made may be unknown. Raises as `permit` does."""
        self._decider.audited(Request(actor, action, self._clock.now(), tenant=tenant, reason=reason))

    def _asked(self, actor: Actor, action: Action, ask: Ask) -> tuple[Request, str]:
        """The question about the one person that `ask` means, and their account."""
        if ask.by not in LOOK_UPS:
            raise Nobody("A person is found by account, email or phone.")
        request = self._decider.request(actor, action, ask)
        self._decider.refuse_unknown_tenant(request)
        account = ask.value if ask.by == "account" else self._found_account(request, ask)
        about = replace(ask, by="account", value=account)
        restricted = self._decider.world.is_restricted(ask.tenant, account)
        return replace(request, subject=self._decider.subject(about), restricted=restricted), account

    def _found_account(self, request: Request, ask: Ask) -> str:
        """Searching for a person is a look as well. Raises `Nobody` unless exactly one answers."""
        search = request if request.action is Action.BREAK_GLASS else replace(request, action=Action.FIND_PERSON)
        about = self._decider.subject(ask)
        self._decider.audited(replace(search, subject=about), fields=(ask.by,))
        self._refuse_hopeless(replace(request, subject=about))
        subjects = self._directory.find(ask.tenant, ask.by, ask.value)
        if len(subjects) > 1:
            raise Nobody("Several persons share this; ask by account.")
        profile = self._directory.profile(subjects[0]) if subjects else None
        if profile is None:
            raise Nobody("Nobody in this tenant has this e-mail or phone number; check its spelling.")
        return profile.account

    def _refuse_hopeless(self, request: Request) -> None:
        """What is refused whoever it is about is refused before anybody is looked for: the answer must not tell whether
        there is such a person."""
        decision = self._decider.policies.decide(request)
        if not (decision.allowed or decision.needs_approval):
            self._decider.audited(request)

    def _subject(self, tenant: str, account: str) -> str:
        subjects = self._directory.find(tenant, "account", account)
        if not subjects:
            raise Nobody("There is no such account in this tenant; check its spelling, and by what it is looked for.")
        return subjects[0]

    def _queue(self, new_id: str, subject: str, request: Request, ask: Ask, entry: int) -> AccessRequest:
        waiting = AccessRequest(
            id=new_id,
            actor=request.actor.name,
            tenant=request.tenant,
            subject=subject,
            pseudonym=request.subject,
            purpose=request.purpose,
            ticket=request.ticket,
            minutes=request.minutes,
            days=request.days,
            until=ask.until,
            asked=request.now,
            expires=request.now + TERM,
            asked_entry=entry,
        )
        self._requests.add(waiting)
        return waiting

    def _under_grant(
        self, actor: Actor, action: Action, grant_id: str, isolated: bool = False
    ) -> tuple[Grant, Request]:
        grant = self._book.get(grant_id)
        if grant is None:
            unknown = Request(actor, action, self._clock.now())
            raise self._decider.refusal(unknown, NO_GRANT, NO_GRANT_ADVICE)
        profile = self._directory.profile(grant.subject)
        request = self._question(actor, action, grant, profile)
        if profile is not None and not self._is_of(grant, profile):
            get_logger().error("grant changed in the records", tenant=grant.tenant)
            raise self._decider.refusal(request, "grant-changed", _CHANGED)
        return grant, replace(request, restricted=isolated or request.restricted)

    def _is_of(self, grant: Grant, profile: Profile) -> bool:
        """Whether what would be shown is the person whom the audit log names: somebody who can write to the records
        could point a grant at another. The pseudonym may be of any of the person's accounts."""
        subject, tenant = self._decider.audit.subject, grant.tenant
        if grant.pseudonym == subject(tenant, profile.account):
            return True
        return grant.pseudonym in {
            subject(tenant, other) for other in self._directory.accounts_of(tenant, profile.account)
        }

    def _question(self, actor: Actor, action: Action, grant: Grant, profile: Profile | None) -> Request:
        """A restriction may come while a grant runs: the profile is opened for its account id, and nothing of it is
        shown. None: the person is gone."""
        return Request(
            actor,
            action,
            self._clock.now(),
            tenant=grant.tenant,
            subject=grant.pseudonym,
            restricted=profile is not None and self._decider.world.is_restricted(grant.tenant, profile.account),
            purpose=grant.purpose,
            ticket=grant.ticket,
            grant=grant.facts(),
        )

    def _profile(self, grant: Grant) -> Profile:
        profile = self._directory.profile(grant.subject)
        if profile is None:
            raise Nobody("This person's data is gone: it was erased, or its term is over.")
        return profile

    def _read(self, grant: Grant, days: int, revealed: Collection[Revealed], isolated: bool) -> View:
        profile = self._profile(grant)
        until = min(grant.until or self._clock.now(), self._clock.now())
        since = max(until - timedelta(days=max(days, 1)), grant.since)
        read = self._activity.read_isolated if isolated else self._activity.read
        frame = read(grant.subject, since, until, ROWS_SHOWN + 1)
        shown = frame.head(ROWS_SHOWN)
        return View(
            grant=grant,
            name_hint=_masked_name(profile.name),
            profile=profile_cells(profile, revealed),
            visits=visits(shown, revealed),
            days=days,
            complete=frame.height <= ROWS_SHOWN,
            since=since,
            until=until,
            troubles=troubles(shown),
            notes=self._notes.of(grant.subject, NOTES_SHOWN),
            revealed=revealed,
            isolated=isolated,
        )


def new_grant(grant_id: str, subject: str, request: Request, until: datetime | None, entry: int) -> Grant:
    """What an allowed request gives, from its moment on. `subject` is the directory's, `entry` of the audit log."""
    return Grant(
        id=grant_id,
        actor=request.actor.name,
        tenant=request.tenant,
        subject=subject,
        pseudonym=request.subject,
        purpose=request.purpose,
        ticket=request.ticket,
        starts=request.now,
        ends=request.now + timedelta(minutes=request.minutes),
        since=(until or request.now) - timedelta(days=request.days),
        until=until,
        approver=request.approver,
        entry=entry,
    )
