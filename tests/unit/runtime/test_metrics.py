"""Metrics: one list, a registry of their own."""

from __future__ import annotations

import re

import pytest

from services.runtime import metrics
from services.runtime.metrics import ALL, Metric, Metrics


def test_counts_gauges_and_durations_show_on_the_page() -> None:
    """What is counted, set and observed stands in the Prometheus text."""
    kept = Metrics()
    kept.count(metrics.RECORDS_STORED, 3, group="stats", topic="access-log.v1")
    kept.set(metrics.LAG, 7, group="stats", topic="access-log.v1")
    kept.observe(metrics.STORE_SECONDS, 0.2, group="stats", topic="access-log.v1")
    page = kept.render().decode()
    assert 'voile_records_stored_total{group="stats",topic="access-log.v1"} 3.0' in page
    assert 'voile_lag_records{group="stats",topic="access-log.v1"} 7.0' in page
    assert 'voile_store_seconds_count{group="stats",topic="access-log.v1"} 1.0' in page
    assert kept.value(metrics.RECORDS_STORED, group="stats", topic="access-log.v1") == 3


def test_two_registries_do_not_share_values() -> None:
    """Two processes' metrics in one test process stay apart: nothing is module-level state."""
    first, second = Metrics(), Metrics()
    first.count(metrics.FENCED, group="stats")
    assert second.value(metrics.FENCED, group="stats") == 0


def test_a_metric_of_another_kind_is_refused() -> None:
    """Setting a counter is a defect of the caller and fails at once."""
    with pytest.raises(AssertionError):
        Metrics().set(metrics.FENCED, 1, group="stats")


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_every_metric_is_named_and_explained(metric: Metric) -> None:
    """Names follow one pattern, texts are sentences, labels are from the closed list."""
    assert re.fullmatch(r"voile_[a-z_]+", metric.name)
    assert metric.help.endswith(".")
    assert set(metric.labels) <= {
        "group", "topic", "reason", "route", "method", "status", "stage", "source", "store", "outcome", "receiver", "kind", "code",
    }  # fmt: skip


def test_every_declared_metric_is_in_the_list() -> None:
    """A metric declared but left out of `ALL` would never show."""
    declared = {value for value in vars(metrics).values() if isinstance(value, Metric)}
    assert declared == set(ALL)
