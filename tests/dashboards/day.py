"""A day of a small fleet, as Prometheus would have scraped it.

Each agent is a real exporter that publishes judgements of made-up replays; promtool makes blocks of the scrapes. The
day has all that a dashboard must show: each state of a monitor, a deployment, a slow and a dead target,
a fallen replica, agents that are down or gone, and watches that replay hourly and daily. Nothing depends on the clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TextIO

from goldwatch.core.judgement import (
    Confusion,
    Difference,
    Judgement,
    LiveWindow,
    Score,
    SliceStanding,
    State,
    Validity,
    Verdict,
)
from goldwatch.core.token_use import TokenUse
from goldwatch.daemon.promises import of_due, of_tap
from goldwatch.energy.attribution import Interval
from goldwatch.energy.footprint import Load, Prices, footprint
from goldwatch.export import catalogue as c
from goldwatch.export import measurement as m
from goldwatch.export.measurement import Measurement
from goldwatch.export.prometheus import PrometheusExporter

from tests.builders import changed, description, energy, judgement, verdict

HOUR_S = 3600
END_S = 1_772_452_800
"""2026-03-02 12:00 UTC."""
START_S = END_S - 24 * HOUR_S
SCRAPE_S = 240
EXAMPLES = 600
_ASKED = 100
"""Latencies in a replay: enough for a histogram, and quick to make."""
_THRESHOLD = 5.6
_CALM_S = HOUR_S
"""How long a monitor stays recovered."""

Span = tuple[float, float]
"""From and to, in hours since the start."""


@dataclass(frozen=True, slots=True)
class Model:
    """A watch and its target, with what happens to it in the day."""

    watch: str
    target: str
    every_s: int = 300
    offset_s: int = 0
    accuracy: float = 0.95
    p50_s: float = 0.012
    version: str = "3"
    framework: tuple[str, str] = ("onnxruntime", "1.20")
    joules: float = 0.0
    slices: tuple[str, ...] = ("country=BR", "country=DE", "country=US", "amount=large", "amount=small")
    worse: Span = (99, 99)
    slow: Span = (99, 99)
    dead: Span = (99, 99)
    newer: str = ""
    language: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class Agent:
    """One process of goldwatch: where it runs, what it watches, and until which hour it answers and is discovered."""

    namespace: str
    pod: str
    models: tuple[Model, ...]
    up: float = 24
    found: float = 24
    restart: Span = (99, 99)

    @property
    def labels(self) -> str:
        """The labels that Prometheus adds."""
        job, address = f"{self.namespace}/goldwatch", f"{self.pod}.{self.namespace}:9870"
        where = {"cluster": "eu-1", "namespace": self.namespace, "job": job, "instance": address, "pod": self.pod}
        return ",".join(f'{name}="{value}"' for name, value in where.items())


_FRAUD = Model("fraud", "fraud-eu", version="17", joules=1.9, worse=(21, 25), newer="18", live=True)
_NER = Model("ner", "ner", offset_s=30, accuracy=0.93, slices=("kind=person", "kind=place"))
_CHAT = Model("chat", "chat", offset_s=40, accuracy=0.82, p50_s=0.9, version="2024-11", joules=41, language=True)
FLEET = (
    Agent(
        "risk",
        "goldwatch-fraud",
        (
            replace(_FRAUD, slow=(2, 3)),
            replace(
                _FRAUD,
                target="fraud-us",
                offset_s=100,
                version="16",
                framework=("tensorrt", "10.3"),
                joules=0.8,
                p50_s=0.006,
                accuracy=0.948,
                worse=(4, 6),
                newer="",
                live=False,
            ),
            replace(
                _FRAUD,
                target="fraud-cpu",
                offset_s=200,
                framework=("openvino", "2026.1"),
                joules=4.1,
                p50_s=0.03,
                accuracy=0.951,
                worse=(99, 99),
                slow=(6, 9),
                newer="",
                live=False,
            ),
        ),
    ),
    Agent("search", "goldwatch-search", (Model("search", "search", offset_s=50, dead=(12, 13)),), restart=(15, 15.1)),
    Agent("search", "goldwatch-rank", (Model("rank", "rank", 3600, 77, accuracy=0.9, version="2024"),)),
    Agent("docs", "goldwatch-ocr", (Model("ocr", "ocr", 86_400, 7200, accuracy=0.88, version="1", slices=()),)),
    Agent("docs", "ner-0", (_NER,)),
    Agent("docs", "ner-1", (replace(_NER, worse=(20, 25)),)),
    Agent("chat", "goldwatch-chat", (_CHAT,)),
    Agent("risk", "goldwatch-pricing", (Model("pricing", "pricing", offset_s=10),), up=20),
    Agent("risk", "goldwatch-churn", (Model("churn", "churn", offset_s=20),), up=22, found=22),
    Agent("risk", "goldwatch-limits", (Model("limits", "limits", offset_s=60, dead=(23, 25)),)),
)


@dataclass
class Life:
    """A model in the course of the day: the episodes of its monitors so far."""

    model: Model
    evidence: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("worse", "failing", "slow"), 0.1))
    alerted_s: dict[str, float] = field(default_factory=dict)

    def replay(self, at_s: float, random: Random) -> Iterator[Measurement]:
        """Yield the measurements of one replay."""
        model, hour = self.model, (at_s - START_S) / HOUR_S
        dead, worse, slow = (a <= hour < b for a, b in (model.dead, model.worse, model.slow))
        verdicts = tuple(self._verdicts({"worse": worse, "failing": dead, "slow": slow}, at_s, random))
        if dead:
            outcomes = {"unreachable": 10, "not_sent": EXAMPLES - 10}
            found = _answered(model, at_s, random, worse=False, slow=False)
            found = changed(
                found,
                outcomes=outcomes,
                latencies_s=(),
                scores=(),
                slices=(),
                difference=None,
                throughput=None,
                validity=Validity.INSUFFICIENT,
                energy=None,
                footprint=None,
            )
        else:
            found = _answered(model, at_s, random, worse=worse, slow=slow)
        yield from m.of_judgement(changed(found, verdicts=verdicts), latency_limit_s=0.05)
        yield from of_due(model.watch, model.target, at_s + model.every_s)
        alerting = [v.monitor for v in verdicts if v.state is State.ALERTING]
        yield from m.of_alert(model.watch, model.target, "page" if alerting else None, alerting, number=7)

    def _verdicts(self, bad: dict[str, bool], at_s: float, random: Random) -> Iterator[Verdict]:
        for monitor, is_bad in bad.items():
            before = self.evidence[monitor]
            now = min(before + 3, 40) if is_bad else random.uniform(0, 0.4)
            self.evidence[monitor] = now
            if now > _THRESHOLD:
                self.alerted_s[monitor] = at_s
            calm_s = at_s - self.alerted_s.get(monitor, -math.inf)
            recovered = State.RECOVERED if calm_s < _CALM_S else State.STEADY
            state = recovered if not is_bad else State.ALERTING if now > _THRESHOLD else State.SUSPECT
            if bad["failing"] and monitor != "failing":
                state = State.UNKNOWN
            yield verdict(monitor, state, evidence=now, threshold=_THRESHOLD)
        if self.model.live:
            yield verdict("drift", evidence=random.uniform(0, 1), threshold=_THRESHOLD)


def _answered(model: Model, at_s: float, random: Random, *, worse: bool, slow: bool) -> Judgement:
    usual = model.p50_s * (1 + 0.3 * math.sin((at_s - START_S) / 86_400 * 2 * math.pi)) * (4 if slow else 1)
    latencies = [random.lognormvariate(math.log(usual), 0.5) for _ in range(_ASKED)]
    accuracy = model.accuracy - (0.06 if worse else 0) + random.choice((-0.0017, 0, 0, 0.0017))
    framework, version = model.framework
    found = judgement(
        watch=model.watch,
        target=model.target,
        golden=model.watch,
        started_at=at_s,
        duration_s=min(EXAMPLES * usual, 0.6 * model.every_s),
        outcomes={"ok": EXAMPLES},
        latencies_s=latencies,
        throughput=1 / usual,
        scores=tuple(_scores(model.accuracy, accuracy)),
        difference=_difference(worse=worse),
        slices=tuple(_slices(model, worse=worse)),
        output_distance=0.004 + 0.05 * worse if model.live else None,
        description=description(
            model=model.watch,
            version=model.newer if worse and model.newer else model.version,
            framework=framework,
            framework_version=version,
            device="cuda:0",
            digest="sha256:" + ("77ab03e1" if worse else "5e10" * 2) * 8,
        ),
    )
    return _metered(_of_language(_tapped(found, model, random), model, random), model, accuracy, random)


def _scores(usual: float, now: float) -> Iterator[Score]:
    for name, above in (("accuracy", 0.0), ("macro_f1", -0.012), ("top5_accuracy", 0.03)):
        value = now + above
        yield Score(name, value, value - 0.018, min(value + 0.018, 1), EXAMPLES, usual + above)


def _difference(*, worse: bool) -> Difference:
    moved, harmful, helpful, neutral = (60, 38, 3, 2) if worse else (0, 0, 0, 0)
    mistakes = {("fraud", "fair"): 24, ("fair", "fraud"): 12, ("fair", "unclear"): 5} if worse else {}
    found = tuple(Confusion(*pair, now - 1, now, 1, beyond_chance=True, p_value=1e-4) for pair, now in mistakes.items())
    return Difference(EXAMPLES, moved, harmful, helpful, neutral, largest=0.1, flips=(), where=(), confusions=found)


def _slices(model: Model, *, worse: bool) -> Iterator[SliceStanding]:
    for number, named in enumerate(model.slices):
        name, value = named.split("=")
        usual = model.accuracy - 0.01 * number
        yield SliceStanding(name, value, 90, usual - (0.4 if worse and not number else 0), usual)


def _tapped(found: Judgement, model: Model, random: Random) -> Judgement:
    if not model.live:
        return found
    seen = random.randrange(280, 320)
    window = LiveWindow(
        seen, 60, 2, 20, seen - 90, 3, found.run.started_at, found.run.started_at + 60, {"it is not JSON": 3}
    )
    return changed(found, live=window)


def _of_language(found: Judgement, model: Model, random: Random) -> Judgement:
    if not model.language:
        return found
    first = [random.lognormvariate(math.log(0.12), 0.3) for _ in range(_ASKED)]
    each = [random.lognormvariate(math.log(0.02), 0.2) for _ in range(_ASKED)]
    finish = {"stop": EXAMPLES - 9, "length": 9}
    tokens = TokenUse(EXAMPLES * 40, EXAMPLES * 35, finish, first, each, each, {}, {}, EXAMPLES, EXAMPLES)
    return changed(found, tokens=tokens)


def _metered(found: Judgement, model: Model, accuracy: float, random: Random) -> Judgement:
    if not model.joules:
        return found
    gross = 1000 * model.joules * random.uniform(0.98, 1.02)
    used = energy(
        gross_j=Interval(gross, gross * 0.95, gross * 1.05),
        net_j=Interval(gross * 0.6, gross * 0.55, gross * 0.65),
        output_tokens=35_000 if model.language else None,
    )
    tokens = (40.0, 35.0) if model.language else (None, None)
    paid = Prices("EUR", machine_per_hour=2.1, per_output_token=1e-6 if model.language else None)
    return changed(
        found, energy=used, footprint=footprint(used, Load(found.findings.throughput, accuracy, *tokens), paid, 350)
    )


def _standing(model: Model) -> Iterator[Measurement]:
    """Yield what is known before the first replay."""
    where = {"watch": model.watch, "target": model.target}
    yield from m.of_watch(model.watch, model.target)
    yield from m.of_alert(model.watch, model.target, None, ())
    yield from of_due(model.watch, model.target, START_S + model.offset_s)
    yield Measurement(c.WATCH_INTERVAL, where, model.every_s)
    yield Measurement(c.OBJECTIVE_LATENCY, where, 0.05)
    yield Measurement(c.REQUESTS_LATE, where, 0)
    yield Measurement(c.REQUEST_LATENCY, where, (), bounds=c.latency_buckets(0.05))
    for objective, share in {"latency": 0.01, "accuracy_loss": 0.01, "errors": 0.01}.items():
        yield Measurement(c.OBJECTIVE, where | {"objective": objective}, share)
    if model.joules:
        yield Measurement(c.OBJECTIVE_ENERGY, where | {"per": "inference"}, model.joules * 1.2)
    if model.live:
        yield Measurement(c.OBJECTIVE, where | {"objective": "outputs"}, 0.01)
        yield from of_tap(where)


def _started(agent: Agent, at_s: float) -> PrometheusExporter:
    exporter = PrometheusExporter(lambda: at_s)
    exporter.publish(started(*agent.models, at_s=at_s))
    return exporter


def started(*models: Model, at_s: float = START_S) -> Iterator[Measurement]:
    """Yield what an agent knows as it starts, before the first replay."""
    yield from (*m.of_build("0.1.0"), *m.of_accepted_config(at_s), *m.of_slots(1, 0, 0))
    for model in models:
        yield from _standing(model)


def write(file: TextIO, fleet: Sequence[Agent] = FLEET) -> None:
    """Write the day as OpenMetrics with times, which promtool makes blocks of."""
    for number, agent in enumerate(fleet):
        _write_agent(file, agent, Random(number))
    file.write("# EOF\n")


def _write_agent(file: TextIO, agent: Agent, random: Random) -> None:
    exporter, restarted = _started(agent, START_S), False
    due = {model.target: START_S + model.offset_s for model in agent.models}
    lives = {model.target: Life(model) for model in agent.models}
    lines: list[str] = []
    for at_s in range(START_S, END_S + 1, SCRAPE_S):
        hour = (at_s - START_S) / HOUR_S
        down = hour > agent.up or agent.restart[0] <= hour < agent.restart[1]
        if hour <= agent.found:
            file.write(f"up{{{agent.labels}}} {int(not down)} {at_s}\n")
        if down:
            restarted = True
            continue
        if restarted:
            exporter, restarted, lines = _started(agent, at_s), False, []
        for target, life in lives.items():
            while due[target] <= at_s:
                exporter.publish(life.replay(due[target], random))
                exporter.publish(m.of_slots(1, life.model.every_s / 50, 0))
                due[target] += life.model.every_s
                lines = []
        lines = lines or _series(exporter, agent)
        own = f"process_cpu_seconds_total{{{agent.labels}}} {(at_s - START_S) * 0.004}"
        memory = f"process_resident_memory_bytes{{{agent.labels}}} {6.2e7}"
        clock = f"{c.CLOCK.name}{{{agent.labels}}} {at_s}"
        file.writelines(f"{line} {at_s}\n" for line in (*lines, own, memory, clock))


def _series(exporter: PrometheusExporter, agent: Agent) -> list[str]:
    """Return the lines of a scrape with the labels of the agent, without what is the process's own, and the clock."""
    found = []
    for line in exporter.render()[0].decode().splitlines():
        name, value = line.rsplit(" ", 1)
        if line.startswith(("#", "process_", c.CLOCK.name)):
            continue
        bare, _, labels = name.rstrip("}").partition("{")
        found.append(f"{bare}{{{agent.labels}{',' if labels else ''}{labels}}} {value}")
    return found
