"""A closed load of one thread: what it makes ahead and looks at later is observed as if it were one by one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.outcome import Outcome
from goldwatch.daemon.engine import Replay, replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.ipc.workers import Workers
from goldwatch.probe import BadAnswer, Context, Probe, TensorSpec
from goldwatch.testing.clock import FakeClock
from goldwatch.testing.probe import FakeProbe
from goldwatch.worker.load import asking, stream
from goldwatch.worker.load.asking import Asking
from goldwatch.worker.load.keeping import Keeper
from goldwatch.worker.load.pace import Pace
from goldwatch.worker.load.requests import Requests

N = 3000
SPECS = (TensorSpec("probabilities", "float32", (3,)), TensorSpec("label", "int64", ()))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> TensorLocation:
    file = tmp_path_factory.mktemp("examples") / "inputs"
    values = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    file.write_bytes(values.tobytes())
    return TensorLocation("x", str(file), "float32", values.shape, 0)


def run(workers: Workers, location: TensorLocation, options: Any = None, **more: Any) -> Replay:
    settings: dict[str, Any] = {
        "served": False,
        "warm": False,
        "key": "stream",
        "outputs": SPECS[:1],
        "examples": range(N),
        "warmup": 0,
        "time_limit_s": 5.0,
        "factory": "goldwatch.testing.probe:FakeProbe",
    }
    return replay(Plan(options=options or {}, inputs=(location,), **(settings | more)), workers)


def test_a_thousand_answers_that_waited_are_those_of_several_threads(
    workers: Workers, examples: TensorLocation
) -> None:
    alone = run(workers, examples)
    several = run(workers, examples, load=LoadPlan("offline", in_flight=2))
    assert alone.outcomes() == several.outcomes() == {"ok": N}
    for name in ("output.probabilities", "outcome"):
        np.testing.assert_array_equal(alone.columns.array(name), several.columns.array(name))
    assert (alone.columns.array("latency_ns") > 0).all()
    sent, latency = alone.columns.array("sent_ns"), alone.columns.array("latency_ns")
    assert all(after >= before + taken for (before, after), taken in zip(pairwise(sent), latency[:-1], strict=True))


def test_each_failure_among_many_is_that_of_its_row(workers: Workers, examples: TensorLocation) -> None:
    failures = {"1000": "nan", "1001": "rejected", "1500": "bad_answer", "2000": "unreachable", "2999": "nan"}
    found = run(workers, examples, {"failures": failures})
    assert found.outcomes() == {"ok": N - 5, "rejected": 1, "unreachable": 1, "bad_answer": 3}
    expected = {
        999: Outcome.BAD_ANSWER,
        1000: Outcome.REJECTED,
        1499: Outcome.BAD_ANSWER,
        1999: Outcome.UNREACHABLE,
        2998: Outcome.BAD_ANSWER,
    }
    assert {row: o for row, o in enumerate(found.columns.outcome) if o != Outcome.OK} == expected
    assert dict(found.errors) == {
        'output "probabilities" contains NaN or infinity': 2,
        "answered 500: rejected, as told": 1,
        "the answer is not JSON, as told": 1,
        "connection reset, as told": 1,
    }
    assert not found.columns.array("output.probabilities")[[*expected]].any()  # nothing is kept of these


def test_a_crash_among_many_costs_one_request(workers: Workers, examples: TensorLocation) -> None:
    """Those that were answered but not processed are asked for again."""
    found = run(workers, examples, {"failures": {"2000": "crash"}})
    assert found.outcomes() == {"ok": N - 1, "crashed": 1}
    assert found.columns.outcome[1999] == Outcome.CRASHED
    assert found.restarts == 1


def test_what_cannot_be_encoded_ends_a_replay_once_those_before_were_sent(
    workers: Workers, examples: TensorLocation
) -> None:
    found = run(workers, examples, factory="tests.replay.jobs:PickyProbe")
    assert found.ended is not None
    assert "no such word" in found.ended
    assert found.outcomes() == {"not_sent": N - 499, "ok": 499}


@pytest.mark.slow
def test_latency_is_what_a_probe_knows_of_it_if_that_may_be_believed(
    workers: Workers, examples: TensorLocation
) -> None:
    found = run(workers, examples, factory="tests.replay.jobs:LateProbe", examples=range(60))
    latencies_s, sent_ns = found.latencies_s(), found.columns.array("sent_ns")
    assert min(latencies_s[0::3]) < 0.05  # those of the requests 1, 4, 7: a machine that stalls makes a few longer
    assert min(*latencies_s[1::3], *latencies_s[2::3]) >= 0.1
    assert (sent_ns[1:] > sent_ns[:-1]).all()


VALUES = st.one_of(
    st.just("right"),
    st.sampled_from(["nan", "inf", "float64", "two rows", "no rows", "flat", "list", "missing", "bad"]),
)


def answer(kind: str, index: int) -> Any:
    """Return what a probe may have decoded an answer to."""
    rows = np.full((1, 3), index, np.float32)
    label = np.array([index])
    match kind:
        case "nan" | "inf":
            rows[0, 1] = float(kind)
        case "float64":
            rows = rows.astype(np.float64)
        case "two rows":
            rows = np.repeat(rows, 2, axis=0)
        case "no rows":
            rows = rows[:0]
        case "flat":
            rows = rows[0]
        case "list":
            return {"probabilities": rows.tolist(), "label": label}
        case "missing":
            return {"probabilities": rows}
        case "bad":
            return BadAnswer("as told")
    return {"probabilities": rows, "label": label}


def kept(answers: list[Any], *, at_once: bool) -> tuple[dict[str, Any], list[str]]:
    columns = Columns.create(Layout(len(answers), SPECS), range(len(answers)))
    probe: Probe = FakeProbe(FakeProbe.Options(), Context(5.0))
    keeper = Keeper(probe, columns, Requests(probe, {}))
    wrong: list[str] = []
    if not (at_once and keeper.keep_all(0, len(answers), answers)):
        for row, found in enumerate(answers):
            failure = found if isinstance(found, BadAnswer) else keeper.keep(row, row + 1, None, found)
            wrong.append(str(failure or ""))
    values = {spec.name: columns.array(f"output.{spec.name}").copy() for spec in SPECS}
    columns.close()
    return values, wrong or [""] * len(answers)


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_answers_kept_at_once_are_those_kept_one_by_one(kinds: list[str]) -> None:
    answers = [answer(kind, index) for index, kind in enumerate(kinds)]
    together, wrong_together = kept(answers, at_once=True)
    alone, wrong_alone = kept(answers, at_once=False)
    assert wrong_together == wrong_alone
    for name, values in alone.items():
        np.testing.assert_array_equal(together[name], values)


class Dated(FakeProbe):
    """A model whose requests hold when they were made, and which remembers how old they were when they came."""

    def __init__(self, options: FakeProbe.Options, clock: FakeClock) -> None:
        super().__init__(options, Context(60.0), sleep=clock.sleep)
        self._clock, self._failed_at_s = clock, -1.0
        self.made = 0
        self.ages_s: list[float] = []
        self.before_a_failure = 0

    def encode(self, inputs: Any) -> Any:
        self.made += 1
        return self._clock.monotonic(), super().encode(inputs)

    def predict(self, request: Any) -> Any:
        made_at_s, values = request
        self.ages_s.append(self._clock.monotonic() - made_at_s)
        self.before_a_failure += made_at_s < self._failed_at_s
        try:
            return super().predict(values)
        except Exception:
            self._failed_at_s = self._clock.monotonic()
            raise


@pytest.mark.parametrize(
    ("latencies_s", "failures"),
    [
        ((4.0,), {}),
        ((1e-4,), {}),
        ((1e-4,) * 200 + (4.0,) * 9 + (0.1,) * 50, {}),
        ((1e-3,), {5: "rejected", 300: "rejected", 301: "rejected", 800: "rejected"}),
        ((1e-3,), dict.fromkeys(range(1, 1000, 2), "rejected")),
    ],
    ids=["slow", "quick", "slower", "failures", "every other fails"],
)
def test_no_request_is_older_than_credentials_last(
    monkeypatch: pytest.MonkeyPatch, latencies_s: tuple[float, ...], failures: Any
) -> None:
    clock = FakeClock()
    for module in (stream, asking):
        monkeypatch.setattr(module, "clock_ns", clock.monotonic_ns)
    probe = Dated(FakeProbe.Options(latencies_s=latencies_s, failures=failures), clock)
    probe.open()
    columns = Columns.create(Layout(1000, SPECS[:1]), range(1000))
    inputs = {"x": np.zeros((1000, 4), np.float32)}
    asked = Asking(probe, inputs, columns, Pace(LoadPlan()), 1)
    stream.Stream(asked, columns, lambda: None).run(asked.left())
    assert max(probe.ages_s) <= 1.0
    assert probe.before_a_failure == 0
    assert probe.made <= 2 * 1000
    right = [Outcome.REJECTED if row + 1 in failures else Outcome.OK for row in range(1000)]
    assert [*columns.outcome] == right
    columns.close()
