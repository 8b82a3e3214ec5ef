"""The feed of versions: Atom (RFC 4287) and JSON Feed 1.1. Publishing is an entry, withdrawing another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as etree

from services.stats.delivery.publications import Version

__all__ = ["ATOM", "JSON", "atom", "json_feed"]

ATOM = "application/atom+xml"
JSON = "application/feed+json"
ENTRIES_MAX = 200  # the newest; the list of data sets has all
TITLE = "Voile releases"
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # when a feed without entries changed last


@dataclass(frozen=True, slots=True)
class Entry:
    """`id` stays the same for ever."""

    id: str
    title: str
    text: str
    at: datetime
    url: str


def atom(versions: Sequence[Version], origin: str) -> bytes:
    entries = _entries(versions, origin)
    feed = etree.Element("feed", xmlns="http://www.w3.org/2005/Atom")
    _put(feed, "id", f"{origin}/exports/v1/feed.atom")
    _put(feed, "title", TITLE)
    _put(feed, "updated", _written(entries[0].at if entries else _BEGINNING))
    _put(_put(feed, "author"), "name", "Voile")
    _put(feed, "link", rel="self", href=f"{origin}/exports/v1/feed.atom")
    for entry in entries:
        made = _put(feed, "entry")
        _put(made, "id", entry.id)
        _put(made, "title", entry.title)
        _put(made, "updated", _written(entry.at))
        _put(made, "link", rel="alternate", href=entry.url)
        _put(made, "summary", entry.text)
    text: bytes = etree.tostring(feed, "utf-8", xml_declaration=True)
    return text


def json_feed(versions: Sequence[Version], origin: str) -> dict[str, Any]:
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": TITLE,
        "home_page_url": f"{origin}/partner",
        "feed_url": f"{origin}/exports/v1/feed.json",
        "items": [
            {"id": e.id, "url": e.url, "title": e.title, "content_text": e.text, "date_published": _written(e.at)}
            for e in _entries(versions, origin)
        ],
    }


def _entries(versions: Sequence[Version], origin: str) -> list[Entry]:
    """The newest first."""
    found = [_published(version, origin) for version in versions]
    found += [_withdrawn(version, version.withdrawn, origin) for version in versions if version.withdrawn]
    return sorted(found, key=lambda entry: (entry.at, entry.id), reverse=True)[:ENTRIES_MAX]


def _published(version: Version, origin: str) -> Entry:
    text = f"{version.first_day} to {version.last_day}, {version.days} days."
    name = f"{version.name} {version.version}"
    return Entry(_id(version, "published"), f"{name} is published", text, version.published, _page(version, origin))


def _withdrawn(version: Version, at: datetime, origin: str) -> Entry:
    text = f"Do not use it any more. The reason: {version.reason}"
    name = f"{version.name} {version.version}"
    return Entry(_id(version, "withdrawn"), f"{name} was withdrawn", text, at, _page(version, origin))


def _id(version: Version, what: str) -> str:
    return f"urn:voile:release:{version.name}:{version.version}:{what}"


def _page(version: Version, origin: str) -> str:
    return f"{origin}/partner/{version.name}/{version.version}"


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _put(parent: etree.Element, name: str, text: str = "", **attributes: str) -> etree.Element:
    made = etree.SubElement(parent, name, attributes)
    made.text = text or None
    return made
