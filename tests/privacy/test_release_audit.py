"""The audit sees a tenth less noise and a bound that is gone, and passes what is shipped.

What must come out the same at each run takes its noise by the exact probabilities of the shipped distribution, seeded;
the shipped sampler itself is audited in a small form here, and in full with VOILE_TEST_FULL (and `voile release audit`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from services.cli.release import app
from services.runtime.clickhouse import Analytics, sql
from services.stats.releases import audit as audit_module
from services.stats.releases import bounding
from services.stats.releases import noise as noise_module
from services.stats.releases.audit import WHOLE, Finding, audit, rate_bounds
from tests.integration.releases.store import new_store
from tests.privacy.released import seeded_noise

pytestmark = pytest.mark.timeout(900)  # a minute and a half of processor time in full, on a machine that may be busy
SEEDS = [1, pytest.param(2, marks=pytest.mark.full), pytest.param(3, marks=pytest.mark.full)]


@pytest.fixture
def analytics(tmp_path: Path) -> Iterator[Analytics]:
    store = new_store(tmp_path)
    yield store
    store.close()


def found(findings: list[Finding], violated: bool = True) -> set[tuple[str, str]]:
    return {(f.canary, f.measure) for f in findings if f.violation == violated}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tenth_less_noise_is_flagged(analytics: Analytics, seed: int) -> None:
    """The same canaries with the declared sigma and with 0.9 of it: none flagged, and the whole day flagged."""
    shipped = audit(analytics, seed, noise=seeded_noise(np.random.default_rng(seed)))
    assert found(shipped) == set()
    assert {f.measure for f in shipped} >= {WHOLE, "visitors", "visitors_by_route"}
    analytics.command("TRUNCATE TABLE events")
    weak = audit(analytics, seed, noise=seeded_noise(np.random.default_rng(seed), factor=0.9))
    assert ("to the bounds", WHOLE) in found(weak)


@pytest.mark.parametrize(
    ("kept", "broken", "measure"),
    [
        ("counted_routes), 1, {routes_max:UInt32}", "counted_routes), 1, 30", "visitors_by_route"),
        ("least(countIf(page_view = 1), {page_views_max:UInt32})", "countIf(page_view = 1)", "page_views"),
        ("places), 1, {places_max:UInt32}", "places), 1, 3", "visitors_by_country_and_device"),
    ],
)
def test_a_removed_bound_is_flagged(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch, kept: str, broken: str, measure: str
) -> None:
    """Even when the assertion is gone with it: the canary beyond the bounds shows in that measure, and in no other."""

    def unbounded(package: str, name: str) -> str:
        return sql(package, name).replace(kept, broken)

    monkeypatch.setattr(bounding, "sql", unbounded)
    monkeypatch.setattr(bounding, "_refuse_unbounded", lambda *_: None)
    findings = audit(analytics, 1, tenants=1500, draws=8, noise=seeded_noise(np.random.default_rng(5)))
    assert ("beyond the bounds", measure) in found(findings)
    assert {m for _, m in found(findings)} <= {measure, WHOLE}


def test_the_shipped_sampler_passes(analytics: Analytics) -> None:
    """A small form: the real statement, assertion and OpenDP."""
    findings = audit(analytics, 1, tenants=600, draws=1)
    assert found(findings) == set()
    assert next(f.estimate for f in findings if f.measure == WHOLE) > 0.5, "the canaries are there"


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_shipped_sampler_in_full(analytics: Analytics, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """As `voile release audit` runs it; and with OpenDP's scale a tenth too small, whose accounting is silenced."""
    assert found(audit(analytics, seed)) == set()
    analytics.command("TRUNCATE TABLE events")
    real = noise_module._gaussian
    monkeypatch.setattr(noise_module, "_ROUNDING", 1.0)
    monkeypatch.setattr(noise_module, "_gaussian", lambda dp, scale: real(dp, scale * 0.9))
    assert ("to the bounds", WHOLE) in found(audit(analytics, seed))


def test_the_command_prints_its_figures_and_fails_on_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON and as a table; exit 1 when a canary learned more than is declared."""
    monkeypatch.setattr(audit_module, "audit", lambda *_: [Finding("to the bounds", WHOLE, 0.88, 0.87, 0.85, 0.67)])
    passed = CliRunner().invoke(app, ["audit", "--json"])
    assert passed.exit_code == 0
    assert json.loads(passed.stdout)["findings"][0]["at_least"] == 0.85
    monkeypatch.setattr(audit_module, "audit", lambda *_: [Finding("to the bounds", WHOLE, 0.88, 0.98, 0.93, 0.69)])
    failed = CliRunner().invoke(app, ["audit"])
    assert failed.exit_code == 1
    assert "LEARNED MORE" in failed.stdout


@pytest.mark.parametrize(("hits", "of"), [(0, 50), (1, 50), (700, 1000), (50, 50), (16_000, 32_000)])
def test_rates_are_bounded_as_scipy_bounds_them(hits: int, of: int) -> None:
    """Clopper and Pearson's interval, one-sided each."""
    stats = pytest.importorskip("scipy.stats")  # comes with dp-accounting
    lower = stats.beta.ppf(1e-3, hits, of - hits + 1) if hits else 0.0
    upper = stats.beta.ppf(1 - 1e-3, hits + 1, of - hits) if hits < of else 1.0
    assert rate_bounds(hits, of) == pytest.approx((lower, upper), abs=1e-9)
