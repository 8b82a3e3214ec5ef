"""Sources and their keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.ingest.sources import KEY_PREFIX, Source, digest_key
from services.runtime.errors import Fatal
from tests.parts.edge import NOW, opened, register


def test_a_key_is_shown_once_and_stored_as_its_digest(tmp_path: Path) -> None:
    """No table holds it."""
    with opened(tmp_path) as ingest:
        key = ingest.add_source(Source("api", "acme", "json")).key
        assert key.startswith(KEY_PREFIX)
        assert len(key) >= 36
        with ingest.engine.connect() as connection:
            rows = str(connection.execute(sa.text("SELECT * FROM source_keys")).all())
        assert key not in rows
        assert digest_key(key) in rows
        assert ingest.sources.known_keys()[digest_key(key)].source.name == "api"
        assert key not in repr(ingest.sources.add_key("api", NOW))


def test_two_live_keys_a_source(tmp_path: Path) -> None:
    """One in use and its successor; a third needs one revoked."""
    with opened(tmp_path) as ingest:
        first = ingest.add_source(Source("api", "acme", "json"))
        second = ingest.sources.add_key("api", NOW)
        with pytest.raises(Fatal, match="revoke"):
            ingest.sources.add_key("api", NOW)
        assert ingest.sources.revoke("api", first.id, NOW) == 1
        known = ingest.sources.known_keys()
        assert [known[digest_key(k.key)].revoked for k in (first, second)] == [True, False]
        ingest.sources.add_key("api", NOW)
        assert ingest.sources.revoke("api", None, NOW) == 2


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Source("Api!", "acme", "json"), "no name"),
        (Source("api", "acme", "xml"), "formats are"),
        (Source("api", "nobody", "json"), "voile tenant add nobody"),
        (Source("api", "acme", "json", site="a b"), "no site"),
        (Source("web", "acme", "json"), "voile source rotate-key web"),
        (Source("api", "closed", "json"), "suspended"),
        (Source("api", "acme", "json", lines_per_minute=0), "revoke its keys"),
    ],
)
def test_what_will_not_do_says_what_to_do(tmp_path: Path, source: Source, says: str) -> None:
    """Wrong name, format, tenant, site; a name that is taken; a tenant that is suspended."""
    with opened(tmp_path) as ingest:
        register(ingest.log, "closed", "suspended")
        ingest.clock.sleep(2)
        with pytest.raises(Fatal, match=says):
            ingest.add_source(source)


def test_a_quota_can_be_set_and_lifted(tmp_path: Path) -> None:
    """Also of a source that has none yet."""
    with opened(tmp_path) as ingest:
        for quota in (60_000, None):
            ingest.sources.set_quota("web", quota)
            assert ingest.sources.named("web").lines_per_minute == quota
        with pytest.raises(Fatal, match="voile source add nobody"):
            ingest.sources.set_quota("nobody", 1)
        with pytest.raises(Fatal, match="1 to"):
            ingest.sources.set_quota("web", -1)
