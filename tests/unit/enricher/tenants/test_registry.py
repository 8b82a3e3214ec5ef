"""Tenants are registered once for every plane, and only as they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.enricher.service import Identity
from services.enricher.tenants.registry import Refused, Tenant
from services.runtime.log.interface import Message
from services.runtime.topics import TOPICS
from tests.parts.identity import NOON, TENANT, opened

CLUB = Tenant(
    "rowing", "Rowing Club", NOON, hosts=("rowing.example",), status="active", size_class="large", releases=True,
    platform_releases=True, routes=("/members/{id}",), retention={"linked": 30},
)  # fmt: skip


def test_a_tenant_comes_back_whole_in_another_process(tmp_path: Path) -> None:
    """Every field survives the topic."""
    with opened(tmp_path) as plane:
        plane.registry.add(CLUB)
    with opened(tmp_path) as plane:
        assert plane.registry.get("rowing") == CLUB
        assert [t.tenant for t in plane.registry.all()] == [TENANT, "rowing"]


def test_adding_again_replaces(plane: Identity) -> None:
    """The newest word is the one in force."""
    plane.registry.add(CLUB)
    plane.registry.add(replace(CLUB, status="suspended"))
    found = plane.registry.get("rowing")
    assert found is not None
    assert found.status == "suspended"


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "Rowing"}, {"tenant": ""}, {"tenant": "a/b"}, {"tenant": "-a"}, {"tenant": "a" * 64},
        {"tenant": "a\n"}, {"name": " "}, {"name": "x" * 201}, {"name": "a\nb"}, {"status": "gone"},
        {"size_class": "huge"}, {"hosts": ("http://x.example",)}, {"hosts": ("x.example:80",)}, {"hosts": ("",)},
        {"routes": ("members",)}, {"routes": ("/a?b",)}, {"retention": {"linked": 0}}, {"retention": {"shoes": 1}},
        {"routes": ("/",) * 2001},
    ],
)  # fmt: skip
def test_a_wrong_tenant_is_refused(plane: Identity, change: dict[str, Any]) -> None:
    """And nothing of it is written."""
    with pytest.raises(Refused):
        plane.registry.add(replace(CLUB, **change))
    plane.registry.follow()
    assert len(plane.registry.all()) == 1


def test_a_host_belongs_to_one_tenant(plane: Identity) -> None:
    """However it is spelled; its own tenant may keep it."""
    plane.registry.add(CLUB)
    with pytest.raises(Refused, match="rowing"):
        plane.registry.add(Tenant("other", "Other", NOON, hosts=(" Rowing.Example ",)))
    assert plane.registry.add(replace(CLUB, hosts=("ROWING.example",))).hosts == ("rowing.example",)


def test_a_damaged_record_hides_no_other_tenant(plane: Identity) -> None:
    """What stood before it stays in force."""
    plane.registry.add(CLUB)
    plane.log.send([Message(TOPICS["tenant"].name, b"rowing", b"damaged")])
    plane.registry.follow()
    assert plane.registry.get("rowing") == CLUB


def test_a_tombstone_removes(plane: Identity) -> None:
    """What termination writes at its very end."""
    plane.log.send([Message(TOPICS["tenant"].name, TENANT.encode(), None)])
    plane.registry.follow()
    assert plane.registry.all() == []
