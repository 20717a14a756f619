"""Energy from config to board: a real model under load, and a processor whose counters are files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands.compare import Row, _with_energy, frontier
from goldwatch.config import load
from goldwatch.config.energy import Energy as Section
from goldwatch.config.energy import MeterEntry
from goldwatch.core.judgement import Judgement, Score
from goldwatch.core.outcome import Outcome
from goldwatch.daemon import metering
from goldwatch.daemon.engine import Replay
from goldwatch.daemon.in_force import Assignment, prepare
from goldwatch.daemon.metering import Repeated, choose, work
from goldwatch.daemon.pipeline import run
from goldwatch.energy import attribution, rapl
from goldwatch.energy.footprint import Footprint, Per
from goldwatch.export.catalogue import energy as catalogue
from goldwatch.export.measurement import of_judgement
from goldwatch.export.metric import Metric
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.ipc.workers import Workers

from tests.builders import judgement
from tests.language_server import INPUT_TOKENS, OUTPUT_TOKENS, LanguageServer, golden_capitals, language_server
from tests.powercap import Processor

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
CONFIG = f"""\
targets:
  digits: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx, threads: 1}}
golden: {{digits: {DIGITS}/golden}}
watches: {{digits: {{}}}}
"""
WATTS = 50


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "goldwatch.yaml"


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A powercap tree whose one package draws 50 W at any time, and wraps every eight seconds."""
    found = Processor(tmp_path, WATTS, 400_000_000)
    monkeypatch.setattr(rapl, "TREE", found.tree)
    yield found.tree
    found.end()


@pytest.fixture
def no_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapl, "TREE", tmp_path / "none")


def judged(config: Path) -> Judgement:
    workers = Workers()
    try:
        (assignment,) = prepare(config, workers).assignments
        return run(assignment, workers, {}, metered=True).judgement
    finally:
        workers.close()


def energy_series(found: Judgement) -> set[str]:
    known = {m.name for m in vars(catalogue).values() if isinstance(m, Metric)}
    return known & {m.metric.name for m in of_judgement(found)}


def test_a_replay_is_metered_after_it_was_timed(config: Path, processor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "COARSEST", 10.0)  # how steady the machine of the tests is, is not tested
    prices = "price: {machine: 3.60 USD per hour, energy: 0.36 USD per kWh}"
    config.write_text(f"{CONFIG}energy: {{windows: 3, carbon: 360 gCO2e/kWh, {prices}}}\n")
    found = judged(config)
    energy = found.extras.energy
    assert energy is not None, found.extras.energy_missing
    assert energy.gross_j.value / energy.seconds == pytest.approx(
        WATTS, rel=0.3
    )  # the thread that ticks may be held up
    assert abs(energy.net_j.value) < 0.5 * energy.gross_j.value  # it draws the same at rest
    assert (energy.source, energy.attribution, energy.shared_with) == (
        "rapl",
        "shared",
        "all that runs on this machine",
    )
    assert energy.seconds >= 3
    assert energy.inferences % 600 == 0
    assert len(found.run.latencies_s) == 600  # those of the replay, and of nothing else
    footprint = found.findings.footprint
    assert footprint is not None
    assert footprint.inference.grams is not None
    assert footprint.inference.grams.value == pytest.approx(energy.gross_per_inference_j.value * 1e-4)
    assert found.findings.throughput is not None
    expected = 0.001 / found.findings.throughput + 1e-7 * energy.gross_per_inference_j.value
    assert footprint.inference.money == pytest.approx(expected)
    assert len(energy_series(found)) == 12
    assert Judgement.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_energy_is_unknown_if_a_counter_restarts(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = Processor(tmp_path, WATTS, 10**12, restarts_every_j=80.0)
    monkeypatch.setattr(rapl, "TREE", processor.tree)
    config.write_text(f"{CONFIG}energy: {{windows: 3}}\n")
    found = judged(config)
    processor.end()
    assert found.extras.energy is None
    assert "the counter stepped back or restarted, and the energy is unknown" in found.extras.energy_missing
    assert energy_series(found) == {"goldwatch_energy_readings_dropped_total"}
    assert found.extras.readings_dropped == 1


@pytest.fixture
def language_model() -> Iterator[LanguageServer]:
    with language_server() as server:
        yield server


def language_config(config: Path, server: LanguageServer, energy: str) -> Path:
    if not config.with_name("golden").exists():
        golden_capitals(config.with_name("golden"))
    target = f"{{probe: openai, url: '{server.url}', stream: false}}"
    watch = "{load: {warmup: 0}}"
    config.write_text(
        f"targets: {{atlas: {target}}}\ngolden: {{atlas: ./golden}}\nwatches: {{atlas: {watch}}}\nenergy: {energy}\n"
    )
    return config


def test_a_language_model_has_joules_grams_and_money_for_each_token(
    config: Path, processor: Path, language_model: LanguageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "COARSEST", 10.0)
    prices = "{input_tokens: 1 USD per million tokens, output_tokens: 5 USD per million tokens}"
    found = judged(language_config(config, language_model, f"{{windows: 3, carbon: 360 gCO2e/kWh, price: {prices}}}"))
    assert found.extras.energy is not None, found.extras.energy_missing
    assert found.extras.energy.output_tokens == OUTPUT_TOKENS * found.extras.energy.inferences
    assert found.findings.footprint is not None
    token = found.findings.footprint.token
    assert token is not None
    assert token.gross_j is not None
    assert token.gross_j.value * found.extras.energy.output_tokens == pytest.approx(found.extras.energy.gross_j.value)
    assert token.money == pytest.approx((INPUT_TOKENS * 1e-6 + OUTPUT_TOKENS * 5e-6) / OUTPUT_TOKENS)
    assert len(energy_series(found)) == 15
    assert Judgement.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_where_the_server_counts_no_tokens_none_is_priced(
    config: Path, no_meter: None, language_model: LanguageServer
) -> None:
    language_model.usage = False
    found = judged(language_config(config, language_model, "{price: {tokens: 1 USD per million tokens}}"))
    assert found.findings.tokens is not None
    assert (found.findings.tokens.input, found.findings.tokens.output, found.findings.tokens.output_each) == (
        None,
        None,
        None,
    )
    assert found.findings.footprint is None
    language_model.usage = True
    found = judged(language_config(config, language_model, "{price: {tokens: 1 USD per million tokens}}"))
    assert found.findings.footprint is not None
    assert found.findings.footprint.inference.money == pytest.approx((INPUT_TOKENS + OUTPUT_TOKENS) * 1e-6)
    assert energy_series(found) == {
        "goldwatch_cost_inference",
        "goldwatch_cost_right_answer",
        "goldwatch_cost_output_token",
    }


def test_without_a_meter_there_is_no_series_and_nothing_else_changes(config: Path, no_meter: None) -> None:
    config.write_text(CONFIG)
    before = judged(config)
    config.write_text(f"{CONFIG}energy: {{}}\n")
    found = judged(config)
    assert found.extras.energy is None
    assert found.extras.energy_missing.startswith("rapl: there is no ")
    assert "nvml: " in found.extras.energy_missing
    assert energy_series(found) == set()
    assert found.findings.scores == before.findings.scores
    assert found.verdicts == before.verdicts


def test_what_each_comes_to_is_in_the_reports(
    config: Path, processor: Path, language_model: LanguageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "COARSEST", 10.0)
    language_config(config, language_model, "{windows: 3, price: {tokens: 1 USD per million tokens}}")
    gate = CliRunner().invoke(app, ["check", str(config)])
    assert gate.exit_code == 0, gate.output
    assert re.search(r"\n  output token   \S+ J \[.+] gross   6e-06 USD\n", gate.stdout)
    assert re.search(r"\n  right answer   \S+ J \[.+] gross   2.4e-05 USD\n", gate.stdout)
    board = CliRunner().invoke(app, ["compare", str(config), "--rounds", "1", "--sort", "joules-per-token"])
    assert board.exit_code == 0, board.output
    assert re.search(
        "joules per inference +per right answer +per output token +cost of 10,000 +of a mill", board.stdout
    )
    assert board.stdout.splitlines()[2].endswith("6 USD")


def test_the_gate_holds_what_was_measured_against_the_objectives(
    config: Path, processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "COARSEST", 10.0)
    owed = CONFIG.replace("digits: {}}", "digits: {objectives: {energy: 1 kJ per inference, cost: 1 mUSD}}}")
    meters = "meters: {cpu: {kind: rapl, exclusive: true}}"
    config.write_text(
        owed.replace("1 mUSD", "0.000001 USD per million right answers")
        + f"energy: {{windows: 3, {meters}, price: {{machine: 2 USD per hour}}}}\n"
    )
    found = json.loads(CliRunner().invoke(app, ["check", str(config), "--format", "json"]).stdout)
    results = {f["objective"]: f["result"] for f in found["watches"][0]["findings"]}
    assert (results["energy"], results["cost"]) == ("pass", "regression")


def test_the_gate_says_why_not(config: Path, no_meter: None) -> None:
    config.write_text(f"{CONFIG}energy: {{}}\n")
    result = CliRunner().invoke(app, ["check", str(config)])
    assert result.exit_code == 0, result.output
    assert "  energy         not measurable here: rapl: there is no " in result.stdout
    owed = CONFIG.replace("digits: {}}", "digits: {objectives: {energy: 1 J per inference}}}")
    config.write_text(f"{owed}energy: {{}}\n")
    result = CliRunner().invoke(app, ["check", str(config)])
    assert result.exit_code == 2, result.output
    assert "  energy         could not measure: at most 1 J per inference: rapl: there is no " in result.stdout


def test_a_served_target_elsewhere_has_no_meter_here(config: Path) -> None:
    target = "{probe: open-inference, url: 'http://models.example:8000', model: m}"
    config.write_text(f"targets: {{m: {target}}}\ngolden: {{m: {DIGITS}/golden}}\nwatches: {{m: {{}}}}\nenergy: {{}}\n")
    found = load(config)
    assert found.energy is not None
    with pytest.raises(Exception, match=r"models\.example is another machine than this"):
        choose(found.energy, found.targets["m"])


@pytest.mark.usefixtures("no_meter")
def test_a_unix_socket_is_of_this_machine(config: Path) -> None:
    target = "{probe: open-inference, url: 'unix:/run/m.sock', model: m}"
    config.write_text(f"targets: {{m: {target}}}\ngolden: {{m: {DIGITS}/golden}}\nwatches: {{m: {{}}}}\nenergy: {{}}\n")
    found = load(config)
    assert found.energy is not None
    assert found.targets["m"].server == "localhost"  # targets of one server are not replayed at once
    with pytest.raises(Exception, match="rapl: there is no "):
        choose(found.energy, found.targets["m"])


def test_each_target_has_its_own_meters(config: Path) -> None:
    text = CONFIG.replace("threads: 1", "threads: 1, meters: [one]")
    meters = "{one: {kind: estimate, power: 12 W, accuracy: 30%, exclusive: true}, two: {kind: rapl}}"
    config.write_text(f"{text}energy: {{meters: {meters}}}\n")
    found = load(config)
    assert found.energy is not None
    meter, exclusive = choose(found.energy, found.targets["digits"])
    assert (meter.source, exclusive) == ("estimate", True)


@pytest.mark.parametrize(
    ("energy", "says"),
    [
        ("{meters: {p: {kind: prometheus}}}", "a meter of the kind prometheus needs `url` and `query`"),
        ("{meters: {p: {kind: estimate, power: 12}}}", '"12" is not a power; write 12 W'),
        ("{carbon: 350 g}", '"350 g" is not an intensity; write 350 gCO2e/kWh'),
        ("{carbon: 350 gCO2e/kWh, carbon_file: a.csv}", "keep one of them"),
        ("{price: {machine: 2 dollars}}", '"2 dollars" is not a price; write 2.10 USD per hour'),
        ("{price: {machine: 2 USD per hour, energy: 1 EUR per kWh}}", "the prices are in EUR and USD"),
        (
            "{price: {tokens: 2 USD per million tokens, input_tokens: 1 USD per million tokens}}",
            "`tokens` is the price of input and output alike",
        ),
        ("{carbon_file: nowhere.csv}", "goldwatch.yaml:5:23  energy.carbon_file: "),
        ("{carbon_api: {url: 'http://x', headers: {auth-token: abc}}}", "a secret must not be written in the file"),
    ],
)
def test_a_wrong_section_is_refused_with_what_to_write(config: Path, energy: str, says: str) -> None:
    config.write_text(f"{CONFIG}energy: {energy}\n")
    result = CliRunner().invoke(app, ["check", str(config), "--config-only"])
    assert result.exit_code == 3
    assert says in result.stderr


@settings(deadline=None)  # a busy machine is no finding
@given(st.integers(1, 500), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_a_window_is_whole_passes_or_an_even_selection(n: int, span_s: float, window_s: float) -> None:
    examples = work(range(n), span_s, window_s)
    assert len(examples) >= 1
    if window_s >= span_s:
        assert len(examples) % n == 0
        assert len(examples) * span_s / n >= window_s * 0.999
    else:
        assert len(set(examples)) == len(examples)
        assert len(examples) >= int(n * window_s / span_s)


def test_the_span_of_a_replay_does_not_depend_on_the_order_of_its_rows() -> None:
    columns = Columns.create(Layout(2, ()), range(2))
    for row, (sent_ns, latency_ns) in enumerate([(5_000_000, 1_000_000), (2_000_000, 1_000_000)]):
        columns.sent_ns[row], columns.latency_ns[row], columns.outcome[row] = sent_ns, latency_ns, Outcome.OK
    assert metering._span_s(Replay(columns, 0.0)) == 0.004
    columns.close()


def test_examples_repeat() -> None:
    repeated = Repeated(Repeated([4, 7], 2), 2)
    assert list(repeated) == [4, 7] * 4
    assert repeated[1:3] == [7, 4]


def test_the_meters_made_are_those_that_were_asked_for() -> None:
    section = Section(meters={"a": MeterEntry(kind="nvml", gpus=(1,)), "b": MeterEntry(kind="rapl")})
    assert section.every_s == 3600


FIVE = attribution.Interval(5, 4, 6)
JOULES = attribution.Energy(
    "rapl", "", False, "exclusive", "", 1.0, 1, 10, FIVE, FIVE, 1.0, FIVE, attribution.Components(0, 0, 0, 0)
)


def priced(accuracy: float, *costs: float | None) -> Row:
    found = judgement(scores=(Score("accuracy", accuracy, 0, 1, 600),))
    inference = Footprint(Per(None, None, None, costs[0]), None, None, "USD")
    return Row(
        None,  # type: ignore[arg-type]
        found,
        (),
        None,
        None,
        None,
        accuracy_differs=False,
        footprint=inference,
        costs=costs,
    )


def test_the_frontier_has_who_is_not_beaten() -> None:
    rows = frontier(
        (priced(0.95, 3, 3.1, 3), priced(0.95, 2, 2, 2.1), priced(0.90, 1, 1, 1), priced(0.80, 1.5, 1.6, 1.5)), 0.85
    )
    assert [sorted(r.best_for) for r in rows] == [[], ["cost"], ["cost"], []]
    assert [r.reaches_bound for r in rows] == [True, True, True, False]


def test_noise_takes_no_target_off_the_frontier() -> None:
    """One file three times: which of them is cheapest in a round is chance."""
    rows = frontier((priced(0.95, 3.0, 2.9, 3.1), priced(0.95, 3.1, 2.8, 3.0), priced(0.95, 2.9, 3.0, 2.9)))
    assert [sorted(r.best_for) for r in rows] == [["cost"]] * 3


def test_after_one_round_nobody_is_known_to_be_on_it() -> None:
    assert [sorted(r.best_for) for r in frontier((priced(0.95, 3), priced(0.95, 2)))] == [[], []]


def test_a_rival_of_unknown_cost_or_energy_leaves_it_unknown_who_is_on_the_frontier() -> None:
    known = replace(priced(0.95, 3, 3.1, 3), energy=JOULES)
    unknown = priced(0.95, None, None, None)
    assert [sorted(r.best_for) for r in frontier((known, unknown))] == [[], []]
    assert [sorted(r.best_for) for r in frontier((known, priced(0.90, None, None, None)))] == [["cost", "joules"], []]


def test_what_costs_nothing_is_not_divided_by() -> None:
    assert [sorted(r.best_for) for r in frontier((priced(0.95, 0, 0, 0), priced(0.95, 0, 0, 0)))] == [[], []]


@pytest.mark.parametrize(
    ("prices", "costs"),
    [
        ({"machine": "3.60 USD per hour"}, (1e-5, 2e-5)),
        ({"energy": "0.36 USD per kWh"}, ()),
        ({"machine": "3.60 USD per hour", "energy": "0.36 USD per kWh"}, ()),
    ],
)
def test_only_the_time_of_the_machine_has_a_cost_in_each_round(
    prices: dict[str, str], costs: tuple[float, ...]
) -> None:
    """Energy is measured once: its cost does not vary over the rounds, which says nothing of how it might."""
    assignment = SimpleNamespace(energy=Section.model_validate({"price": prices}))
    metered = judgement(footprint=Footprint(Per(None, None, None, None), None, None), energy=JOULES)
    row = replace(priced(0.95, None), assignment=cast("Assignment", assignment), rates=(100.0, 50.0))
    found = _with_energy(row, metered)
    assert found.cost is not None
    assert found.costs == pytest.approx(costs)
    assert (found.cost_interval is None) is (not costs)
