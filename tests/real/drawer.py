"""Draws whole dashboards in a browser, with @grafana/scenes and without a Grafana server."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .browser import Tab, browser
from .stack import Ask, prometheus
from tests.dashboards import day
from tests.dashboards.expressions import panels
from tests.programs import program

ROOT = Path(__file__).parents[2]
MODULES = ROOT / ".venv-grafana-ui" / "node_modules"
SCENES = ROOT / "tests/dashboards/scenes"
WIDTH = 1600
_PAGE = """<!doctype html><meta charset=utf-8><link rel=stylesheet href=/app.css>
<style>body { margin: 0 } * { box-sizing: border-box }</style><div id=root></div>"""
_NO_ICON = "<svg xmlns='http://www.w3.org/2000/svg'/>"
_HARMLESS = ("grafanaBootData", "React Router Future Flag", "Failed to decode downloaded font", "OTS parsing error")
_AS_FILE = {"svg": "text", "png": "dataurl", "css": "css", "woff": "dataurl", "woff2": "dataurl", "ttf": "dataurl"}
_INSTEAD = {
    "@grafana/plugin-compat/datasources": SCENES / "compat.js",
    "react-custom-scrollbars-2": SCENES / "scrollbars.js",
    "scrollbars-as-they-are": MODULES / "react-custom-scrollbars-2/lib/index.js",
    "react-router-dom-v5-compat": "react-router-dom",
}


@dataclass(frozen=True)
class Shown:
    """A drawn dashboard: what each panel shows by its title (see panels.jsx), and what the browser complained of."""

    panels: Mapping[str, Mapping[str, Any]]
    complaints: list[str]
    unknown_units: list[str]


def bundle(folder: Path) -> Path:
    """Put all that draws into app.js and app.css in a folder."""
    bundler = MODULES / "@esbuild/linux-x64/bin/esbuild"
    if not bundler.exists():
        assert not os.environ.get("CI"), "tests/environments/make grafana-ui has not run"
        pytest.skip("run tests/environments/make grafana-ui first")
    options = [f"--loader:.{kind}={how}" for kind, how in _AS_FILE.items()]
    options += [f"--alias:{name}={path}" for name, path in _INSTEAD.items()]
    options += ["--bundle", "--log-level=error", '--define:process.env.NODE_ENV="production"', "--jsx=transform"]
    command = [str(bundler), str(SCENES / "app.jsx"), f"--outfile={folder / 'app.js'}", *options]
    subprocess.run(command, env={"NODE_PATH": str(MODULES)}, check=True, timeout=300)
    return folder


@contextmanager
def prometheus_of_the_day(folder: Path) -> Iterator[Ask]:
    """Start a Prometheus that has the series of the day."""
    with (folder / "day.om").open("w") as file:
        day.write(file)
    made = ["tsdb", "create-blocks-from", "openmetrics", "-q", "--max-block-duration=48h", "day.om", "data"]
    subprocess.run([program("promtool"), *made], cwd=folder, check=True, timeout=300)
    with prometheus(folder, [], options=["--storage.tsdb.retention.time=100y"]) as ask:
        yield ask


@contextmanager
def drawing(ask: Ask, bundled: Path) -> Iterator[Drawer]:
    """Start a browser that draws what Prometheus answers."""
    with browser() as tab:
        yield Drawer(tab, ask, bundled)


@dataclass(frozen=True)
class Drawer:
    """Draws dashboards in one browser."""

    tab: Callable[..., Tab]
    ask: Ask
    bundled: Path

    def draw(self, board: Mapping[str, Any], mode: str, chosen: Mapping[str, str], picture: Path) -> Shown:
        """Draw a dashboard at the end of the day, `light` or `dark`, and keep its picture; `chosen` fills variables."""
        seen = self.tab(viewport={"width": WIDTH, "height": 1000})
        page, ask = seen.page, self.ask
        page.route(re.compile(rf"{re.escape(ask.url)}/(?!api/)"), lambda route: _served(route, self.bundled))
        page.add_init_script(f"window.ASKED = {json.dumps({'mode': mode, 'scrape': day.SCRAPE_S, 'url': ask.url})}")
        page.goto(f"{ask.url}/")
        page.add_script_tag(url="/app.js")
        titles = [each["title"] for each in panels(board) if "repeat" not in each]
        span = {"from": _iso(day.START_S), "to": _iso(day.END_S)}
        page.evaluate("(asked) => window.show(...asked)", [board, span, chosen, _repeats(board, chosen, ask)])
        page.wait_for_function(
            "(titles) => window.settled() && titles.every((each) => each in window.SHOWN)", arg=titles
        )
        high = page.evaluate("Math.max(...[...document.querySelectorAll('*')].map((each) => each.scrollHeight))")
        page.set_viewport_size({"width": WIDTH, "height": int(high)})
        page.wait_for_function("window.settled()")
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(picture))
        units = {unit for panel in panels(board) for unit in _units(panel)}
        unknown = [unit for unit in sorted(units) if not page.evaluate("(unit) => window.knowsUnit(unit)", unit)]
        complaints = [text for text in seen.told if not any(known in text for known in _HARMLESS)]
        shown = page.evaluate("window.SHOWN")
        page.context.close()
        return Shown(shown, complaints, unknown)


def _served(route: Any, bundled: Path) -> None:
    """Answer the page itself, the two files of the bundle and Grafana's icons; its fonts are not in the package."""
    path = urlsplit(route.request.url).path.lstrip("/")
    icon = MODULES / "@grafana/ui/dist/public" / path[path.find("img/") :]
    if not path:
        route.fulfill(body=_PAGE, content_type="text/html")
    elif (bundled / path).is_file():
        route.fulfill(path=bundled / path)
    elif path.endswith(".svg"):
        route.fulfill(body=icon.read_text() if icon.exists() else _NO_ICON, content_type="image/svg+xml")
    else:
        route.fulfill(body="")


def _repeats(board: Mapping[str, Any], chosen: Mapping[str, str], ask: Ask) -> dict[str, list[str]]:
    """Return the values of the variables that panels are repeated by, in the series of the chosen watch and target."""
    names = {panel["repeat"] for panel in panels(board) if "repeat" in panel}
    of_one = ", ".join(f'{name}="{value}"' for name, value in chosen.items() if name in ("watch", "target"))
    span = {"start": str(day.START_S), "end": str(day.END_S)}
    return {name: ask(f"label/{name}/values", **{"match[]": f"{{{of_one}}}"}, **span) for name in names}


def _units(panel: Mapping[str, Any]) -> Iterator[str]:
    yield panel["fieldConfig"]["defaults"]["unit"]
    for override in panel["fieldConfig"]["overrides"]:
        yield from (each["value"] for each in override["properties"] if each["id"] == "unit")


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()
