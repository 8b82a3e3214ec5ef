"""The formats Voile reads: built in by name, or compiled from a server's own configuration string."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.ingest.formats.builtin import builtin_formats
from services.ingest.formats.columns import Format
from services.ingest.formats.dialects.apache import apache_format
from services.ingest.formats.dialects.envoy import envoy_format
from services.ingest.formats.dialects.haproxy import haproxy_format
from services.ingest.formats.dialects.nginx import looking_like, nginx_format
from services.ingest.formats.dialects.python import python_format
from services.ingest.formats.dialects.w3c import w3c_format
from services.runtime.errors import Fatal

__all__ = ["FORMATS", "SERVERS", "Format", "custom", "doubts", "format_named"]

FORMATS: Mapping[str, Format] = {f.name: f for f in builtin_formats()}
SERVERS: Mapping[str, Callable[[str, str, str], Format]] = {
    "nginx": nginx_format,
    "apache": apache_format,
    "w3c": w3c_format,
    "haproxy": haproxy_format,
    "envoy": envoy_format,
    "python": python_format,
}
STRING_CHARS_MAX = 8 * 1024  # the longest known format has 1 500 characters


def format_named(name: str) -> Format:
    """A built-in format by its name, or a compiled one by what `custom` returned. Raises `Fatal`, saying what there
    is or what the string lacks."""
    server, colon, string = name.partition(":")
    if not colon:
        if name not in FORMATS:
            raise Fatal(f"There is no format {name!r}; the formats are {', '.join(sorted(FORMATS))}.")
        return FORMATS[name]
    if server not in SERVERS:
        raise Fatal(f"There is no server {server!r}; a format string is one of {', '.join(SERVERS)}.")
    if len(string) > STRING_CHARS_MAX:
        raise Fatal(f"A format string has at most {STRING_CHARS_MAX} characters.")
    return SERVERS[server](string, name, f"{server}'s format string of your own")


def custom(string: str, server: str) -> str:
    """The name by which a source keeps a format of its own. Raises `Fatal` when the string will not do."""
    name = f"{server}:{string.strip(chr(10) + chr(13))}"
    format_named(name)
    return name


def doubts(name: str) -> Sequence[str]:
    """Questions about a format of one's own, for who gave it: what it names is read over and looks like a slip."""
    server, _, string = name.partition(":")
    found = looking_like(string) if server == "nginx" else {}
    return [f"{written} is not read; did you mean {near}?" for written, near in found.items()]
