"""The destinations of measurements as the config changes: real receivers of OTLP over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldwatch.config import Config, load
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import CannotStart
from goldwatch.daemon.service import Service
from goldwatch.export import measurement

from tests.otlp import Received, attributes, receiver, until

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
CONFIG = """\
targets: {{digits: {{probe: onnx-runtime, file: {digits}/digits.onnx}}}}
golden: {{digits: {digits}/golden}}
watches: {{{watch}: {{every: {every}, target: digits, golden: digits}}}}
exporters: {{{exporters}}}
"""
SKIPPED = "goldwatch.replays_skipped"
PROMISED = {
    "goldwatch.objective",
    "goldwatch.watch.interval",
    "goldwatch.replay.next_timestamp",
}


@pytest.fixture
def exports() -> Iterator[Exports]:
    made = Exports()
    yield made
    made.close()


def configured(folder: Path, collector: Received | None, watch: str = "a", every: str = "5m") -> Path:
    file = folder / "goldwatch.yaml"
    exporters = ['prometheus: {listen: "127.0.0.1:0"}']
    exporters += [] if collector is None else [f"otlp: {{endpoint: {collector.url}, protocol: http, every: 1s}}"]
    file.write_text(CONFIG.format(digits=DIGITS, watch=watch, every=every, exporters=", ".join(exporters)))
    return file


def config(folder: Path, collector: Received | None, watch: str = "a") -> Config:
    return load(configured(folder, collector, watch))


def skipped(collector: Received) -> int | None:
    """Return how many skipped replays the collector received last."""
    if SKIPPED not in collector.metrics:
        return None
    (point,) = collector.metrics[SKIPPED].sum.data_points
    assert attributes(point)["goldwatch.reason"] == "waiting"
    return int(point.as_int or point.as_double)


def skip(exports: Exports) -> None:
    exports.publish(measurement.of_skip("a", "digits", reason="waiting"))


def test_a_new_collector_is_told_what_each_watch_promises(tmp_path: Path) -> None:
    """The watches are as they were, and replay once in four years: no replay will export it."""

    async def moved(one: Received, two: Received) -> None:
        service = Service(configured(tmp_path, one, every="0 0 29 feb *"))
        await service.start()
        try:
            await asyncio.to_thread(until, lambda: one.metrics.keys() >= PROMISED, "the first is told")
            await service.reload()
            configured(tmp_path, two, every="0 0 29 feb *")
            await service.reload()
            await asyncio.to_thread(until, lambda: two.metrics.keys() >= PROMISED, "and the second")
        finally:
            await service.stop()

    with receiver("http") as one, receiver("http") as two:
        asyncio.run(moved(one, two))


def test_what_pushes_keeps_its_counters_until_its_sections_change(tmp_path: Path, exports: Exports) -> None:
    with receiver("http") as one, receiver("http") as two:
        exports.put_in_force(config(tmp_path, one))
        skip(exports)
        exports.put_in_force(config(tmp_path, one, watch="b"))  # the watches are others, what pushes is not
        skip(exports)
        until(lambda: skipped(one) == 2, "both are counted by the same exporter")

        exports.put_in_force(config(tmp_path, two))
        skip(exports)
        until(lambda: skipped(two) == 1, "a new exporter counts from its start")
        assert skipped(one) == 2

        exports.put_in_force(config(tmp_path, None))
        skip(exports)
    exports.close()
    assert skipped(two) == 1
    page = exports.page.render()[0].decode()
    assert 'goldwatch_replays_skipped_total{watch="a",target="digits",reason="waiting"} 4' in page
    assert "goldwatch_build_info{" in page


def test_a_reload_changes_the_level_and_loses_no_count(tmp_path: Path, exports: Exports) -> None:
    file = configured(tmp_path, None)
    full, essential = file.read_text(), file.read_text().replace("exporters: {", "exporters: {metrics: essential, ")
    for text, reason in ((full, "busy"), (essential, "other"), (full, "busy")):
        file.write_text(text)
        exports.put_in_force(load(file))
        exports.publish(measurement.of_skip("a", "digits", reason="busy"))
        page = exports.page.render()[0].decode()
        assert f'goldwatch_replays_skipped_total{{watch="a",target="digits",reason="{reason}"}}' in page
    assert 'reason="busy"} 3' in page


def test_a_refused_reload_leaves_the_level(tmp_path: Path, exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that pushes is not installed."""
    file = configured(tmp_path, None)
    exports.put_in_force(load(file))
    pushed = "{metrics: essential, otlp: {endpoint: http://127.0.0.1:1, protocol: http}, "
    file.write_text(file.read_text().replace("exporters: {", f"exporters: {pushed}"))
    for module in ("metric_exporter", "trace_exporter", "_log_exporter"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.http.{module}", None)
    with pytest.raises(CannotStart, match=r"exporters\.otlp: "):
        exports.put_in_force(load(file))
    assert exports.page.level == "full"
