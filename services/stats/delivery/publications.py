"""Publishing a version to partners, and withdrawing it. A published file is in the records, so that every server of the
pages gives the same bytes, a backup has them, and nothing that happens to a folder reaches a partner (ADR 0245)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from minisign import PublicKey

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import Fatal, WrongUse
from services.stats.delivery.acts import Act, note
from services.stats.delivery.records import files, publications
from services.stats.delivery.webhooks import Event, announce
from services.stats.records import metadata
from services.stats.releases import checksums, package
from services.stats.releases.verify import verify

__all__ = ["PACKAGE_BYTES_MAX", "REASON_MAX", "File", "Publications", "Version", "media_type"]

PACKAGE_BYTES_MAX = 256 * 1024 * 1024  # a year of the platform is a hundredth of it
REASON_MAX = 500  # characters
_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".md": "text/markdown; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}
_releases = metadata.tables["releases"]  # the ledger's, of `package`
_OTHER_TYPE = "text/plain; charset=utf-8"  # SHA256SUMS and its signature


@dataclass(frozen=True, slots=True)
class File:
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Version:
    """A published version. `tenant` empty: the platform's sums. Withdrawn, it is only listed."""

    name: str
    version: str
    tenant: str
    first_day: date
    last_day: date
    days: int
    created: str
    published: datetime
    withdrawn: datetime | None
    reason: str


class Publications:
    """Every method is one transaction; raises `Transient`."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def publish(self, name: str, version: str, folder: Path, key: PublicKey, who: str) -> Version:
        """Offers the package in `folder` to the partners that may have it; again, it changes nothing.

        Raises `Fatal` when it is not what was signed, not the ledger's version of that name, or was withdrawn.
        """
        if problems := verify(folder, key):
            raise Fatal(f"{folder} is not published: {' '.join(problems)}")
        content = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        _refuse_changed(folder, content)
        if sum(map(len, content.values())) > PACKAGE_BYTES_MAX:
            raise Fatal(f"{folder} is larger than {PACKAGE_BYTES_MAX} bytes; build a shorter period.")
        with transaction(self._engine) as connection:
            release = _of_ledger(connection, name, version, content[checksums.NAME])
            if not _is_published(connection, name, version):
                self._insert(connection, release, content)
                note(connection, self._clock.now(), who, Act.PUBLISH, f"{name} {version}")
                announce(connection, Event.PUBLISHED, name, version, self._clock.now())
            return _versions(connection, _is(name, version))[0]

    def withdraw(self, name: str, version: str, reason: str, who: str) -> package.Release:
        """Of any version, also one that was never published. Raises `Fatal` as `package.withdraw`, `WrongUse` on a
        reason that says nothing."""
        now, reason = self._clock.now(), reason.strip()
        if not reason or not reason.isprintable() or len(reason) > REASON_MAX:
            raise WrongUse(f"Say why, in one line of at most {REASON_MAX} characters: partners read it.")
        with transaction(self._engine) as connection:
            release = package.withdraw_in(connection, name, version, reason, now)
            note(connection, now, who, Act.WITHDRAW, f"{name} {version}", reason=reason)
            if _is_published(connection, name, version):
                announce(connection, Event.WITHDRAWN, name, version, now)
            return release

    def listed(self, names: Collection[str] | None = None) -> Sequence[Version]:
        """The versions of `names`, or all: by name, the newest first."""
        chosen = sa.true() if names is None else publications.c.name.in_(list(names))
        with transaction(self._engine) as connection:
            return _versions(connection, chosen)

    def get(self, name: str, version: str) -> Version | None:
        with transaction(self._engine) as connection:
            found = _versions(connection, _is(name, version))
        return found[0] if found else None

    def files(self, name: str, version: str) -> Sequence[File]:
        query = sa.select(files.c.file, files.c.bytes, files.c.sha256).order_by(files.c.file)
        with transaction(self._engine) as connection:
            rows = connection.execute(query.where(files.c.name == name, files.c.version == version)).all()
        return [File(row.file, row.bytes, row.sha256) for row in rows]

    def content(self, name: str, version: str, file: str) -> bytes:
        """Of a file that `files` listed."""
        this = (files.c.name == name, files.c.version == version, files.c.file == file)
        with transaction(self._engine) as connection:
            found: bytes = connection.execute(sa.select(files.c.content).where(*this)).scalar_one()
        return found

    def _insert(self, connection: sa.Connection, release: package.Release, content: Mapping[str, bytes]) -> None:
        name, version = release.name, release.version
        row = {"tenant": release.tenant, "published": int(self._clock.now().timestamp())}
        connection.execute(sa.insert(publications).values(name=name, version=version, **row))
        rows = [
            {
                **{"name": name, "version": version, "file": file, "content": data},
                **{"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
            }
            for file, data in content.items()
        ]
        connection.execute(sa.insert(files), rows)


def media_type(file: str) -> str:
    return _TYPES.get(Path(file).suffix, _OTHER_TYPE)


def _is(name: str, version: str) -> sa.ColumnElement[bool]:
    return (publications.c.name == name) & (publications.c.version == version)


def _of_ledger(connection: sa.Connection, name: str, version: str, listing: bytes) -> package.Release:
    """The ledger's row that `listing` (SHA256SUMS) belongs to."""
    release = package.find(connection, name, version)
    if release is None:
        raise Fatal(f"There is no {name} {version}; voile release list shows what was built here.")
    if release.checksums != hashlib.sha256(listing).hexdigest():
        raise Fatal(f"The folder holds another release than {name} {version}; build it again, or name its own folder.")
    if release.withdrawn_at is not None:
        raise Fatal(f"{name} {version} was withdrawn: {release.withdrawn_reason}. It cannot be published any more.")
    return release


def _refuse_changed(folder: Path, content: Mapping[str, bytes]) -> None:
    """What was read is what `SHA256SUMS` lists: the folder may have changed since it was verified."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    listed = checksums.parse(content.get(checksums.NAME, b"")) or {}
    if {name: sums[name] for name in sums.keys() - {checksums.NAME, checksums.SIGNATURE}} != listed:
        raise Fatal(f"{folder} changed while it was read; nothing was published. Verify it and publish again.")


def _is_published(connection: sa.Connection, name: str, version: str) -> bool:
    return connection.execute(sa.select(publications.c.name).where(_is(name, version))).first() is not None


def _versions(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> Sequence[Version]:
    of = (_releases.c.name == publications.c.name) & (_releases.c.version == publications.c.version)
    query = sa.select(_releases, publications.c.published).join(publications, of).where(chosen)
    newest = (publications.c.name, publications.c.published.desc(), publications.c.version.desc())
    return [_version(row) for row in connection.execute(query.order_by(*newest))]


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        name=row.name,
        version=row.version,
        tenant=row.tenant,
        first_day=row.first_day,
        last_day=row.last_day,
        days=row.days,
        created=row.created,
        published=datetime.fromtimestamp(row.published, UTC),
        withdrawn=datetime.fromisoformat(row.withdrawn_at) if row.withdrawn_at else None,
        reason=row.withdrawn_reason or "",
    )
