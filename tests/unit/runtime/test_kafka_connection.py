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
        ((KafkaError._TIMED_OUT,), True),
        ((KafkaError._FAIL,), False),
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


@pytest.mark.parametrize("lost", [1, 9])
def test_a_question_that_nobody_answers_is_put_again_for_a_while(monkeypatch: pytest.MonkeyPatch, lost: int) -> None:
    """Its future never ends; that is a fault to wait for, not an internal error that ends the service."""
    monkeypatch.setattr(kafka, "QUESTION_S_MAX", 0.01)
    questions = [Future[str]() for _ in range(10)]
    questions[lost].set_result("answer")
    asked = iter(questions)
    connection = Connection("127.0.0.1:1", Kafka())

    def question() -> str:
        return str(kafka._result(next(asked)))

    if lost == 1:
        assert connection.asked(question, within_s=0.3) == "answer"
    else:
        with pytest.raises(Transient, match="in time"):
            connection.asked(question, within_s=0.3)
