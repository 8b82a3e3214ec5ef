"""What the addresses for partners answer, as JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["DatasetEntry", "DatasetsAnswer", "FileEntry", "TermsEntry", "VersionAnswer", "VersionEntry"]


class TermsEntry(BaseModel):
    """`number` None: the operator has set none yet."""

    number: int | None
    accepted: bool
    accepted_at: datetime | None


class VersionEntry(BaseModel):
    version: str
    first_day: date
    last_day: date
    days: int = Field(description="That are in it; the package lists those that are missing.")
    published_at: datetime
    status: Literal["published", "withdrawn"]
    withdrawn_at: datetime | None
    withdrawn_reason: str | None
    url: str


class DatasetEntry(BaseModel):
    name: str
    versions: list[VersionEntry] = Field(description="The newest first.")


class DatasetsAnswer(BaseModel):
    datasets: list[DatasetEntry]
    terms: TermsEntry


class FileEntry(BaseModel):
    name: str
    type: str
    bytes: int
    sha256: str
    url: str


class VersionAnswer(VersionEntry):
    name: str
    files: list[FileEntry]
