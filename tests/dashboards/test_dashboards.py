"""The dashboards as they are committed: current, complete, and true to Grafana's schema and to our catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.catalogue.controllers import CONTROLLERS
from goldwatch.export.metric import Kind

from dashboards.__main__ import JSON, documents
from dashboards.frame import DASHBOARDS
from tests.dashboards.expressions import expressions, filled_in, panels

OF_THE_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
"""What prometheus-client says of the agent's own process."""

COMMITTED = {path.stem: path.read_text() for path in sorted(JSON.glob("*.json"))}


@pytest.fixture(params=COMMITTED, ids=str)
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(COMMITTED[request.param])  # type: ignore[no-any-return]


def test_they_are_up_to_date() -> None:
    assert documents() == COMMITTED, "run: python -m dashboards"


def test_all_are_there() -> None:
    assert {json.loads(text)["uid"]: json.loads(text)["title"] for text in COMMITTED.values()} == DASHBOARDS


def test_the_schema_of_grafana_knows_every_field(board: dict[str, Any]) -> None:
    """Read it by the types of Grafana's own SDK and write it again: a field that they do not know would be lost."""
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert again == board


def test_each_panel_says_what_it_shows(board: dict[str, Any]) -> None:
    found = list(panels(board))
    assert len({panel["title"] for panel in found}) == len(found)
    for panel in found:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], f"{panel['title']} has no unit"
        assert defaults["thresholds"]["steps"][0]["value"] is None, "the lowest colour has no bound"
        assert panel["targets"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(board):
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_columns_of_tables_and_points_have_units(board: dict[str, Any]) -> None:
    for panel in (p for p in panels(board) if p["type"] in ("table", "xychart")):
        renamed = {name for t in panel["transformations"] for name in t["options"].get("renameByName", {}).values()}
        named = {o["matcher"]["options"]: [p["id"] for p in o["properties"]] for o in panel["fieldConfig"]["overrides"]}
        assert {name for name, properties in named.items() if "unit" in properties} >= renamed - {"info"}


def test_labels_in_tables_are_text(board: dict[str, Any]) -> None:
    """Grafana formats a label that looks like a number by the unit of the panel: version 17 as 1700 %."""
    for panel in (p for p in panels(board) if p["type"] == "table"):
        overrides = [
            o for o in panel["fieldConfig"]["overrides"] if o["matcher"] == {"id": "byType", "options": "string"}
        ]
        assert [p for o in overrides for p in o["properties"] if p["id"] == "unit"] == [
            {"id": "unit", "value": "string"}
        ]


def test_windows_of_counters_follow_the_interval_of_the_watch(board: dict[str, Any]) -> None:
    """Counters move once a replay, and $__rate_interval follows the scrape: between replays it would draw zeros."""
    found = [t["expr"] for panel in panels(board) for t in panel["targets"] if "$__rate_interval" in t["expr"]]
    assert [expr for expr in found if "process_cpu_seconds_total" not in expr] == []


def test_lines_end_where_values_do(board: dict[str, Any]) -> None:
    lines = [panel for panel in panels(board) if panel["type"] == "timeseries"]
    assert [panel["title"] for panel in lines if panel["fieldConfig"]["defaults"]["custom"]["spanNulls"]] == []


def test_empty_panels_say_what_is_missing(board: dict[str, Any]) -> None:
    assert [
        p["title"] for p in panels(board) if p["fieldConfig"]["defaults"].get("noValue", "") in ("", "No data")
    ] == []


def test_points_are_placed_by_columns_that_are_there() -> None:
    found = [p for text in COMMITTED.values() for p in panels(json.loads(text)) if p["type"] == "xychart"]
    assert {p["title"] for p in found} == {"Accuracy against joules", "Accuracy against cost"}
    for panel in found:
        (renamed,) = (t["options"]["renameByName"] for t in panel["transformations"] if t["id"] == "organize")
        (drawn,) = panel["options"]["series"]
        assert [drawn[axis]["matcher"]["options"] for axis in "xy"] == list(renamed.values())


def test_each_query_parses_and_asks_for_what_is_in_the_catalogue() -> None:
    known = {
        m.name + ("_bucket" if m.kind is Kind.HISTOGRAM else "") for m in (*CATALOGUE, *CONTROLLERS)
    } | OF_THE_PROCESS
    for where, expr in expressions(COMMITTED):
        promql_parser.parse(filled_in(expr))
        assert set(re.findall(r"\b(?:goldwatch|process)_\w+", expr)) <= known, where


@pytest.mark.parametrize("uid", ["goldwatch-model", "goldwatch-incident"])
def test_what_is_about_one_model_chooses_one_watch_and_one_target(uid: str) -> None:
    """A latency objective gives a watch buckets of its own: those of several watches must not be summed."""
    chosen = {v["name"]: v for v in json.loads(COMMITTED[uid])["templating"]["list"]}
    for name in ("watch", "target"):
        assert not chosen[name].get("multi")
        assert not chosen[name].get("includeAll")


def test_variables_are_defined(board: dict[str, Any]) -> None:
    defined = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([board["panels"], board["annotations"]])))
    builtin = {"__rate_interval", "__range", "__data", "__value", "__url_time_range"}
    assert used - builtin <= defined


def test_links_lead_to_dashboards_that_are_there(board: dict[str, Any]) -> None:
    links = set(re.findall(r"/d/([\w-]+)", json.dumps(board)))
    assert links >= DASHBOARDS.keys() - {board["uid"]}
    assert links <= DASHBOARDS.keys()


def test_deployments_and_alerts_are_marked_on_each(board: dict[str, Any]) -> None:
    assert {"deployments", "alerts"} <= {each["name"] for each in board["annotations"]["list"]}


def test_a_query_that_does_not_parse_is_noticed() -> None:
    with pytest.raises(ValueError, match=r".+"):
        promql_parser.parse(filled_in("sum(rate(goldwatch_requests_total[$__rate_interval])"))


def _all_texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _all_texts(child)


def test_nothing_is_left_unfilled(board: dict[str, Any]) -> None:
    assert not [text for text in _all_texts(board) if "{c." in text or "None" in text]
