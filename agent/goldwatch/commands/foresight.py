"""Before anything runs: what the monitors of each watch will notice, how soon, and what would help where it is late."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

from goldwatch.commands.text_table import text_table
from goldwatch.config import Config, format_duration, format_percentage, format_span
from goldwatch.config.live import ClusterKey, Live
from goldwatch.core import kinds
from goldwatch.core.budget import replays_per_year, threshold_log10
from goldwatch.core.monitors.kind import WatchTerms
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.ipc.judging_jobs import SENSITIVITY, Notice, SeasonBasis, Sensitivity, SensitivityRequest
from goldwatch.ipc.workers import JUDGES, Workers

SOON_S = 7 * 86_400.0
"""What an objective calls too much has to be noticed within a week, or the config is told that it is not."""
_LEAST_REPLAYS = 10
_MOST_REPLAYS = 5_000
_FACTORS = (2, 4, 8, 16)
_MOST_EXAMPLES = 1_000_000
"""A larger golden set than this is not advised, nor looked at."""
_BLOCKS = {"hour": "hours", "6 hours": "blocks of 6 hours", "day": "days", "week": "whole weeks"}
_COVERED = 3  # standard deviations of the reference's day means


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one watch will notice of one target, and what would notice more.

    `season` has the data behind *drift* if live traffic has a season (see `SeasonBasis`).
    """

    assignment: Assignment
    notices: tuple[Notice, ...]
    helps: tuple[str, ...] = ()
    season: SeasonBasis | None = None

    @property
    def missed(self) -> tuple[Notice, ...]:
        """Violations of the objectives that no monitor would notice soon."""
        return tuple(n for n in self.notices if n.declared and n.replays is None)


def outlook(assignment: Assignment, workers: Workers, *, declared_only: bool = False) -> Outlook:
    """Find out with the monitors of an assignment. Raises GoldwatchError."""
    asked = _ask(assignment, workers, declared_only=declared_only)
    found = Outlook(assignment, asked.notices, season=asked.season)
    return replace(found, helps=tuple(_helps(found, workers)))


def horizon(interval_s: float) -> int:
    """Return how many replays are looked at: those of a week, ten at least, and no more than can be computed soon."""
    return min(max(math.ceil(SOON_S / interval_s), _LEAST_REPLAYS), _MOST_REPLAYS)


def warnings(found: Outlook) -> list[str]:
    """List violations of the objectives that no monitor would notice soon, with what would help."""
    watch, every_s = found.assignment.watch, mean_interval_s(found.assignment.watch.every)
    most = horizon(every_s)
    replays = f"{most:,} replays ({_span(most, every_s)})"
    terms = found.assignment.terms
    return _of_live(found) + [
        f"watches.{watch.name}: {n.monitor} would not notice within "
        f"{kinds.of(n.monitor).looks(terms).at_most or replays} that {n.effect}"
        + "".join(f"; {text}" for text in found.helps)
        for n in found.missed
    ]


def _of_live(found: Outlook) -> list[str]:
    """Name what drift supposes of live traffic and the config does not state."""
    live, where = found.assignment.watch.live, f"watches.{found.assignment.watch.name}.live"
    if live is None:
        return []
    texts = []
    if live.season is None:
        texts.append(
            f"{where}: a daily or weekly cycle of the traffic raises false tickets of drift; write "
            "`season: weekly` if it has one, else `season: none`"
        )
    if found.season is not None and not found.season.learned and found.season.wander:
        name, spread = max(found.season.wander.items(), key=lambda pair: pair[1])
        if live.tolerance < _COVERED * spread:
            texts.append(
                f"{where}.tolerance: {format_percentage(live.tolerance)} is less than days of the reference differ: "
                f"the day means of {name} have a standard deviation of {spread:.1%}, which raises false tickets; write "
                f"{format_percentage(math.ceil(100 * _COVERED * spread) / 100)} or more"
            )
    if live.clusters is None:
        texts.append(
            f"{where}: requests of a window are taken for independent; write `clusters: none` if they are, else the "
            "most that one user or session sends in a window, `{key: NAME}` of what identifies it, or `unknown`"
        )
    return texts


def notes(found: Outlook) -> list[str]:
    """Say what is stated of live traffic: its season, and which requests depend on each other, with what that costs."""
    live, where = found.assignment.watch.live, f"watches.{found.assignment.watch.name}.live"
    return _of_season(found) + [
        f"{where}.{_statement(live)}; drift notices that {n.effect} after {_windows(n.replays)}, after "
        f"{_windows(n.if_independent)} if all requests were independent"
        for n in found.notices
        if live is not None and n.if_independent != 0
    ]


def _of_season(found: Outlook) -> list[str]:
    """Say which blocks of the week *drift* judges, and on what that rests."""
    season, where = found.season, f"watches.{found.assignment.watch.name}.live"
    if season is None:
        return []
    if season.learned:
        why = "what had moved before then is usual; the reference chooses the cells alone"
        return [f"{where}.learn: drift is unknown until it has learned from four weeks of live traffic; {why}"]
    *longer, shortest = [_BLOCKS[name] for name in reversed(season.levels)]
    levels = f"{', '.join(longer)} and {shortest}" if longer else shortest
    if not season.timed:
        why = "it is not known when the reference rows are from"
        right = "that is right if they are a uniform sample of whole weeks"
        return [f"{where}.season: weekly: drift judges {levels} alone, since {why}; {right}"]
    left_out = "; ".join(f"not {_BLOCKS[name]}, for {why}" for name, why in season.left_out.items())
    empty = f"{season.empty} hours of the week have no reference rows and are not judged" if season.empty else ""
    return ["; ".join(filter(None, [f"{where}.season: weekly: drift judges {levels} (UTC)", left_out, empty]))]


def _statement(live: Live) -> str:
    stated = live.clusters
    if isinstance(stated, ClusterKey):
        return (
            f"clusters: those with the same {stated.key} depend on each other, at most {stated.max_rows} rows are "
            "taken of each"
        )
    if stated == "unknown":
        return "clusters: unknown: all requests of a window may depend on each other"
    if stated in (None, "none", 1):
        return f"clusters: {'not written' if stated is None else stated}: requests are taken for independent"
    return f"clusters: {stated}: at most {stated} requests of a window depend on each other"


def _windows(count: int | None) -> str:
    if count is None:
        return "more windows than were tried"
    return f"{count:,} full window{'' if count == 1 else 's'}"


def as_json(config: Config, outlooks: Sequence[Outlook]) -> str:
    """Write all of it for programs."""
    watches = [
        {
            "watch": o.assignment.watch.name,
            "target": o.assignment.target.name,
            "interval_s": mean_interval_s(o.assignment.watch.every),
            "examples": o.assignment.golden.examples,
            "notices": [asdict(notice) for notice in o.notices],
            "helps": o.helps,
        }
        for o in outlooks
    ]
    whole = {"false_alarms_per_year": config.alerts.false_alarms_per_year, "watches": watches}
    return json.dumps(whole, indent=2) + "\n"


def as_text(config: Config, outlooks: Sequence[Outlook]) -> str:
    """Write a block for each target, whose monitors share a budget."""
    by_target = sorted(outlooks, key=lambda o: o.assignment.target.name)
    blocks = [_target(config, name, list(of)) for name, of in groupby(by_target, lambda o: o.assignment.target.name)]
    return "\n\n".join(blocks) + "\n"


def _target(config: Config, name: str, outlooks: Sequence[Outlook]) -> str:
    budget = config.alerts.false_alarms_per_year
    monitors = sum(alpha is not None for o in outlooks for alpha in o.assignment.settings["alphas"].values())
    lines = [f"{name}: {budget:g} false alarm{'' if budget == 1 else 's'} a year over {monitors} monitors"]
    for found in outlooks:
        lines += _watch(found)
    return "\n".join(lines)


def _watch(found: Outlook) -> Iterator[str]:
    watch, golden = found.assignment.watch, found.assignment.golden
    every_s = mean_interval_s(watch.every)
    yield (
        f"watch {watch.name}: golden {golden} ({golden.examples:,} examples), a replay every "
        f"{format_duration(round(every_s, 3))} ({replays_per_year(every_s):,.0f} a year)"
    )
    rows = [("monitor", "threshold", "notices that", "after")]
    terms, alphas = found.assignment.terms, found.assignment.settings["alphas"]
    rows += [(n.monitor, f"{n.threshold:.2f}", n.effect, _noticed(n, terms)) for n in found.notices]
    for kind in (*kinds.watching(terms), kinds.SILENT):
        threshold = f"{threshold_log10(alphas[kind.name]):.2f}" if kind.spends else "a fact"
        rows += [(kind.name, threshold, effect, after) for effect, after in kind.facts(terms)]
    yield from (f"  {line}" for line in text_table(rows))
    if watch.live is not None:
        yield f"  Live {_statement(watch.live)}."
    yield from (f"  Live {text.removeprefix(f'watches.{watch.name}.live.')}." for text in _of_season(found))
    yield from (f"  {text[:1].upper()}{text[1:]}." for text in found.helps)


def _helps(found: Outlook, workers: Workers) -> Iterator[str]:
    """Yield what would notice soon what now is not: a larger golden set, or more frequent replays."""
    if not found.missed:
        return
    assignment, every_s = found.assignment, mean_interval_s(found.assignment.watch.every)
    examples = assignment.golden.examples
    larger = [factor for factor in _FACTORS if factor * examples <= _MOST_EXAMPLES]
    if factor := _least(larger, lambda copies: _noticed_with(assignment, workers, copies=copies)):
        yield f"a golden set of {factor * examples:,} examples would notice it"
    # Beyond the most replays that are looked at, more frequent ones would only have a smaller budget each.
    oftener = [factor for factor in _FACTORS if horizon(2 * every_s / factor) < _MOST_REPLAYS]
    if factor := _least(oftener, lambda oftener: _noticed_with(assignment, workers, oftener=oftener)):
        yield f"a replay every {format_duration(round(every_s / factor, 3))} would notice it"


def _least(factors: Sequence[int], suffices: Callable[[int], bool]) -> int | None:
    """Return the least of the rising factors that suffices; None, after one question, if the greatest does not."""
    if not factors or not suffices(factors[-1]):
        return None
    return next((factor for factor in factors[:-1] if suffices(factor)), factors[-1])


def _noticed_with(assignment: Assignment, workers: Workers, *, copies: int = 1, oftener: int = 1) -> bool:
    found = _ask(assignment, workers, declared_only=True, copies=copies, oftener=oftener)
    return all(notice.replays is not None for notice in found.notices)


def _ask(
    assignment: Assignment, workers: Workers, *, declared_only: bool, copies: int = 1, oftener: int = 1
) -> Sensitivity:
    settings = dict(assignment.settings)
    # The budget is one of a year: replays that are twice as many have half as much each.
    settings["alphas"] = {name: alpha and alpha / oftener for name, alpha in settings["alphas"].items()}
    if settings.get("live") is not None:
        settings["live"] = settings["live"] | {"every_s": settings["live"]["every_s"] / oftener}
    request = SensitivityRequest(
        assignment.golden.place,
        settings,
        requests=max(assignment.golden.examples // assignment.watch.load.samples, 1),
        most=horizon(mean_interval_s(assignment.watch.every) / oftener),
        declared_only=declared_only,
        copies=copies,
    )
    return workers.call(JUDGES, SENSITIVITY, request)


def _noticed(notice: Notice, terms: WatchTerms) -> str:
    looks = kinds.of(notice.monitor).looks(terms)
    if notice.replays is None and looks.at_most:
        return f"not within {looks.at_most}"
    after = _after(notice.replays, looks.every_s, looks.what)
    if notice.if_independent != 0:
        after += f"; {_after(notice.if_independent, looks.every_s, looks.what)} if requests were independent"
    return f"{after}{looks.then}"


def _after(replays: int | None, every_s: float, what: str = "replay") -> str:
    if replays is None:
        most = horizon(every_s)
        return f"not within {most:,} {what}s ({_span(most, every_s)})"
    noun, _, rest = what.partition(" of ")
    counted = what if replays == 1 else f"{noun}s of {rest}" if rest else f"{noun}s"
    return f"{replays:,} {counted} ({_span(replays, every_s)})"


def _span(replays: int, every_s: float) -> str:
    return format_span(replays * every_s)
