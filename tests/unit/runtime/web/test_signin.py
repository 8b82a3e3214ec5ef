"""Signing in beside everything else that a service does."""

from __future__ import annotations

import inspect

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from services.runtime.web import account, oidc, signin


@pytest.mark.parametrize("router", [signin.router, account.account_router, oidc.oidc_router])
def test_nothing_of_it_holds_up_the_event_loop(router: APIRouter) -> None:
    """A password costs a tenth of a second, a provider up to five: each page has a worker thread of its own."""
    pages = [route for route in router.routes if isinstance(route, APIRoute)]
    assert len(pages) == len(router.routes) > 0
    assert [page.path for page in pages if inspect.iscoroutinefunction(page.endpoint)] == []
