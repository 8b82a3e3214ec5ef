"""Passwords, codes, sessions and people of a provider, with the plane's records in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from services.runtime.clock import FixedClock
from services.runtime.database import open_plane_records
from services.runtime.web.credentials import Credentials
from services.runtime.web.passwords import Passwords
from services.runtime.web.people import ProviderPeople
from services.runtime.web.sessions import Sessions
from services.runtime.web.totp import new_secret
from services.stats.access.records import dashboard_sessions
from services.stats.records import MIGRATIONS
from tests.parts.web import FAST
from tests.unit.runtime.web.test_credentials import (  # noqa: F401  # those on which two databases could differ
    PASSWORD,
    Desk,
    test_a_recovery_code_takes_the_codes_place_once,
    test_of_two_changes_at_once_one_counts,
    test_one_code_in_many_browsers_at_once_opens_one,
    test_password_and_code_open,
    test_what_is_forgotten_opens_nothing,
)
from tests.unit.runtime.web.test_people import (  # noqa: F401  # as above
    test_nobody_becomes_somebody_else_by_a_name,
    test_rights_are_those_of_the_newest_sign_in,
)
from tests.unit.runtime.web.test_sessions import (  # noqa: F401  # as above
    test_a_person_sees_and_ends_their_own_sessions,
    test_all_sessions_of_a_person_end_but_one,
    test_rights_taken_away_are_gone_at_once,
)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[sa.Engine]:
    made = open_plane_records(postgres_url, MIGRATIONS)
    yield made
    made.dispose()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def sessions(engine: sa.Engine, clock: FixedClock) -> Sessions:
    made = Sessions(engine, dashboard_sessions, clock)
    made.put_user("ada", ["viewer"], ["*"])
    return made


@pytest.fixture
def desk(engine: sa.Engine, clock: FixedClock, sessions: Sessions) -> Desk:
    made = Credentials(engine, dashboard_sessions, clock, Passwords(FAST))
    found = Desk(engine, dashboard_sessions, clock, made, new_secret(), ())
    found.codes = made.set_up("ada", PASSWORD, found.secret, found.code()) or ()
    return found


@pytest.fixture
def kept(engine: sa.Engine, clock: FixedClock) -> tuple[ProviderPeople, Sessions]:
    return ProviderPeople(engine, dashboard_sessions), Sessions(engine, dashboard_sessions, clock)
