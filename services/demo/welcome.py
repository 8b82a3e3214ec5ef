"""What the demo says when it stays: where to look, and what to try."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from rich.console import Console
from rich.panel import Panel

from services.demo.installation import Installation
from services.demo.people import busiest_account
from services.demo.run import TICKET
from services.demo.state import State
from services.demo.tenants import CLUBS

__all__ = ["print_welcome"]

PERSON = "demo"
_ROLES = {"statistics": ("admin",), "identity": ("support", "dpo")}


def print_welcome(installation: Installation, state: State, to_stderr: bool) -> None:
    """Makes the demo's person on both services and prints a one-time link for each."""
    dashboard, console = (_login_link(installation, service) for service in _ROLES)
    out = Console(soft_wrap=True, stderr=to_stderr)
    out.print(f"\n[bold]Statistics[/]  {dashboard}\n[bold]Identity[/]    {console}\n[bold]Send a line[/]")
    out.print(_curl(installation, state), markup=False, highlight=False)
    box = Console(stderr=to_stderr)  # wraps its text; what is copied, above, must not be wrapped
    box.print(Panel(_things_to_try(installation, state), title="Three things to try", expand=False))
    out.print("The links work once, within a quarter of an hour. Ctrl-C ends the demo.")


def _login_link(installation: Installation, service: str) -> str:
    roles = [part for role in _ROLES[service] for part in ("--role", role)]
    installation.voile("user", "add", PERSON, "--service", service, *roles, "--every-tenant")
    link: str = installation.json("user", "login-link", PERSON, "--service", service)["link"]
    return installation.url(service, urlsplit(link).path)


def _curl(installation: Installation, state: State) -> str:
    source, key = next(iter(state.keys.items()))
    now = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    line = f'81.240.7.7 - - [{now}] "GET /agenda HTTP/1.1" 200 512 "-" "Mozilla/5.0"'
    return (
        f"curl -H 'Authorization: Bearer {key}' -H 'Content-Type: text/plain' \\\n"
        f"  --data-binary '{line}' {installation.url('ingest')}/api/v1/ingest/{source}"
    )


def _things_to_try(installation: Installation, state: State) -> str:
    if state.own_logs:
        first = "Statistics: your own site, day by day; what fewer than ten people did is merged or left out."
        second = (
            f"Identity: import the accounts of your members (./voile accounts import), then look one up under {TICKET}."
        )
    else:
        first = f"Statistics: choose {CLUBS[-1].tenant}. So few people come that no figure of a day is shown."
        second = f"Identity: look up account {busiest_account(CLUBS[0])} of {CLUBS[0].tenant} for ticket {TICKET}."
    third = f"Terminal: export VOILE_CONFIG={installation.config}; then: ./voile audit list, ./voile release list"
    return f"1. {first}\n2. {second}\n3. {third}"
