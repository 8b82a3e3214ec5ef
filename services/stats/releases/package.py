"""Builds the package of a period: sums of stored noisy days, documents, checksums, signature.

Everything comes from the ledger, so building a release again gives the same bytes; a version is frozen
by the digest of its checksums, and other contents become the next version.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from services.runtime.database import has_rows, transaction
from services.runtime.errors import Fatal
from services.runtime.keys import KeyService
from services.runtime.minisign import RELEASE_KEY, existing_public_key, sign
from services.stats.records import metadata
from services.stats.releases import checksums
from services.stats.releases.catalogues import fixed_names
from services.stats.releases.contents import PLATFORM, Contents, read_contents
from services.stats.releases.descriptors import datapackage, dcat
from services.stats.releases.documents import datasheet, privacy
from services.stats.releases.egress import check_egress
from services.stats.releases.period import Period
from services.stats.releases.split import Split, declared_split
from services.stats.releases.tables import frame_of, tables_of
from services.stats.releases.verify import verify

__all__ = ["Release", "build", "find", "releases", "withdraw", "withdraw_in"]

_releases = sa.Table(
    "releases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("content", sa.String, nullable=False),
    sa.Column("checksums", sa.String, nullable=False),  # SHA-256 of the SHA256SUMS file
    sa.Column("withdrawn_at", sa.String),  # UTC, ISO 8601
    sa.Column("withdrawn_reason", sa.String),
)
_BY_AGE = (_releases.c.name, _releases.c.created, sa.func.length(_releases.c.version), _releases.c.version)


@dataclass(frozen=True)
class Release:
    """One frozen version. `tenant`: empty for the platform's sums. `days` are those that are in it."""

    name: str
    version: str
    tenant: str
    first_day: date
    last_day: date
    days: int
    created: str
    content: str
    checksums: str
    withdrawn_at: str | None = None
    withdrawn_reason: str | None = None


def build(records: sa.Engine, keys: KeyService, tenant: str, period: Period, folder: Path) -> tuple[Release, Path]:
    """The release of the tenant's (or `PLATFORM`) period and its folder, `folder`/NAME/VERSION; built again, it is the
    same.

    Raises `Fatal` when no day was drawn, when it was withdrawn, when the folder holds something else, when the key of
    earlier releases is gone, or when this version of Voile would write other bytes than those that were signed and the
    folder does not hold these.
    """
    _refuse_lost_key(records, keys)
    try:
        release, files = _frozen_with_files(records, tenant, period)
    except sa.exc.IntegrityError:  # another process took the version's number meanwhile
        release, files = _frozen_with_files(records, tenant, period)
    if release.withdrawn_at is not None:
        raise Fatal(
            f"{release.name} {release.version} was withdrawn: {release.withdrawn_reason}. "
            "A release is never corrected; build another period."
        )
    target = folder / release.name / release.version
    if release.checksums != hashlib.sha256(files[checksums.NAME]).hexdigest():
        if _is_kept(target, release, keys):
            return release, target
        raise Fatal(
            f"This version of Voile would write other bytes than the signed {release.name} {release.version}; "
            "restore its folder from a copy instead."
        )
    comment = f"voile release {release.name} {release.version} {release.created}"
    files[checksums.SIGNATURE] = sign(keys, RELEASE_KEY, files[checksums.NAME], comment, what="release")
    return release, _write(files, target)


def releases(records: sa.Engine) -> Sequence[Release]:
    """Every frozen version, by name and age."""
    with transaction(records) as connection:
        rows = connection.execute(sa.select(_releases).order_by(*_BY_AGE))
        return [Release(**row._mapping) for row in rows]


def withdraw(records: sa.Engine, name: str, version: str, reason: str, now: datetime) -> Release:
    """Marks a version as one that nobody should use any more. Raises `Fatal` when there is no such version, or when it
    was withdrawn before."""
    with transaction(records) as connection:
        return withdraw_in(connection, name, version, reason, now)


def withdraw_in(connection: sa.Connection, name: str, version: str, reason: str, now: datetime) -> Release:
    """`withdraw`, inside the caller's transaction."""
    this = (_releases.c.name == name) & (_releases.c.version == version)
    changed = connection.execute(
        sa.update(_releases)
        .where(this & _releases.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now.isoformat(timespec="seconds"), withdrawn_reason=reason)
    )
    if changed.rowcount != 1:
        if found := find(connection, name, version):
            raise Fatal(f"{name} {version} was withdrawn before, at {found.withdrawn_at}: {found.withdrawn_reason}.")
        raise Fatal(f"There is no {name} {version} to withdraw; voile release list shows what there is.")
    return Release(**connection.execute(sa.select(_releases).where(this)).one()._mapping)


def find(connection: sa.Connection, name: str, version: str) -> Release | None:
    row = connection.execute(
        sa.select(_releases).where((_releases.c.name == name) & (_releases.c.version == version))
    ).first()
    return Release(**row._mapping) if row else None


def _refuse_lost_key(records: sa.Engine, keys: KeyService) -> None:
    """A new key is made for the first release alone: another one, unseen, would make partners distrust the next."""
    if keys.get(RELEASE_KEY) is None and has_rows(records, sa.select(_releases.c.name)):
        raise Fatal(
            "The key that signed earlier releases is not in the key folder; put it back from its copy. If there is "
            "none, voile release public-key makes a new one: give it to every partner before you build."
        )
    keys.get_or_create(RELEASE_KEY)


def _frozen_with_files(records: sa.Engine, tenant: str, period: Period) -> tuple[Release, dict[str, bytes]]:
    """The ledger's row of these contents, made when it is missing, and the files as this version writes them."""
    with transaction(records) as connection:
        contents = read_contents(connection, tenant, period, declared_split())
        frozen = _frozen(connection, contents)
        name = "platform" if tenant == PLATFORM else f"{tenant}-use"
        version = frozen.version if frozen else _next_version(connection, contents)
        files = _assemble(name, version, contents, declared_split())
        sums = hashlib.sha256(files[checksums.NAME]).hexdigest()
        return frozen or _freeze(connection, name, version, contents, sums), files


def _frozen(connection: sa.Connection, contents: Contents) -> Release | None:
    same = (_releases.c.tenant == contents.tenant) & (_releases.c.content == contents.digest)
    row = connection.execute(sa.select(_releases).where(same)).first()
    return Release(**row._mapping) if row else None


def _next_version(connection: sa.Connection, contents: Contents) -> str:
    """YYYY.MM.N: the month the period ends in, and a number within it."""
    month = contents.period.last.strftime("%Y.%m")
    earlier = connection.execute(
        sa.select(sa.func.count())
        .select_from(_releases)
        .where((_releases.c.tenant == contents.tenant) & _releases.c.version.startswith(f"{month}."))
    )
    return f"{month}.{earlier.scalar_one() + 1}"


def _freeze(connection: sa.Connection, name: str, version: str, contents: Contents, sums: str) -> Release:
    release = Release(
        name=name,
        version=version,
        tenant=contents.tenant,
        first_day=contents.period.first,
        last_day=contents.period.last,
        days=len(contents.days),
        created=contents.created,
        content=contents.digest,
        checksums=sums,
    )
    connection.execute(sa.insert(_releases).values(**release.__dict__))
    return release


def _assemble(name: str, version: str, contents: Contents, split: Split) -> dict[str, bytes]:
    """File name -> bytes of everything but the signature."""
    tables = tables_of(split, contents.measures)
    files = {
        **{
            path: data for table in tables for path, data in _both(table.name, frame_of(table, contents, split)).items()
        },
        "privacy.json": privacy(name, version, contents, split),
        "README.md": datasheet(name, version, contents, split),
    }
    files["dcat.jsonld"] = dcat(name, version, contents, files, tables)
    files["datapackage.json"] = datapackage(name, version, contents, files, tables)
    measures = [measure.name for measure in split.measures]
    names = {**fixed_names(), "route": contents.routes, "measure": measures, "tenant": contents.tenants}
    check_egress(files, contents.period, tables, names)
    return {**files, checksums.NAME: checksums.render(files)}


def _both(name: str, frame: pl.DataFrame) -> dict[str, bytes]:
    as_csv, as_parquet = io.BytesIO(), io.BytesIO()
    frame.write_csv(as_csv)
    frame.write_parquet(as_parquet, compression="zstd")
    return {f"{name}.csv": as_csv.getvalue(), f"{name}.parquet": as_parquet.getvalue()}


def _is_kept(target: Path, release: Release, keys: KeyService) -> bool:
    """Whether `target` is the signed package, whole, as an earlier version of Voile wrote it."""
    key = existing_public_key(keys, RELEASE_KEY)
    listing = target / checksums.NAME
    if key is None or not listing.is_file() or not (target / checksums.SIGNATURE).is_file():
        return False
    is_this = hashlib.sha256(listing.read_bytes()).hexdigest() == release.checksums
    return is_this and not verify(target, key)


def _write(files: Mapping[str, bytes], target: Path) -> Path:
    """All files or none: written beside and renamed. A folder that is there has to hold exactly these."""
    if target.exists():
        if {p.name: p.read_bytes() for p in target.iterdir() if p.is_file()} != dict(files):
            raise Fatal(f"{target} holds something else than this release; move it away and build again.")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        for name, data in files.items():
            (beside / name).write_bytes(data)
        beside.chmod(0o755)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target
