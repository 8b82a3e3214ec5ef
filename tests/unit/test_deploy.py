"""What operators paste names metrics, labels and pages that exist."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from services.cli.main import COMMANDS
from services.cli.supervisor import EXIT_FATAL
from services.ingest.accounting import RejectReason
from services.runtime.metrics import ALL, Kind

ROOT = Path(__file__).parents[2]
GROUPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))[
    "groups"
]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
_SUFFIXES = {Kind.COUNTER: ("_total",), Kind.GAUGE: ("",), Kind.SECONDS: ("_bucket", "_sum", "_count")}
SERIES = {metric.name + suffix: metric for metric in ALL for suffix in _SUFFIXES[metric.kind]}
_SERIES_AND_MATCHERS = re.compile(r"\b(voile_\w+)(?:\{([^}]*)\})?")


def _labels_of(name: str) -> set[str]:
    """A series' own labels, and those that Prometheus adds."""
    return {*SERIES[name].labels, "job", "instance", "le"}


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_asks_for_series_that_exist(alert: str) -> None:
    """With the suffix that the metric's kind gives them, and labels that it has."""
    found = _SERIES_AND_MATCHERS.findall(RULES[alert]["expr"])
    assert found or RULES[alert]["expr"].startswith("up{")
    for name, matchers in found:
        assert name in SERIES
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= _labels_of(name)
    told = set(re.findall(r"\$labels\.(\w+)", RULES[alert]["annotations"]["summary"]))
    assert told <= {label for name, _ in found for label in _labels_of(name)} | {"job"}


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_says_what_to_do(alert: str) -> None:
    """A severity, a sentence and a step; a page that it names is there."""
    rule = RULES[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["action"]
    for page in re.findall(r"docs/[\w/.-]+\.md", rule["annotations"]["action"]):
        assert (ROOT / page).exists()


def test_what_is_lost_or_doubled_has_an_alert() -> None:
    """Every metric whose help calls for an alarm."""
    asked = " ".join(rule["expr"] for rule in RULES.values())
    for metric in ALL:
        if "larm" in metric.help:
            assert metric.name in asked, metric.name


def test_outcomes_of_lines_are_the_ones_that_are_counted() -> None:
    """The share of rejects leaves out what is no reject."""
    left_out = re.search(r'outcome!~"([^"]*)"', RULES["VoileLinesRejected"]["expr"])
    assert left_out
    assert not set(left_out[1].split("|")) & set(RejectReason)


UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_runs_a_command_that_exists_as_its_planes_user(unit: Path) -> None:
    """In that plane's folders, which nobody else enters."""
    told = dict(line.split("=", 1) for line in unit.read_text("utf-8").splitlines() if re.match(r"\w+=", line))
    group, command = told["ExecStart"].removeprefix("/usr/bin/voile ").split()
    app = importlib.import_module(f"services.cli.{COMMANDS[group].module}").app
    assert command in typer.main.get_group(app).commands
    plane = told["User"].removeprefix("voile-")
    assert told["ConfigurationDirectory"] == told["StateDirectory"] == f"voile/{plane}"
    assert told["ConfigurationDirectoryMode"] == told["StateDirectoryMode"] == "0700"
    assert told["RestartPreventExitStatus"] == str(EXIT_FATAL)


def test_planes_share_no_user() -> None:
    """The loop and the console of the identity plane are one plane; the statistics server is apart from its worker."""
    users = {u.stem: re.findall(r"^User=(.*)$", u.read_text("utf-8"), re.MULTILINE)[0] for u in UNITS}
    assert users["voile-enricher"] == users["voile-console"]
    assert len(set(users.values())) == len(users) - 1


def test_a_build_has_every_kind_of_file() -> None:
    """Statements, templates, lists: what lies beside the code is in `pyproject.toml`, or a wheel would be without it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    declared = set(project["tool"]["setuptools"]["package-data"]["*"])
    files = (path for folder in ("services", "schemas") for path in (ROOT / folder).rglob("*.*"))
    kinds = {f"**/*{path.suffix}" for path in files if path.suffix not in {".py", ".pyc"} and path.is_file()}
    assert "**/*.sql" in kinds
    assert kinds <= declared
