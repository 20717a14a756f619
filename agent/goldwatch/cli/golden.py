"""The commands about golden sets: golden show, golden verify, golden calibrate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldwatch.cli.base import ConfigFile, app, fail, select

if TYPE_CHECKING:
    from goldwatch.golden.opened import GoldenSet
    from goldwatch.judgement import Judgement

golden = typer.Typer(help="Show, verify and calibrate golden sets.", no_args_is_help=True)
app.add_typer(golden, name="golden")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the golden set.")]


@golden.command()
def show(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest, with the digest, as JSON.")] = False,
) -> None:
    """Show what a golden set is: its examples, its reference, where it comes from, and its digest."""
    from goldwatch.golden.report import as_text  # noqa: PLC0415

    found = _opened(folder)
    if as_json:
        whole = {"digest": found.digest} | found.manifest.model_dump(mode="json", exclude_none=True)
        print(json.dumps(whole, indent=2))  # noqa: T201
    else:
        sys.stdout.write(as_text(found))


@golden.command()
def verify(
    folder: Folder,
    digest: Annotated[str, typer.Option(help="What its digest must begin with, such as sha256:41ab0c.")] = "",
) -> None:
    """Verify every byte and every value of a golden set: exit code 0 it is sound, 2 it is not."""
    from goldwatch.golden.error import GoldenError  # noqa: PLC0415

    found = _opened(folder)
    if not found.digest.startswith(digest if digest.startswith("sha256:") else f"sha256:{digest}"):
        fail(f"{folder}: the set has digest {found.digest}, and not {digest}")
    try:
        found.check_values()
    except GoldenError as error:
        fail(str(error))
    print(f"{found} is sound: {found.examples:,} examples, {found.digest}")  # noqa: T201


@golden.command()
def calibrate(
    config: ConfigFile,
    to: Annotated[Path, typer.Option(help="The new folder to freeze the new version into.")],
    replays: Annotated[int, typer.Option(min=2, max=10_000, help="How many replays the reference is taken from.")] = 20,
    version: Annotated[str, typer.Option(help="The new version; without it, that of the set.")] = "",
    outputs: Annotated[
        bool, typer.Option("--outputs", help="Take the model's answers for the new reference outputs.")
    ] = False,
    watch: Annotated[str, typer.Option(help="The watch; without it, the only one.")] = "",
    target: Annotated[str, typer.Option(help="The target; without it, the first of the watch.")] = "",
) -> None:
    """Freeze a golden set anew, with its reference taken from replays of the validated model as it is deployed."""
    from goldwatch.calibration import CannotCalibrate, Wanted, calibrate  # noqa: PLC0415
    from goldwatch.in_force import CannotStart, prepare  # noqa: PLC0415
    from goldwatch.replay.workers import Workers  # noqa: PLC0415

    workers = Workers()
    try:
        assignment = select(prepare(config, workers), watch, target)
        found = calibrate(assignment, Wanted(to, version, replays, outputs), workers, _tell)
    except (CannotStart, CannotCalibrate) as error:
        fail(str(error))
    finally:
        workers.close()
    repeats = "the same in all of them" if found.deterministic else f"up to {found.moved:,} examples differ"
    print(f"froze {found.golden} into {to}: accuracy {found.accuracy:.4f} over {replays} replays, {repeats}")  # noqa: T201
    print(f"pin it with digest: {found.digest}")  # noqa: T201


def _tell(number: int, judgement: Judgement) -> None:
    score = judgement.headline
    said = "" if score is None else f"  {score.name} {score.value:.4f}"
    print(f"replay {number}  {judgement.duration_s:.1f} s{said}", file=sys.stderr)  # noqa: T201


def _opened(folder: Path) -> GoldenSet:
    from goldwatch.golden.error import GoldenError  # noqa: PLC0415
    from goldwatch.golden.opened import GoldenSet  # noqa: PLC0415

    try:
        return GoldenSet.open(folder)
    except GoldenError as error:
        fail(str(error))
