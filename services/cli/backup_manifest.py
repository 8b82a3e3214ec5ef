"""The list of a backup's files with their checksums, written last: a folder without it is no complete backup."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from services.runtime.errors import Fatal

__all__ = ["BackupFile", "checked", "described", "read_manifest", "write_manifest"]

NAME = "manifest.json"
FORMAT = 1  # of backups; another number is refused


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file. `revision`: of the schema of records, empty for the log. `rows`: by table or topic."""

    part: str
    file: str
    sha256: str
    bytes: int
    revision: str
    rows: Mapping[str, int]


def described(path: Path, part: str, revision: str, rows: Mapping[str, int]) -> BackupFile:
    return BackupFile(part, path.name, _digest(path), path.stat().st_size, revision, dict(rows))


def write_manifest(folder: Path, made_at: str, files: Sequence[BackupFile]) -> None:
    """Durable, and there whole or not at all."""
    text = json.dumps({"format": FORMAT, "made_at": made_at, "files": [asdict(file) for file in files]}, indent=1)
    fresh = folder / f".{NAME}"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    fresh.rename(folder / NAME)


def read_manifest(folder: Path) -> tuple[str, dict[str, BackupFile]]:
    """When it was made, and its files by part. Raises `Fatal` on what is no backup, or one of a newer version."""
    try:
        found = json.loads((folder / NAME).read_text("utf-8"))
        if found["format"] != FORMAT:
            raise Fatal(f"{folder} was made by another version of Voile; restore it with that one.")
        files = [BackupFile(**entry) for entry in found["files"]]
        return str(found["made_at"]), {file.part: file for file in files}
    except FileNotFoundError:
        raise Fatal(f"{folder} holds no complete backup: there is no {NAME} in it; name another folder.") from None
    except (ValueError, KeyError, TypeError):
        raise Fatal(f"{folder / NAME} is damaged; take another backup.") from None


def checked(folder: Path, file: BackupFile) -> Path:
    """Where the file is. Raises `Fatal` when it is not, or not as it was written."""
    path = folder / file.file
    if Path(file.file).name != file.file or not path.is_file() or _digest(path) != file.sha256:
        raise Fatal(f"{path} is missing or damaged; nothing was restored. Take another backup.")
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
