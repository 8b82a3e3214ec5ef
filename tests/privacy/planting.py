"""An installation that canaries are sent to, as its users, senders and attackers would: `planting_lines`,
`planting_people` and `planting_pages` send them, each by its inputs.

What comes back is kept in `answers`, to be searched like a store. An answer that holds clear data by design (the look
at one person that was granted, a form given back to who filled it in) is not among them.
"""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from services.runtime.settings import Settings, load_settings
from tests.e2e.installation import Installation
from tests.parts.processes import free_ports
from tests.privacy.canaries import CANARIES, Canary
from tests.privacy.inputs import SITE

__all__ = [
    "CANARY_TEXT", "FILE_FORMATS", "JSON", "NDJSON", "PAGE", "TENANT", "TEXT", "Planted", "account_of", "as_header",
    "settings_of", "source_of",
]  # fmt: skip

TENANT = "riverside"
FILE_FORMATS = ("combined", "common", "vhost_combined", "nginx_json")
JSON, NDJSON, TEXT = "application/json", "application/x-ndjson", "text/plain"
CANARY_TEXT = " ".join(canary.phrase for canary in CANARIES)
PAGE = {"Accept": "text/html"}


def settings_of(made: Installation) -> Settings:
    return load_settings(env=made.env)


def account_of(number: int) -> str:
    """The account of the numbered canary's row: an account canary, or one made of it."""
    accounts = [canary.text for canary in CANARIES if canary.kind == "account"]
    return accounts[number] if number < len(accounts) else f"{CANARIES[number].text}/{number}"


@dataclass
class Planted:
    """An installation into which canaries are being planted; `answers` are (place, bytes)."""

    made: Installation
    past: datetime  # a time of a day that will be closed
    now: datetime
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)  # source -> its key
    syslog_port: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def day(self) -> date:
        return self.past.date()

    def set_up(self) -> None:
        """Before the services start."""
        self.made.voile("db", "upgrade")
        self.made.voile("tenant", "add", TENANT, "--name", "Riverside Sailing Club", "--host", SITE, "--releases")
        for format_ in FILE_FORMATS:
            options = ("--tenant", TENANT, "--format", format_, "--authenticated")
            self.keys[format_] = self.made.json("source", "add", source_of(format_), *options)["key"]
        self.made.env["VOILE_INGEST__SYSLOG"] = f"[web.combined@127.0.0.1:{self.syslog_port}]"

    def ingest(self, format_: str, body: bytes, media: str, taken: bool = True, **headers: str) -> Any:
        """The answer, decoded."""
        given = {"Authorization": f"Bearer {self.keys[format_]}", "Content-Type": media, **headers}
        status, _, answer = self.ask("ingest", "POST", f"/api/v1/ingest/{source_of(format_)}", body, given)
        assert (status == 200) is taken, f"{format_} as {media} with {list(headers)}: {status}"
        return json.loads(answer)

    def sign_in(self, plane: str, user: str) -> tuple[str, str]:
        """(cookie, CSRF token)."""
        link = urlsplit(self.made.json("user", "login-link", user, "--service", plane)["link"]).path
        _, headers, _ = self.ask(plane, "POST", link)
        cookie = headers["set-cookie"].partition(";")[0]
        _, _, page = self.ask(plane, "GET", "/", headers={"Cookie": cookie, **PAGE})
        found = re.search(rb'name="csrf" value="([^"]+)"', page)
        assert found, "no CSRF token on the first page"
        return cookie, found[1].decode()

    def ask(
        self,
        plane: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        keep: bool = True,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request, sent as it is written; its answer with all headers is kept unless it is clear by design."""
        connection = http.client.HTTPConnection("127.0.0.1", self.made.ports[plane], timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if keep:
            head = "\n".join(f"{name}: {value}" for name, value in answer.getheaders())
            self.answers.append((f"answer {answer.status} of {plane} to {method} {_known(path)}", head.encode() + text))
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def _known(path: str) -> str:
    """The path's words, for a message."""
    return re.sub(r"[^/?=&]*[^a-z/?=&.:_][^/?=&]*", "*", path)


def source_of(format_: str) -> str:
    return f"web.{format_.replace('_', '-')}"


def as_header(canary: Canary) -> str:
    return canary.phrase.encode().decode("latin-1")
