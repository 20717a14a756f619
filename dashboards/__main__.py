"""Write the dashboards as Grafana imports them: `python -m dashboards`, after which `git diff` shows what changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import agent, compare, fleet, incident, model

JSON = Path(__file__).parent / "json"
CHART = Path(__file__).parents[1] / "helm/goldwatch/files/dashboards"
"""The chart has copies: it cannot follow links out of its folder."""

_BUILDERS: tuple[Callable[[], dashboard.Dashboard], ...] = (
    fleet.build,
    model.build,
    incident.build,
    compare.build,
    agent.build,
)


def documents() -> dict[str, str]:
    """Return the JSON of each dashboard by its uid, with sorted keys, so that a diff is short."""
    found = {}
    for build in _BUILDERS:
        made = build().build()
        plain = json.loads(JSONEncoder().encode(made))
        found[str(made.uid)] = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return found


if __name__ == "__main__":
    folders = [Path(sys.argv[1])] if len(sys.argv) > 1 else [JSON, CHART]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        for uid, text in documents().items():
            (folder / f"{uid}.json").write_text(text)
