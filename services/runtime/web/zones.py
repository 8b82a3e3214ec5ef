"""The time zone that a person reads pages in: their browser says it by a cookie; until it did, the installation's."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from starlette.requests import Request

__all__ = ["ZONE_COOKIE", "zone_of"]

ZONE_COOKIE = "voile_zone"  # set by voile.js


def zone_of(request: Request, installation: ZoneInfo) -> ZoneInfo:
    """What is no name of a zone is passed over: the cookie may hold anything."""
    name = request.cookies.get(ZONE_COOKIE, "")
    return ZoneInfo(name) if name in _zones() else installation


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
