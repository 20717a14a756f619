"""The commands about golden sets: golden show, verify, build, calibrate, perturb."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from goldwatch.cli import outputs
from goldwatch.cli.base import GOLDEN, ConfigFile, TargetName, WatchName, app, fail, pick, pick_target, put, select
from goldwatch.cli.progress import steps
from goldwatch.probe import BatchAxes

if TYPE_CHECKING:
    from goldwatch.core.judgement import Judgement
    from goldwatch.golden.opened import GoldenSet
    from goldwatch.ipc.judging_jobs import Calibrated

golden = typer.Typer(help="Show, verify, build and calibrate golden sets.", no_args_is_help=True)
app.add_typer(golden, name="golden", rich_help_panel=GOLDEN)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the golden set.")]


@golden.command()
def show(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest, with the digest, as JSON.")] = False,
    output: outputs.Outputs = None,
) -> None:
    """Show what a golden set is: its examples, its reference, where it comes from, and its digest."""
    from goldwatch.golden.report import as_text  # noqa: PLC0415

    files = outputs.check(output, ("table", "json", "html"))
    found = _opened(folder)
    whole = {"digest": found.digest} | found.manifest.model_dump(mode="json", exclude_none=True)
    forms: dict[str, Callable[[], str]] = {
        "table": partial(as_text, found),
        "json": lambda: json.dumps(whole, indent=2) + "\n",
        "html": partial(_page, found),
    }
    put(forms["json" if as_json else "table"]())
    outputs.write(files, forms)


@golden.command()
def verify(
    folder: Folder,
    digest: Annotated[str, typer.Option(help="The required beginning of its digest, such as sha256:41ab0c.")] = "",
) -> None:
    """Verify every byte and every value of a golden set: exit code 0 it is sound, 2 it is not."""
    found = _opened(folder)
    if not found.digest.startswith(digest if digest.startswith("sha256:") else f"sha256:{digest}"):
        fail(f"{folder}: the set has digest {found.digest}, and not {digest}")
    found.check_values()
    put(f"{found} is sound: {found.examples:,} examples, {found.digest}")


@golden.command()
def perturb(
    examples: Annotated[Path, typer.Argument(metavar="EXAMPLES", help="The examples: .jsonl, .npz or .safetensors.")],
    to: Annotated[Path, typer.Option(help="The new file: .jsonl for lines, .npz for arrays.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(help="typos, case or whitespace of texts; noise, brightness, scale or missing of arrays. All."),
    ] = None,
    strength: Annotated[list[float] | None, typer.Option(help="How strong, up to 1; 0.05 and 0.2 by default.")] = None,
) -> None:
    """Add altered copies to examples, for a golden set that shows how robust a model is."""
    from goldwatch.commands.perturb import STRENGTHS, perturb, written_as  # noqa: PLC0415

    suffix = written_as(examples)
    if to.suffix != suffix:
        fail(f"--to: found {to}; expected a file that ends with {suffix}")
    put(f"wrote {perturb(examples, to, kind or (), strength or STRENGTHS):,} examples to {to}")


@golden.command()
def calibrate(
    config: ConfigFile,
    to: Annotated[Path, typer.Option(help="The new folder to freeze the new version into.")],
    replays: Annotated[int, typer.Option(min=2, max=10_000, help="How many replays the reference is taken from.")] = 20,
    version: Annotated[str, typer.Option(help="The new version; without it, that of the set.")] = "",
    outputs: Annotated[
        bool, typer.Option("--outputs", help="Take the model's answers for the new reference outputs.")
    ] = False,
    watch: WatchName = "",
    target: TargetName = "",
) -> None:
    """Freeze a golden set again, with its reference taken from replays of the validated model as it is deployed."""
    from goldwatch.commands.calibration import FreezeOptions, calibrate  # noqa: PLC0415
    from goldwatch.daemon.in_force import prepare  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    workers = Workers()
    try:
        assignment = select(prepare(config, workers, new_reference=True), watch, target)
        with replaying(replays) as told:
            found = calibrate(assignment, FreezeOptions(to, version, replays, outputs), workers, told)
    finally:
        workers.close()
    froze(found, to, replays)


Replays = Annotated[int, typer.Option(min=2, max=10_000, help="How many replays the reference is taken from.")]
Classes = Annotated[str, typer.Option(help="The names of the classes in order, with commas between.")]
Tolerance = Annotated[float, typer.Option(min=0, help="The largest difference between two outputs that are the same.")]
Outputs = Annotated[
    list[str] | None, typer.Option(help="An output to keep, NAME or NAME:DTYPE:SHAPE; without it, all of them.")
]
Decision = Annotated[str, typer.Option(help="The output that is judged, if there are several.")]
Threshold = Annotated[
    float | None, typer.Option(help="Of a classifier with one score: above it, the answer is the second class.")
]
BatchAxis = Annotated[
    list[str] | None,
    typer.Option(help="The batch axis of a model's tensor, if not 0: state=1, sr=none, outputs.state=1."),
]
Within = Annotated[float | None, typer.Option(min=0, help="The labels are values; the largest error of a right one.")]
Match = Annotated[
    Literal["", "exact", "contains", "number", "choice", "json", "regex", "first"],
    typer.Option(help="How a text is matched with its answers; without it, one is proposed from them."),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="What columns are: input=query,expected=answer,label=y,slice.age=band,inputs.x=a+b,drop=note."
    ),
]


@golden.command()
def build(  # noqa: PLR0913 - options, each by its name
    config: ConfigFile,
    examples: Annotated[
        Path,
        typer.Argument(
            metavar="EXAMPLES", help="A file: .npz, .safetensors, .jsonl, .csv, .parquet; or a dataset's folder."
        ),
    ],
    *,
    name: Annotated[str, typer.Option(help="The name of the set.")],
    licence: Annotated[str, typer.Option(help="The licence of the examples: an SPDX identifier, or words.")],
    source: Annotated[str, typer.Option(help="Where the examples come from.")],
    version: Annotated[str, typer.Option(help="The version of the set.")] = "1",
    to: Annotated[
        Path | None, typer.Option(help="The new folder; without it, the one that the config has for the watch.")
    ] = None,
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
    size: Annotated[int, typer.Option(min=0, help="Draw so many rows of a table, stratified; 0 takes all.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other rows.")] = 0,
    watch: WatchName = "",
    target: TargetName = "",
) -> None:
    """Freeze a first golden set: your examples, with the answers of the validated model as it is deployed."""
    from goldwatch.commands.building import build  # noqa: PLC0415
    from goldwatch.commands.calibration import FreezeOptions  # noqa: PLC0415
    from goldwatch.config import load  # noqa: PLC0415
    from goldwatch.golden.examples import Examples  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    names, specs = split_names(classes), tuple(map(spec_of, output or ()))
    axes = axes_of(batch_axis or ())
    workers = Workers()
    try:
        found = load(config)
        wanted = pick(found, watch)
        of = found.targets[pick_target(wanted, target)]
        entry = found.golden[wanted.golden]
        if to is None and entry.url:
            fail(f"golden.{entry.name} is fetched from {entry.url}; name the new folder by --to")
        folder = to or entry.path
        asked = Examples(
            examples.absolute(),
            name,
            licence,
            source,
            tolerance,
            names,
            specs,
            decision,
            match,
            threshold,
            within,
            axes,
            split_map(map_ or ()),
            size=size,
            seed=seed,
        )
        with replaying(replays) as told:
            made = build(wanted, of, asked, FreezeOptions(folder, version, replays), workers, told, note)
    finally:
        workers.close()
    froze(made, folder, replays)


@golden.command()
def prompt(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The prompt; without it, all are listed.")] = "",
) -> None:
    """Print a shipped prompt of a judge, to read it or to write one of your own from it."""
    from goldwatch.config.prompts import SHIPPED, shipped_prompts  # noqa: PLC0415

    if not name:
        put("\n".join(shipped_prompts()))
        return
    if name not in shipped_prompts():
        fail(f"no prompt {name} is shipped; there are {', '.join(shipped_prompts())}")
    put((SHIPPED / f"{name}.prompty").read_text().rstrip())


def split_map(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return roles and columns of the values of --map: ROLE=COLUMN, with commas between them."""
    parts = [part.partition("=") for text in texts for part in text.split(",")]
    for role, equals, column in parts:
        if not (role.strip() and column.strip()):
            fail(f'--map: "{role}{equals}{column}" is not ROLE=COLUMN; write input=query,expected=ground_truth')
    return tuple((role.strip(), column.strip()) for role, _, column in parts)


def split_names(text: str) -> tuple[str, ...]:
    """Return names that are written with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def spec_of(text: str) -> tuple[str, str, tuple[int, ...]]:
    """Read NAME or NAME:DTYPE:SHAPE, the value of --output."""
    name, colon, rest = text.partition(":")
    dtype, _, shape = rest.partition(":")
    sizes = [size for size in shape.split(",") if size]
    if not (name and bool(dtype) == bool(colon) and all(size.isascii() and size.isdigit() for size in sizes)):
        fail(f'--output: "{text}" is not NAME or NAME:DTYPE:SHAPE; write probabilities:float32:10, or mask:uint8:64,64')
    return name, dtype, tuple(int(size) for size in sizes)


def axes_of(texts: Sequence[str]) -> BatchAxes:
    """Read NAME=AXIS or NAME=none; a name that begins with "outputs." is an output's."""
    inputs: dict[str, int | None] = {}
    outputs: dict[str, int | None] = {}
    for text in texts:
        name, _, axis = text.rpartition("=")
        if not name or not (axis == "none" or (axis.isascii() and axis.isdigit() and len(axis) < 3)):
            fail(f'--batch-axis: "{text}" is not NAME=AXIS or NAME=none; write state=1, sr=none or outputs.state=1')
        of = outputs if name.startswith("outputs.") else inputs
        of[name.removeprefix("inputs.").removeprefix("outputs.")] = None if axis == "none" else int(axis)
    return BatchAxes(*({name: axis for name, axis in part.items() if axis != 0} for part in (inputs, outputs)))


def froze(found: Calibrated, folder: Path, replays: int) -> None:
    """Say what was frozen."""
    repeats = "the same in all of them" if found.deterministic else f"up to {found.moved:,} examples differ"
    share = f"{found.score} {found.accuracy:.4f}"
    put(f"froze {found.golden} into {folder}: {share} over {replays} replays, {repeats}")
    put(f"pin it with digest: {found.digest}")


def note(remark: str) -> None:
    """Show a remark on the examples."""
    put(remark, err=True)


@contextmanager
def replaying(replays: int) -> Iterator[Callable[[int, Judgement], None]]:
    """Yield what shows each replay of a reference, with the progress of all of them."""
    with steps("replaying for the reference", replays) as shown:

        def tell(number: int, judgement: Judgement) -> None:
            score = judgement.headline
            said = "" if score is None else f"  {score.name} {score.value:.4f}"
            put(f"replay {number}  {judgement.run.duration_s:.1f} s{said}", err=True)
            shown.step("looking for answers that depend on their order, and freezing" if number == replays else "")

        yield tell


def _page(golden: GoldenSet) -> str:
    from goldwatch.commands.golden_page import as_html  # noqa: PLC0415 - it brings numpy

    return as_html(golden)


def _opened(folder: Path) -> GoldenSet:
    from goldwatch.golden.opened import GoldenSet  # noqa: PLC0415

    return GoldenSet.open(folder)
