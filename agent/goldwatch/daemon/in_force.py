"""Prepares a config: verifies its golden sets and makes assignments of its watches, with their share of the budget.

The agent does so at start and reload, most commands once. Golden sets are opened in workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from goldwatch.config import (
    Config,
    ConfigError,
    CostObjective,
    Golden,
    Rejection,
    Target,
    UnreadableConfig,
    Watch,
    load,
)
from goldwatch.config.energy import Energy as EnergySection
from goldwatch.core.budget import Budget
from goldwatch.core.figures import Ceiling
from goldwatch.core.judgement import Subject
from goldwatch.core.kinds import Kind, interval_s, names, watching, weights
from goldwatch.core.score_spec import ScoreSpec, specs_of
from goldwatch.core.trace import Trace
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.errors import GoldwatchError
from goldwatch.golden.facts import GoldenFacts
from goldwatch.ipc import judging_jobs
from goldwatch.ipc.workers import JUDGES, JobFailed, WorkerDied, Workers


class CannotStart(GoldwatchError):
    """The config, a golden set, the ledger or the address cannot be used; the text has all reasons."""

    def __init__(self, text: str, reason: Rejection = Rejection.OTHER) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Assignment:
    """One golden set against one target, as one watch wants it, with what its monitors may spend."""

    watch: Watch
    target: Target
    golden: GoldenFacts
    settings: Mapping[str, Any]
    energy: EnergySection | None = None
    trace: Trace | None = None
    """The trace of its next replay."""

    @property
    def key(self) -> tuple[str, str]:
        """Watch and target: what states, alerts and series belong to."""
        return self.watch.name, self.target.name

    @property
    def subject(self) -> Subject:
        """The subject of its replays."""
        golden = self.golden
        return Subject(
            watch=self.watch.name,
            target=self.target.name,
            golden=golden.name,
            golden_digest=golden.digest,
            task=golden.task,
            examples=golden.examples,
            probe=self.target.probe,
        )

    @property
    def ceilings(self) -> tuple[Ceiling, ...]:
        """The objectives of energy and cost."""
        return tuple(Ceiling(**ceiling) for ceiling in self.settings.get("ceilings", ()))

    @property
    def scores(self) -> tuple[ScoreSpec, ...]:
        """The scores that the watch names."""
        return specs_of(self.settings.get("scores", ()))


@dataclass(frozen=True, slots=True)
class InForce:
    """A config and its assignments."""

    config: Config
    assignments: tuple[Assignment, ...]

    @property
    def slices(self) -> dict[str, Mapping[str, int]]:
        """The slices of each golden set that is watched, by its name in the config."""
        return {a.watch.golden: a.golden.slices for a in self.assignments}


def prepare(path: Path, workers: Workers, *, new_reference: bool = False) -> InForce:
    """Load a config and verify its golden sets. Raises CannotStart with all that is wrong.

    With `new_reference` the references of the sets may be unusable, since they will be replaced.
    """
    try:
        config = load(path)
    except UnreadableConfig as error:
        raise CannotStart(str(error), Rejection.UNREADABLE if path.exists() else Rejection.MISSING) from None
    except ConfigError as error:
        raise CannotStart(str(error), Rejection.INVALID) from None
    workers.hide(config.secret_variables)
    golden, problems = {}, []
    for name, entry in config.golden.items():
        try:
            golden[name] = inspect(workers, entry)
        except GoldwatchError as error:
            problems.append(str(error))
    if problems:
        count = f"{len(problems)} unusable golden set{'s' if len(problems) > 1 else ''}"
        raise CannotStart("\n".join([*problems, f"{count}; nothing was started."]), Rejection.GOLDEN)
    try:
        wanted = InForce(config, tuple(assignments(config, golden)))
    except ValueError as error:
        raise CannotStart(f"{path}: alerts.{error}", Rejection.INVALID) from None
    if not new_reference:
        _rehearse(wanted, workers)
    return wanted


def _rehearse(wanted: InForce, workers: Workers) -> None:
    """Make the monitors of each watch once. Raises CannotStart where the objectives leave nothing to bet on."""
    done = set()
    for a in wanted.assignments:
        kind = (a.golden.digest, str({**a.settings, "alphas": sorted(a.settings["alphas"])}))
        if kind in done:
            continue
        done.add(kind)
        request = judging_jobs.RehearseRequest(a.golden.place, a.settings)
        try:
            problem = workers.call(JUDGES, judging_jobs.REHEARSE, request).problem
        except (JobFailed, WorkerDied) as error:
            problem = str(error)
        if problem:
            raise CannotStart(f"{wanted.config.source}: watches.{a.watch.name}: {problem}", Rejection.INVALID)


def inspect(workers: Workers, golden: Golden) -> GoldenFacts:
    """Open and verify a golden set in a worker process, fetched if it has to be. Raises GoldwatchError."""
    if golden.url:
        headers = {name: value.get_secret_value() for name, value in golden.headers.items()}
        request = judging_jobs.FetchRequest(golden.url, str(golden.path), golden.digest, headers)
        workers.call(JUDGES, judging_jobs.FETCH, request)
    facts = workers.call(JUDGES, judging_jobs.INSPECT, judging_jobs.InspectRequest(str(golden.path)))
    if not facts.digest.startswith(golden.digest):
        raise GoldwatchError(
            f"{golden.path}: the set has digest {facts.digest[:19]}..., the config pins "
            f"golden.{golden.name}.digest to {golden.digest[:19]}...; restore the set, or pin the one that you mean"
        )
    return facts


def assignments(config: Config, golden: Mapping[str, GoldenFacts]) -> list[Assignment]:
    """Return all that the config asks for. Every model's budget is shared by its monitors, in whatever watch they are.

    Raises ValueError, with the key under `alerts`, if the budget is so generous that every replay might page, or
    weights or actions name no monitor.
    """
    pairs = [(w, config.targets[name]) for w in config.watches.values() for name in w.targets]
    kinds_of = {w.name: _kinds(w, golden[w.golden]) for w in config.watches.values()}
    weighted = weights(config)
    _check_actions(config)
    sharers: dict[str, dict[str, float]] = {}
    for watch, target in pairs:
        shares = {_share(watch, kind): weighted.get(kind.name, 1.0) for kind in kinds_of[watch.name] if kind.spends}
        sharers.setdefault(target.name, {}).update(shares)
    budgets = {name: Budget(config.alerts.false_alarms_per_year, shares) for name, shares in sharers.items()}
    try:
        settings = [_settings(w, kinds_of[w.name], budgets[t.name], config.energy) for w, t in pairs]
    except ValueError as error:
        raise ValueError(f"false_alarms: {error}") from None
    energy = config.energy
    return [Assignment(w, t, golden[w.golden], s, energy) for (w, t), s in zip(pairs, settings, strict=True)]


def _check_actions(config: Config) -> None:
    known = names(config)
    for name in config.alerts.actions:
        if name not in known:
            raise ValueError(f"actions.{name}: no monitor has this name; there are {', '.join(known)}")


def _kinds(watch: Watch, golden: GoldenFacts) -> tuple[Kind, ...]:
    return tuple(watching(watch.objectives, deterministic=golden.deterministic, live=watch.live is not None))


_LIVE = {"reference", "inputs", "tolerance", "rows", "requests", "clusters", "season", "time", "learn"}


def _share(watch: Watch, kind: Kind) -> str:
    """Return the name of a monitor in the budget of a target, which the monitors of several watches may share."""
    return f"{watch.name} {kind.name}"


def _settings(watch: Watch, kinds: Iterable[Kind], budget: Budget, energy: EnergySection | None) -> dict[str, Any]:
    every_s = mean_interval_s(watch.every)
    measured_every_s = max(every_s, energy.every_s) if energy is not None else every_s
    objectives = watch.objectives
    alphas = {
        kind.name: budget.alpha(_share(watch, kind), interval_s(kind, every_s, measured_every_s))
        if kind.spends
        else None
        for kind in kinds
    }
    settings = {"accuracy_loss": objectives.accuracy_loss, "error_rate": objectives.error_rate, "alphas": alphas}
    if objectives.latency is not None:
        settings |= {"latency_limit_s": objectives.latency.limit_s, "latency_quantile": objectives.latency.quantile}
    if objectives.output_distance is not None:
        settings["output_distance"] = objectives.output_distance
    if objectives.slowdown is not None:
        settings |= {"slowdown": objectives.slowdown, "interval_s": every_s, "load": _load(watch)}
    settings |= scores_of(watch)
    if watch.live is not None:
        wanted = watch.live.model_dump(include=_LIVE)
        settings["live"] = wanted | {"every_s": every_s, "longest_s": max(watch.live.window_s, every_s)}
    if energy is not None and (ceilings := list(_ceilings(watch, energy))):
        meters = energy.model_dump_json(include={"meters", "price"})  # secrets are masked
        settings |= {"ceilings": ceilings, "measured_every_s": measured_every_s, "load": _load(watch), "meters": meters}
    return settings


def scores_of(watch: Watch) -> dict[str, Any]:
    """Return the scores of a watch as settings; nothing if it names none."""
    specs = []
    for name in watch.scores:
        entry, owed = watch.entries[name], watch.objectives.scores.get(name)
        written = entry.model_dump(exclude={"better"})
        spec = ScoreSpec(name=name, lower_is_better=entry.better == "lower", **written)
        specs.append(asdict(spec if owed is None else replace(spec, limit=owed.limit, loss=owed.loss)))
    return {"scores": specs} if specs else {}


def _load(watch: Watch) -> str:
    """Return the part of a load that determines the latency and the cost of a request."""
    return watch.load.model_dump_json(include={"scenario", "rate_per_s", "samples_per_query", "batch", "in_flight"})


def _ceilings(watch: Watch, energy: EnergySection) -> Iterator[dict[str, Any]]:
    """Yield the objectives of *costly*."""
    owed = watch.objectives
    stated: tuple[tuple[str, CostObjective | None, bool], ...] = (
        ("energy", owed.energy, True),
        ("cost", owed.cost, energy.price.energy is not None),
    )
    for quantity, most, metered in stated:
        if most is not None:
            yield asdict(Ceiling(quantity, most.per, most.unit, most.limit, most.above_usual, metered))
