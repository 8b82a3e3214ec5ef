"""What is asked of Kafka: again when the question was lost, in Voile's words when it is refused."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from services.runtime.errors import Transient
from services.runtime.log import kafka
from services.runtime.log.kafka_connection import Connection
from services.runtime.settings import Kafka


@pytest.mark.parametrize(
    ("failures", "answered"),
    [
        ((), True),
        ((KafkaError._DESTROY,), True),
        ((KafkaError._DESTROY, KafkaError.NOT_LEADER_FOR_PARTITION), True),
        ((KafkaError._TIMED_OUT,), False),
    ],
)
def test_a_question_that_went_to_the_wrong_place_is_asked_again(failures: tuple[int, ...], answered: bool) -> None:
    """The client drops bootstrap handles by itself, and nobody but the one who asked would notice."""
    left = list(failures)

    def question() -> str:
        if left:
            raise KafkaException(KafkaError(left.pop(0)))
        return "answer"

    connection = Connection("127.0.0.1:1", Kafka())
    if answered:
        assert connection.asked(question) == "answer"
    else:
        with pytest.raises(Transient):
            connection.asked(question)
    assert not left


def test_an_answer_that_does_not_come_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a fault to wait for, not an internal error that ends the service."""
    monkeypatch.setattr(kafka, "ANSWER_S_MAX", 0.01)
    with pytest.raises(Transient):
        kafka._result(Future())
