"""Shared by all commands: the app that they register with, the argument CONFIG, and how to fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from goldwatch.errors import GoldwatchError

if TYPE_CHECKING:
    from goldwatch.config import Config, Watch
    from goldwatch.daemon.in_force import Assignment, InForce

WATCH, GATE, COMPARE, GOLDEN = "Watch", "Gate", "Compare", "Golden sets"
CLUSTER, TOOLS = "Cluster, Prometheus and Grafana", "Tools"
"""The groups of `goldwatch --help`."""


UNMEASURED, UNUSABLE = 2, 3
"""The exit codes of what could not be measured, and of a config or golden set that cannot be used."""

_WITH_A_VERDICT = frozenset({"check", "compare", "mlperf", "sweep"})
"""Commands whose exit code says which of the two it was; others end with 2 for both, but for a wrong `--output`."""


class _Commands(TyperGroup):
    """The one place where commands end with an error of goldwatch: on stderr, without a traceback, exit code 2 or 3."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - of click, which newer typers bring themselves
        try:
            return super().invoke(ctx)
        except GoldwatchError as error:
            unusable = error.of_config and ctx.invoked_subcommand in _WITH_A_VERDICT
            fail(str(error), UNUSABLE if unusable else UNMEASURED)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The config file, goldwatch.yaml.")]


def _names(ctx: typer.Context, section: str, incomplete: str) -> list[str]:
    """Return names of a section of the config on the command line, for shells; none if it cannot be read."""
    import yaml  # noqa: PLC0415 - `--help` stays quick

    # While an option has no value yet, what comes before it may be left unparsed.
    places = [ctx.params.get("config") or ctx.params.get("place"), *ctx.args, "goldwatch.yaml"]
    try:
        place = next(Path(str(place)) for place in places if place and Path(str(place)).is_file())
        found = yaml.safe_load(place.read_text("utf-8"))
        return [str(name) for name in found[section] if str(name).startswith(incomplete)]
    except (StopIteration, OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return []  # a shell has no place for an error


def watch_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the watches of the config that begin so."""
    return _names(ctx, "watches", incomplete)


def target_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the targets of the config that begin so."""
    return _names(ctx, "targets", incomplete)


WatchName = Annotated[str, typer.Option(help="The watch; without it, the only one.", autocompletion=watch_names)]
TargetName = Annotated[
    str, typer.Option(help="The target; without it, the first of the watch.", autocompletion=target_names)
]


def put(text: str, *, err: bool = False) -> None:
    """Print text, or write it to standard error, with a line break at its end and nothing that a terminal obeys.

    All output of commands goes through here: it may hold names from golden sets, words of servers and old ledgers.
    """
    from goldwatch.daemon.words import printable  # noqa: PLC0415 - `--help` stays quick

    stream = sys.stderr if err else sys.stdout
    stream.write(printable(text).removesuffix("\n") + "\n")
    stream.flush()  # a step may take a while


def fail(message: str, code: int = UNMEASURED) -> NoReturn:
    """End with an exit code: 2 if nothing could be measured."""
    put(message, err=True)
    raise typer.Exit(code)


def ask(question: str, flag: str) -> str:
    """Ask at a terminal; elsewhere end with the flag that answers the question."""
    from goldwatch.daemon.words import printable  # noqa: PLC0415 - `--help` stays quick

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail(f"{question}? Write {flag}")
    answer: str = typer.prompt(printable(question))
    return answer.strip()


def pick(config: Config, watch: str) -> Watch:
    """Return the watch that a command is about: the named one, or the only one there is."""
    watches = list(config.watches)
    if watch not in watches and (watch or len(watches) > 1):
        what = f'no watch is named "{watch}"' if watch else "which watch? Write --watch"
        fail(f"{what}; there are {', '.join(watches)}")
    return config.watches[watch or watches[0]]


def pick_target(watch: Watch, target: str) -> str:
    """Return the name of the target that a command is about: the named one, or the first of the watch."""
    if target and target not in watch.targets:
        fail(f'watch {watch.name} has no target "{target}"; it has {", ".join(watch.targets)}')
    return target or watch.targets[0]


def select(wanted: InForce, watch: str, target: str) -> Assignment:
    """Return what a command is about: the named watch and target, or the only ones there are."""
    picked = pick(wanted.config, watch)
    key = picked.name, pick_target(picked, target)
    return next(a for a in wanted.assignments if a.key == key)
