"""Messages to partners' systems, over real sockets and TLS: signed, tried again, to public addresses alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal, WrongUse
from services.runtime.keys import FileKeyService
from services.runtime.web.outbound import Sender
from services.stats.delivery import webhooks
from services.stats.delivery.partners import Partners
from services.stats.delivery.publications import Publications
from services.stats.delivery.webhooks import AGAIN_AFTER, Hooks, Post, listed, sent
from services.stats.releases.period import Period
from tests.parts.delivery import NAME, OTHER_NAME, WHO, build_release, publish
from tests.parts.tls_server import TlsServer, tls_server
from tests.unit.stats.releases.records import FIRST, new_records

HOST = "hooks.example"
REASON = "A source was counted twice"


@dataclass
class Place:
    """acme has a hook and may have NAME."""

    records: sa.Engine
    clock: FixedClock
    folder: Path
    server: TlsServer
    hooks: Hooks
    secret: str
    hook: str

    def post(self, sender: Sender | None = None) -> Post:
        return Post(self.records, self.hooks, sender or self.here(), "https://stats.example", self.clock)

    def here(self) -> Sender:
        """For which this machine is a public address."""
        return Sender(lambda *_: ["127.0.0.1"], lambda _: True, self.server.trusted)

    def publish(self) -> str:
        release, _ = build_release(self.records, self.folder, "chess-club", Period(FIRST, FIRST + timedelta(days=2)))
        publish(self.records, self.clock, self.folder, NAME, release.version)
        return release.version


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    records, clock = new_records(tmp_path), FixedClock(datetime(2026, 12, 1, 9, tzinfo=UTC))
    with tls_server(tmp_path, HOST) as server:
        partners = Partners(records, clock)
        partners.put("acme", "Acme", [NAME], WHO)
        hooks = Hooks(records, FileKeyService(tmp_path / "keys"), clock)
        hook, secret = hooks.add("acme", f"https://{HOST}:{server.port}/voile", WHO)
        yield Place(records, clock, tmp_path, server, hooks, secret, hook.id)
    records.dispose()


def test_publishing_and_withdrawing_are_told(place: Place) -> None:
    """Each once, with what it is about; signed as Standard Webhooks says, with the secret that was shown."""
    version = place.publish()
    assert place.post().deliver() == 1
    place.clock.advance(timedelta(minutes=1))
    Publications(place.records, place.clock).withdraw(NAME, version, REASON, WHO)
    assert place.post().deliver() == 1
    assert place.post().deliver() == 0
    published, withdrawn = place.server.received
    address = f"https://stats.example/exports/v1/datasets/{NAME}/{version}"
    about = {"name": NAME, "version": version, "url": address}
    assert json.loads(published.body) == {
        **{"type": "release.published", "timestamp": "2026-12-01T09:00:00+00:00", "data": about}
    }
    assert json.loads(withdrawn.body)["data"] == about | {"reason": REASON}
    for got in place.server.received:
        assert _is_signed(got.headers, got.body, place.secret)
        assert not _is_signed(got.headers, got.body + b" ", place.secret)
    assert published.headers["webhook-id"] != withdrawn.headers["webhook-id"]
    assert {message.outcome for message in sent(place.records, "acme")} == {"told"}


def test_what_does_not_arrive_is_tried_again_until_it_is_given_up(place: Place) -> None:
    """By the schedule of Standard Webhooks, under the same id; then never, and the list says why."""
    place.server.answers += [500] * len(AGAIN_AFTER) + [302]
    place.publish()
    for wait in AGAIN_AFTER:
        assert place.post().deliver() == 0
        place.clock.advance(wait - timedelta(seconds=1))
        before = len(place.server.received)
        place.post().deliver()
        assert len(place.server.received) == before  # not yet
        place.clock.advance(timedelta(seconds=1))
    place.post().deliver()
    (message,) = sent(place.records)
    assert (message.outcome, message.again, message.tries) == ("it answers 302", None, len(AGAIN_AFTER) + 1)
    assert len({got.headers["webhook-id"] for got in place.server.received}) == 1
    place.clock.advance(timedelta(days=3))
    place.post().deliver()
    assert len(place.server.received) == len(AGAIN_AFTER) + 1


def test_one_of_several_senders_sends(place: Place) -> None:
    """Two processes that look at the same moment: what one has taken the other leaves alone."""
    place.publish()
    first, second = place.post(), place.post()
    taken = first._claimed()
    assert second.deliver() == 0
    assert len(taken) == 1
    place.clock.advance(webhooks.CLAIM)  # the first one died: it is anybody's again
    assert second.deliver() == 1


def test_only_who_may_have_the_release_is_told(place: Place) -> None:
    """A name is a name of a client: no other partner hears of it."""
    partners = Partners(place.records, place.clock)
    partners.put("bolt", "Bolt", [OTHER_NAME], WHO)
    place.hooks.add("bolt", f"https://{HOST}:{place.server.port}/bolt", WHO)
    place.publish()
    place.post().deliver()
    assert [got.path for got in place.server.received] == ["/voile"]


@pytest.mark.parametrize("url", ["http://hooks.example/", "https://user@hooks.example/", "nothing", "https://"])
def test_an_address_that_cannot_be_used_is_refused_at_once(place: Place, url: str) -> None:
    """With a sentence, before a secret is made."""
    with pytest.raises(WrongUse, match="Nothing can be sent there"):
        place.hooks.add("acme", url, WHO)
    assert len(listed(place.records)) == 1


def test_no_message_reaches_this_machine(place: Place) -> None:
    """Whatever a partner's name resolves to. The switch: where every address is allowed, it does."""
    place.publish()
    closed = Sender(lambda *_: ["127.0.0.1"], trusted=place.server.trusted)
    assert place.post(closed).deliver() == 0
    assert place.server.received == []
    (message,) = sent(place.records)
    assert message.outcome == "it is no public address"
    place.clock.advance(AGAIN_AFTER[0])
    assert place.post().deliver() == 1


def test_secrets_are_stored_nowhere_and_differ(place: Place, tmp_path: Path) -> None:
    """Neither in the records nor as a file; a lost key is told and not replaced, so that no signature changes."""
    _, other = place.hooks.add("acme", "https://hooks.example/2", WHO)
    assert other != place.secret
    place.records.dispose()
    raw = base64.b64decode(place.secret.removeprefix("whsec_"))
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert place.secret.encode() not in file.read_bytes(), file
            assert raw not in file.read_bytes(), file
    FileKeyService(tmp_path / "keys").destroy(webhooks.SECRETS_KEY)
    with pytest.raises(Fatal, match="webhook/secrets"):
        place.hooks.secret(place.hook)


def test_a_test_message_is_like_any_other(place: Place) -> None:
    """Signed, listed; and a hook that is removed gets none."""
    place.hooks.test(place.hook)
    assert place.post().deliver() == 1
    assert json.loads(place.server.received[0].body)["type"] == "webhook.test"
    place.publish()
    place.hooks.remove(place.hook, WHO)
    assert place.post().deliver() == 0
    with pytest.raises(WrongUse):
        place.hooks.test(place.hook)


def _is_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """As a partner verifies, written from the specification."""
    key = base64.b64decode(secret.split("_")[1])
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in headers["webhook-signature"].split(" ")
