"""Accounts as tenants give them (CSV, PUT): checked, then written to `account.v1`, the one way into the directory."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice

from services.enricher.persons.directory import FIELDS, AccountChange, Profile
from services.enricher.persons.normalising import normalise
from services.runtime import avro
from services.runtime.clock import Clock
from services.runtime.errors import Poison, WrongUse
from services.runtime.log.interface import EventLog, Message, Record
from services.runtime.topics import TOPICS

__all__ = ["AccountBook", "Imported", "RowError", "UnusableFile", "change_of", "check_account", "read_csv"]

ACCOUNT_CHARACTERS_MAX = 200  # the key of a record, and a label on a page
FIELD_CHARACTERS_MAX = 1000  # a postal address is the longest
PHONE_DIGITS = range(3, 16)  # E.164 allows 15; internal numbers are short
SEND_ROWS = 1000  # messages per wait for durability
ERRORS_SHOWN_MAX = 100  # after that the file is wrong, not the rows
_COLUMNS = ("account", *FIELDS)
_TOPIC = TOPICS["account"].name


class RowError(StrEnum):
    """Why a row is not taken; never with its text."""

    MISSING_ACCOUNT = "missing_account"
    TOO_LONG = "too_long"
    CONTROL_CHARACTER = "control_character"
    INVALID_EMAIL = "invalid_email"
    INVALID_PHONE = "invalid_phone"
    INVALID_TIME = "invalid_time"
    COLUMN_COUNT = "column_count"
    INVALID_MERGE = "invalid_merge"


class UnusableFile(WrongUse):
    """The file as a whole cannot be read as accounts."""


@dataclass(frozen=True, slots=True)
class Imported:
    """lines = accepted + the sum of `rejected`; `errors` are (line number, reason), at most ERRORS_SHOWN_MAX."""

    lines: int
    accepted: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    errors: Sequence[tuple[int, str]] = ()


class AccountBook:
    """Writes accounts to the log; durable when a method returns, in the directory a moment later."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def put(self, tenant: str, profile: Profile, merged_into: str | None = None) -> RowError | None:
        """One account, as `PUT` gives it: None when it is durable. Raises `Transient`."""
        error = check_account(profile, merged_into)
        if error is None:
            self._send([AccountChange(tenant, profile.account, profile, self._clock.now(), merged_into)])
        return error

    def withdraw(self, tenant: str, account: str) -> None:
        """The tenant takes the account back: its profile is emptied; its linked activity keeps its term."""
        self._send([AccountChange(tenant, account, None, self._clock.now())])

    def import_csv(self, tenant: str, lines: Iterable[str]) -> Imported:
        """Takes every good row and says which are not. Raises `UnusableFile`, `Transient`."""
        rejected: Counter[str] = Counter()
        errors: list[tuple[int, str]] = []
        accepted = 0
        rows = read_csv(tenant, lines, self._clock.now())
        while part := list(islice(rows, SEND_ROWS)):
            changes = [outcome for _, outcome in part if isinstance(outcome, AccountChange)]
            wrong = [(line, outcome.value) for line, outcome in part if isinstance(outcome, RowError)]
            rejected.update(reason for _, reason in wrong)
            errors += wrong[: ERRORS_SHOWN_MAX - len(errors)]
            self._send(changes)
            accepted += len(changes)
        return Imported(accepted + rejected.total(), accepted, dict(rejected), errors)

    def _send(self, changes: Sequence[AccountChange]) -> None:
        if changes:
            self._log.send([_message(change) for change in changes])


def read_csv(tenant: str, lines: Iterable[str], now: datetime) -> Iterator[tuple[int, AccountChange | RowError]]:
    """(line number, the account or why not). The first line names the columns: `account`, and any of `name`,
    `email`, `postal_address`, `phone`, `updated_at` (ISO 8601 with its zone; default `now`), `merged_into`. Comma or
    semicolon."""
    source = iter(lines)
    header_line = next(source, "").removeprefix("\ufeff")
    delimiter = ";" if header_line.count(";") > header_line.count(",") else ","
    (header, *_) = [*csv.reader([header_line], delimiter=delimiter), []]
    header = [name.strip().lower() for name in header]
    _check_header(header)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num + 1, _row(tenant, header, row, now)
    except csv.Error as error:
        raise UnusableFile(f"Line {reader.line_num + 1} is no CSV; look for a quote that is not closed.") from error


def check_account(profile: Profile, merged_into: str | None = None) -> RowError | None:
    """The first thing wrong with an account, or None."""
    values = [profile.account, merged_into or "", *(getattr(profile, name) or "" for name in FIELDS)]
    names = values[:2]
    if not profile.account.strip():
        return RowError.MISSING_ACCOUNT
    if merged_into is not None and _is_same(merged_into, profile.account):
        return RowError.INVALID_MERGE
    return _check_texts(values, names) or _check_reach(profile)


def _check_texts(values: Sequence[str], names: Sequence[str]) -> RowError | None:
    if any(len(n) > ACCOUNT_CHARACTERS_MAX for n in names) or any(len(v) > FIELD_CHARACTERS_MAX for v in values):
        return RowError.TOO_LONG
    if any(not ch.isprintable() and ch != "\n" for value in values for ch in value) or any("\n" in n for n in names):
        return RowError.CONTROL_CHARACTER
    return None


def _is_same(merged_into: str, account: str) -> bool:
    return normalise("account", merged_into) in {"", normalise("account", account)}


def _check_reach(profile: Profile) -> RowError | None:
    if profile.email and not _is_email(profile.email):
        return RowError.INVALID_EMAIL
    if profile.phone and sum(ch.isdigit() for ch in profile.phone) not in PHONE_DIGITS:
        return RowError.INVALID_PHONE
    return None


def change_of(record: Record) -> AccountChange:
    """What a record of `account.v1` says. Raises `Poison("undecodable_record" | "invalid_account")`.

    A tombstone carries no time of its own; the log's stands for it.
    """
    appended = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    if record.value is None:
        tenant, _, account = record.key.decode("utf-8", "replace").partition("/")
        return AccountChange(tenant, account, None, appended)
    row = avro.decode_record(record.value, "account")
    if not row["tenant"] or not row["account"] or row["updated_at"] is None:
        raise Poison("invalid_account")
    profile = Profile(row["account"], *(row[name] for name in FIELDS))
    if check_account(profile, row["merged_into"]) is not None:
        raise Poison("invalid_account")
    # A tenant's clock that runs ahead must not outlive an erasure, nor win over what comes later.
    at = min(row["updated_at"], appended)
    return AccountChange(row["tenant"], row["account"], profile, at, row["merged_into"])


def _row(tenant: str, header: Sequence[str], row: Sequence[str], now: datetime) -> AccountChange | RowError:
    if len(row) != len(header):
        return RowError.COLUMN_COUNT
    values = {name: text.strip() or None for name, text in zip(header, row, strict=True)}
    at = _time(values.get("updated_at"), now)
    if at is None:
        return RowError.INVALID_TIME
    profile = Profile(values["account"] or "", *(values.get(name) for name in FIELDS))
    merged_into = values.get("merged_into")
    return check_account(profile, merged_into) or AccountChange(tenant, profile.account, profile, at, merged_into)


def _check_header(header: Sequence[str]) -> None:
    known = {*_COLUMNS, "updated_at", "merged_into"}
    if "account" not in header or set(header) - known or len(set(header)) != len(header):
        raise UnusableFile(
            "The first line names the columns: account, and any of name, email, postal_address, phone, updated_at, "
            "merged_into."
        )


def _time(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return now
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _is_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(local and at and domain) and not any(ch.isspace() for ch in text)


def _message(change: AccountChange) -> Message:
    key = f"{change.tenant}/{change.account}".encode()
    if change.profile is None:
        return Message(_TOPIC, key, None)
    fields = {name: getattr(change.profile, name) for name in FIELDS}
    row = {"tenant": change.tenant, "account": change.account, **fields}
    row |= {"updated_at": change.at, "merged_into": change.merged_into}
    return Message(_TOPIC, key, avro.encode_record(row, "account"))
