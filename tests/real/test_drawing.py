"""The panels of the dashboards, drawn in a browser by Grafana's own components from what a real Prometheus answers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .browser import browser
from .stack import Ask
from dashboards.__main__ import JSON
from tests.dashboards.expressions import filled_in, panels

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-grafana-ui"
DRAWING = ROOT / "tests/dashboards/drawing.jsx"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(JSON.glob("*.json"))}
DRAWN = {"bargauge", "stat", "table", "timeseries"}
"""The kinds that there are components of; Grafana has heatmap, xychart and state-timeline in its server alone."""

ADDRESS = "http://grafana.test/"
SINCE_S, STEP_S = 60, 2


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Put the components and what uses them into one file."""
    bundler = ENVIRONMENT / "node_modules/@esbuild/linux-x64/bin/esbuild"
    if not bundler.exists():
        assert not os.environ.get("CI"), "tests/environments/make grafana-ui has not run"
        pytest.skip("run tests/environments/make grafana-ui first")
    made = tmp_path_factory.mktemp("drawing") / "drawing.js"
    packages = ENVIRONMENT / "node_modules"
    options = [f"--alias:@grafana/{name}={packages}/@grafana/{name}/dist/cjs/index.cjs" for name in ("ui", "data")]
    options += [f"--loader:.{kind}={how}" for kind, how in {"svg": "text", "png": "dataurl", "css": "empty"}.items()]
    command = [
        str(bundler),
        str(DRAWING),
        "--bundle",
        "--log-level=error",
        '--define:process.env.NODE_ENV="production"',
    ]
    subprocess.run([*command, f"--outfile={made}", *options], env={"NODE_PATH": str(packages)}, check=True, timeout=300)
    return made


def answers(ask: Ask, panel: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ask what a panel asks; an instant is a series of one value."""
    now, found = time.time(), []
    for target in panel["targets"]:
        expr = filled_in(target["expr"])
        if target.get("instant"):
            series = ask("query", query=expr)["result"]
            series = [{"metric": each["metric"], "values": [each["value"]]} for each in series]
        else:
            window = {"start": str(now - SINCE_S), "end": str(now), "step": str(STEP_S)}
            series = ask("query_range", query=expr, **window)["result"]
        found.append({"refId": target["refId"], "legend": target["legendFormat"], "series": series})
    return found


def worded(panel: Mapping[str, Any]) -> set[str]:
    """Return the words that stand for numbers in a panel."""
    properties = [p for override in panel["fieldConfig"]["overrides"] for p in override["properties"]]
    mappings = [each for p in properties if p["id"] == "mappings" for each in p["value"]]
    return {word["text"] for each in mappings for word in each["options"].values()}


@pytest.mark.parametrize("uid", BOARDS)
def test_the_panels_can_be_looked_at(uid: str, script: Path, ask: Ask) -> None:
    shown = [panel for panel in panels(BOARDS[uid]) if panel["type"] in DRAWN]
    asked: list[dict[str, Any]] = [{"panel": panel, "answers": answers(ask, panel)} for panel in shown]
    known = [each for each in asked if any(answer["series"] for answer in each["answers"])]
    assert known
    with browser() as tab:
        seen = tab(viewport={"width": 640, "height": 900})
        page = seen.page
        page.route(ADDRESS, lambda route: route.fulfill(body='<div id="root"></div>', content_type="text/html"))
        page.goto(ADDRESS)
        page.add_script_tag(path=str(script))
        now_ms = time.time() * 1000
        page.evaluate("([asked, from, to]) => window.draw(asked, from, to)", [known, now_ms - 1000 * SINCE_S, now_ms])
        page.wait_for_selector("section")
        assert page.locator(".error").all_inner_texts() == []
        for each in known:
            title = each["panel"]["title"]
            section = page.locator(f"section[data-title={json.dumps(title)}]")
            if each["panel"]["type"] == "timeseries":
                section.locator("canvas").first.wait_for(state="attached")
            else:
                told = section.inner_text().removeprefix(title).strip()
                assert any(letter.isdigit() for letter in told), f"{title} shows no value: {told!r}"
                words = worded(each["panel"])
                assert not words or any(word in told for word in words), f"{title} shows none of {words}: {told!r}"
        units = {unit for panel in shown for unit in page.evaluate("(panel) => window.unitsOf(panel)", panel)}
        assert [unit for unit in units if not page.evaluate("(unit) => window.knowsUnit(unit)", unit)] == []
        assert seen.told == []
