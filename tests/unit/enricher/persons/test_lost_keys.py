"""A key that stored data was sealed or indexed with is never made anew in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.enricher.access.service import open_access
from services.enricher.audit.log import SIGNING_KEY, SUBJECT_KEY, Entry
from services.enricher.persons.vault import FIRST_KEK
from services.runtime.errors import Fatal
from tests.parts.identity import TENANT, access, batch, link, linked, opened, send


@pytest.mark.parametrize("name", [FIRST_KEK, f"index/{TENANT}"])
def test_a_lost_key_of_stored_persons_stops_the_start(tmp_path: Path, name: str) -> None:
    """With a new index key nobody would be found, so that an erasure would report success and erase nothing."""
    with opened(tmp_path) as identity:
        send(identity, batch([access("ann")]))
        link(identity)
        assert linked(identity, "ann") == ["/"]
        assert identity.keys.destroy(name)
    with pytest.raises(Fatal, match="is missing from its folder"), opened(tmp_path):
        pass


@pytest.mark.parametrize("name", [SIGNING_KEY, SUBJECT_KEY])
def test_a_lost_key_of_the_audit_log_stops_the_start(tmp_path: Path, name: str) -> None:
    """With new ones the log could not be proved, nor searched for a person's earlier entries."""
    with opened(tmp_path) as identity:
        open_access(identity).audit.append([Entry("ada", "dpo", "viewAudit", TENANT, outcome="granted")])
        assert identity.keys.destroy(name)
        with pytest.raises(Fatal, match="is missing from its folder"):
            open_access(identity)


def test_keys_are_made_where_nothing_is_stored(tmp_path: Path) -> None:
    """A first start needs none; nor does one after which nothing was stored."""
    with opened(tmp_path) as identity:
        for name in identity.keys.names():
            identity.keys.destroy(name)
    with opened(tmp_path) as identity:
        open_access(identity)
        assert FIRST_KEK in identity.keys.names()
