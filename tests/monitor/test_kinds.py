from __future__ import annotations

from pathlib import Path

import pytest

from goldwatch.core import kinds
from goldwatch.core.monitors.kind import MonitorKind

RUNBOOKS = Path(__file__).parents[2] / "dashboards" / "runbooks"


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_each_kind_has_a_runbook(kind: MonitorKind) -> None:
    assert (RUNBOOKS / f"{kind.name}.md").is_file()


def test_an_alert_is_named_after_the_cause_and_silence_says_least() -> None:
    assert min(["silent", "changed", "slow", "worse", "failing"], key=kinds.rank) == "failing"
    assert kinds.KINDS[-1] is kinds.SILENT


def test_a_monitor_of_another_version_is_no_error() -> None:
    assert kinds.of("psychic").name == "psychic"
    assert kinds.rank("changed") < kinds.rank("psychic") < kinds.rank("silent")
