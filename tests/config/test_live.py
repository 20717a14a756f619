"""The section `live` of a watch: its defaults, its paths, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldwatch.config import ConfigError
from goldwatch.config.live import ClusterKey

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
        ("live: {clusters: session}", '"session" is refused: write none, unknown, the most requests that depend on'),
        (
            "live: {clusters: [session]}",
            "a list is refused: write none, unknown, the most requests that depend on each",
        ),
        ("live: {clusters: {kye: session}}", 'clusters.kye: unknown key "kye" (did you mean "key"?)'),
        ("live: {clusters: {key: a, max_rows: 0}}", 'clusters.max_rows: "0" is out of range; it must be at least 1'),
        ("live: {log: x}", 'unknown key "log"'),
        ("live: {learn: true}", "live.learn needs `season: weekly`; write both, or neither"),
        ("live: {season: hourly}", '"hourly" is not one of none, weekly'),
        ("live: {season: weekly, time: at}", "live.time is the time of the rows of `reference`, for `season: weekly`"),
        (
            "live: {season: weekly, clusters: unknown}",
            "live.clusters cannot be combined with `season: weekly`, whose blocks hold many windows; write the most",
        ),
        ("live: {season: weekly, clusters: {key: user}}", "live.clusters cannot be combined with `season: weekly`"),
    ],
)
def test_what_is_wrong_with_it_is_said(load_text: Load, live: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(START.replace("LIVE", live))
    (problem,) = caught.value.problems
    assert said in str(problem)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("none", "none"),
        ("unknown", "unknown"),
        ("10", 10),
        ("{key: session}", ClusterKey(key="session", max_rows=10)),
        ("{key: headers.x-user, max_rows: 3}", ClusterKey(key="headers.x-user", max_rows=3)),
    ],
)
def test_clusters_are_stated_in_four_ways(load_text: Load, written: str, expected: object) -> None:
    live = load_text(START.replace("LIVE", f"live: {{clusters: {written}}}")).watches["fraud"].live
    assert live is not None
    assert live.clusters == expected


def test_it_is_of_one_target(load_text: Load) -> None:
    text = START.replace("LIVE", "targets: [fraud, other], live: {}")
    text = text.replace("model: fraud}}", "model: fraud}, other: {probe: open-inference, url: 'http://b', model: b}}")
    with pytest.raises(ConfigError, match="is of one target, and this watch has several; give the target that is live"):
        load_text(text)
