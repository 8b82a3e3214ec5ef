"""Every query of the Grafana dashboard runs against the real application and yields what its panel names.

Grafana itself is not run: the macros and the selectors of its Infinity data source are applied here as documented.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.figures import TODAY

FILE = Path(__file__).parents[3] / "deploy" / "grafana" / "voile.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
SCREEN_COLUMNS = 24  # of Grafana's grid


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with a_dashboard(tmp_path_factory.mktemp("grafana")) as pages, _client(pages) as client:
        yield client


def _client(pages: Pages) -> httpx.Client:
    """With a key as the page tells to make it: for named tenants."""
    key = pages.keys.add("grafana", ["chess-club", "riverside"])
    return httpx.Client(base_url=pages.url, headers={"authorization": f"Bearer {key}"})


def _rows(client: httpx.Client, target: dict[str, Any], tenant: str = "riverside") -> list[dict[str, Any]]:
    """What Infinity's backend parser makes of the answer: a row for each element at the root selector."""
    options = target["url_options"]
    body = _interpolated(options["data"], tenant)
    answer = client.request(
        options["method"], target["url"], content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    found = answer.json()[target["root_selector"]]
    return [{c["text"]: _typed(_at(row, c["selector"]), c["type"]) for c in target["columns"]} for row in found]


def _interpolated(text: str, tenant: str) -> str:
    """Grafana's variables; the time range is the dashboard's own."""
    ends = {"from": TODAY - timedelta(days=30), "to": TODAY - timedelta(days=1)}
    text = re.sub(r"\$\{__(from|to):date:YYYY-MM-DD\}", lambda m: ends[m[1]].isoformat(), text)
    return text.replace("${tenant}", tenant)


def _at(row: Any, selector: str) -> Any:
    for part in selector.split("."):
        row = row[int(part)] if part.isdigit() else row[part]
    return row


def _typed(value: Any, kind: str) -> Any:
    """Raises when the value is none of the column's type."""
    if kind == "timestamp":
        return date.fromisoformat(value)
    return None if value is None else {"number": float, "string": str}[kind](value)


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_shows_what_it_names(client: httpx.Client, title: str) -> None:
    """Rows with all of its columns; each has a value somewhere."""
    (target,) = PANELS[title]["targets"]
    rows = _rows(client, target)
    assert rows
    for column in target["columns"]:
        assert any(row[column["text"]] is not None for row in rows), column["text"]
    assert len(rows) == 1 or PANELS[title]["type"] != "stat"
    if PANELS[title]["type"] == "timeseries":
        assert [row["Day"] for row in rows] == sorted(row["Day"] for row in rows)
        assert len(rows) == 30


def test_the_list_of_tenants_is_the_keys_own(client: httpx.Client) -> None:
    """The variable that panels take their tenant from."""
    rows = _rows(client, VARIABLES["tenant"]["query"]["infinityQuery"])
    assert [row["tenant"] for row in rows] == ["chess-club", "riverside"]


def test_panels_use_the_variables_and_do_not_overlap() -> None:
    """A panel with a fixed source, tenant or time would show something else than the head of the page says."""
    taken: set[tuple[int, int]] = set()
    for panel in PANELS.values():
        assert panel["datasource"]["uid"] == "${source}"
        assert '"${tenant}"' in panel["targets"][0]["url_options"]["data"]
        assert "${__from:date:YYYY-MM-DD}" in panel["targets"][0]["url_options"]["data"]
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < SCREEN_COLUMNS
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_a_panel_with_a_wrong_query_or_column_is_noticed(client: httpx.Client) -> None:
    """The check fails for a metric that does not exist, and for a column that is not there."""
    (target,) = PANELS["Pages"]["targets"]
    wrong = copy.deepcopy(target)
    wrong["url_options"]["data"] = wrong["url_options"]["data"].replace("pageviews", "page_views")
    with pytest.raises(AssertionError, match="there is no such metric"):
        _rows(client, wrong)
    wrong = copy.deepcopy(target)
    wrong["columns"][1]["selector"] = "metrics.2"
    with pytest.raises(IndexError):
        _rows(client, wrong)
