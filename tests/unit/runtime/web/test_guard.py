"""Who asks from this machine itself."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from services.runtime.web.guard import is_asked_here


def asked(peer: str | None, **headers: str) -> Request:
    told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": peer and (peer, 4711), "headers": told})


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_a_program_on_this_machine_is_here(peer: str) -> None:
    """It asks for the machine's own name, over the machine's own address."""
    assert is_asked_here(asked(peer, host="localhost:8081"))


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        pytest.param("203.0.113.9", {"host": "localhost:8081"}, id="from elsewhere, with our name"),
        pytest.param("127.0.0.1", {"host": "stats.example"}, id="a proxy that says nothing"),
        pytest.param("127.0.0.1", {"host": "localhost", "x_forwarded_for": "203.0.113.9"}, id="a proxy that says who"),
        pytest.param("127.0.0.1", {"host": "localhost", "forwarded": "for=203.0.113.9"}, id="as RFC 7239 has it"),
        pytest.param(None, {"host": "localhost"}, id="nobody knows who"),
    ],
)
def test_whoever_comes_from_elsewhere_is_not(peer: str | None, headers: dict[str, str]) -> None:
    """Each sign alone is enough."""
    assert not is_asked_here(asked(peer, **headers))
