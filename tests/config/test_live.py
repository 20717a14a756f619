"""The section `live` of a watch: its defaults, its paths, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldwatch.config import ConfigError

from tests.config.conftest import Load

START = """\
targets: {fraud: {probe: open-inference, url: 'http://localhost:8000', model: fraud}}
golden: {fraud: ./golden}
watches: {fraud: {every: 5m, LIVE}}
"""


def test_left_empty_it_has_all_of_its_defaults_and_without_it_nothing_is_tapped(load_text: Load) -> None:
    assert load_text(START.replace(", LIVE", "")).watches["fraud"].live is None
    live = load_text(START.replace("LIVE", "live: ")).watches["fraud"].live
    assert live is not None
    assert (live.file, live.reference, live.inputs) == ("", "", ())
    assert (live.tolerance, live.requests, live.window_s, live.rows) == (0.05, 200, 3600.0, 1)
    assert (live.clusters, live.season) == (None, None)


def test_its_files_are_relative_to_the_folder_of_the_config(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    written = "live: {file: logs, reference: rows.jsonl, tolerance: 2%, window: 10m, inputs: [amount]}"
    live = load_text(START.replace("LIVE", written)).watches["fraud"].live
    assert live is not None
    assert (Path(live.file).resolve(), Path(live.reference).resolve()) == (tmp_path / "logs", tmp_path / "rows.jsonl")
    assert (live.tolerance, live.window_s, live.inputs) == (0.02, 600.0, ("amount",))


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ("live: {reference: none.jsonl}", '"none.jsonl" is not a file; write the path of one with a JSON row a line'),
        ("live: {window: soon}", '"soon" is not a duration; write 250ms, 30s, 5m or 2h'),
        ("live: {requests: 5}", '"5" is out of range; it must be at least 20'),
        ("live: {clusters: 0}", '"0" is out of range; it must be at least 1'),
        ("live: {log: x}", 'unknown key "log"'),
    ],
)
def test_what_is_wrong_with_it_is_said(load_text: Load, live: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(START.replace("LIVE", live))
    (problem,) = caught.value.problems
    assert said in str(problem)


def test_it_is_of_one_target(load_text: Load) -> None:
    text = START.replace("LIVE", "targets: [fraud, other], live: {}")
    text = text.replace("model: fraud}}", "model: fraud}, other: {probe: open-inference, url: 'http://b', model: b}}")
    with pytest.raises(ConfigError, match="is of one target, and this watch has several; give the target that is live"):
        load_text(text)
