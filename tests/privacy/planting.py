"""Sends the canaries through every input of an installation, as its users, senders and attackers would.

What comes back is kept in `answers`, to be searched like a store. An answer that holds clear data by design (the look
at one person that was granted, a form given back to who filled it in) is not among them.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
import socket
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import product
from urllib.parse import quote, urlsplit

from services.runtime.lag import lag
from services.runtime.log import open_log
from services.runtime.log.interface import Message
from services.runtime.settings import Settings, load_settings
from services.runtime.topics import TOPICS
from tests.e2e.installation import Installation
from tests.parts.processes import free_ports
from tests.privacy.canaries import CANARIES, Canary
from tests.privacy.inputs import SITE, accesses, bad_lines, lines

__all__ = ["DAMAGED", "TENANT", "Planted", "settings_of"]

TENANT = "riverside"
FILE_FORMATS = ("combined", "common", "vhost_combined", "nginx_json")
VISITORS = 40  # a leaking route would pass the threshold
DAMAGED = "trace"  # the header of the records that are written past ingest
READ_S_MAX = 60
TICKET = ("--purpose", "support", "--ticket", "SUP-7")
JSON, NDJSON, TEXT = "application/json", "application/x-ndjson", "text/plain"
PERSON = CANARIES[-1]
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
            self.keys[format_] = self.made.json("source", "add", f"web.{format_.replace('_', '-')}", *options)["key"]
        self.made.env["VOILE_INGEST__SYSLOG"] = f"[web.combined@127.0.0.1:{self.syslog_port}]"

    def everything(self) -> None:
        self.accounts()
        self.files()
        self.bodies()
        self.syslog()
        self.raw_topic()
        self.refused_bodies()
        self.refused_accounts()
        self.undecodable_records()
        self.error_pages()
        self.made.catch_up()
        self.looks()
        self.console()
        self.queries()
        self.rights()

    # --- lines and events ---

    def files(self) -> None:
        """Each format by `voile import`; the most usual one by as many visitors as a cell needs."""
        for format_ in FILE_FORMATS:
            of = accesses(self.past, VISITORS if format_ == "combined" else 1)
            text = lines(format_, of) + bad_lines(self.past)
            file = self.made.folder / f"{format_}.log"
            file.write_bytes(text)
            self.made.json("import", str(file), "--source", _source(format_))

    def bodies(self) -> None:
        """HTTP ingest of the open day: text, NDJSON, a JSON array and a single object."""
        text = lines("combined", accesses(self.now, 1)) + bad_lines(self.now)
        self.ingest("combined", text, TEXT)
        ndjson = lines("json", accesses(self.now, 1)) + bad_lines(self.now)
        self.ingest("common", ndjson, NDJSON)
        objects = [json.loads(line) for line in ndjson.splitlines() if line.startswith(b'{"timestamp')]
        self.ingest("vhost_combined", json.dumps([*objects, CANARY_TEXT, {CANARY_TEXT: [CANARY_TEXT]}]).encode(), JSON)
        self.ingest("nginx_json", lines("nginx_json", accesses(self.now, 1)), NDJSON)
        for canary in CANARIES:
            one = next(o for o in objects if canary.phrase in (o["account"], o["client_address"]))
            self.ingest("common", json.dumps(one).encode(), JSON)

    def ingest(self, format_: str, body: bytes, media: str, taken: bool = True, **headers: str) -> None:
        given = {"Authorization": f"Bearer {self.keys[format_]}", "Content-Type": media, **headers}
        status = self.ask("ingest", "POST", f"/api/v1/ingest/{_source(format_)}", body, given)[0]
        assert (status == 200) is taken, f"{format_} as {media} with {list(headers)}: {status}"

    def syslog(self) -> None:
        """Good and bad lines, with canaries in the header too, by TCP and UDP."""
        text = lines("combined", accesses(self.now, 1)) + bad_lines(self.now)
        with (
            socket.create_connection(("127.0.0.1", self.syslog_port)) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            for number, line in enumerate(text.splitlines()):
                tag = quote(CANARIES[number % len(CANARIES)].text, safe="")
                tcp.sendall(f"<13>Nov 22 21:46:21 {tag} {tag}: ".encode() + line + b"\n")
            for canary in CANARIES:
                udp.sendto(canary.phrase.encode(), ("127.0.0.1", self.syslog_port))

    def raw_topic(self) -> None:
        """Lines, keys, sources and media types. Nobody reads that topic of the embedded log: only Voile could write it."""
        settings = settings_of(self.made)
        topic = TOPICS["access-log-raw"].name
        text = lines("combined", accesses(self.now, 1)) + bad_lines(self.now)
        records = [Message(topic, b"web.combined", line) for line in text.splitlines()]
        for canary in CANARIES:
            one = canary.text.encode()
            records += [
                Message(topic, one, one),
                Message(topic, b"", one, {"source": one}),
                Message(topic, b"web.combined", one, {"content-type": one}),
                Message(topic, b"web.combined", json.dumps({"message": canary.phrase}).encode(), {canary.text: one}),
            ]
        with closing(open_log(settings.url(settings.events), settings.kafka)) as log:
            log.send(records)
            deadline = time.monotonic() + READ_S_MAX
            while settings.events.startswith("kafka:") and lag(log, "ingest", topic):
                assert time.monotonic() < deadline, "ingest does not read the raw topic"
                time.sleep(0.2)

    def refused_bodies(self) -> None:
        """Bodies, keys, headers and source names that are wrong."""
        body = CANARY_TEXT.encode()
        for media in (JSON, NDJSON, TEXT):
            self.ingest("combined", b"{" + body, media, False, **{"Content-Encoding": "gzip"})
        self.ingest("combined", b'{"x": "' + body, JSON, False)
        self.ingest("combined", json.dumps(CANARY_TEXT).encode(), JSON, False)
        for canary in CANARIES:
            given = _header(canary)
            for name in ("Content-Type", "Content-Encoding", "Authorization"):
                self.ingest("combined", body, TEXT, False, **{name: given})
            self.ingest("combined", body, TEXT, True, **{"Idempotency-Key": given})
            self.ingest("combined", body + b"\n" + body, TEXT, False, **{"Idempotency-Key": given})  # another body
            self.ask("ingest", "GET", "/api/v1/ingest/check", headers={"Authorization": f"Bearer {given}"})
            key = {"Authorization": f"Bearer {self.keys['combined']}", "Content-Type": TEXT}
            self.ask("ingest", "POST", f"/api/v1/ingest/{canary.segment}", body, key)

    def undecodable_records(self) -> None:
        """Damaged records in the topics that carry clear data, as a defect of a sender would write them."""
        settings = settings_of(self.made)
        log = open_log(settings.url(settings.events), settings.kafka)
        damaged = b"Obj\x01" + CANARY_TEXT.encode()
        header = {DAMAGED: CANARY_TEXT.encode()}
        try:
            for key in (b"web.combined", PERSON.text.encode(), CANARIES[0].text.encode(), CANARIES[8].text.encode()):
                log.send([Message(TOPICS["access-log"].name, key, damaged, header)])
                log.send([Message(TOPICS["account"].name, b"riverside/" + key, damaged, header)])
        finally:
            log.close()

    # --- people ---

    def accounts(self) -> None:
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
        file = self.made.folder / "accounts.csv"
        file.write_text("\n".join(rows) + "\n", "utf-8")
        self.made.voile("accounts", "import", str(file), "--tenant", TENANT, expect=1)
        file.write_text(f"account,{CANARY_TEXT}\n1,2\n", "utf-8")
        self.made.voile("accounts", "import", str(file), "--tenant", TENANT, expect=2)
        file.write_text(f'account,name\n1,"{CANARY_TEXT}\n', "utf-8")
        self.made.voile("accounts", "import", str(file), "--tenant", TENANT, expect=2)
        self.keys["accounts"] = self.made.json("user", "api-key", "--tenant", TENANT)["key"]
        for canary in CANARIES:
            self.put(f"{TENANT}/put-{canary.segment}", {"name": canary.phrase, "postal_address": canary.phrase}, 204)

    def put(self, path: str, body: object, expect: int, key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key or self.keys['accounts']}", "Content-Type": JSON}
        status, _, _ = self.ask("identity", "PUT", f"/api/v1/accounts/{path}", json.dumps(body).encode(), headers)
        assert status == expect, f"PUT /api/v1/accounts/...: {status}"

    def refused_accounts(self) -> None:
        for canary in CANARIES:
            path, text = f"{TENANT}/{canary.segment}", canary.phrase
            for body in ({"email": f"{text} at home"}, {text: text}, {"name": [text], "phone": {text: 1}}, text):
                self.put(path, body, 400)
            self.put(f"{canary.segment}/1", {}, 403)
            self.put(path, {}, 401, key=_header(canary))

    def looks(self) -> None:
        """Looks at people: granted (the output holds what was asked for and is kept apart), refused, and in vain."""
        apart = copy.copy(self.made)
        apart.logs = self.made.folder / "apart"
        apart.logs.mkdir()
        reason = (
            "--reason",
            f"{CANARIES[15].phrase} rang from {CANARIES[23].phrase}: cannot pay with {CANARIES[42].phrase}",
        )
        who = ("activity", "show", "--tenant", TENANT, "--account")
        shown = apart.json(*who, account_of(0), *TICKET, *reason, "--reveal", "name", "--reveal", "client_address")
        assert shown["profile"]["name"], "the person was found and revealed"
        email = next(canary.text for canary in CANARIES if canary.kind == "e-mail")
        apart.voile(*who, email, "--by", "email", *TICKET, *reason)
        apart.voile("audit", "list")
        in_vain: list[list[str]] = []
        for canary in CANARIES:  # no such account, no such e-mail, no ticket
            because = ("--reason", f"{canary.phrase} rang")
            in_vain += [
                [*who, f"nobody-{canary.text}", *TICKET, *because],
                [*who, f"x{canary.phrase}", "--by", "email", *TICKET, *because],
                [*who, account_of(1), "--purpose", "support", "--ticket", canary.phrase, *because],
            ]
        self.made.each(in_vain, expect=1)

    def rights(self) -> None:
        kinds = ("erasure", "objection", "restriction")
        commands = []
        for number in range(len(CANARIES)):
            who = ("--tenant", TENANT, "--account", account_of(number))
            commands.append(["rights", "open", *who, "--kind", kinds[number % 3], "--case", f"DSR-{number}"])
        self.made.each(commands)
        self.made.voile("rights", "show", "DSR-0")

    # --- pages and programs ---

    def error_pages(self) -> None:
        """Addresses, headers, cookies and forms that nobody should send, to every service, as browser and program."""
        for plane in ("ingest", "identity", "statistics"):
            for canary, (method, path), accept in product(CANARIES, _ADDRESSES, (PAGE, {"Accept": JSON})):
                self.ask(plane, method, path.format(canary.segment), _form_of(canary), _headers_of(canary) | accept)

    def console(self) -> None:
        """A signed-in support person who types names where tickets belong, and follows wrong addresses."""
        self.made.voile(
            "user", "add", "dora", "--service", "identity", "--role", "support", "--role", "dpo", "--tenant", TENANT
        )
        cookie, csrf = self.sign_in("identity", "dora")
        headers = {"Cookie": cookie, **PAGE, "Content-Type": "application/x-www-form-urlencoded"}
        for canary in CANARIES:
            text = quote(canary.phrase)
            fields = f"csrf={csrf}&tenant={TENANT}&value={text}&purpose={text}&ticket={text}&reason={text}+{text}"
            self.ask("identity", "POST", "/grants", fields.encode(), headers, keep=False)  # the form, given back
            self.ask("identity", "POST", "/grants", fields.replace(csrf, text).encode(), headers)
            self.ask("identity", "POST", "/grants", f"csrf={csrf}&minutes={text}".encode(), headers)
            self.ask("identity", "GET", f"/grants/{canary.segment}", headers=headers)
            self.ask("identity", "GET", f"/grants/{canary.segment}?days={text}", headers=headers)
            wanted = f"tenant={text}&ticket={text}&actor={text}"
            self.ask("identity", "GET", f"/audit?{wanted}", headers=headers, keep=False)  # the filter form, given back

    def queries(self) -> None:
        """Canaries wherever a query or a dashboard's address has a value."""
        self.made.voile("user", "add", "sam", "--service", "statistics", "--role", "viewer", "--tenant", TENANT)
        cookie, csrf = self.sign_in("statistics", "sam")
        headers = {"Cookie": cookie, **PAGE}
        for canary, wrong in ((c, q) for c in CANARIES for q in _wrong_queries(c.phrase, self.day)):
            body = json.dumps(wrong).encode()
            given = {"Cookie": cookie, "X-CSRF-Token": csrf, "Content-Type": JSON}
            assert self.ask("statistics", "POST", "/api/v1/query", body, given)[0] == 400
            key = {"Authorization": f"Bearer {_header(canary)}", "Content-Type": JSON}
            assert self.ask("statistics", "POST", "/api/v1/query", body, key)[0] == 401
        for canary, path in product(CANARIES, _WRONG_VIEWS):
            assert self.ask("statistics", "GET", path.format(canary.segment), headers=headers)[0] in {400, 404}, path
        # The page of a filter that fits nothing names the filter; a list's search field keeps what was typed.
        for canary, path in product(CANARIES, ("/?filter=event:page&value={}", "/list?of=event:page&q={}")):
            self.ask("statistics", "GET", path.format(canary.segment), headers=headers, keep=False)

    def pages(self) -> None:
        """What anybody who may sees, some time after the canaries came."""
        for plane in ("ingest", "identity", "statistics"):
            for path in ("/metrics", "/openapi.json", "/readyz", "/healthz", "/privacy", "/login"):
                self.ask(plane, "GET", path, headers=PAGE)
        cookie, _ = self.sign_in("statistics", "sam")
        period = f"period=custom&from={self.day}&to={self.day}"
        tables = ("event:page", "visit:entry_page", "visit:source", "visit:country", "visit:browser", "event:name")
        for path in (
            "",
            f"?{period}",
            "?period=day",
            *(f"{kind}?{period}&of={of}" for of in tables for kind in ("list", "csv")),
        ):
            status, _, text = self.ask("statistics", "GET", f"/{path}", headers={"Cookie": cookie, **PAGE})
            assert status in {200, 400}, path
            shown = b"/members/{name}/invoices" in text
            assert shown or not path.startswith(f"csv?{period}&of=event:page"), (
                f"the canaries were not counted: {text!r}"
            )
        cookie, _ = self.sign_in("identity", "dora")
        for path in ("/", "/grants"):
            self.ask("identity", "GET", path, headers={"Cookie": cookie, **PAGE})

    def release(self) -> None:
        out = str(self.made.folder / "release")
        days = ("--from", self.day.isoformat(), "--to", self.day.isoformat())
        built = self.made.json("release", "build", "--tenant", TENANT, *days, "--out", out)
        self.made.voile("release", "verify", built["release"])
        self.made.voile("audit", "verify")

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


_ADDRESSES = (
    ("GET", "/{0}?{0}"),
    ("DELETE", "/{0}"),
    ("POST", "/login/{0}"),
    ("GET", "/login/{0}"),
    ("POST", "/theme"),
    ("GET", "/assets/{0}/{0}"),
    ("GET", "/grants/{0}?days={0}"),
)
_WRONG_VIEWS = (
    "/?tenant={0}",
    "/?metric={0}",
    "/?period={0}",
    "/?filter={0}&value={0}",
    "/?compare={0}",
    "/?period=custom&from={0}&to={0}",
    "/list?of={0}",
    "/csv?of={0}",
    "/?pages={0}",
)


def _wrong_queries(text: str, day: date) -> list[dict[str, object]]:
    good = {"site_id": TENANT, "metrics": ["visitors"], "date_range": [day.isoformat(), day.isoformat()]}
    wrong: list[dict[str, object]] = [
        {"filters": [["is", text, ["x"]]]},
        {"filters": [[text, "event:page", [text]]]},
        {"filters": [["is", "event:page", [text, text]]]},
        {"metrics": [text]},
        {"dimensions": [text]},
        {"site_id": text},
        {"date_range": text},
        {"date_range": [text, text]},
        {"order_by": [[text, "asc"]]},
        {"include": {text: text}},
        {"pagination": {"limit": text}},
        {text: text},
    ]
    return [good | one for one in wrong]


def _headers_of(canary: Canary) -> dict[str, str]:
    given = _header(canary)
    headers = dict.fromkeys(("User-Agent", "Referer", "X-Forwarded-For", "X-Request-Id"), given)
    cookies = f"voile_stats={given}; voile_identity={given}; x={given}"
    return {**headers, "Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}


def _form_of(canary: Canary) -> bytes:
    return f"theme={canary.segment}&back={canary.segment}&csrf={canary.segment}".encode()


def _known(path: str) -> str:
    """The path's words, for a message."""
    return re.sub(r"[^/?=&]*[^a-z/?=&.:_][^/?=&]*", "*", path)


def _source(format_: str) -> str:
    return f"web.{format_.replace('_', '-')}"


def _header(canary: Canary) -> str:
    return canary.phrase.encode().decode("latin-1")


def _row(number: int, canary: Canary) -> str:
    values = {"name": canary.phrase, "email": f"p{number}@canary.example", "postal_address": canary.phrase, "phone": ""}
    if canary.kind == "e-mail":
        values["email"] = canary.text
    if canary.kind == "phone":
        values["phone"] = canary.text
    return ";".join([account_of(number), *values.values()])
