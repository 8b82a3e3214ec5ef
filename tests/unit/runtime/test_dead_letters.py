"""What is said of a record that could not be processed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.runtime import avro
from services.runtime.dead_letters import dead_letter
from services.runtime.log.interface import Partition, Record

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("topic", ["access-log.v1", "account.v1"])
def test_where_it_is_and_nothing_of_it(topic: str) -> None:
    """Neither key, value nor header is repeated: a damaged record may hold anything in each of them."""
    record = Record(Partition(topic, 3), 41, b"nina.fournier", b"nina@example.org", {"nina": b"nina"}, 0)
    message = dead_letter(record, "poison", "stats", AT)
    letter = avro.decode_record(message.value or b"", "dead_letter")
    told = (letter["reason"], letter["topic"], letter["partition"], letter["offset"], letter["length"])
    assert told == ("poison", topic, 3, 41, 16)
    assert b"nina" not in message.key + (message.value or b"") + repr(message.headers).encode()
