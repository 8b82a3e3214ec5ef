"""The files of cases and their evidence, as the records keep them. Who may do what is the desk's business."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from services.enricher import records
from services.enricher.rights.records import case_files, case_steps
from services.enricher.rights.sealing import PERSON, TEXTS, CaseSeal
from services.enricher.rights.states import CLOSED, Kind, NotNow, State, Step, check_move
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import WrongUse
from services.runtime.marks import N_

__all__ = ["NO_CASE", "CaseBook", "CaseFile", "Evidence", "NoSuchCase", "Opening"]

_ACCOUNT = "account"  # what the sealed account is bound to


NO_CASE = N_("There is no case {case} here; see voile rights list.")


class NoSuchCase(WrongUse):
    """There is none of that number here, or it is not one of the asker's tenants."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a case begins with. `digest` is the directory's of the account, `pseudonym` the audit log's."""

    case: str
    tenant: str
    account: str = field(repr=False)
    digest: bytes
    pseudonym: str
    kind: Kind
    lift: bool
    language: str
    origin: str
    opened_by: str
    due: date
    note: str = field(repr=False)
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One case as it stands. `due` in the installation's zone; `later`: what of it ends by itself, as JSON values."""

    case: str
    tenant: str
    pseudonym: str
    kind: Kind
    lift: bool
    language: str
    state: State
    origin: str
    opened: datetime
    opened_by: str
    due: date
    extended: bool
    identity_check: str
    approved_by: str
    refusal: str
    signalled: datetime | None
    closed: datetime | None
    later: Sequence[Mapping[str, Any]]
    request_id: str | None

    @property
    def is_closed(self) -> bool:
        return self.state in CLOSED


@dataclass(frozen=True, slots=True)
class Evidence:
    """One step that was taken. `note`: what was written down with it, empty when its key is gone."""

    number: int
    at: datetime
    actor: str
    step: str
    outcome: str
    facts: Mapping[str, Any]
    note: str = field(repr=False)


class _Taken(NamedTuple):
    """A step to be written down."""

    step: Step
    actor: str
    outcome: str
    facts: Mapping[str, Any]
    note: str


class CaseBook:
    """Every method is one transaction. Raises `Transient` when the records are away."""

    def __init__(self, engine: sa.Engine, seal: CaseSeal, clock: Clock) -> None:
        self._engine, self._seal, self._clock = engine, seal, clock

    def add(self, opening: Opening) -> CaseFile:
        """Raises `WrongUse` when the number, or the caller's request id, is taken."""
        row = _row_of(opening, _ms(self._clock.now()))
        row["sealed_account"] = self._seal.seal(opening.case, PERSON, _ACCOUNT, opening.account.encode())
        with transaction(self._engine) as connection:
            added = records.insert(connection, case_files).values(row).on_conflict_do_nothing()
            if connection.execute(added.returning(case_files.c.case)).first() is None:
                raise WrongUse("There is a case {case}, or one for this request already.", case=opening.case)
            taken = _Taken(Step.OPEN, opening.opened_by, opening.kind.value, {}, opening.note)
            self._append(connection, opening.case, taken)
        return self.get(opening.case)

    def get(self, case: str) -> CaseFile:
        """Raises `NoSuchCase`."""
        return self._one(case_files.c.case == case, case)

    def of_request(self, tenant: str, request_id: str) -> CaseFile:
        """Raises `NoSuchCase`."""
        return self._one((case_files.c.tenant == tenant) & (case_files.c.request_id == request_id))

    def listed(self, tenants: Collection[str] | None, *, closed: bool, limit: int) -> Sequence[CaseFile]:
        """The first due first, of these tenants (None: of all); closed ones, or those that are not."""
        states = [state.value for state in State if (state in CLOSED) == closed]
        query = sa.select(case_files).where(case_files.c.state.in_(states))
        if tenants is not None:
            query = query.where(case_files.c.tenant.in_(sorted(tenants)))
        order = (case_files.c.closed_ms.desc(),) if closed else (case_files.c.due, case_files.c.opened_ms)
        with transaction(self._engine) as connection:
            return [_file(row) for row in connection.execute(query.order_by(*order).limit(limit))]

    def count_open(self, tenants: Collection[str] | None) -> int:
        table = case_files
        query = sa.select(sa.func.count()).where(table.c.state.not_in([state.value for state in CLOSED]))
        if tenants is not None:
            query = query.where(table.c.tenant.in_(sorted(tenants)))
        with transaction(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def in_state(self, *states: State) -> Sequence[CaseFile]:
        query = sa.select(case_files).where(case_files.c.state.in_([state.value for state in states]))
        with transaction(self._engine) as connection:
            return [_file(row) for row in connection.execute(query.order_by(case_files.c.opened_ms))]

    def account(self, case: str) -> str | None:
        """In clear; None once it is no longer needed. Raises `NoSuchCase`, `Tampered`."""
        query = sa.select(case_files.c.sealed_account).where(case_files.c.case == case)
        with transaction(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise _none(case)
        opened = self._seal.open(case, PERSON, _ACCOUNT, row.sealed_account)
        return None if opened is None else opened.decode()

    def forget_account(self, case: str) -> None:
        """An erasure was carried out: the case itself must not name the person any longer, in no backup either."""
        with transaction(self._engine) as connection:
            update = sa.update(case_files).where(case_files.c.case == case).values(sealed_account=None)
            connection.execute(update)
        self._seal.destroy(case, PERSON)

    def move(
        self,
        case: str,
        to: State,
        step: Step,
        actor: str,
        *,
        note: str = "",
        facts: Mapping[str, Any] | None = None,
        allowed: Callable[[CaseFile], None] = lambda _: None,
        **changes: object,
    ) -> CaseFile:
        """From one state to the next, with its evidence. `allowed` is asked under the case's lock and raises.

        Raises `NotNow`, `NoSuchCase`."""
        with transaction(self._engine) as connection:
            now = self._locked(connection, case)
            check_move(case, now.state, to)
            allowed(now)
            if to in CLOSED:
                changes["closed_ms"] = _ms(self._clock.now())
            self._change(connection, case, state=to.value, **changes)
            self._append(connection, case, _Taken(step, actor, to.value, facts or {}, note))
        return self.get(case)

    def note(
        self,
        case: str,
        step: Step,
        actor: str,
        outcome: str,
        *,
        note: str = "",
        facts: Mapping[str, Any] | None = None,
        states: Collection[State] = frozenset(State),
        **changes: object,
    ) -> CaseFile:
        """Evidence without another state. Raises `NotNow` unless the case is in one of `states`."""
        with transaction(self._engine) as connection:
            now = self._locked(connection, case)
            if now.state not in states:
                raise NotNow("Case {case} has gone on meanwhile: this step is not possible now.", case=case)
            if changes:
                self._change(connection, case, **changes)
            self._append(connection, case, _Taken(step, actor, outcome, facts or {}, note))
        return self.get(case)

    def evidence(self, case: str) -> Sequence[Evidence]:
        query = sa.select(case_steps).where(case_steps.c.case == case).order_by(case_steps.c.number)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        return [self._evidence(row) for row in rows]

    def has(self, case: str, step: Step) -> bool:
        query = sa.select(case_steps.c.number).where(case_steps.c.case == case, case_steps.c.step == step.value)
        with transaction(self._engine) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _one(self, where: sa.ColumnElement[bool], case: str = "") -> CaseFile:
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(case_files).where(where)).one_or_none()
        if row is None:
            raise _none(case)
        return _file(row)

    def _locked(self, connection: sa.Connection, case: str) -> CaseFile:
        query = sa.select(case_files).where(case_files.c.case == case).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            raise _none(case)
        return _file(row)

    def _change(self, connection: sa.Connection, case: str, **changes: object) -> None:
        connection.execute(sa.update(case_files).where(case_files.c.case == case).values(**changes))

    def _append(self, connection: sa.Connection, case: str, taken: _Taken) -> None:
        """Under the case's lock, so that the numbers have no gap."""
        table = case_steps
        query = sa.select(sa.func.coalesce(sa.func.max(table.c.number), 0)).where(table.c.case == case)
        number = connection.execute(query).scalar_one() + 1
        sealed = self._seal.seal(case, TEXTS, f"step/{number}", taken.note.encode()) if taken.note else None
        row = {"case": case, "number": number, "at_ms": _ms(self._clock.now()), "actor": taken.actor}
        row |= {"step": taken.step.value, "outcome": taken.outcome, "sealed_note": sealed}
        connection.execute(sa.insert(table).values(row | {"facts": orjson.dumps(taken.facts).decode()}))

    def _evidence(self, row: Any) -> Evidence:
        note = self._seal.open(row.case, TEXTS, f"step/{row.number}", row.sealed_note)
        text = "" if note is None else note.decode()
        return Evidence(row.number, _time(row.at_ms), row.actor, row.step, row.outcome, orjson.loads(row.facts), text)


def _row_of(opening: Opening, now_ms: int) -> dict[str, object]:
    return {
        "case": opening.case,
        "tenant": opening.tenant,
        "account": opening.digest,
        "pseudonym": opening.pseudonym,
        "kind": opening.kind.value,
        "lift": opening.lift,
        "language": opening.language,
        "state": State.RECEIVED.value,
        "origin": opening.origin,
        "opened_ms": now_ms,
        "opened_by": opening.opened_by,
        "due": opening.due,
        "extended": False,
        "identity_check": "",
        "approved_by": "",
        "refusal": "",
        "later": "[]",
        "request_id": opening.request_id,
    }


def _file(row: Any) -> CaseFile:
    return CaseFile(
        case=row.case,
        tenant=row.tenant,
        pseudonym=row.pseudonym,
        kind=Kind(row.kind),
        lift=row.lift,
        language=row.language,
        state=State(row.state),
        origin=row.origin,
        opened=_time(row.opened_ms),
        opened_by=row.opened_by,
        due=row.due,
        extended=row.extended,
        identity_check=row.identity_check,
        approved_by=row.approved_by,
        refusal=row.refusal,
        signalled=_time(row.signalled_ms) if row.signalled_ms is not None else None,
        closed=_time(row.closed_ms) if row.closed_ms is not None else None,
        later=orjson.loads(row.later),
        request_id=row.request_id,
    )


def _none(case: str = "") -> NoSuchCase:
    return NoSuchCase(NO_CASE, case=case) if case else NoSuchCase("There is no such case.")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
