"""The examples for pipelines call goldwatch with options that it has, and publish the files that it writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
import yaml

from goldwatch.cli.app import app

EXAMPLES = sorted((Path(__file__).parents[2] / "examples/pipelines").glob("*.yml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_pipeline_calls_what_there_is(file: Path) -> None:
    text = file.read_text()
    assert isinstance(yaml.safe_load(text), dict)
    (call,) = re.findall(r"goldwatch check (goldwatch\.yaml(?:\s+--\S+ \S+)+)", text)
    check = typer.main.get_command(app).commands["check"]  # type: ignore[attr-defined]
    context = check.make_context("check", call.split())
    written = {Path(path).name for path in context.params["output"]}
    assert written == {"report.html", "junit.xml", "result.json", "summary.md"}
    rest = text.split(call)[1]
    assert [name for name in written if name not in rest] == []
