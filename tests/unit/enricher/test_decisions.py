"""The access policy: the table, an independent oracle, and refusal whenever anything is wrong."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import cedarpy
import pytest

from services.enricher.decisions import SHIPPED, TROUBLE, Action, Policies, Request
from services.runtime.errors import Fatal
from tests.unit.enricher.policy_cases import (
    ACTORS,
    CASES,
    NOON,
    SUPPORT,
    TICKET_PATTERN,
    Case,
    grant_of,
    oracle,
    request_of,
)


@pytest.fixture(scope="module")
def policies() -> Policies:
    return Policies.load("", TICKET_PATTERN)


def _name(case: Case) -> str:
    differs = ",".join(case.differs)
    return f"{case.actor.name}-{case.action}-{differs}-{'yes' if case.allowed else 'no'}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_table(policies: Policies, case: Case) -> None:
    """Each row is decided as it says, by the rule it names; a refusal says what to do."""
    decision = policies.decide(request_of(case.actor, case.action, **case.differs))
    assert decision.allowed is case.allowed
    assert case.why in decision.rules
    assert case.allowed or all(sentence.endswith((".", "doctor")) for sentence in decision.advice)
    assert case.allowed or decision.advice


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_oracle_agrees_with_the_table(case: Case) -> None:
    assert oracle(request_of(case.actor, case.action, **case.differs)) is case.allowed


def _combinations() -> list[Request]:
    grants = (None, grant_of("sam"), grant_of("dora", ended=True), grant_of("sam", ends=NOON), grant_of("dora"),
              grant_of("sam", subject="b2"), grant_of("dora", ends=NOON + timedelta(hours=5)))  # fmt: skip
    axes = itertools.product(
        ACTORS, Action, ("support", "rights", "x"), ("SUP-1", "sup"), ("ten chars!", "short"), (30, 300), (False, True)
    )
    requests = []
    for number, (actor, action, purpose, ticket, reason, minutes, restricted) in enumerate(axes):
        differs = {"purpose": purpose, "ticket": ticket, "reason": reason, "minutes": minutes, "restricted": restricted}
        tenant = ("club", "choir")[number % 2]
        requests.append(
            request_of(
                actor, action, **differs, tenant=tenant, grant=grants[number % 7], requester=("dora", "x")[number % 2]
            )
        )
    return requests


def test_oracle_agrees_on_every_combination(policies: Policies) -> None:
    """Thousands of combinations, no mismatch; and both answers occur for every action but those nobody is refused."""
    requests = _combinations()
    answers = [(request, policies.decide(request).allowed) for request in requests]
    assert [r for r, allowed in answers if allowed is not oracle(r)] == []
    assert {r.action for r, allowed in answers if allowed} == set(Action)
    assert {r.action for r, allowed in answers if not allowed} == set(Action)


def test_refuses_when_a_policy_cannot_be_evaluated(tmp_path: Path) -> None:
    """Cedar skips a policy that fails; a skipped forbid would permit. The engine alone allows it: we refuse."""
    failing = '@id("overflow") forbid (principal, action, resource) when { 9223372036854775807 + context.minutes > 0 };'
    text = "\n".join(file.read_text() for file in sorted(SHIPPED.glob("*.cedar"))) + failing
    policies = Policies(text, TICKET_PATTERN)
    request = request_of(SUPPORT, Action.ASK_ACCESS)
    decision = policies.decide(request)
    assert not decision.allowed
    assert decision.rules == (TROUBLE,)
    assert Policies.load("", TICKET_PATTERN).decide(request).allowed


def test_refuses_when_the_engine_fails(policies: Policies, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("engine")

    monkeypatch.setattr(cedarpy, "is_authorized", broken)
    assert policies.decide(request_of(SUPPORT, Action.ASK_ACCESS)).rules == (TROUBLE,)


def test_a_role_that_sounds_like_cedar_stays_a_name(policies: Policies) -> None:
    """Names are passed as data: none can be read as policy text."""
    odd = type(SUPPORT)('x" || true || "', frozenset({'support"', "dpo\n"}), frozenset({"*"}))
    assert not policies.decide(request_of(odd, Action.ASK_ACCESS)).allowed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("permit (principal, action, resource)", "cannot be read|not usable"),
        ('@id("a") permit (principal, action, resource) when { context.colour == 1 };', "not usable"),
        ('@id("a") permit (principal, action == Action::"sell", resource);', "not usable"),
        ("permit (principal, action, resource);", "@id"),
        ('@id("a") permit (principal, action, resource);@id("a") forbid (principal, action, resource);', "@id"),
    ],
)
def test_unusable_policies_stop_the_start(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "own.cedar").write_text(text)
    with pytest.raises(Fatal, match=says):
        Policies.load(str(tmp_path), TICKET_PATTERN)


def test_empty_policy_folder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"no \.cedar files"):
        Policies.load(str(tmp_path), TICKET_PATTERN)


def test_own_policies_replace_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "own.cedar").write_text('@id("nobody") @advice("Closed.") forbid (principal, action, resource);')
    policies = Policies.load(str(tmp_path), TICKET_PATTERN)
    assert policies.decide(request_of(SUPPORT, Action.ASK_ACCESS)).advice == ("Closed.",)
    assert policies.digest != Policies.load("", TICKET_PATTERN).digest


def test_every_shipped_rule_decides_some_row() -> None:
    """A rule without a row in the table is not tested."""
    text = "\n".join(file.read_text() for file in SHIPPED.glob("*.cedar"))
    ids = {line.split('"')[1] for line in text.splitlines() if line.startswith("@id")}
    assert ids == {case.why for case in CASES} - {"not-permitted"}
