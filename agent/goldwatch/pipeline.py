"""The path of one replay, as the agent walks it: assignment -> replay -> judgement. Gate and daemon share it.

Whatever needs numpy happens in worker processes; the agent itself passes values on.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from goldwatch.config import Config, ConfigError, Golden, Target, Watch, load
from goldwatch.config import Load as LoadSection
from goldwatch.config.energy import Energy as EnergySection
from goldwatch.energy.footprint import Load, footprint
from goldwatch.energy.meter import Unreadable
from goldwatch.golden.tensors import TensorLocation
from goldwatch.judgement import Judgement, Validity
from goldwatch.metering import Finding, intensity, measure, prices
from goldwatch.monitor.budget import Budget
from goldwatch.monitor.kinds import KINDS, Kind, watching
from goldwatch.probe import TensorSpec
from goldwatch.replay import engine
from goldwatch.replay.engine import Plan, Replay
from goldwatch.replay.load import LoadPlan
from goldwatch.replay.workers import JobFailed, WorkerDied, Workers
from goldwatch.schedule import mean_interval_s

JUDGES = "judge"
"""The key of the workers that do arithmetic."""


class CannotStart(Exception):
    """The config, a golden set, the ledger or the address cannot be used; the text says all of it."""


class UnusableSet(Exception):
    """A golden set cannot be used; the text names the folder, the file, the field and what to do."""


@dataclass(frozen=True, slots=True)
class GoldenFacts:
    """What the agent must know of a verified golden set in order to replay it."""

    path: str
    name: str
    digest: str
    short_digest: str
    task: str
    examples: int
    deterministic: bool
    inputs: tuple[TensorLocation, ...]
    outputs: tuple[TensorSpec, ...]
    tokens: bool = False

    def __str__(self) -> str:
        return f"{self.name}@{self.short_digest}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One golden set against one target, as one watch wants it, with what its monitors may spend."""

    watch: Watch
    target: Target
    golden: GoldenFacts
    settings: Mapping[str, Any]
    energy: EnergySection | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Watch and target: what states, alerts and series belong to."""
        return self.watch.name, self.target.name


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement, the monitors' states to go on with, and why saved ones were refused, by monitor.

    `observed` is what a backtest needs of the replay; None where it could not be judged.
    """

    judgement: Judgement
    states: Mapping[str, Any]
    refused: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """A config that is in force, and what it asks for."""

    config: Config
    assignments: tuple[Assignment, ...]


def prepare(path: Path, workers: Workers) -> InForce:
    """Load a config and verify its golden sets. Raises CannotStart with all that is wrong."""
    try:
        config = load(path)
    except ConfigError as error:
        raise CannotStart(str(error)) from None
    golden, problems = {}, []
    for name, entry in config.golden.items():
        try:
            golden[name] = inspect(workers, entry)
        except UnusableSet as error:
            problems.append(str(error))
    if problems:
        count = f"{len(problems)} unusable golden set{'s' if len(problems) > 1 else ''}"
        raise CannotStart("\n".join([*problems, f"{count}; nothing was started."]))
    try:
        return InForce(config, tuple(assignments(config, golden)))
    except ValueError as error:
        raise CannotStart(f"{path}: alerts.{error}") from None


def inspect(workers: Workers, golden: Golden) -> GoldenFacts:
    """Open and verify a golden set in a worker process. Raises UnusableSet."""
    try:
        facts = workers.call(JUDGES, "goldwatch.judge:inspect", {"path": str(golden.path)})
    except (JobFailed, WorkerDied) as error:
        raise UnusableSet(str(error)) from None
    if not facts["digest"].startswith(golden.digest):
        raise UnusableSet(
            f"{golden.path}: the set has digest {facts['digest'][:19]}..., the config pins "
            f"golden.{golden.name}.digest to {golden.digest[:19]}...; restore the set, or pin the one that you mean"
        )
    inputs = tuple(TensorLocation(**i | {"shape": tuple(i["shape"])}) for i in facts.pop("inputs"))
    outputs = tuple(TensorSpec(**o | {"shape": tuple(o["shape"])}) for o in facts.pop("outputs"))
    return GoldenFacts(path=str(golden.path), inputs=inputs, outputs=outputs, **facts)


def assignments(config: Config, golden: Mapping[str, GoldenFacts]) -> list[Assignment]:
    """Return all that the config asks for. Every model's budget is shared by its monitors, in whatever watch they are.

    Raises ValueError, with the key under `alerts`, if the budget is so generous that every replay might page, or
    weights name no monitor.
    """
    pairs = [(w, config.targets[name]) for w in config.watches.values() for name in w.targets]
    kinds_of = {w.name: _kinds(w, golden[w.golden]) for w in config.watches.values()}
    weighted = _weights(config)
    sharers: dict[str, dict[str, float]] = {}
    for watch, target in pairs:
        shares = {_share(watch, kind): weighted.get(kind.name, 1.0) for kind in kinds_of[watch.name] if kind.spends}
        sharers.setdefault(target.name, {}).update(shares)
    budgets = {name: Budget(config.alerts.false_alarms_per_year, weights) for name, weights in sharers.items()}
    try:
        settings = [_settings(w, kinds_of[w.name], budgets[t.name]) for w, t in pairs]
    except ValueError as error:
        raise ValueError(f"false_alarms: {error}") from None
    energy = config.energy
    return [Assignment(w, t, golden[w.golden], s, energy) for (w, t), s in zip(pairs, settings, strict=True)]


def _weights(config: Config) -> Mapping[str, float]:
    spending = [kind.name for kind in KINDS if kind.spends]
    for name in config.alerts.weights:
        if name not in spending:
            raise ValueError(f"weights.{name}: no monitor of this name has a share; there are {', '.join(spending)}")
    return config.alerts.weights


def _kinds(watch: Watch, golden: GoldenFacts) -> tuple[Kind, ...]:
    return tuple(watching(watch.objectives, deterministic=golden.deterministic))


def _share(watch: Watch, kind: Kind) -> str:
    """Return the name of a monitor in the budget of a target, which the monitors of several watches may share."""
    return f"{watch.name} {kind.name}"


def _settings(watch: Watch, kinds: Iterable[Kind], budget: Budget) -> dict[str, Any]:
    interval_s = mean_interval_s(watch.every)
    objectives = watch.objectives
    alphas = {kind.name: budget.alpha(_share(watch, kind), interval_s) if kind.spends else None for kind in kinds}
    settings = {"accuracy_loss": objectives.accuracy_loss, "error_rate": objectives.error_rate, "alphas": alphas}
    if objectives.latency is not None:
        settings |= {"latency_limit_s": objectives.latency.limit_s, "latency_quantile": objectives.latency.quantile}
    return settings


def run(
    assignment: Assignment,
    workers: Workers,
    states: Mapping[str, Any],
    *,
    lateness_s: float = 0.0,
    confirming: bool = False,
    stop: threading.Event | None = None,
    metered: bool = False,
) -> Judged:
    """Replay once and judge it. Never raises for what target, runtime or golden set do: that is in the judgement.

    With `metered` the energy is measured afterwards, in a phase of its own, where the config asks for it.
    """
    section = assignment.energy if metered else None
    plan = plan_of(assignment)
    # A model in process stays loaded from the replay to the measurement, so that idle is idle with the model.
    result = engine.replay(plan if section is None else dataclasses.replace(plan, warm=True), workers, stop)
    try:
        judged = judge(assignment, result, workers, states, lateness_s=lateness_s, confirming=confirming)
        if section is None:
            return judged
        found = measure(section, assignment.target, plan, result, workers, stop)
        return dataclasses.replace(judged, judgement=_with_energy(judged.judgement, section, found))
    finally:
        result.columns.close()


def _with_energy(judgement: Judgement, section: EnergySection, found: Finding) -> Judgement:
    """Add what was measured, and what it comes to by the prices and the intensity of the config."""
    accuracy = next((score.value for score in judgement.scores if score.name == "accuracy"), None)
    grams_per_kwh, missing = None, [found.why_not] if found.why_not else []
    try:
        source = intensity(section) if found.energy is not None else None
        grams_per_kwh = source.at(judgement.started_at) if source is not None else None
    except (Unreadable, ValueError) as why:
        missing.append(f"no carbon: {why}")
    tokens = judgement.tokens
    load = Load(
        judgement.throughput,
        accuracy,
        tokens.input_each if tokens is not None else None,
        tokens.output_each if tokens is not None else None,
    )
    comes_to = footprint(found.energy, load, prices(section), grams_per_kwh)
    return dataclasses.replace(judgement, energy=found.energy, energy_missing="; ".join(missing), footprint=comes_to)


def replay(
    assignment: Assignment,
    workers: Workers,
    stop: threading.Event | None = None,
    examples: Sequence[int] | None = None,
) -> Replay:
    """Replay once, all of the golden set or some examples of it. The caller closes the columns."""
    plan = plan_of(assignment)
    return engine.replay(plan if examples is None else dataclasses.replace(plan, examples=examples), workers, stop)


def worker_key(target: Target) -> str:
    """Return the key of the workers for a target: one pool for what is served, each model in process by itself."""
    return "served" if target.served and not target.python else f"target {target.name} {target.python}"


def plan_of(assignment: Assignment) -> Plan:
    """Return what the engine must know to replay an assignment."""
    target, load = assignment.target, assignment.watch.load
    return Plan(
        factory=target.factory,
        options=target.options,
        secrets=target.secrets(),
        served=target.served,
        warm=target.warm,
        python=target.python,
        memory_bytes=target.memory_bytes,
        key=worker_key(target),
        inputs=assignment.golden.inputs,
        outputs=assignment.golden.outputs,
        examples=range(assignment.golden.examples),
        tokens=assignment.golden.tokens,
        load=load_plan(load),
        warmup=load.warmup,
        time_limit_s=load.time_limit_s,
        start_limit_s=load.start_limit_s,
        deadline_s=assignment.watch.deadline_s,
    )


def load_plan(load: LoadSection) -> LoadPlan:
    """Return how a worker issues the requests of a load."""
    return LoadPlan(
        scenario=load.scenario,
        rate_per_s=load.rate_per_s or 0.0,
        samples=load.samples,
        in_flight=load.most_in_flight,
        seed=load.seed,
    )


def judge(
    assignment: Assignment,
    result: Replay,
    workers: Workers,
    states: Mapping[str, Any],
    *,
    lateness_s: float = 0.0,
    confirming: bool = False,
) -> Judged:
    """Have a replay judged in a worker process. Never raises: what could not be judged is an invalid judgement.

    `confirming` says that the replay was asked for by a monitor, beside the schedule.
    """
    facts = _facts(assignment, result, lateness_s) | {"confirming": confirming}
    argument = {
        "path": assignment.golden.path,
        "digest": assignment.golden.digest,
        "settings": dict(assignment.settings),
        "facts": facts,
        "states": dict(states),
    }
    try:
        answer = workers.call(JUDGES, "goldwatch.judge:judge", argument, (result.columns.fd,))
    except (JobFailed, WorkerDied) as error:
        return Judged(_unjudged(assignment, result, lateness_s, str(error)), states)
    judgement = Judgement.from_json(answer["judgement"])
    judgement = dataclasses.replace(judgement, latencies_s=result.latencies_s(), late_s=tuple(result.late_s()))
    return Judged(judgement, answer["states"], answer["refused"], answer["observed"])


def _facts(assignment: Assignment, result: Replay, lateness_s: float) -> dict[str, Any]:
    return {
        "watch": assignment.watch.name,
        "target": assignment.target.name,
        "golden": assignment.golden.name,
        "probe": assignment.target.probe,
        "started_at": result.started_at,
        "duration_s": result.duration_s,
        "lateness_s": lateness_s,
        "description": asdict(result.description) if result.description else None,
        "open_s": result.open_s,
        "first_request_s": result.first_request_s,
        "errors": dict(result.errors),
        "failure": result.failure,
        "given_up": result.given_up,
        "ended": result.ended,
        "scenario": assignment.watch.load.scenario,
        "rate_per_s": assignment.watch.load.rate_per_s,
        "in_flight": assignment.watch.load.most_in_flight,
        "samples": result.samples,
        "disturbances": asdict(result.disturbances),
        "description_after": asdict(result.described_after) if result.described_after else None,
    }


def _unjudged(assignment: Assignment, result: Replay, lateness_s: float, why: str) -> Judgement:
    """Return what is known where judging itself failed: the observations, and no verdict."""
    facts = _facts(assignment, result, lateness_s)
    for only_for_the_judge in ("failure", "given_up", "ended", "samples", "disturbances", "description_after"):
        del facts[only_for_the_judge]
    rest: dict[str, Any] = {
        "golden_digest": assignment.golden.digest,
        "task": assignment.golden.task,
        "examples": assignment.golden.examples,
        "validity": Validity.INVALID,
        "reasons": (f"it could not be judged: {why}",),
        "outcomes": result.outcomes(),
        "latencies_s": (),
        "throughput": None,
        "quantiles": (),
        "scores": (),
        "difference": None,
        "verdicts": (),
    }
    return Judgement.from_json(facts | rest)
