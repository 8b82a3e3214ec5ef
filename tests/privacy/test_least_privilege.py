"""No service can do more than its work asks for: each user and role tries, on a real broker and a real PostgreSQL."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package's stubs forget to export some
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from services.enricher.persons.directory import Profile
from services.enricher.service import open_identity
from services.enricher.tenants.registry import Tenant
from services.ingest.service import open_ingest
from services.ingest.sources import Source
from services.runtime.clock import SystemClock
from services.runtime.errors import Fatal, Transient
from services.runtime.lag import lag
from services.runtime.log import open_log
from services.runtime.log.kafka_access import Right
from services.runtime.log.kafka_connection import DENIED
from services.runtime.log.kafka_reading import FOLLOWERS
from services.runtime.log.kafka_rights import KafkaRights
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS
from services.stats.service import open_statistics
from tests.parts.edge import text_of
from tests.parts.fortress import GRANTEES, PLANES, Fortress, passwords, raise_databases, raise_topics
from tests.parts.postgres import Postgres
from tests.parts.secured_kafka import ADMIN, SecuredBroker

TENANT = "chess-club"
ROWS = 30
TURNS_MAX = 200  # a group's first assignment takes a few seconds
ANSWER_S = 20.0
GROUPS = {"ingest", "enricher", "enricher-accounts", "stats"}
PLANES_OF = {"enricher": "enricher", "ingest": "ingest", "stats-worker": "stats", "stats-server": ""}
"""Whom schemas/topics.toml means. The statistics server is nobody there: it reads and writes no topic (K9)."""
NO_SERVICES = {
    "operator": (
        {"dead-letter", "privacy-receipt", "privacy-signal", "retention-report", "tenant"},
        {"privacy-receipt", "privacy-signal", "tenant"},
    ),
    "collector": (set[str](), {"access-log-raw"}),
    "membership": (set[str](), {"account"}),
}
"""What may be read and written by who is no service of ours."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, kafka_jars: Path) -> Iterator[SecuredBroker]:
    with SecuredBroker(tmp_path_factory.mktemp("secured"), kafka_jars, passwords()) as broker:
        assert raise_topics(broker) == []
        yield broker


@pytest.fixture(scope="module")
def databases(postgres_server: Postgres) -> Postgres:
    raise_databases(postgres_server)
    return postgres_server


@pytest.fixture(scope="module")
def fortress(broker: SecuredBroker, databases: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Fortress:
    """With one batch gone all the way: every store has something to be read."""
    made = Fortress(tmp_path_factory.mktemp("fortress"), broker, databases)
    _one_batch(made)
    return made


def test_key_files_are_their_owners_alone(fortress: Fortress) -> None:
    """Planes on one machine are kept apart by the users that deploy/systemd gives them."""
    keys = [file for plane in PLANES for file in (fortress.folder / plane / "keys").rglob("*")]
    assert {file.parent.name for file in keys if file.is_file()} == set(PLANES)
    assert [file for file in keys if file.stat().st_mode & 0o077] == []


def _one_batch(fortress: Fortress) -> None:
    clock = SystemClock()
    with contextlib.ExitStack() as opened:
        identity = opened.enter_context(contextlib.closing(open_identity(fortress.settings("identity"), clock)))
        ingest = opened.enter_context(contextlib.closing(open_ingest(fortress.settings("ingest"), clock)))
        statistics = opened.enter_context(contextlib.closing(open_statistics(fortress.settings("statistics"), clock)))
        identity.registry.add(Tenant(TENANT, "Chess Club", clock.now()))
        identity.accounts.put(TENANT, Profile("ann", "Ann", "ann@example.org"))
        ingest.add_source(Source("web", TENANT, "combined", authenticated=True))
        line = f'192.0.2.7 - ann [{clock.now():%d/%b/%Y:%H:%M:%S %z}] "GET /a HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11)"'
        assert ingest.import_stream(io.BytesIO(text_of([line] * ROWS)), "web").accepted == ROWS
        feed = opened.enter_context(contextlib.closing(identity.account_feed("m")))
        linker = opened.enter_context(contextlib.closing(identity.linker("m")))
        worker = opened.enter_context(contextlib.closing(statistics.worker("m")))
        _turn_until(feed.step, lambda: bool(identity.directory.find(TENANT, "email", "ann@example.org")))
        _turn_until(linker.step, lambda: identity.status().events_linked == ROWS)
        _turn_until(worker.step, lambda: lag(statistics.log, "stats", TOPICS["access-log"].name) == 0)


def _turn_until(step: Callable[[float], bool], condition: Callable[[], bool]) -> None:
    for _ in range(TURNS_MAX):
        step(0.2)
        if condition():
            return
    raise AssertionError("it did not happen in time")


def test_each_user_reads_and_writes_its_topics_and_no_other(fortress: Fortress) -> None:
    """A batch has gone all the way with these rights, so they are enough; and each user tries every topic, both ways."""
    found = {name: (_readable(fortress.broker, name), _writable(fortress.broker, name)) for name in GRANTEES}
    assert found == {name: _expected(name) for name in GRANTEES}


def test_the_statistics_server_reads_no_raw_event(fortress: Fortress) -> None:
    """K9. The switch: with a right too many it reads them, and `voile kafka setup` tells of that right."""
    assert "access-log" not in _readable(fortress.broker, "stats-server")
    user, raw = GRANTEES["stats-server"].user, TOPICS["access-log"].name
    too_many = [Right(user, "group", FOLLOWERS, "Describe"), Right(user, "topic", raw, "Read")]
    rights = KafkaRights(fortress.broker.servers, Kafka.model_validate(fortress.broker.settings(ADMIN)))
    with _given(fortress.broker, rights, *too_many):
        assert _readable(fortress.broker, "stats-server") == {"access-log"}
        assert raise_topics(fortress.broker) == too_many
    assert _readable(fortress.broker, "stats-server") == set()


def test_nobody_moves_the_place_of_anothers_group(fortress: Fortress) -> None:
    """To commit in the enricher's group would make it skip what it must link."""
    for name, grantee in GRANTEES.items():
        refused = {group for group in GROUPS if _refused(partial(_commit, fortress.broker, name, group))}
        assert refused == GROUPS - set(grantee.groups), name


def test_no_service_makes_or_deletes_topics_or_gives_rights(fortress: Fortress) -> None:
    """That takes the administrator, whom no service is."""
    for name, grantee in GRANTEES.items():
        admin = AdminClient(fortress.broker.client(grantee.user))
        assert _refused(partial(_make_a_topic, admin)), name
        assert _refused(partial(_delete_a_topic, admin)), name
        own = KafkaRights(fortress.broker.servers, Kafka.model_validate(fortress.broker.settings(grantee.user)))
        with pytest.raises(Fatal):
            own.give([Right(grantee.user, "topic", TOPICS["account"].name, "Read")])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"password": "guessed"}, "refuses this service"), ({"security_protocol": "SSL"}, "does not answer")],
)
def test_who_does_not_log_in_gets_nothing(fortress: Fortress, wrong: dict[str, str], said: str) -> None:
    """By a wrong password, or by none."""
    kafka = Kafka.model_validate({**fortress.broker.settings("voile-enricher"), **wrong})
    with contextlib.closing(open_log(fortress.broker.url, kafka)) as log, pytest.raises((Fatal, Transient), match=said):
        log.ensure_topics([TOPICS["account"]])


def test_a_broker_of_another_authority_is_not_talked_to(fortress: Fortress, tmp_path: Path) -> None:
    """Passwords go to whom the named authority vouches for."""
    other = SecuredBroker(tmp_path, Path(), passwords())
    kafka = Kafka.model_validate({**fortress.broker.settings("voile-enricher"), "ca_file": str(other.ca_file)})
    with contextlib.closing(open_log(fortress.broker.url, kafka)) as log:
        assert not log.ready()


def _expected(name: str) -> tuple[set[str], set[str]]:
    if name in NO_SERVICES:
        return NO_SERVICES[name]
    reads = {topic.id for topic in TOPICS.values() if PLANES_OF[name] in topic.read_by}
    writes = {topic.id for topic in TOPICS.values() if PLANES_OF[name] in topic.written_by}
    return reads, writes


def _readable(broker: SecuredBroker, name: str) -> set[str]:
    """Topics (ids) of which the broker gives records, or their end. In a group of one's own or the followers': rights to
    topics are what is asked about."""
    group = next(iter(GRANTEES[name].groups), FOLLOWERS)
    consumer = Consumer({**broker.client(GRANTEES[name].user), "group.id": group, "enable.partition.eof": True})
    seen = [topic for topic in TOPICS.values() if _shows(consumer, topic.name)]
    consumer.assign([TopicPartition(topic.name, 0, 0) for topic in seen])
    answers: dict[str, bool] = {}
    try:
        _turn_until(lambda wait_s: _note(answers, consumer.poll(wait_s)), lambda: len(answers) == len(seen))
    finally:
        consumer.close()
    return {topic.id for topic in seen if answers[topic.name]}


def _shows(consumer: Consumer, topic: str) -> bool:
    """A client does not even find a topic that it has no right to."""
    error = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic].error
    assert error is None or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED, error
    return error is None


def _note(answers: dict[str, bool], message: Message | None) -> bool:
    if message is not None and (topic := message.topic()):
        error = message.error()
        assert error is None or error.code() in {KafkaError._PARTITION_EOF, *DENIED}, error
        answers[topic] = error is None or error.code() not in DENIED
    return True


def _writable(broker: SecuredBroker, name: str) -> set[str]:
    producer = Producer({**broker.client(GRANTEES[name].user), "message.timeout.ms": int(ANSWER_S * 1000)})
    answers: dict[str, KafkaError | None] = {}
    for topic in TOPICS.values():
        producer.produce(
            topic.name,
            key=b"tried",
            value=b"tried",
            partition=0,
            on_delivery=lambda e, m: answers.update({str(m.topic()): e}),
        )
    assert producer.flush(2 * ANSWER_S) == 0
    assert {error.code() for error in answers.values() if error} <= {KafkaError.TOPIC_AUTHORIZATION_FAILED}
    return {topic.id for topic in TOPICS.values() if answers[topic.name] is None}


def _commit(broker: SecuredBroker, name: str, group: str) -> None:
    topic = next(iter(GRANTEES[name].reads), "access-log")
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(TOPICS[topic].name, 0, 0)])
    admin = AdminClient(broker.client(GRANTEES[name].user))
    admin.alter_consumer_group_offsets([wanted])[group].result(ANSWER_S)


def _refused(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except KafkaException as error:
        code = error.args[0].code()
    else:
        return False
    assert code in DENIED, code
    return True


def _make_a_topic(admin: AdminClient) -> None:
    admin.create_topics([NewTopic("more", 1, 1)])["more"].result(ANSWER_S)


def _delete_a_topic(admin: AdminClient) -> None:
    name = TOPICS["tenant"].name
    admin.delete_topics([name])[name].result(ANSWER_S)


@contextlib.contextmanager
def _given(broker: SecuredBroker, rights: KafkaRights, *too_many: Right) -> Iterator[None]:
    rights.give(too_many)
    try:
        yield
    finally:
        user = f"User:{too_many[0].user}"
        kind, pattern, allowed = ResourceType.ANY, ResourcePatternType.ANY, AclPermissionType.ALLOW
        anything: Any = None  # the package's stubs do not know of it
        given = AclBindingFilter(kind, anything, pattern, user, anything, AclOperation.ANY, allowed)
        admin = AdminClient(broker.client())
        assert admin.list_topics(
            timeout=ANSWER_S
        ).topics  # a client's first question can be lost, this one is asked again
        assert len(admin.delete_acls([given])[given].result(ANSWER_S)) == len(too_many)
