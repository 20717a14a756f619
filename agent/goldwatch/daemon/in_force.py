"""Prepares a config: verifies its golden sets and makes assignments of its watches, with their share of the budget.

The agent does so at start and reload, most commands once. Golden sets are opened in workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldwatch.config import (
    Config,
    ConfigError,
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
from goldwatch.core.kinds import names, watching, weights
from goldwatch.core.monitors.kind import MonitorKind, WatchTerms
from goldwatch.core.score_spec import ScoreSpec, specs_of
from goldwatch.core.trace import Trace
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.errors import GoldwatchError
from goldwatch.golden.facts import GoldenFacts
from goldwatch.ipc import judging_jobs
from goldwatch.ipc.workers import JUDGES, JobFailed, WorkerDied, Workers

_OF_CONFIG = (Rejection.MISSING, Rejection.UNREADABLE, Rejection.INVALID, Rejection.GOLDEN)


class CannotStart(GoldwatchError):
    """The config, a golden set, the ledger or the address cannot be used; the text has all reasons."""

    def __init__(self, text: str, reason: Rejection = Rejection.OTHER) -> None:
        super().__init__(text)
        self.reason = reason
        self.of_config = reason in _OF_CONFIG


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
    def terms(self) -> WatchTerms:
        """What decides which monitors it has."""
        return _terms(self.watch, self.golden, self.energy)

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
    terms = {w.name: _terms(w, golden[w.golden], config.energy) for w in config.watches.values()}
    kinds_of = {name: tuple(watching(of)) for name, of in terms.items()}
    weighted = weights(config)
    _check_actions(config)
    sharers: dict[str, dict[str, float]] = {}
    for watch, target in pairs:
        shares = {_share(watch, kind): weighted.get(kind.name, 1.0) for kind in kinds_of[watch.name] if kind.spends}
        sharers.setdefault(target.name, {}).update(shares)
    budgets = {name: Budget(config.alerts.false_alarms_per_year, shares) for name, shares in sharers.items()}
    try:
        settings = [_settings(terms[w.name], kinds_of[w.name], budgets[t.name]) for w, t in pairs]
    except ValueError as error:
        raise ValueError(f"false_alarms: {error}") from None
    energy = config.energy
    return [Assignment(w, t, golden[w.golden], s, energy) for (w, t), s in zip(pairs, settings, strict=True)]


def _terms(watch: Watch, golden: GoldenFacts, energy: EnergySection | None) -> WatchTerms:
    return WatchTerms(watch, golden.deterministic, mean_interval_s(watch.every), energy)


def _check_actions(config: Config) -> None:
    known = names(config)
    for name in config.alerts.actions:
        if name not in known:
            raise ValueError(f"actions.{name}: no monitor has this name; there are {', '.join(known)}")


def _share(watch: Watch, kind: MonitorKind) -> str:
    """Return the name of a monitor in the budget of a target, which the monitors of several watches may share."""
    return f"{watch.name} {kind.name}"


def _settings(terms: WatchTerms, kinds: Iterable[MonitorKind], budget: Budget) -> dict[str, Any]:
    settings: dict[str, Any] = {"alphas": {}}
    for kind in kinds:
        alpha = budget.alpha(_share(terms.watch, kind), kind.interval_s(terms)) if kind.spends else None
        settings["alphas"][kind.name] = alpha
        settings |= kind.settings(terms)
    return settings
