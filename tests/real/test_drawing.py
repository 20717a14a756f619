"""All dashboards, drawn whole in a browser from a day of data in a real Prometheus: no fault that a machine can see.

The pictures are kept in dashboards/pictures/, for people to look at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from goldwatch.core.judgement import State

from .drawer import ROOT, Drawer, Shown, bundle, drawing, prometheus_of_the_day
from dashboards.__main__ import JSON
from tests.dashboards.expressions import panels

pytestmark = pytest.mark.servers

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(JSON.glob("*.json"))}
PICTURES = ROOT / "dashboards/pictures"
_FRAUD = {"cluster": "eu-1", "namespace": "risk", "watch": "fraud", "target": "fraud-eu"}
VIEWS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "fleet": ("goldwatch-fleet", {}),
    "model": ("goldwatch-model", _FRAUD),
    "model-language": (
        "goldwatch-model",
        dict.fromkeys(("namespace", "watch", "target"), "chat") | {"cluster": "eu-1"},
    ),
    "model-outage": (
        "goldwatch-model",
        dict.fromkeys(("namespace", "watch", "target"), "search") | {"cluster": "eu-1"},
    ),
    "incident": ("goldwatch-incident", _FRAUD),
    "compare": ("goldwatch-compare", {"golden": "fraud"}),
    "agent": ("goldwatch-agent", {}),
}
MODES = ("light", "dark")
DRAWN = [(view, mode) for view in VIEWS for mode in (MODES if view.count("-") == 0 else MODES[:1])]
"""What is drawn, and how; the other models are drawn once."""
_TOKENS = {
    "Tokens of an answer",
    "Why answers end",
    "Time to the first token",
    "Time of each next token",
    "Gaps between tokens",
}
_ENERGY = {"Energy of an inference", "Energy of a right answer", "Carbon", "Cost of 10,000", "Age of the measurement"}
_LIVE = {"Drift: live requests", "Drift: windows of live rows", "Age of the live window"}
_DISTANCE = {"Drift: distance from the reference"}
_MISTAKES = {"New mistakes"}
_SCORES = {
    "Gap between values of a slice",
    "Judge and people",
    "Judge: answers an hour",
    "Judge: tokens an hour",
    "Unscored answers an hour",
}
_CONTROLLERS = {"Watches", "Pods without a sidecar", "Errors of the operator", "Certificate"}
EMPTY: Mapping[str, set[str]] = {
    "model": _TOKENS | _SCORES,
    "model-language": _LIVE | _DISTANCE | _MISTAKES | _SCORES,
    "model-outage": _MISTAKES | _TOKENS | _ENERGY | _LIVE | _DISTANCE | _SCORES,
    "compare": {"Energy of an output token"},
    "agent": {"Failed pushes", "Lost records", "Late dispatch, p99"} | _CONTROLLERS,
}
"""The panels of a view for which the day has no data: each says what is missing."""


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawer]:
    bundled = bundle(tmp_path_factory.mktemp("bundle"))
    with prometheus_of_the_day(tmp_path_factory.mktemp("day")) as ask, drawing(ask, bundled) as made:
        yield made


@pytest.fixture(scope="module")
def drawn(drawer: Drawer) -> Any:
    """Draw a view in a mode, once."""

    @cache
    def draw(view: str, mode: str) -> Shown:
        uid, chosen = VIEWS[view]
        return drawer.draw(BOARDS[uid], mode, chosen, PICTURES / f"{view}-{mode}.png")

    return draw


@pytest.fixture(params=DRAWN, ids="-".join, scope="module")
def seen(request: pytest.FixtureRequest, drawn: Any) -> tuple[str, Shown]:
    view, mode = request.param
    return view, drawn(view, mode)


def cells(shown: Shown) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for title, panel in shown.panels.items():
        for cell in panel["cells"]:
            yield title, cell


def test_no_panel_is_in_error_and_none_is_empty_where_there_is_data(seen: tuple[str, Shown]) -> None:
    view, shown = seen
    assert {title: panel["error"] for title, panel in shown.panels.items() if panel["error"]} == {}
    assert {title for title, panel in shown.panels.items() if panel["empty"]} == EMPTY.get(view, set())
    assert shown.complaints == []
    assert shown.unknown_units == []


def test_no_label_is_formatted_as_a_number(seen: tuple[str, Shown]) -> None:
    _, shown = seen
    labels = [(title, cell) for title, cell in cells(shown) if cell["kind"] == "string"]
    assert [(title, cell) for title, cell in labels if cell["text"] != (cell["value"] or "")] == []
    assert [(title, cell) for title, cell in cells(shown) if "∞" in cell["text"]] == []


def test_versions_and_digests_are_shown_as_they_are(drawn: Any) -> None:
    shown = drawn("incident", "light").panels["What the target is, and was"]["cells"]
    texts = {cell["name"]: {each["text"] for each in shown if each["name"] == cell["name"]} for cell in shown}
    assert texts["version"] == {"17", "18"}
    assert texts["digest"] == {"5e105e105e10", "77ab03e177ab"}


@pytest.mark.parametrize("mode", MODES)
def test_each_state_has_one_colour_on_all_dashboards(drawn: Any, mode: str) -> None:
    colours: dict[str, set[str]] = {}
    for view in (view for view, how in DRAWN if how == mode):
        for _, cell in cells(drawn(view, mode)):
            if cell["text"] in set(State):
                colours.setdefault(cell["text"], set()).add(cell["color"])
    assert colours.keys() == set(State)
    assert all(len(each) == 1 for each in colours.values()), colours
    assert len({each for found in colours.values() for each in found}) == len(State), colours


def test_gone_models_come_first_and_the_fallen_replica_shows(drawn: Any) -> None:
    table = drawn("fleet", "dark").panels["Models, worst first"]["cells"]
    columns = {name: [c for c in table if c["name"] == name] for name in ("state", "agent", "target", "accuracy")}
    found = [{name: values[row] for name, values in columns.items()} for row in range(len(columns["target"]))]
    ranks = {each["target"]["text"]: each["state"]["value"] for each in found}
    assert {target for target, rank in ranks.items() if rank == max(ranks.values())} == {"pricing", "churn"}
    said = {each["target"]["text"]: each["agent"]["text"] for each in found}
    assert (said["pricing"], said["churn"], said["ner"]) == ("down", "gone", "up")
    accuracy = {each["target"]["text"]: each["accuracy"]["value"] for each in found}
    assert accuracy["ner"] < 0.88


@pytest.mark.parametrize("title", ["accuracy", "Latency quantiles", "Throughput"])
def test_lines_do_not_bridge_an_outage(drawn: Any, title: str) -> None:
    outage, calm = (drawn(view, "light").panels[title]["cells"][0] for view in ("model-outage", "model"))
    assert outage["broken"]
    assert not calm["broken"]


def test_a_comparison_is_of_one_golden_set(drawn: Any) -> None:
    shown = drawn("compare", "light")
    targets = {
        c["text"]
        for title in ("Targets", "Six figures, as shares of the best target")
        for c in shown.panels[title]["cells"]
        if c["name"] == "target"
    }
    assert targets == {"fraud-eu", "fraud-us", "fraud-cpu"}


def test_all_panels_are_drawn(drawn: Any) -> None:
    for view, (uid, _) in VIEWS.items():
        titles = {panel["title"] for panel in panels(BOARDS[uid]) if "repeat" not in panel}
        assert titles <= drawn(view, "light").panels.keys()


def test_the_pictures_are_kept(drawn: Any) -> None:
    drawn("fleet", "light")
    assert Path(PICTURES / "fleet-light.png").stat().st_size > 10_000
