"""Ingest's own tests of claims and sources again, with its records in a real PostgreSQL."""

from __future__ import annotations

import pytest

from tests.parts import edge
from tests.unit.ingest.receivers.test_files import (  # noqa: F401  # those on which two databases could differ
    _small_chunks,
    test_a_crash_between_publish_and_mark_loses_and_doubles_nothing,
    test_a_file_that_begins_the_same_and_goes_on_otherwise_is_another,
    test_a_file_that_grew_gives_only_what_is_new,
    test_an_import_that_comes_second_finds_out_and_goes_on,
    test_rejects_are_tried_again_with_a_corrected_format,
    test_two_imports_at_once_count_once,
)
from tests.unit.ingest.receivers.test_following import (  # noqa: F401
    log,
    test_a_log_that_was_followed_has_no_more_chunks_than_one_that_was_imported,
    test_another_import_of_the_log_meanwhile_doubles_nothing,
    test_it_waits_while_the_event_log_is_away,
)
from tests.unit.ingest.test_committer import *  # noqa: F403  # every test of the module, as it stands
from tests.unit.ingest.test_records import *  # noqa: F403
from tests.unit.ingest.test_reporting import *  # noqa: F403
from tests.unit.ingest.test_source_counts import *  # noqa: F403
from tests.unit.ingest.test_sources import test_two_live_keys_a_source  # noqa: F401


@pytest.fixture(autouse=True)
def _on_postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "records_url", lambda: postgres_url)
