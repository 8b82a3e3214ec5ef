"""Kafka's rights: what deploy/kafka/acls.toml says is what schemas/topics.toml means."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from services.enricher.activity.pipeline import GROUP as ENRICHER_GROUP
from services.enricher.persons.account_feed import GROUP as ACCOUNTS_GROUP
from services.ingest.receivers.raw_topic import GROUP as INGEST_GROUP
from services.runtime.errors import Fatal
from services.runtime.log.kafka_access import Right, load_grantees, rights_of, shell_line
from services.runtime.log.kafka_reading import FOLLOWERS
from services.runtime.topics import TOPICS
from services.stats.service import GROUP as STATS_GROUP

GRANTEES = {grantee.name: grantee for grantee in load_grantees()}
SERVICES = [grantee for grantee in GRANTEES.values() if grantee.plane]


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.id)
def test_services_have_the_topics_that_the_list_gives_them(topic: object) -> None:
    """A writer or reader that the list does not name has no right; one that it names has."""
    found = TOPICS[topic.id]  # type: ignore[attr-defined]  # a Topic
    assert {s.plane for s in SERVICES if found.id in s.writes} == set(found.written_by)
    assert {s.plane for s in SERVICES if found.id in s.reads} == set(found.read_by)


def test_each_group_is_joined_by_one_service() -> None:
    """The one that reads by it."""
    assert {g.name: set(g.groups) for g in GRANTEES.values() if g.groups} == {
        "ingest": {INGEST_GROUP},
        "enricher": {ENRICHER_GROUP, ACCOUNTS_GROUP},
        "stats-worker": {STATS_GROUP},
    }


def test_every_user_is_somebody_else() -> None:
    for one, other in itertools.combinations(GRANTEES.values(), 2):
        assert one.user != other.user


def test_the_statistics_server_has_no_right_at_all() -> None:
    """K9; tried on a real broker in tests/privacy/test_least_privilege.py."""
    assert rights_of(GRANTEES["stats-server"]) == []


def test_clear_data_is_read_by_who_must_link_or_count_it() -> None:
    """Whatever else changes in the lists."""
    readers = {
        g.name for g in GRANTEES.values() for topic in g.reads if TOPICS[topic].clear and topic != "privacy-signal"
    }
    assert readers == {"ingest", "enricher", "stats-worker"}


def test_a_right_is_a_line_for_kafkas_own_tool() -> None:
    """As its documentation spells the options."""
    assert shell_line(Right("voile-ingest", "topic", "tenant.v1", "Read"), "broker-1:9092") == (
        "kafka-acls.sh --bootstrap-server broker-1:9092 --command-config admin.properties --add "
        "--allow-principal User:voile-ingest --operation Read --topic tenant.v1"
    )


def test_a_reader_may_name_the_followers_group_and_not_join_it() -> None:
    assert Right("voile-stats-worker", "group", FOLLOWERS, "Describe") in rights_of(GRANTEES["stats-worker"])
    assert "Read" not in {r.operation for g in GRANTEES.values() for r in rights_of(g) if r.name == FOLLOWERS}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[a]\nuser = "x"\nreads = ["acount"]', "'acount'"),
        ('[a]\nreads = ["account"]', "has a user"),
        ('[a]\nuser = "x"\nread = ["account"]', "nothing else"),
        ('a = 1', "has a user"),
        ("[a", "is not TOML"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    """A typing mistake gives no right too many, and none too few in silence."""
    file = tmp_path / "acls.toml"
    file.write_text(text)
    with pytest.raises(Fatal, match=said):
        load_grantees(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="There is no file"):
        load_grantees(tmp_path / "none.toml")
