from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from goldwatch.config import json_schema

from tests.config.fakes import START, probes

SCHEMA = json_schema(probes)
DOCS = Path(__file__).parents[2] / "docs" / "config.md"


def valid(text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text)))


def keys(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for child in node.values():
            yield from keys(child)
    elif isinstance(node, list):
        for child in node:
            yield from keys(child)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("5m", "5m"),
        ("5m", '"*/5 * * * *"'),
        ("5m", "${EVERY}"),
        ("model: fraud", "retries: ${RETRIES}"),
        ("model: fraud", "token: ${TOKEN}"),
        ("./golden", "{path: ./golden}\n  other: ./golden"),
        ("alerts:\n  false_alarms: 1 per year", "alerts:\nlog:"),
    ],
)
def test_what_loads_is_valid(old: str, new: str) -> None:
    assert valid(START.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("probe:", "prode:"),
        ("url:", "uri:"),
        ("open-inference", "xyz"),
        ("model: fraud", "token: hunter2"),
        ("model: fraud", "file: x"),
        ("every:", "evry:"),
        ("5m", "5 minuts"),
        ("latency:", "latncy:"),
        ("alerts:", "alert:"),
        ("false_alarms: 1 per year", "false_alarms: 1"),
        ("  fraud-2026q3:", "  -x:"),
    ],
)
def test_what_does_not_load_is_not(old: str, new: str) -> None:
    assert not valid(START.replace(old, new, 1))


def test_every_key_is_described() -> None:
    undescribed = {
        name
        for name, node in keys(SCHEMA)
        if not (node.get("description") or SCHEMA["$defs"][node["$ref"].split("/")[-1]])
    }
    assert undescribed == set()


def test_defaults_are_as_people_write_them() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["WatchEntry"]["properties"]["every"]["default"] == "5m"
    assert definitions["Load"]["properties"]["time_limit"]["default"] == "2s"
    assert definitions["Prometheus"]["properties"]["listen"]["default"] == ":9870"


def test_a_probe_that_cannot_be_imported_is_named() -> None:
    assert "No module named 'acme'" in SCHEMA["$defs"]["target-broken"]["description"]


def test_the_docs_have_a_row_for_every_key() -> None:
    rows = {line.split("`")[1] for line in DOCS.read_text().splitlines() if line.startswith("| `")}
    assert {name for name, _ in keys(json_schema(dict))} <= rows


def test_the_docs_show_the_start() -> None:
    blocks = DOCS.read_text().split("```yaml\n")[1:]
    assert valid(blocks[0].split("```")[0])
