"""The formats Voile reads, by name."""

from __future__ import annotations

from collections.abc import Mapping

from services.ingest.formats.clf import COMBINED, COMMON, VHOST_COMBINED
from services.ingest.formats.columns import Format
from services.ingest.formats.native import NATIVE
from services.ingest.formats.nginx_json import NGINX_JSON
from services.runtime.errors import Fatal

__all__ = ["FORMATS", "JSON_FORMATS", "Format", "format_named"]

FORMATS: Mapping[str, Format] = {f.name: f for f in (COMBINED, COMMON, VHOST_COMBINED, NGINX_JSON, NATIVE)}
JSON_FORMATS = frozenset({NGINX_JSON.name, NATIVE.name})


def format_named(name: str) -> Format:
    """Raises `Fatal`, naming the formats there are."""
    if name not in FORMATS:
        raise Fatal(f"There is no format {name!r}; the formats are {', '.join(sorted(FORMATS))}.")
    return FORMATS[name]
