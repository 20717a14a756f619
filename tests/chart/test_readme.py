from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HELM = Path(__file__).parents[2] / "helm"
SCHEMA = json.loads((HELM / "goldwatch/values.schema.json").read_text())


def keys(schema: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, about in schema.get("properties", {}).items():
        yield above + name, about
        yield from keys(about, f"{above}{name}.")
        yield from keys(about.get("items", {}), f"{above}{name}.")


def test_the_readme_is_what_the_values_make() -> None:
    readme = runpy.run_path(str(HELM / "make_readme.py"))["readme"]
    assert (HELM / "goldwatch/README.md").read_text() == readme(), "run: python helm/make_readme.py"


def test_every_value_is_described_and_nothing_else_is_admitted() -> None:
    for name, about in keys(SCHEMA):
        assert about.get("description"), name
        if about.get("type") == "object" and "properties" in about:
            assert about["additionalProperties"] is False, name


def test_every_value_is_in_the_schema() -> None:
    def names(values: dict[str, Any], above: str = "") -> Iterator[str]:
        for name, value in values.items():
            yield above + name
            if isinstance(value, dict):
                yield from names(value, f"{above}{name}.")

    known = {name for name, _ in keys(SCHEMA)}
    maps = {"resources.requests", "resources.limits", "dashboards.labels"}
    values = yaml.safe_load((HELM / "goldwatch/values.yaml").read_text())
    assert {n for n in names(values) if n.rpartition(".")[0] not in maps} <= known
