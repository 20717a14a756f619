"""What all commands share: the app that they register with, the argument CONFIG, and how to fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The config file, goldwatch.yaml.")]


def fail(message: str) -> NoReturn:
    """End with exit code 2: nothing could be measured."""
    print(message, file=sys.stderr)  # noqa: T201
    raise typer.Exit(2)
