"""`schemas/topics.toml` as values."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

__all__ = ["TOPICS", "Topic", "load_topics"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `kept_hours` is None for a compacted topic."""

    id: str
    name: str
    key: str
    encoding: str
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    partitions: int
    kept_hours: int | None
    clear: bool
    schema: str | None = None

    @property
    def compacted(self) -> bool:
        return self.kept_hours is None


def load_topics() -> dict[str, Topic]:
    """Topics by their id in the file ("access-log", "account", ...)."""
    text = resources.files("schemas").joinpath("topics.toml").read_text("utf-8")
    return {key: _topic(key, entry) for key, entry in tomllib.loads(text).items()}


def _topic(key: str, entry: dict[str, object]) -> Topic:
    kept = entry["kept_hours"]
    return Topic(
        id=key,
        name=str(entry["name"]),
        key=str(entry["key"]),
        encoding=str(entry["encoding"]),
        written_by=tuple(entry["written_by"]),  # type: ignore[arg-type]  # TOML arrays of strings
        read_by=tuple(entry["read_by"]),  # type: ignore[arg-type]  # TOML arrays of strings
        partitions=int(str(entry["partitions"])),
        kept_hours=None if kept == "compact" else int(str(kept)),
        clear=bool(entry["clear"]),
        schema=str(entry["schema"]) if "schema" in entry else None,
    )


TOPICS: dict[str, Topic] = load_topics()
