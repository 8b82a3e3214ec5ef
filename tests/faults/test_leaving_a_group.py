"""A service that is stopped while it joins its group ends; librdkafka's issue 4884 would block it for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.clock import SystemClock
from services.runtime.log import open_log
from services.runtime.settings import Kafka
from tests.faults.leaving_process import MOMENTS
from tests.parts.logs import own_topic
from tests.parts.processes import die_with_parent

LEFT_S_MAX = 60.0
HUNG_S = 25.0  # a round that does not hang takes 8 s
ROUNDS = 3


def _rounds(servers: str, *flags: str, within_s: float) -> int:
    """How often the process left before it ended or time was over."""
    url, topic = f"kafka://{servers}", own_topic(partitions=1)
    log = open_log(url, Kafka(), SystemClock())
    log.ensure_topics([topic])
    log.close()
    command = [sys.executable, "-m", "tests.faults.leaving_process", url, topic.name, *flags]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=within_s, cwd=Path(__file__).parents[2],
            preexec_fn=die_with_parent, check=True,  # one system call, safe between fork and exec
        )  # fmt: skip
    except subprocess.TimeoutExpired as over:
        return (over.stdout or b"").count(b"left")
    return done.stdout.count(b"left")


@pytest.mark.kafka
def test_who_leaves_while_joining_does_not_hang(kafka_servers: str) -> None:
    """At any moment of it."""
    assert _rounds(kafka_servers, within_s=LEFT_S_MAX) == MOMENTS


@pytest.mark.full  # it waits for a hang that does not come at every try
@pytest.mark.kafka
def test_without_ending_the_join_first_it_hangs(kafka_servers: str) -> None:
    """The switch; at some moment, so a few rounds are tried."""
    assert any(_rounds(kafka_servers, "--hasty", within_s=HUNG_S) < MOMENTS for _ in range(ROUNDS))
