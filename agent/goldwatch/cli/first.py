"""The command `init`: from a model file or a server to a first config and a first golden set."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from goldwatch.cli.base import GOLDEN, app, ask, fail, put
from goldwatch.cli.golden import (
    BatchAxis,
    Classes,
    Decision,
    Map,
    Match,
    Outputs,
    Replays,
    Threshold,
    Tolerance,
    Within,
    axes_of,
    froze,
    note,
    replaying,
    spec_of,
    split_map,
    split_names,
)

if TYPE_CHECKING:
    from goldwatch.commands.discovery import Candidate
    from goldwatch.commands.first_config import FirstConfig
    from goldwatch.core.judgement import Judgement
    from goldwatch.golden.examples import Examples
    from goldwatch.ipc.workers import Workers


_LISTED = 20


@app.command(rich_help_panel=GOLDEN)
def init(  # noqa: PLR0913 - options, each by its name
    place: Annotated[str, typer.Argument(metavar="MODEL|URL", help="A model file, or the address of a server.")],
    *,
    config: Annotated[Path, typer.Option(help="The config to write; it must not exist.")] = Path("goldwatch.yaml"),
    probe: Annotated[str, typer.Option(help="The probe, if it is not found by itself.")] = "",
    model: Annotated[str, typer.Option(help="The model, of a server that has several or lists none.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="An option of the probe, KEY=VALUE, as in YAML.")] = None,
    name: Annotated[str, typer.Option(help="The name of target, set and watch; without it, the model's.")] = "",
    examples: Annotated[
        Path | None,
        typer.Option(help="Freeze a first golden set of this file: .npz, .safetensors, .jsonl, .csv or .parquet."),
    ] = None,
    licence: Annotated[str, typer.Option(help="The licence of the examples: an SPDX identifier, or words.")] = "",
    source: Annotated[str, typer.Option(help="Where the examples come from.")] = "",
    replays: Replays = 20,
    classes: Classes = "",
    tolerance: Tolerance = 0.001,
    output: Outputs = None,
    decision: Decision = "",
    threshold: Threshold = None,
    batch_axis: BatchAxis = None,
    within: Within = None,
    match: Match = "",
    map_: Map = None,
) -> None:
    """Write a first config for a model file or a server and, with examples, freeze a first golden set."""
    from goldwatch.commands.discovery import Candidate, candidates, is_server  # noqa: PLC0415
    from goldwatch.commands.first_config import look, write_new  # noqa: PLC0415
    from goldwatch.config.quantities import parse_name  # noqa: PLC0415
    from goldwatch.golden.examples import Examples  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    if config.exists():
        fail(f"{config} exists already; init overwrites nothing: name another file by --config")
    if name:
        parse_name(name)
    written = dict(map(_option, option or ()))
    axes = axes_of(batch_axis or ())
    if probe:
        where = {"url": place} if is_server(place) else {"file": os.path.relpath(place, config.absolute().parent)}
        found = [Candidate(probe, where | ({"model": model} if model else {}))]
    else:
        found = _one_model(candidates(place, config.absolute().parent, model))
    if examples is not None:
        licence = licence or ask("The licence of the examples, such as CC-BY-4.0", "--licence")
        source = source or ask("Where the examples come from", "--source")
    workers = Workers()
    try:
        first = look(found, place, written, config, name, workers)
        write_new(first.text(), config)
        put(f"wrote {config}: probe {first.candidate.probe}")
        if examples is not None:
            names, specs = split_names(classes), tuple(map(spec_of, output or ()))
            who = (examples.absolute(), first.name, licence, source)
            asked = Examples(
                *who, tolerance, names, specs, decision, match, threshold, within, axes, split_map(map_ or ())
            )
            _freeze(first, config, asked, replays, workers)
    finally:
        workers.close()
    _say_what_next(first, config, frozen=examples is not None)


def _freeze(first: FirstConfig, config: Path, examples: Examples, replays: int, workers: Workers) -> None:
    """Freeze the set that a new config names, and note in it what was measured. Without a set there is no config."""
    from goldwatch.commands.building import build  # noqa: PLC0415
    from goldwatch.commands.calibration import FreezeOptions  # noqa: PLC0415
    from goldwatch.config import load  # noqa: PLC0415

    seen: list[Judgement] = []

    try:
        found = load(config)
        folder = found.golden[first.name].path
        watch, target = found.watches[first.name], found.targets[first.name]
        with replaying(replays) as tell:

            def told(number: int, judgement: Judgement) -> None:
                seen.append(judgement)
                tell(number, judgement)

            made = build(watch, target, examples, FreezeOptions(folder, "1", replays), workers, told, note)
    except BaseException:
        config.unlink()  # the next call may write it again
        raise
    config.write_text(replace(first, measured=seen[-1]).text())
    froze(made, folder, replays)


def _say_what_next(first: FirstConfig, config: Path, *, frozen: bool) -> None:
    from goldwatch.commands.first_config import shown  # noqa: PLC0415

    if frozen:
        put(f"next: goldwatch check {config}")
        return
    inputs = first.described.inputs if first.described is not None else ()
    if first.answers_text:
        put('write examples.jsonl, a line each: {"inputs": {"prompt": "..."}, "answers": ["..."]}')
    else:
        takes = "; ".join(map(shown, inputs)) or "the model tells no inputs"
        put(f"write examples.npz: an array [n, ...] for each input ({takes}) and, if known, `labels` [n]")
    who = f"--name {first.name} --licence LICENCE --source SOURCE"
    put(f"next: goldwatch golden build {config} {'examples.jsonl' if first.answers_text else 'examples.npz'} {who}")


def _one_model(found: list[Candidate]) -> list[Candidate]:
    """Return the candidates for one model: there is one, or a person at a terminal chooses."""
    models = list(dict.fromkeys(str(c.options["model"]) for c in found if c.options.get("model")))
    if len(models) <= 1:
        return found
    listed = ", ".join(models[:_LISTED]) + (f" and {len(models) - _LISTED} more" if len(models) > _LISTED else "")
    chosen = ask(f"The server has the models {listed}. Which one", "--model")
    if chosen not in models:
        fail(f'the server has no model "{chosen}"; it has {listed}')
    return [candidate for candidate in found if candidate.options.get("model") == chosen]


def _option(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE, the value as YAML."""
    key, equals, value = text.partition("=")
    if not (equals and key.strip()):
        fail(f"--option: \"{text}\" is not KEY=VALUE; write threads=1, or token='${{TOKEN}}'")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        fail(f"--option {key}: {' '.join(str(error).split())}")
