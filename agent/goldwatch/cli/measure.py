"""The commands that measure: the agent, the gate and the comparison."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldwatch.cli import outputs
from goldwatch.cli.base import COMPARE, GATE, UNMEASURED, UNUSABLE, WATCH, ConfigFile, app, fail, put
from goldwatch.cli.progress import Steps, steps
from goldwatch.daemon import start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from goldwatch.commands.certifying import Bounds
    from goldwatch.commands.exhibits import Exhibits
    from goldwatch.commands.gate import Report
    from goldwatch.core.judgement import Judgement
    from goldwatch.daemon.in_force import Assignment
    from goldwatch.daemon.pipeline import Judged
    from goldwatch.ipc.workers import Workers


class Format(StrEnum):
    """The output of `goldwatch check`."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    GITHUB = "github"


class Engine(StrEnum):
    """The place where `goldwatch check` replays."""

    LOCAL = "local"
    RAY = "ray"


class BoardFormat(StrEnum):
    """The output of `goldwatch compare`."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


class SortColumn(StrEnum):
    """The sort key of `goldwatch compare`."""

    ACCURACY = "accuracy"
    P50 = "p50"
    P90 = "p90"
    P99 = "p99"
    THROUGHPUT = "throughput"
    JOULES = "joules"
    JOULES_PER_RIGHT_ANSWER = "joules-per-right-answer"
    JOULES_PER_TOKEN = "joules-per-token"  # noqa: S105 - of a language model
    COST = "cost"


@app.command(rich_help_panel=WATCH)
def run(  # noqa: PLR0913, PLR0917 - an option each
    config: ConfigFile,
    patient: Annotated[bool, typer.Option("--patient", help=start.OPTIONS["--patient"])] = False,
    follow: Annotated[bool, typer.Option("--follow", help=start.OPTIONS["--follow"])] = False,
    listen: Annotated[str, typer.Option("--listen", help=start.OPTIONS["--listen"])] = "",
    cert_file: Annotated[str, typer.Option("--cert-file", help=start.OPTIONS["--cert-file"])] = "",
    key_file: Annotated[str, typer.Option("--key-file", help=start.OPTIONS["--key-file"])] = "",
    credentials_file: Annotated[str, typer.Option("--credentials-file", help=start.OPTIONS["--credentials-file"])] = "",
    allowed_hosts: Annotated[str, typer.Option("--allowed-hosts", help=start.OPTIONS["--allowed-hosts"])] = "",
) -> None:
    """Run the agent: replay, judge and export until SIGTERM. SIGHUP reloads the config."""
    options = [name for name, wanted in (("--patient", patient), ("--follow", follow)) if wanted]
    valued = {
        "--listen": listen,
        "--cert-file": cert_file,
        "--key-file": key_file,
        "--credentials-file": credentials_file,
        "--allowed-hosts": allowed_hosts,
    }
    start.become(str(config), [*options, *(f"{name}={value}" for name, value in valued.items() if value)])


@app.command(rich_help_panel=GATE)
def check(  # noqa: PLR0913, PLR0917 - an option each
    config: ConfigFile,
    config_only: Annotated[bool, typer.Option("--config-only", help="Check the config and measure nothing.")] = False,
    style: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TABLE,
    engine: Annotated[Engine, typer.Option(help="Replay here, or in shards over a Ray cluster.")] = Engine.LOCAL,
    shards: Annotated[int, typer.Option(min=0, max=10_000, help="Of Ray: how many; 0 is one a CPU.")] = 0,
    until_certified: Annotated[
        bool,
        typer.Option("--until-certified", help="Replay until the latency objective can be certified or is broken."),
    ] = False,
    max_time: Annotated[
        str, typer.Option(metavar="DURATION", help="Of --until-certified: the most time for each watch.")
    ] = "10m",
    max_requests: Annotated[
        int, typer.Option(min=1, help="Of --until-certified: the most requests of each watch.")
    ] = 100_000,
    output: outputs.Outputs = None,
) -> None:
    """Measure every watch once, as a gate: exit code 0 pass, 1 regression, 2 could not measure, 3 unusable config."""
    from goldwatch import config as configuration  # noqa: PLC0415
    from goldwatch.core import kinds  # noqa: PLC0415
    from goldwatch.export import cardinality  # noqa: PLC0415

    if config_only:
        try:
            found = configuration.load(config)
            cardinality.check(found)
            kinds.weights(found)
        except ValueError as error:
            fail(f"{config}: alerts.{error}", UNUSABLE)
        counted = {"targets": found.targets, "golden sets": found.golden, "watches": found.watches}
        counts = ", ".join(f"{name}: {len(entries)}" for name, entries in counted.items())
        put(f"{config}: no problems; {counts}")
        return
    bounds = _bounds(max_time, max_requests) if until_certified else None
    _check(config, style, (engine, shards), bounds, output)


def _bounds(max_time: str, max_requests: int) -> Bounds:
    from goldwatch.commands.certifying import Bounds  # noqa: PLC0415
    from goldwatch.config.quantities import QuantityError, parse_duration  # noqa: PLC0415

    try:
        return Bounds(parse_duration(max_time, 1, 7 * 86_400), max_requests)
    except QuantityError as error:
        fail(f"--max-time: {error}", UNUSABLE)


def _check(
    config: Path, style: Format, engine: tuple[Engine, int], bounds: Bounds | None, output: Sequence[Path] | None
) -> None:
    from goldwatch.commands import capacity, exhibits, foresight, gate, gate_page, gate_report  # noqa: PLC0415
    from goldwatch.daemon import in_force  # noqa: PLC0415
    from goldwatch.export import cardinality  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    forms = {**gate_report.FORMATS, "html": gate_page.as_html}
    files = outputs.check(output, forms)
    workers = Workers()
    try:
        wanted = in_force.prepare(config, workers)
        for warning in cardinality.warnings(wanted.slices):
            put(f"{config}: warning: {warning}", err=True)
        shown = exhibits.Exhibits(workers, len(wanted.assignments)) if outputs.wants(files, "html") else None
        is_ray = engine[0] is Engine.RAY
        once = _sharded(workers, engine[1], shown) if is_ray else _metered(workers, shown)
        again = once if is_ray else partial(_unmetered, workers)
        with steps("replaying", len(wanted.assignments)) as progress:
            measured = [_measured(a, once, progress) for a in wanted.assignments]
        reports = [_report(a, judged, again, bounds) for a, judged in measured]
        if shown is not None:
            of, missing = shown.of, shown.missing
            reports = [
                replace(r, exhibit=of.get(r.assignment.key), not_shown=missing.get(r.assignment.key, ""))
                for r in reports
            ]
            for key, why in shown.missing.items():
                who = " ".join(dict.fromkeys(key))
                put(f"{config}: warning: the report has no examples and charts of {who}: {why}", err=True)
        if not is_ray:  # replays of a cluster do not show an agent's resource use
            asked = capacity.asked(measured)
            asking = capacity.add_up(asked, wanted.config.replays.concurrent)
            kind, text = capacity.summary(asking, unknown=len(measured) - len(asked))
            put(f"{config}: {kind}: {text}", err=True)
        for assignment in wanted.assignments:
            found = foresight.outlook(assignment, workers, declared_only=True)
            for kind, texts in (("note", foresight.notes(found)), ("warning", foresight.warnings(found))):
                for text in texts:
                    put(f"{config}: {kind}: {text}", err=True)
    finally:
        workers.close()
    put(gate_report.FORMATS[style](reports))
    code = gate.EXIT_CODES[gate_report.overall(reports)]
    outputs.write(files, {name: partial(form, reports) for name, form in forms.items()}, code)


def _measured(
    assignment: Assignment, once: Callable[[Assignment], Judged], progress: Steps
) -> tuple[Assignment, Judged]:
    progress.say(f"replaying {' '.join(dict.fromkeys(assignment.key))}: {assignment.golden.examples:,} examples")
    judged = once(assignment)
    progress.step()
    return assignment, judged


def _report(
    assignment: Assignment, judged: Judged, again: Callable[[Assignment], Judged], bounds: Bounds | None
) -> Report:
    """Judge what was measured; with bounds, after as many more replays as the latency objective takes."""
    from goldwatch.commands import certifying, gate  # noqa: PLC0415

    if bounds is None:
        return gate.examine(assignment, judged.judgement)
    who = " ".join(dict.fromkeys(assignment.key))
    with steps(f"replaying {who} until latency is certified") as progress:

        def once_more(of: Assignment) -> Judgement:
            found = again(of).judgement
            progress.step()
            return found

        found = certifying.certify(assignment, judged.judgement, once_more, bounds)
    if found.stopped:
        put(
            f"{' '.join(dict.fromkeys(assignment.key))}: stopped before latency was certified: {found.stopped}",
            err=True,
        )
    report = gate.examine(assignment, found.judgement, found.error)
    findings = report.findings
    if found.lost:
        findings += (gate.ObjectiveResult("replay", gate.Result.UNMEASURED, f"a later one: {found.lost}"),)
    return replace(report, findings=findings, replays=found.replays, stopped=found.stopped)


def _unmetered(workers: Workers, assignment: Assignment) -> Judged:
    """Replay for latency only."""
    from goldwatch.daemon import pipeline  # noqa: PLC0415

    return pipeline.run(assignment, workers, {}, referee=False)


def _metered(workers: Workers, shown: Exhibits | None) -> Callable[[Assignment], Judged]:
    """Return what replays here, with its energy metered."""
    from goldwatch.daemon import pipeline  # noqa: PLC0415

    def once(assignment: Assignment) -> Judged:
        look = (lambda *_: None) if shown is None else partial(shown.take, assignment)
        return pipeline.run(assignment, workers, {}, metered=True, look=look)

    return once


def _sharded(workers: Workers, shards: int, shown: Exhibits | None) -> Callable[[Assignment], Judged]:
    """Return what replays over Ray and judges here. Raises in_force.CannotStart."""
    from goldwatch.commands import ray_shards  # noqa: PLC0415
    from goldwatch.daemon import pipeline  # noqa: PLC0415

    cpus = ray_shards.start()
    count = shards or cpus

    def once(assignment: Assignment) -> Judged:
        result = ray_shards.replay(assignment, count)
        try:
            judged = pipeline.judge(assignment, result, workers, {})
            if shown is not None:
                shown.take(assignment, result, judged)
            return judged
        finally:
            result.columns.close()

    return once


@app.command(rich_help_panel=COMPARE)
def compare(
    config: ConfigFile,
    sort: Annotated[SortColumn, typer.Option(help="The column to sort by, best first.")] = SortColumn.ACCURACY,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each target has its turn.")] = 5,
    bound: Annotated[
        float, typer.Option("--accuracy-bound", min=0, max=1, help="The accuracy that counts as good enough for cost.")
    ] = 0,
    style: Annotated[BoardFormat, typer.Option("--format", help="What to print.")] = BoardFormat.TABLE,
    output: outputs.Outputs = None,
) -> None:
    """Measure one golden set across targets: a leaderboard that shows which differences are real."""
    from goldwatch.commands import compare as comparison  # noqa: PLC0415
    from goldwatch.commands import compare_page, compare_report  # noqa: PLC0415
    from goldwatch.core.judgement import Validity  # noqa: PLC0415
    from goldwatch.daemon import in_force  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    forms = {**compare_report.FORMATS, "html": compare_page.as_html}
    files = outputs.check(output, forms)
    workers = Workers()
    try:
        wanted = in_force.prepare(config, workers)
        with steps(f"replaying in {rounds} rounds", rounds * len(wanted.assignments)) as shown:
            boards = comparison.compare(wanted, workers, rounds, bound, lambda _: shown.step())
    finally:
        workers.close()
    put(compare_report.FORMATS[style](boards, sort))
    known = any(row.judgement.findings.validity is Validity.VALID for board in boards for row in board.rows)
    code = 0 if known else UNMEASURED
    outputs.write(files, {name: partial(form, boards, sort) for name, form in forms.items()}, code)
