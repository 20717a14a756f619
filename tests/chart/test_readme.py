"""The generated files of the chart are up to date, and every value is described."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HELM = Path(__file__).parents[2] / "helm"
MAKE = runpy.run_path(str(HELM / "make_chart.py"))
VALUES = yaml.safe_load((HELM / "goldwatch/values.yaml").read_text())


def test_what_is_generated_is_up_to_date() -> None:
    stale = [file.name for file, text in MAKE["generated"]().items() if file.is_symlink() or file.read_text() != text]
    assert stale == [], "run: python helm/make_chart.py"


def test_the_chart_holds_no_links_and_nothing_stale() -> None:
    """Flux and archives drop links that lead out of the chart."""
    assert [path for path in (HELM / "goldwatch").rglob("*") if path.is_symlink()] == []
    held = {path for path in (HELM / "goldwatch/files").rglob("*") if path.is_file()}
    assert held == MAKE["copies"]().keys() | {HELM / "goldwatch/files/refused.yaml"}


def leaves(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield above + name
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")


def test_every_value_is_described_above_it() -> None:
    about = MAKE["descriptions"]()
    passed_on = ("resources.", "podSecurityContext.", "Probe.", "lifecycle.", "elector.", "labels.")
    bare = [key for key in leaves(VALUES) if key not in about and not any(part in key for part in passed_on)]
    assert bare == ["global.compatibility", "global.compatibility.openshift"]
    assert about.keys() <= set(leaves(VALUES))


def test_no_key_but_those_of_the_values_is_taken() -> None:
    def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for about in schema.get("properties", {}).values():
            if "properties" in about:
                yield about
                yield from objects(about)

    schema = MAKE["schema"]()
    shut = [about["additionalProperties"] for about in objects(schema)]
    assert shut.count(True) == 1, "global belongs to the parent chart too"
    assert schema["additionalProperties"] is False
