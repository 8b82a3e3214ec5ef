"""Day keys: one a (tenant, day), none once the day is closed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from services.runtime.keys import FileKeyService
from services.stats.pseudonyms.keyring import Keyring
from tests.parts.counting import DAY, KnownDays

NEXT = date(2026, 3, 11)


def test_each_tenant_and_day_has_its_own_random_key(tmp_path: Path) -> None:
    """The same one every time until it is destroyed; never derived from its name."""
    keyring = Keyring(FileKeyService(tmp_path / "a"), KnownDays())
    keys = [keyring.key(t, d) for t in ("club", "choir") for d in (DAY, NEXT)]
    assert len(set(keys)) == 4
    assert keyring.key("club", DAY) == keys[0] == keyring.existing("club", DAY)
    assert Keyring(FileKeyService(tmp_path / "b"), KnownDays()).key("club", DAY) != keys[0]
    assert keyring.days("club") == [DAY, NEXT]


@pytest.mark.parametrize("state", ["published", "events_dropped", "closed"])
def test_a_day_that_is_over_never_gets_a_key_again(tmp_path: Path, state: str) -> None:
    """Its rows are late; the state outlives the key."""
    days = KnownDays()
    keyring = Keyring(FileKeyService(tmp_path / "keys"), days)
    assert keyring.key("club", DAY) is not None
    days.states["club", DAY] = state
    assert keyring.key("club", DAY) is None
    assert keyring.destroy("club", DAY)
    assert keyring.key("club", DAY) is None
    assert keyring.existing("club", DAY) is None
    assert keyring.days("club") == []


@pytest.mark.parametrize("state", ["open", "closing"])
def test_a_closing_day_still_takes_what_was_in_the_log(tmp_path: Path, state: str) -> None:
    """The closer waits for it."""
    keyring = Keyring(FileKeyService(tmp_path / "keys"), KnownDays({("club", DAY): state}))
    assert keyring.key("club", DAY) is not None
