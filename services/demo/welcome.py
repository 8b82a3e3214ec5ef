"""What the demo says when it stays: where to look, and what to try."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from rich.console import Console
from rich.panel import Panel

from services.demo.installation import Installation
from services.demo.people import busiest_account
from services.demo.run import OWN_TENANT, TICKET
from services.demo.state import State
from services.demo.tenants import CLUBS

__all__ = ["print_welcome"]

PERSON = "demo"
PARTNER, MEMBER = "acme", "partner"
TERMS = """\
The figures may be used for research and reports. Name their source and period. Do not try to find people in them.
"""
_ROLES = {"statistics": ("admin",), "identity": ("support", "dpo")}


def print_welcome(installation: Installation, state: State, to_stderr: bool) -> None:
    """Makes the demo's person on both services and prints a one-time link for each."""
    dashboard, console = (_login_link(installation, service) for service in _ROLES)
    partner = _partner_link(installation, state)
    out = Console(soft_wrap=True, stderr=to_stderr)
    out.print(f"\n[bold]Statistics[/]  {dashboard}\n[bold]Identity[/]    {console}\n[bold]A partner[/]   {partner}")
    out.print("[bold]Send a line[/]")
    out.print(_curl(installation, state), markup=False, highlight=False)
    box = Console(stderr=to_stderr)  # wraps its text; what is copied, above, must not be wrapped
    box.print(Panel(_things_to_try(installation, state), title="Three things to try", expand=False))
    out.print("The links work once, within a quarter of an hour. Ctrl-C ends the demo.")


def _login_link(installation: Installation, service: str) -> str:
    roles = [part for role in _ROLES[service] for part in ("--role", role)]
    installation.voile("user", "add", PERSON, "--service", service, *roles, "--every-tenant")
    link: str = installation.json("user", "login-link", PERSON, "--service", service)["link"]
    return installation.url(service, urlsplit(link).path)


def _partner_link(installation: Installation, state: State) -> str:
    """For a member of a company that may have the demo's release, once it accepts the terms. Open it in a window of
    its own: a browser has one session of the statistics service."""
    terms = installation.data / "terms.txt"
    terms.write_text(TERMS, "utf-8")
    tenant = OWN_TENANT if state.own_logs else CLUBS[0].tenant
    installation.voile("partner", "set-terms", str(terms))
    installation.voile("partner", "add", PARTNER, "--company", "Acme Research", "--release", f"{tenant}-use")
    members = [name for known in installation.json("partner", "list") for name in known["members"]]
    if MEMBER not in members:
        installation.voile("partner", "add-member", PARTNER, MEMBER)
    link: str = installation.json("user", "login-link", MEMBER, "--service", "statistics")["link"]
    return installation.url("statistics", urlsplit(link).path) + "  (in a private window)"


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
