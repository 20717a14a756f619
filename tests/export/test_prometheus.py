import math
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from goldwatch.core.judgement import Judgement, Score, Severity, State, Validity, Verdict
from goldwatch.export import measurement as m
from goldwatch.export.catalogue import CATALOGUE, ENERGY_READINGS_DROPPED, REQUEST_LATENCY
from goldwatch.export.prometheus import PrometheusExporter
from goldwatch.probe import Description

from tests.export.watches import of_watch

Make = Callable[..., Judgement]
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]

OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)  # as Prometheus 2.42 asks


def series(exporter: PrometheusExporter, accept: str = "") -> Series:
    body, content_type = exporter.render(accept)
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    samples = [s for family in parse(body.decode()) for s in family.samples]
    found = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples if s.name.startswith("goldwatch_")}
    assert len(found) == sum(s.name.startswith("goldwatch_") for s in samples), "a series is there twice"
    return found


def named(found: Series, name: str) -> list[dict[str, str]]:
    return [dict(labels) for (n, labels) in found if n == name]


@pytest.fixture
def exporter(judgement: Make) -> PrometheusExporter:
    made = PrometheusExporter(lambda: 1000.0)
    for found in (
        m.of_build("1.2.3"),
        m.of_external_url("https://gw.example/"),
        m.of_accepted_config(1.79e9),
        m.of_pusher(["metrics", "logs"]),
        m.of_lease("l", leads=True),
        m.of_slots(4, 1.5, 2),
        [m.Measurement(ENERGY_READINGS_DROPPED, {}, 0)],
        of_watch(),
    ):
        made.publish(found)
    made.publish(m.of_judgement(judgement(), 0.05))
    made.publish(m.of_alert("fraud", "fraud-eu", "page", ("worse",)))
    return made


def test_text_and_openmetrics_say_the_same(exporter: PrometheusExporter) -> None:
    text, openmetrics = series(exporter), series(exporter, OPENMETRICS)
    assert text == openmetrics
    names = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name, _ in text}
    assert names == {metric.name for metric in CATALOGUE}


def test_a_slow_request_leads_to_its_trace_in_openmetrics_only(judgement: Make) -> None:
    exporter = PrometheusExporter(lambda: 1000.0)
    slow = m.Exemplar(0.05, "ab" * 16, "cd" * 8, 1.79e9)
    exporter.publish(m.of_judgement(judgement(), None, (slow, m.Exemplar(99.0, "ef" * 16, "01" * 8, 1.79e9))))
    exporter.publish(m.of_judgement(judgement(), None, (m.Exemplar(0.04, "12" * 16, "cd" * 8, 1.8e9),)))
    body, _ = exporter.render(OPENMETRICS)
    samples = [s for f in parse_openmetrics(body.decode()) for s in f.samples if s.exemplar is not None]
    assert {s.labels["le"]: (s.exemplar.labels["trace_id"][:2], s.exemplar.value) for s in samples if s.exemplar} == {
        "0.05": ("12", 0.04),  # the last one of its bucket, whose bound is the value of the one before
        "+Inf": ("ef", 99.0),
    }
    assert {s.name for s in samples} == {"goldwatch_request_latency_seconds_bucket"}
    assert b"trace_id" not in exporter.render("")[0]


def test_the_content_type_is_what_was_asked_for(exporter: PrometheusExporter) -> None:
    assert exporter.render()[1].startswith("text/plain")
    assert exporter.render(OPENMETRICS)[1].startswith("application/openmetrics-text; version=1.0.0")


@pytest.mark.parametrize("junk", ["application/openmetrics-text;version=x", "text/plain;version=", ";;,,=", "\udcff"])
def test_no_accept_header_breaks_a_scrape(exporter: PrometheusExporter, junk: str) -> None:
    assert b"goldwatch_build_info" in exporter.render(junk)[0]


def test_counters_add_up_and_gauges_replace(exporter: PrometheusExporter, judgement: Make) -> None:
    exporter.publish(m.of_judgement(judgement(duration_s=7.0)))
    found = series(exporter)
    where = (("target", "fraud-eu"), ("watch", "fraud"))
    assert found["goldwatch_requests_total", (("outcome", "ok"), *where)] == 16
    assert found["goldwatch_requests_total", (("outcome", "crashed"), *where)] == 0
    assert found["goldwatch_replay_last_duration_seconds", where] == 7.0


def test_the_histogram_is_cumulative_with_its_bounds_inclusive(exporter: PrometheusExporter) -> None:
    found = series(exporter)
    where = (("target", "fraud-eu"), ("watch", "fraud"))
    upto = {dict(k)["le"]: v for (n, k), v in found.items() if n == "goldwatch_request_latency_seconds_bucket"}
    assert upto["0.00078125"] == 2
    assert upto["0.05"] == 5
    assert upto["0.0625"] == 6
    assert upto["0.8"] == 7
    assert upto["+Inf"] == 8 == found["goldwatch_request_latency_seconds_count", where]
    assert math.isclose(found["goldwatch_request_latency_seconds_sum", where], 80.8173)


@given(batches=st.lists(st.lists(st.floats(0, 100)), min_size=1, max_size=4))
def test_a_histogram_counts_each_value_once(batches: list[list[float]]) -> None:
    exporter = PrometheusExporter(lambda: 1000.0)
    for batch in batches:
        exporter.publish([m.Measurement(REQUEST_LATENCY, {"watch": "w", "target": "t"}, batch)])
    everything = [value for batch in batches for value in batch]
    for (name, labels), count in series(exporter).items():
        if name.endswith("_bucket"):
            assert count == sum(value <= float(dict(labels)["le"]) for value in everything)


def test_a_new_version_ends_the_old_series(exporter: PrometheusExporter, judgement: Make) -> None:
    exporter.publish(m.of_judgement(judgement(description=Description("fraud", "v18"))))
    assert [labels["version"] for labels in named(series(exporter), "goldwatch_target_info")] == ["v18"]


def test_an_unreachable_target_keeps_what_was_last_known(exporter: PrometheusExporter, judgement: Make) -> None:
    unknown = Verdict("worse", State.UNKNOWN, Severity.PAGE, None, 5.62, None, False, "not judged")
    lost = judgement(
        validity=Validity.INSUFFICIENT,
        description=None,
        scores=(),
        difference=None,
        verdicts=(unknown,),
        started_at=1.8e9,
    )
    exporter.publish(m.of_judgement(lost))
    found = series(exporter)
    where = (("target", "fraud-eu"), ("watch", "fraud"))
    assert [labels["version"] for labels in named(found, "goldwatch_target_info")] == ["v17"]
    assert found["goldwatch_score", (("score", "accuracy"), *where)] == 0.75
    assert found["goldwatch_replay_last_valid_timestamp_seconds", where] == 1_790_000_000.5
    assert found["goldwatch_replay_last_timestamp_seconds", where] == 1.8e9
    assert found["goldwatch_verdict", (("monitor", "worse"), ("state", "unknown"), *where)] == 1


def test_a_score_or_monitor_that_is_gone_ends(exporter: PrometheusExporter, judgement: Make) -> None:
    left = judgement(scores=(Score("f1", 0.5, 0.4, 0.6, 8),), verdicts=judgement().verdicts[:1])
    exporter.publish(m.of_judgement(left))
    found = series(exporter)
    assert {labels["score"] for labels in named(found, "goldwatch_score")} == {"f1"}
    assert {labels["monitor"] for labels in named(found, "goldwatch_verdict")} == {"worse"}


def test_retiring_ends_one_target_and_no_other(exporter: PrometheusExporter, judgement: Make) -> None:
    before = series(exporter)
    exporter.publish(m.of_judgement(judgement(target="fraud-us")))
    exporter.retire("fraud", "fraud-eu")
    left = series(exporter)
    assert {dict(k).get("target", "fraud-us") for _, k in left} == {"fraud-us"}
    assert ("goldwatch_config_last_reload_successful", ()) in left
    exporter.retire("fraud", "fraud-us")
    exporter.publish(of_watch())
    exporter.publish(m.of_judgement(judgement(), 0.05))
    exporter.publish(m.of_alert("fraud", "fraud-eu", "page", ("worse",)))
    assert series(exporter) == before  # the counters start again from zero


def test_a_scrape_sees_a_publication_whole(judgement: Make) -> None:
    exporter = PrometheusExporter(lambda: 1000.0)
    stop = threading.Event()

    def publish() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            said = Description("fraud", f"v{n}")
            exporter.publish(m.of_judgement(judgement(started_at=float(n), duration_s=float(n), description=said)))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for _ in range(40):
            found = series(exporter)
            where = (("target", "fraud-eu"), ("watch", "fraud"))
            n = found.get(("goldwatch_replay_last_timestamp_seconds", where))
            versions = [labels["version"] for labels in named(found, "goldwatch_target_info")]
            assert versions == ([f"v{n:.0f}"] if n else [])
            assert found.get(("goldwatch_replay_last_duration_seconds", where)) == n
            assert found.get(("goldwatch_replays_total", (*where[:1], ("validity", "valid"), *where[1:]))) == n
    finally:
        stop.set()
        thread.join()


def test_a_hostile_version_cannot_break_a_scrape(judgement: Make) -> None:
    exporter = PrometheusExporter(lambda: 1000.0)
    exporter.publish(m.of_judgement(judgement(description=Description("m", 'v"}\n{1} \\ \ud800'))))
    (labels,) = named(series(exporter, OPENMETRICS), "goldwatch_target_info")
    assert labels["version"] == 'v"}\n{1} \\ ?'


def test_promtool_has_no_complaint(exporter: PrometheusExporter, tool: Callable[[str], str]) -> None:
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics", "--extended"],
        input=exporter.render()[0],
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr.decode()) == (0, ""), checked.stdout.decode()


def test_the_agent_exports_without_numpy_or_the_otlp_packages() -> None:
    script = (
        "import sys; import goldwatch.export.prometheus as p; p.PrometheusExporter(lambda: 1000.0).render('');"
        "print([n for n in ('numpy', 'scipy', 'opentelemetry', 'grpc', 'requests') if n in sys.modules])"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert found.stdout == "[]\n"
