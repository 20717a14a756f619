"""The dashboards against the types of Grafana itself, which its front end is compiled with."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import JSON
from tests.dashboards.expressions import panels

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
MODULES = ROOT / ".venv-grafana" / "node_modules"
COMMITTED = {path.stem: json.loads(path.read_text()) for path in sorted(JSON.glob("*.json"))}

HEAD = """\
import type { Dashboard, FieldConfig, FieldConfigSource, Panel } from '@grafana/schema';

// A JSON text holds the values of an enum, and never its members.
type Plain<T> = unknown extends T ? T
  : T extends string ? `${T}` : T extends number ? number : T extends boolean | null | undefined ? T
  : T extends Array<infer U> ? Plain<U>[] : { [K in keyof T]: Plain<T[K]> };

// What the types leave to the data source: the annotations of Prometheus. The SDK gives all variables the defaults of
// those that are intervals, and tables the footer of Grafana before 12: that there is none.
type OfTables = { footer?: { show: false; countRows: false; reducer: [] } };
type OfIntervals = { auto?: false; auto_min?: '10s'; auto_count?: 30 };
type OfPrometheus = { expr?: string; step?: string; titleFormat?: string; textFormat?: string };
type Listed<T> = NonNullable<T> extends { list?: Array<infer U> } ? Plain<U> : never;
type Annotation = Listed<Dashboard['annotations']> & OfPrometheus & { target?: OfPrometheus };
type Variable = Listed<Dashboard['templating']> & OfIntervals;
type Fields<Custom> = Omit<Plain<FieldConfigSource>, 'defaults'>
  & { defaults: Omit<Plain<FieldConfig>, 'custom'> & { custom?: Plain<Custom> } };
type Shown<Options, Custom> = Omit<Plain<Panel>, 'options' | 'fieldConfig'>
  & { options: Plain<Options>; fieldConfig: Fields<Custom> };
type Board = Omit<Plain<Dashboard>, 'panels' | 'annotations' | 'templating'>
  & { annotations: { list: Annotation[] }; templating: { list: Variable[] } };
"""
TYPES = "@grafana/schema/dist/types/raw/composable/{kind}/panelcfg/x/types.gen"
WITHOUT_FIELDS = ("bargauge", "stat")
"""The kinds of panels that have no settings of their own for fields."""


@pytest.fixture(scope="module")
def compiler() -> Path:
    found = MODULES / ".bin" / "tsc"
    if not found.exists():
        assert not os.environ.get("CI"), "tests/environments/make grafana has not run"
        pytest.skip("run tests/environments/make grafana first")
    return found


def declared(boards: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield TypeScript with each dashboard and each panel as a constant of Grafana's type, named by its place."""
    kinds = sorted({panel["type"] for board in boards.values() for panel in panels(board)})
    yield HEAD
    for kind in (name.replace("-", "") for name in kinds):
        yield f"import type * as {kind} from './node_modules/{TYPES.format(kind=kind)}';"
    for uid, board in boards.items():
        around = {key: value for key, value in board.items() if key != "panels"}
        yield f"export const {_name(uid)}: Board = {json.dumps(around)};"
        for panel in panels(board):
            kind = panel["type"].replace("-", "")
            fields = "object" if kind in WITHOUT_FIELDS else f"{kind}.FieldConfig"
            options = f"{kind}.Options" + (" & OfTables" if kind == "table" else "")
            name = _name(f"{uid} {panel['title']}")
            yield f"export const {name}: Shown<{options}, {fields}> = {json.dumps(panel)};"


def _name(text: str) -> str:
    return re.sub(r"\W", "_", text)


def complaints(compiler: Path, folder: Path, boards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Let the compiler read the dashboards; return its errors, each under the name of the constant."""
    (folder / "node_modules").symlink_to(MODULES)
    lines = "\n".join(declared(boards)).splitlines()
    (folder / "dashboards.ts").write_text("\n".join(lines))
    options = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext"]
    found = subprocess.run(
        [compiler, *options, "--target", "es2022", "--pretty", "false", "dashboards.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = re.findall(r"^dashboards\.ts\((\d+),\d+\): error (.+)$", found.stdout, re.MULTILINE)
    assert bool(said) == bool(found.returncode), found.stdout + found.stderr
    return [f"{lines[int(number) - 1][:80]}: {text}" for number, text in said]


def test_grafana_knows_every_setting_of_every_panel(compiler: Path, tmp_path: Path) -> None:
    assert complaints(compiler, tmp_path, COMMITTED) == []


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        (("options", "legend", "displayMode"), "tabel", "tabel"),
        (("fieldConfig", "defaults", "custom", "lineWidht"), 2, "lineWidht"),
        (("options", "tooltip", "mode"), 3, "number"),
    ],
    ids=lambda given: ".".join(given) if isinstance(given, tuple) else None,
)
def test_a_setting_that_grafana_does_not_know_is_noticed(
    compiler: Path, tmp_path: Path, setting: tuple[str, ...], value: object, told: str
) -> None:
    board = json.loads(json.dumps(COMMITTED["goldwatch-model"]))
    at = next(panel for panel in panels(board) if panel["type"] == "timeseries")
    for key in setting[:-1]:
        at = at[key]
    at[setting[-1]] = value
    (found,) = complaints(compiler, tmp_path, {"goldwatch-model": board})
    assert told in found
