"""The access policy: the table, an independent oracle, and refusal whenever anything is wrong."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from pathlib import Path

import cedarpy
import pytest

from services.enricher.access.decisions import SHIPPED, TROUBLE, Action, Policies, Request
from services.runtime.errors import Fatal
from tests.unit.enricher.access.policy_cases import (
    ACTORS,
    CASES,
    DPO,
    HALF_BROKEN,
    NOON,
    QUARTER,
    REASON,
    SUPPORT,
    TICKET_PATTERN,
    Case,
    grant_of,
    request_of,
)
from tests.unit.enricher.access.policy_oracle import oracle


@pytest.fixture(scope="module")
def policies() -> Policies:
    return Policies.load("", TICKET_PATTERN)


def _name(case: Case) -> str:
    differs = ",".join(case.differs)
    return f"{case.actor.name}-{case.action}-{differs}-{'yes' if case.allowed else 'no'}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_table(policies: Policies, case: Case) -> None:
    """K6: each row is decided as it says, by the rule it names; a refusal says what to do."""
    decision = policies.decide(request_of(case.actor, case.action, **case.differs))
    assert decision.allowed is case.allowed
    assert case.why in decision.rules
    assert case.allowed or all(sentence.endswith((".", "doctor")) for sentence in decision.advice)
    assert case.allowed or decision.advice


def test_oracle_agrees_with_the_table() -> None:
    """K6: told twice, by the rules and in Python, with no mismatch."""
    wrong = [case for case in CASES if oracle(request_of(case.actor, case.action, **case.differs)) is not case.allowed]
    assert wrong == []


def test_the_table_is_long_enough() -> None:
    """K6 of the design: at least 200 cases, none twice."""
    assert len(CASES) >= 200
    assert len({_name(case) + repr(case.differs) for case in CASES}) == len(CASES)


def _combinations() -> list[Request]:
    """Facts of a kind take turns, at steps that have no common divisor: each pair of values meets."""
    grants = (None, grant_of("sam"), grant_of("dora", ended=True), grant_of("sam", ends=NOON), grant_of("dora"),
              grant_of("sam", subject="b2"), grant_of("dora", ends=NOON + timedelta(hours=5)),
              grant_of("sam", **QUARTER), grant_of("os:root", **QUARTER), grant_of("dora", **HALF_BROKEN),
              grant_of("os:root"))  # fmt: skip
    axes = itertools.product(ACTORS, Action, ("support", "rights", "legal", "x"), (REASON, "short"), (False, True))
    requests = []
    for n, (actor, action, purpose, reason, restricted) in enumerate(axes):
        differs = {"purpose": purpose, "reason": reason, "restricted": restricted}
        people = {"requester": ("dora", "x", "")[n % 3], "approver": ("", "x", "sam", "os:root", "y")[n % 5]}
        facts = {
            "ticket": "sup" if n // 3 % 4 == 0 else "SUP-1",
            "minutes": (15, 300, 30)[n // 2 % 3],
            "days": (30, 400, 1, 7, 90)[n // 3 % 5],
            "grant": grants[n % 11],
        }
        kind = ("erasure", "objection", "withdrawal", "")[n // 5 % 4]
        tenant = ("club", "choir", "")[n // 7 % 3]
        requests.append(request_of(actor, action, **differs, **people, **facts, tenant=tenant, kind=kind))
    return requests


def test_oracle_agrees_on_every_combination(policies: Policies) -> None:
    """Thousands of combinations, no mismatch; and both answers occur for every action."""
    requests = _combinations()
    answers = [(request, policies.decide(request).allowed) for request in requests]
    assert [r for r, allowed in answers if allowed is not oracle(r)] == []
    assert {r.action for r, allowed in answers if allowed} == set(Action)
    assert {r.action for r, allowed in answers if not allowed} == set(Action)


def _shipped() -> str:
    return "\n".join(file.read_text() for file in sorted(SHIPPED.glob("*.cedar")))


def _rules() -> list[tuple[str, str]]:
    """(id, the rule's text) of every shipped rule."""
    rules = re.findall(r'^@id\("([^"]+)"\)\n(?:.+\n)+', _shipped(), re.MULTILINE)
    texts = re.findall(r'^@id\("[^"]+"\)\n(?:.+\n)+', _shipped() + "\n", re.MULTILINE)
    return list(zip(rules, texts, strict=True))


@pytest.mark.parametrize(("rule", "text"), _rules(), ids=lambda value: value if "\n" not in value else "")
def test_without_a_rule_the_table_fails(rule: str, text: str) -> None:
    """The switch: each rule, taken out, changes what some row of it gets, not only the reason that is given."""
    without = Policies(_shipped().replace(text, ""), TICKET_PATTERN)
    decided = [case for case in CASES if case.why == rule]
    answers = [without.decide(request_of(case.actor, case.action, **case.differs)).allowed for case in decided]
    assert [answer for answer, case in zip(answers, decided, strict=True) if answer is not case.allowed]


@pytest.mark.parametrize(
    ("differs", "waits"),
    [
        ({}, True),
        ({"ticket": ""}, False),
        ({"restricted": True}, True),
        ({"approver": "dora"}, True),
        ({"tenant": "choir"}, True),
        ({"purpose": "support"}, False),
    ],
)
def test_what_only_an_approver_can_mend_waits(policies: Policies, differs: dict[str, object], waits: bool) -> None:
    """A request waits in the queue only when an approval would let it through."""
    request = request_of(DPO, Action.ASK_ACCESS, **{"purpose": "legal"} | differs)
    assert policies.decide(request).needs_approval is waits


def test_nobody_waits_for_what_their_role_never_gets(policies: Policies) -> None:
    """Support has no legal purpose: the rule that asks for an approver must not hide that."""
    decision = policies.decide(request_of(SUPPORT, Action.ASK_ACCESS, purpose="legal"))
    assert (decision.needs_approval, decision.rules) == (False, ("not-permitted",))


def test_refuses_when_a_policy_cannot_be_evaluated(tmp_path: Path) -> None:
    """Cedar skips a policy that fails; a skipped forbid would permit. The engine alone allows it: we refuse."""
    failing = '@id("overflow") forbid (principal, action, resource) when { 9223372036854775807 + context.minutes > 0 };'
    policies = Policies(_shipped() + failing, TICKET_PATTERN)
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
    ids = [rule for rule, _ in _rules()]
    assert len(ids) == _shipped().count("@id(")
    assert set(ids) == {case.why for case in CASES} - {"not-permitted"}
