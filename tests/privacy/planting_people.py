"""Canaries in what is known of people: accounts, looks at one, their rights."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence

from tests.privacy.canaries import CANARIES, TURNS, Canary, by_turns, first
from tests.privacy.planting import CANARY_TEXT, JSON, TENANT, Planted, account_of, as_header

__all__ = ["accounts", "looks", "refused_accounts", "rights"]

TICKET = ("--purpose", "support", "--ticket", "SUP-7")


def accounts(planted: Planted) -> None:
    """CSV rows, good and bad, and PUT."""
    rows = ["account;name;email;postal_address;phone"]
    for number, canary in enumerate(CANARIES):
        rows.append(_row(number, canary))
        rows += [
            f";{canary.phrase};;;",
            f"b{number};x;{canary.phrase} at home;;",
            f"c{number};{canary.phrase};;;;;;;",
        ]
        rows.append(f"d{number};{canary.phrase}\x07;;;{canary.phrase}")
    file = planted.made.folder / "accounts.csv"
    file.write_text("\n".join(rows) + "\n", "utf-8")
    planted.made.voile("accounts", "import", str(file), "--tenant", TENANT, expect=1)
    file.write_text(f"account,{CANARY_TEXT}\n1,2\n", "utf-8")
    planted.made.voile("accounts", "import", str(file), "--tenant", TENANT, expect=2)
    file.write_text(f'account,name\n1,"{CANARY_TEXT}\n', "utf-8")
    planted.made.voile("accounts", "import", str(file), "--tenant", TENANT, expect=2)
    planted.keys["accounts"] = planted.made.json("user", "api-key", "--tenant", TENANT)["key"]
    for canary in CANARIES:
        put(planted, f"{TENANT}/put-{canary.segment}", {"name": canary.phrase, "postal_address": canary.phrase}, 204)


def put(planted: Planted, path: str, body: object, expect: int, key: str = "") -> None:
    headers = {"Authorization": f"Bearer {key or planted.keys['accounts']}", "Content-Type": JSON}
    status, _, _ = planted.ask("identity", "PUT", f"/api/v1/accounts/{path}", json.dumps(body).encode(), headers)
    assert status == expect, f"PUT /api/v1/accounts/...: {status}"


def refused_accounts(planted: Planted) -> None:
    """Each of these by a fourth of the canaries, and each canary by some."""
    for canary, refuse in by_turns(_REFUSED):
        refuse(planted, canary, f"{TENANT}/{canary.segment}")


def _body(made: Callable[[str], object]) -> Callable[[Planted, Canary, str], None]:
    return lambda planted, canary, path: put(planted, path, made(canary.phrase), 400)


_REFUSED: Sequence[Callable[[Planted, Canary, str], None]] = (
    _body(lambda text: {"email": f"{text} at home"}),
    _body(lambda text: {text: text}),
    _body(lambda text: {"name": [text], "phone": {text: 1}}),
    _body(lambda text: text),
    lambda planted, canary, _path: put(planted, f"{canary.segment}/1", {}, 403),
    lambda planted, canary, path: put(planted, path, {}, 401, key=as_header(canary)),
)


def looks(planted: Planted) -> None:
    """Looks at people: granted (the output holds what was asked for and is kept apart), refused, and in vain."""
    apart = copy.copy(planted.made)
    apart.logs = planted.made.folder / "apart"
    apart.logs.mkdir()
    reason = (
        "--reason",
        f"{first('name').phrase} rang from {first('phone').phrase}: cannot pay with {first('card').phrase}",
    )
    who = ("activity", "show", "--tenant", TENANT, "--account")
    shown = apart.json(*who, account_of(0), *TICKET, *reason, "--reveal", "name", "--reveal", "client_address")
    assert shown["profile"]["name"], "the person was found and revealed"
    email = next(canary.text for canary in CANARIES if canary.kind == "e-mail")
    apart.voile(*who, email, "--by", "email", *TICKET, *reason)
    apart.voile("audit", "list")
    in_vain: list[list[str]] = []
    for number, canary in enumerate(CANARIES[::TURNS]):  # by turns no such account, no such e-mail, no ticket
        asked = (
            [f"nobody-{canary.text}", *TICKET],
            [f"x{canary.phrase}", "--by", "email", *TICKET],
            [account_of(1), "--purpose", "support", "--ticket", canary.phrase],
        )[number % 3]
        in_vain.append([*who, *asked, "--reason", f"{canary.phrase} rang"])
    planted.made.each(in_vain, expect=1)


def rights(planted: Planted) -> None:
    kinds = ("erasure", "objection", "restriction")
    commands = []
    accounts = sum(canary.kind == "account" for canary in CANARIES)
    for number in (*range(accounts), *range(accounts, len(CANARIES), 2 * TURNS)):
        who = ("--tenant", TENANT, "--account", account_of(number))
        commands.append(["rights", "open", *who, "--kind", kinds[number % 3], "--case", f"DSR-{number}", "--at-once"])
    planted.made.each(commands)
    planted.made.voile("rights", "show", "DSR-0")


def _row(number: int, canary: Canary) -> str:
    values = {"name": canary.phrase, "email": f"p{number}@canary.example", "postal_address": canary.phrase, "phone": ""}
    if canary.kind == "e-mail":
        values["email"] = canary.text
    if canary.kind == "phone":
        values["phone"] = canary.text
    return ";".join([account_of(number), *values.values()])
