"""What Voile asks of Kafka: terms that keep the promise, and who it says it is."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr

from services.runtime.errors import Fatal, Poison, Transient
from services.runtime.log import open_log
from services.runtime.log.interface import Fenced
from services.runtime.log.kafka import HOUR_MS, SLACK_MS, topic_settings
from services.runtime.log.kafka_connection import Connection
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS, Topic

_SLOWEST_BROKER_MS = 6 * 60_000  # Kafka's defaults: a check every 5 minutes, files deleted a minute later


@pytest.mark.parametrize("topic", [t for t in TOPICS.values() if not t.compacted], ids=lambda topic: topic.id)
def test_a_message_is_gone_within_its_term(topic: Topic) -> None:
    """Appended first into a segment that fills until its time: retention counts from the segment's newest."""
    settings = topic_settings(topic)
    oldest_ms = int(settings["segment.ms"]) + int(settings["retention.ms"]) + _SLOWEST_BROKER_MS
    assert topic.kept_hours is not None
    assert oldest_ms <= topic.kept_hours * HOUR_MS
    assert int(settings["retention.ms"]) >= 0.8 * topic.kept_hours * HOUR_MS - SLACK_MS
    assert settings["cleanup.policy"] == "delete"
    assert settings["message.timestamp.type"] == "LogAppendTime"


def test_a_compacted_topic_has_no_term() -> None:
    """Signals and tenants stay; what was superseded goes within a day."""
    settings = topic_settings(TOPICS["privacy-signal"])
    assert settings["cleanup.policy"] == "compact"
    assert "retention.ms" not in settings
    assert int(settings["max.compaction.lag.ms"]) <= 24 * HOUR_MS


def test_credentials_are_used_only_where_they_are_asked_for() -> None:
    """A plain connection carries none; a SASL one carries all."""
    plain = Connection("h:1", Kafka(username="u", password=SecretStr("secret"))).config()
    assert not [key for key in plain if key.startswith("sasl")]
    secured = Connection(
        "h:1,h:2",
        Kafka(security_protocol="SASL_SSL", username="u", password=SecretStr("secret"), ca_file="/ca.pem"),
    ).config(group_id="g")
    assert secured["bootstrap.servers"] == "h:1,h:2"
    assert secured["security.protocol"] == "SASL_SSL"
    assert (secured["sasl.username"], secured["sasl.password"]) == ("u", "secret")
    assert secured["sasl.mechanism"] == "SCRAM-SHA-512"
    assert secured["ssl.ca.location"] == "/ca.pem"
    assert secured["group.id"] == "g"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.ILLEGAL_GENERATION, Fenced),
        (KafkaError.UNKNOWN_MEMBER_ID, Fenced),
        (KafkaError.FENCED_INSTANCE_ID, Fenced),
        (KafkaError._TIMED_OUT, Transient),
        (KafkaError.REBALANCE_IN_PROGRESS, Transient),
        (KafkaError.NOT_ENOUGH_REPLICAS, Transient),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Fatal),
        (KafkaError.MSG_SIZE_TOO_LARGE, Poison),
    ],
)
def test_kafkas_errors_become_ours(code: int, kind: type[Exception]) -> None:
    """Retry, dead-letter, rejoin or stop: nothing else leaves the log."""
    assert isinstance(Connection("h:1", Kafka()).translated(KafkaError(code)), kind)


def test_a_refused_login_is_fatal_whatever_the_request_says() -> None:
    """Requests only time out then; the client's error callback knows why."""
    connection = Connection("h:1", Kafka())
    connection.config()["error_cb"](KafkaError(KafkaError._AUTHENTICATION))
    assert isinstance(connection.translated(KafkaError(KafkaError._TIMED_OUT)), Fatal)


@pytest.mark.parametrize("url", ["", "events.db", "mysql://x", "sqlite://relative.db", "file:///x"])
def test_an_unknown_url_says_what_it_should_be(url: str) -> None:
    """Both forms, in one sentence."""
    with pytest.raises(Fatal, match=r"sqlite:///events.db or kafka://host:9092"):
        open_log(url, Kafka())
