"""A ClickHouse server that is away."""

from __future__ import annotations

import pytest

from services.runtime.clickhouse import open_analytics
from services.runtime.errors import Transient
from tests.parts.processes import free_ports


def test_a_server_that_is_away_is_waited_for() -> None:
    """After a power cut nobody says which machine is up first; its password is not said."""
    (port,) = free_ports(1)
    with pytest.raises(Transient, match=f"ClickHouse at 127.0.0.1:{port} does not answer; start it") as raised:
        open_analytics(f"clickhouse://voile:hunter2@127.0.0.1:{port}/voile")
    assert "hunter2" not in str(raised.value)
