"""Writes the README of the chart from its values and their schema: python helm/make_readme.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "goldwatch"

_HEAD = """# goldwatch, the chart

goldwatch replays golden sets against deployed models and says, with a stated error rate, whether they are still the
models that were validated. How to install it, in three ways, is in [docs/kubernetes.md](../../docs/kubernetes.md).

## Values

Made from `values.yaml` and `values.schema.json` by `python helm/make_readme.py`.

| key | default | what it is |
|---|---|---|
"""


def readme() -> str:
    """Return the text of the README."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return _HEAD + "".join(f"{row}\n" for row in _rows(schema["properties"], values, ""))


def _rows(properties: dict[str, Any], values: dict[str, Any], above: str) -> Iterator[str]:
    for name, about in properties.items():
        if name not in values:
            continue
        value, below = values[name], about.get("properties", {})
        if below and isinstance(value, dict) and value:
            yield f"| `{above}{name}` | | {about['description']} |"
            yield from _rows(below, value, f"{above}{name}.")
        else:
            yield f"| `{above}{name}` | `{json.dumps(value)}` | {about['description']}{_entries(about)} |"


def _entries(about: dict[str, Any]) -> str:
    """Say what the entries of a list hold."""
    keys = about.get("items", {}).get("properties", {})
    return "".join(f"<br>`{key}`: {of['description']}" for key, of in keys.items())


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme())
