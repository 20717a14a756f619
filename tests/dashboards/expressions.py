"""All queries of the committed dashboards, and their variables filled in as Grafana would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels of a dashboard, those in rows too, without the rows."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def expressions(documents: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield where a query is and what it asks: of panels, annotations and variables."""
    for uid, text in documents.items():
        board = json.loads(text)
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{uid} / {panel['title']} / {target['legendFormat']}", target["expr"]
        for annotation in board["annotations"]["list"]:
            yield f"{uid} / annotation {annotation['name']}", annotation["expr"]


def filled_in(expr: str, watch: str = ".*", target: str = ".*", span: str = "5m") -> str:
    """Fill in the variables of a query."""
    values = {"$watch": watch, "$target": target, "$__rate_interval": span, "$__range": span, "${window}s": span}
    values |= dict.fromkeys(("$cluster", "$namespace", "$golden", "$score"), ".*")
    for name, value in values.items():
        expr = expr.replace(name, value)
    return expr
