"""The identity service for programs: a tenant's own system says who its accounts are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.enricher.accounts import ACCOUNT_CHARACTERS_MAX, FIELD_CHARACTERS_MAX, AccountBook
from services.enricher.api_keys import ApiKeys
from services.enricher.directory import Profile
from services.runtime.web.problems import Problem

__all__ = ["accounts_router"]

Text = Annotated[str | None, Field(max_length=FIELD_CHARACTERS_MAX)]
Tenant = Annotated[str, Path(max_length=63)]
AccountId = Annotated[str, Path(min_length=1, max_length=ACCOUNT_CHARACTERS_MAX)]


class AccountBody(BaseModel):
    """What is known of the account; a field that is left out is forgotten."""

    model_config = ConfigDict(extra="forbid")

    name: Text = None
    email: Text = None
    postal_address: Text = None
    phone: Text = None


def accounts_router(accounts: AccountBook, api_keys: ApiKeys) -> APIRouter:
    """PUT and DELETE of one account, with a key of its tenant (`voile user api-key`)."""
    router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"])
    bearer = HTTPBearer(auto_error=False, description="A key made with voile user api-key.")

    def allowed(tenant: Tenant, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
        owner = api_keys.tenant_of(given.credentials) if given else None
        if owner is None:
            raise Problem(401, "The key is missing or wrong", headers={"www-authenticate": "Bearer"})
        if owner != tenant:
            raise Problem(403, "The key belongs to another tenant")
        return owner

    Owner = Annotated[str, Depends(allowed)]

    @router.put("/{tenant}/{account:path}", status_code=204, response_class=Response)
    def put_account(owner: Owner, account: AccountId, body: AccountBody) -> None:
        """Durable when answered; in the directory a moment later."""
        error = accounts.put(owner, Profile(account, body.name, body.email, body.postal_address, body.phone))
        if error is not None:
            raise Problem(400, "The account cannot be taken", f"Reason: {error.value}.", reason=error.value)

    @router.delete("/{tenant}/{account:path}", status_code=204, response_class=Response)
    def withdraw_account(owner: Owner, account: AccountId) -> None:
        """The profile is emptied; linked activity keeps its term (erasing a person is another matter)."""
        accounts.withdraw(owner, account)

    return router
