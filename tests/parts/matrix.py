"""Who gets what of a service: every route by every kind of asker, as one table. A route that is not in it fails the suite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

__all__ = ["FOREIGN", "UNSAFE", "Kind", "Use", "asked", "routes_of"]

UNSAFE = {"POST", "PUT", "DELETE", "PATCH"}
FOREIGN = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
"""What a browser adds to a form of another site."""


@dataclass(frozen=True)
class Kind:
    """The status that each asker gets: `who` by name, else by what they are: nobody, a person signed in, a program's key."""

    name: str
    nobody: int
    people: int
    keys: int
    who: Mapping[str, int] = field(default_factory=dict)

    def expected(self, asker: str, what: str) -> int:
        return self.who.get(asker, {"nobody": self.nobody, "people": self.people, "keys": self.keys}[what])


@dataclass(frozen=True)
class Use:
    """How a route is asked: `path` for the route's own, with what stands for its {parameters}; likewise in `form`."""

    kind: Kind
    path: str = ""
    form: Mapping[str, str] | None = None
    json: Any = None


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    return {(method, route.path) for route in _flat(app.routes) for method in (route.methods or set()) - {"HEAD"}}


def asked(
    client: httpx.Client, name: tuple[str, str], use: Use, given: Mapping[str, str], **more: Any
) -> httpx.Response:
    """The answer to one route; `given`: what stands for parameters."""
    method, path = name[0], _filled(use.path or name[1], given)
    sent: dict[str, Any] = {}
    if use.json is not None:
        sent["json"] = json.loads(_filled(json.dumps(use.json), given))
    elif method == "POST":
        sent["data"] = {field: _filled(value, given) for field, value in (use.form or {}).items()}
    return client.request(method, path, **sent, **more)


def _filled(text: str, given: Mapping[str, str]) -> str:
    for parameter, value in given.items():
        text = text.replace(f"{{{parameter}}}", value)
    return text


def _flat(given: Sequence[BaseRoute]) -> Iterator[Route]:
    """FastAPI keeps an included router as one route."""
    for route in given:
        if isinstance(route, Route):
            yield route
        else:
            yield from _flat(route.original_router.routes)  # type: ignore[attr-defined]  # else: a kind not known here
