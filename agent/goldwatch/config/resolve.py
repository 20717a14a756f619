"""From what is written to what is meant: the golden set and targets of each watch, and times left to the interval."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from goldwatch.config.costs import CostObjective
from goldwatch.config.document import Document
from goldwatch.config.energy import Energy
from goldwatch.config.judges import resolve_judges
from goldwatch.config.live import Live
from goldwatch.config.model import Config, Golden, NamedJudge, Target, Watch
from goldwatch.config.problem import Route, did_you_mean
from goldwatch.config.quantities import format_request_rate
from goldwatch.config.schedule import Schedule
from goldwatch.config.scores import TASK_SCORES, Gap, ScoreEntry, ScoreObjective
from goldwatch.config.sections import Exporters, Prometheus
from goldwatch.config.traffic import NO_BUDGET
from goldwatch.config.written import ConfigFile, GoldenEntry, TargetEntry, WatchEntry
from goldwatch.energy.carbon import ByHour
from goldwatch.evaluator import ACCURACY, BUILT_IN

_DIGITS = 12
"""Of a digest in the name of a folder; all of it is verified."""
_KINDS = {"golden": "golden set", "targets": "target"}


def check_names(document: Document) -> None:
    """Add a problem for each name in a watch that leads nowhere, and for each choice that is left open."""
    for watch, written in document.section("watches").items():
        keys = written if isinstance(written, dict) else {}
        route: Route = ("watches", watch)
        _check(document, "golden", {(*route, "golden"): keys["golden"]} if "golden" in keys else {}, route)
        if isinstance(several := keys.get("targets"), list):
            wanted: dict[Route, object] = {(*route, "targets", index): name for index, name in enumerate(several)}
            _check_twice(document, several, route)
        else:
            wanted = {(*route, key): keys[key] for key in ("target", "targets") if key in keys}
        _check(document, "targets", wanted, route)
    _check_silences(document)
    _check_carbon_file(document)
    _check_ca_file(document)


def _check_silences(document: Document) -> None:
    """Add a problem for each silence of a watch that is not there: it would silence nothing."""
    written = document.section("alerts").get("silences")
    watches = list(document.section("watches"))
    for index, silence in enumerate(written if isinstance(written, list) else ()):
        name = silence.get("watch") if isinstance(silence, dict) else None
        if isinstance(name, str) and name and name not in watches:
            route: Route = ("alerts", "silences", index, "watch")
            hint = did_you_mean(document.places[route].written or "", watches, "there are")
            document.add(route, f"no watch is named {document.shown(route)}{hint}")


def _check_carbon_file(document: Document) -> None:
    """Add a problem for a file of intensities that cannot be read: a measurement an hour from now is too late."""
    written = document.section("energy").get("carbon_file")
    if isinstance(written, str) and written:
        try:
            ByHour.read(_absolute(document.folder, written))
        except ValueError as error:
            route = ("energy", "carbon_file")
            document.add(route, document.redacted(str(error), route))


def _check_ca_file(document: Document) -> None:
    """Add a problem for a certificate authority that cannot be used: pushes would fail for ever."""
    otlp = document.section("exporters", "otlp")
    route, written = ("exporters", "otlp", "ca_file"), otlp.get("ca_file")
    if not isinstance(written, str) or not written:
        return
    if not str(otlp.get("endpoint", "")).startswith("https:"):
        document.add(route, "is given, but `endpoint` does not begin with https")
        return
    try:
        ssl.create_default_context(cafile=str(_absolute(document.folder, written)))
    except OSError as error:  # ssl.SSLError is one
        document.add(route, f"{document.shown(route)} cannot be read as PEM: {error.strerror or error}")


def _check(document: Document, section: str, wanted: Mapping[Route, object], watch: Route) -> None:
    """Check the names that a watch wants of a section, or, if there are none, that convention finds one."""
    names = list(document.section(section))
    if not names:
        return  # the section itself is missing, which is reported elsewhere
    kind = _KINDS[section]
    for route, name in wanted.items():
        if isinstance(name, str) and name not in names:
            hint = did_you_mean(document.places[route].written or "", names, "there are")
            document.add(route, f"no {kind} is named {document.shown(route)}{hint}")
    if not wanted and by_convention(str(watch[-1]), names) is None:
        key = section.removesuffix("s")
        message = f'which {kind}? None is named "{watch[-1]}", so write `{key}:` with one of {", ".join(sorted(names))}'
        document.add((*watch, key), message, at=document.places[watch].key, named=watch)


def _check_twice(document: Document, names: Sequence[object], watch: Route) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            route = (*watch, "targets", index)
            document.add(route, f"{document.shown(route)} is listed twice")


def check_budgets(document: Document, written: ConfigFile) -> None:
    """Add a problem for each open load that the budget of a target forbids: it cannot be slowed down, only refused."""
    for name, entry in written.watches.items():
        rate = entry.load.rate_per_s
        for target in _targets(name, entry, written):
            if rate is None or (limits := written.targets.get(target)) is None:
                continue
            for key, budget in (("tokens_at_most", limits.most_tokens_per_s), ("cpu_at_most", limits.most_cpu)):
                if budget is not None:
                    why = f"{NO_BUDGET.format(entry.load.scenario)}, and there is targets.{target}.{key}"
                    document.add(("watches", name, "load", "scenario"), why)
            most = limits.most_per_s
            if most is not None and rate > most:
                allowed = f"targets.{target}.at_most, {format_request_rate(most)}"
                route = ("watches", name, "load", "rate")
                document.add(route, f"{document.shown(route)} is more than the budget of the target: {allowed}")


def check_costs(document: Document, written: ConfigFile) -> None:
    """Add a problem for each objective of energy or cost that nothing in the config could ever feed."""
    for name, entry in written.watches.items():
        for key, objective in (("energy", entry.objectives.energy), ("cost", entry.objectives.cost)):
            route: Route = ("watches", name, "objectives", key)
            if objective is not None and (why := _unfed(key, objective, name, entry, written)):
                document.add(route, f"{document.shown(route)} {why}")


def check_live(document: Document, written: ConfigFile) -> None:
    """Add a problem for live traffic of several targets at once, and for a reference that is not there."""
    for name, entry in written.watches.items():
        if entry.live is None:
            continue
        if len(_targets(name, entry, written)) > 1:
            why = "is of one target, and this watch has several; give the target that is live a watch of its own"
            document.add(("watches", name, "live"), why)
        if entry.live.reference and not _absolute(document.folder, entry.live.reference).is_file():
            route: Route = ("watches", name, "live", "reference")
            document.add(route, f"{document.shown(route)} is not a file; write the path of one with a JSON row a line")
        if entry.live.season == "weekly" and (entry.live.cluster_key or entry.live.clusters == "unknown"):
            why = (
                "cannot be combined with `season: weekly`, whose blocks hold many windows; write the most requests "
                "of a block that depend on each other, or `none`"
            )
            document.add(("watches", name, "live", "clusters"), f"live.clusters {why}")
        if entry.live.learn and entry.live.season != "weekly":
            document.add(
                ("watches", name, "live", "learn"), "live.learn needs `season: weekly`; write both, or neither"
            )
        if entry.live.time and not (entry.live.reference and entry.live.season == "weekly"):
            needed = "is the time of the rows of `reference`, for `season: weekly`; write both, or leave it out"
            document.add(("watches", name, "live", "time"), f"live.time {needed}")


def check_scores(document: Document, written: ConfigFile) -> None:
    """Add a problem for each score that is not there, and for an objective that its score cannot have."""
    for name in written.scores:
        if name in TASK_SCORES:
            document.add(("scores", name), f'"{name}" is a score of tasks; choose another name')
    for watch, entry in written.watches.items():
        for index, name in enumerate(entry.scores):
            route: Route = ("watches", watch, "scores", index)
            if name not in written.scores and name not in BUILT_IN:
                known = [*written.scores, *BUILT_IN]
                hint = did_you_mean(name, known, "there are")
                document.add(route, f'no score is named "{name}"{hint}')
            elif name in entry.scores[:index]:
                document.add(route, f'"{name}" is listed twice')
        _check_objectives(document, watch, written)


def _check_objectives(document: Document, watch: str, written: ConfigFile) -> None:
    entry = written.watches[watch]
    for name, objective in entry.objectives.scores.items():
        route: Route = ("watches", watch, "objectives", "scores", name)
        if name not in entry.scores:
            document.add(route, f'"{name}" is not one of the scores of this watch; add it to `watches.{watch}.scores`')
            continue
        if problem := _problem_of(name, objective, written.scores.get(name) or ScoreEntry(uses=name)):
            document.add(route, problem)
    if (gap := entry.objectives.gap) is not None:
        _check_gap(document, watch, gap, written)


def _check_gap(document: Document, watch: str, gap: Gap, written: ConfigFile) -> None:
    """Add a problem for a score that no example of the watch has."""
    route: Route = ("watches", watch, "objectives", "gap", "score")
    named = written.watches[watch].scores
    if gap.score != ACCURACY and gap.score not in named:
        hint = did_you_mean(gap.score, [ACCURACY, *named], "there are")
        document.add(route, f'no score of this watch is named "{gap.score}"{hint}')
    elif gap.score != ACCURACY and (written.scores.get(gap.score) or ScoreEntry(uses=gap.score)).over == "replay":
        document.add(route, f'"{gap.score}" is a score of the whole replay; write one of single examples')


def _problem_of(name: str, objective: ScoreObjective, entry: ScoreEntry) -> str:
    low_is_good = entry.better == "lower"
    if objective.loss is None and objective.at_most != low_is_good:
        better, form = ("lower", "at most") if low_is_good else ("higher", "at least")
        return f"`{objective}` allows the bad values: {better} values of {name} are better; write {form}"
    return objective.problem(entry.scale) if entry.judge is None else ""  # `check_judges` knows the scale of the prompt


def _unfed(key: str, objective: CostObjective, name: str, entry: WatchEntry, written: ConfigFile) -> str:
    """Return why nothing can measure whether an objective is kept, "" if something may."""
    energy = written.energy
    if energy is None:
        return "needs the section `energy`, which says how it is measured"
    if key == "cost":
        if not energy.price.written:
            return "needs a price; write `energy: {price: {machine: 2.10 USD per hour}}`"
        currency = energy.price.written[0].currency
        if objective.unit not in ("", currency):
            return f"is in another currency than the prices of `energy`, which are in {currency}"
        if energy.price.energy is None:
            return ""
    for target in _targets(name, entry, written):
        named = written.targets[target].meters if target in written.targets else ()
        for meter in named or energy.meters:
            if meter in energy.meters and energy.meters[meter].kind == "estimate":
                return f"would rest on `energy.meters.{meter}`, an estimate: alerts need a measurement"
    return ""


def by_convention(watch: str, names: list[str]) -> str | None:
    """Return the name that is the watch's own, or the only one."""
    if watch in names:
        return watch
    return names[0] if len(names) == 1 else None


def resolve(document: Document, written: ConfigFile, targets: Mapping[str, Target], state: Path) -> Config:
    """Make the config of a file without problems; a relative ledger is relative to the folder `state`."""
    fetched, ledger = _absolute(state, "golden"), _absolute(state, written.ledger)
    resolved = {name: _with_limits(target, written.targets[name]) for name, target in targets.items()}
    judges = resolve_judges(written, resolved, document.folder, ledger.with_suffix(".judgings.db"))
    return Config(
        source=document.file,
        targets=resolved,
        golden={name: _golden(name, entry, document.folder, fetched) for name, entry in written.golden.items()},
        watches={
            name: _watch(name, entry, written, document.folder, judges) for name, entry in written.watches.items()
        },
        scores={name: _score(document.folder, entry) for name, entry in written.scores.items()},
        replays=written.replays,
        alerts=written.alerts,
        exporters=_exporters(document.folder, written.exporters),
        energy=_energy(document.folder, written.energy),
        ledger=ledger,
        fetched=fetched,
        cluster=written.cluster,
        log=written.log,
        secret_variables=frozenset(document.secret_variables),
        reference_files=document.reference_files,
    )


def _golden(name: str, entry: GoldenEntry, folder: Path, fetched: Path) -> Golden:
    """Place a set; one that is fetched has a folder for each digest, so that no version takes the place of another."""
    digits = entry.digest.removeprefix("sha256:")[:_DIGITS]
    path = _absolute(folder, entry.path) if entry.path else fetched / f"{name}-{digits}"
    return Golden(name=name, path=path, url=entry.url, digest=entry.digest, headers=entry.headers)


def _with_limits(target: Target, entry: TargetEntry) -> Target:
    return target.model_copy(
        update={
            "most_per_s": entry.most_per_s,
            "most_tokens_per_s": entry.most_tokens_per_s,
            "most_cpu": entry.most_cpu,
            "busy": entry.busy,
            "deployment": entry.deployment,
        }
    )


def _targets(name: str, entry: WatchEntry, written: ConfigFile) -> tuple[str, ...]:
    return entry.targets or (entry.target or by_convention(name, list(written.targets)) or "",)


def _watch(name: str, entry: WatchEntry, written: ConfigFile, folder: Path, judges: Mapping[str, NamedJudge]) -> Watch:
    return Watch(
        name=name,
        golden=entry.golden or by_convention(name, list(written.golden)) or "",
        targets=_targets(name, entry, written),
        every=replace(entry.every, timezone=entry.timezone or "UTC"),
        jitter_s=_default_jitter_s(entry.every) if entry.jitter_s is None else entry.jitter_s,
        deadline_s=_deadline_s(entry.every) if entry.deadline_s is None else entry.deadline_s,
        load=entry.load,
        objectives=entry.objectives,
        scores=entry.scores,
        live=_live(folder, entry.live),
        entries={name: _score(folder, written.scores.get(name) or ScoreEntry(uses=name)) for name in entry.scores},
        judges={name: judges[name] for name in entry.scores if name in judges},
    )


def _score(folder: Path, entry: ScoreEntry) -> ScoreEntry:
    return entry.model_copy(update={"path": str(_absolute(folder, entry.path))}) if entry.path else entry


def _live(folder: Path, live: Live | None) -> Live | None:
    if live is None:
        return None
    paths = {"file": live.file, "reference": live.reference}
    return live.model_copy(update={key: str(_absolute(folder, path)) for key, path in paths.items() if path})


def _energy(folder: Path, energy: Energy | None) -> Energy | None:
    if energy is None or not energy.carbon_file:
        return energy
    return energy.model_copy(update={"carbon_file": str(_absolute(folder, energy.carbon_file))})


def _exporters(folder: Path, exporters: Exporters) -> Exporters:
    update: dict[str, object] = {"prometheus": absolute_files(folder, exporters.prometheus)}
    if exporters.otlp is not None and exporters.otlp.ca_file:
        ca_file = str(_absolute(folder, exporters.otlp.ca_file))
        update["otlp"] = exporters.otlp.model_copy(update={"ca_file": ca_file})
    return exporters.model_copy(update=update)


def absolute_files(folder: Path, prometheus: Prometheus) -> Prometheus:
    """Return the section with the files of its certificate relative to `folder`, that of the config."""
    if (tls := prometheus.tls_server_config) is None:
        return prometheus
    files = {"cert_file": str(_absolute(folder, tls.cert_file)), "key_file": str(_absolute(folder, tls.key_file))}
    return prometheus.model_copy(update={"tls_server_config": tls.model_copy(update=files)})


def _default_jitter_s(every: Schedule) -> float:
    return min(every.interval_s / 10, 30.0) if every.interval_s else 0.0


def _absolute(folder: Path, path: str) -> Path:
    return Path(os.path.normpath(folder / path))


def _deadline_s(every: Schedule) -> float:
    """Leave a fifth of the interval, for jitter and judging, so that a slow replay does not cost the next one."""
    return min(0.8 * every.interval_s, 3600.0) if every.interval_s is not None else 3600.0
