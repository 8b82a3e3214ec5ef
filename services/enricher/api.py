"""The identity service for programs: a tenant's own system says who its accounts are."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, FastAPI, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from services.enricher.access.api_keys import ApiKeys
from services.enricher.persons.accounts import ACCOUNT_CHARACTERS_MAX, FIELD_CHARACTERS_MAX, AccountBook
from services.enricher.persons.directory import Profile
from services.runtime.web.problems import Problem

__all__ = ["install_accounts_api"]

Text = Annotated[str | None, Field(max_length=FIELD_CHARACTERS_MAX)]
AccountId = Annotated[str, Path(min_length=1, max_length=ACCOUNT_CHARACTERS_MAX)]

_bearer = HTTPBearer(auto_error=False, description="A key made with voile user api-key.")
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class AccountBody(BaseModel):
    """What is known of the account; a field that is left out is forgotten."""

    model_config = ConfigDict(extra="forbid")

    name: Text = None
    email: Text = None
    postal_address: Text = None
    phone: Text = None
    merged_into: Annotated[str | None, Field(min_length=1, max_length=ACCOUNT_CHARACTERS_MAX)] = None


def _owner(request: Request, tenant: str, given: Given) -> str:
    """The tenant of the address, once the key is known to be its own."""
    owner = cast(ApiKeys, request.app.state.api_keys).tenant_of(given.credentials) if given else None
    if owner is None:
        raise Problem(401, "The key is missing or wrong", headers={"www-authenticate": "Bearer"})
    if owner != tenant:
        raise Problem(403, "The key belongs to another tenant")
    return owner


Owner = Annotated[str, Depends(_owner)]

router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"])


@router.put("/{tenant}/{account:path}", status_code=204, response_class=Response)
def put_account(request: Request, owner: Owner, account: AccountId, body: AccountBody) -> None:
    """Durable when answered; in the directory a moment later. `merged_into` names the account that this one has
    become: both are one person from then on, until the account is put without it."""
    profile = Profile(account, body.name, body.email, body.postal_address, body.phone)
    error = _accounts(request).put(owner, profile, body.merged_into)
    if error is not None:
        raise Problem(400, "The account cannot be taken", f"Reason: {error.value}.", reason=error.value)


@router.delete("/{tenant}/{account:path}", status_code=204, response_class=Response)
def withdraw_account(request: Request, owner: Owner, account: AccountId) -> None:
    """The profile is emptied; linked activity keeps its term (erasing a person is another matter)."""
    _accounts(request).withdraw(owner, account)


def install_accounts_api(app: FastAPI, accounts: AccountBook, api_keys: ApiKeys) -> None:
    """PUT and DELETE of one account, with a key of its tenant."""
    app.state.accounts, app.state.api_keys = accounts, api_keys
    app.include_router(router)


def _accounts(request: Request) -> AccountBook:
    return cast(AccountBook, request.app.state.accounts)
