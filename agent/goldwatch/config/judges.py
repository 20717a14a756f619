"""Judges of scores: checks the target and the prompt that each names, and puts them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from goldwatch.config.document import Document
from goldwatch.config.model import NamedJudge, Target
from goldwatch.config.problem import Route, did_you_mean
from goldwatch.config.prompts import PLACEHOLDER, BadPrompt, Prompt, read_prompt
from goldwatch.config.scores import ScoreEntry
from goldwatch.config.written import ConfigFile

_PROBE = "openai"


def check_judges(document: Document, written: ConfigFile, targets: Mapping[str, Target]) -> None:
    """Add a problem for each judge that cannot grade: no such target or prompt, no model, no scale."""
    for name, entry in written.scores.items():
        if entry.judge is None:
            continue
        route: Route = ("scores", name, "judge")
        for key, problem in _problems(document, entry, written, targets, route):
            document.add((*route, key), problem)
        _check_objectives(document, written, name, entry)


def _check_objectives(document: Document, written: ConfigFile, name: str, entry: ScoreEntry) -> None:
    """Add a problem for each objective that is not on the scale of a judged score."""
    try:
        prompt = read_prompt(entry.judge.prompt, document.folder) if entry.judge is not None else None
    except BadPrompt:
        return
    if prompt is None or (scale := scale_of(entry, prompt)) is None:
        return
    for watch, of in written.watches.items():
        objective = of.objectives.scores.get(name)
        if objective is not None and (problem := objective.problem(_score_scale(entry, scale))):
            document.add(("watches", watch, "objectives", "scores", name), problem)


def _problems(
    document: Document, entry: ScoreEntry, written: ConfigFile, targets: Mapping[str, Target], route: Route
) -> Iterator[tuple[str, str]]:
    """Yield the key and the complaint of each problem of one judge."""
    judge = entry.judge
    if judge is None:
        return
    if judge.target not in written.targets:
        hint = did_you_mean(judge.target, written.targets, "there are")
        yield "target", f"no target is named {document.shown((*route, 'target'))}{hint}"
    elif (target := targets.get(judge.target)) is not None and (problem := _target_problem(target)):
        yield "target", f"{document.shown((*route, 'target'))} {problem}"
    try:
        prompt = read_prompt(judge.prompt, document.folder)
    except BadPrompt as error:
        yield "prompt", str(error)
        return
    placeholders = {name for _, text in prompt.messages for name in PLACEHOLDER.findall(text)}
    if unknown := sorted(set(entry.takes) - placeholders):
        yield "prompt", f"`takes` names {unknown[0]}, and {prompt.name} has no placeholder {{{{{unknown[0]}}}}}"
    scale = scale_of(entry, prompt)
    if scale is None:
        yield "prompt", f"{prompt.name} has no scale; write the least and the largest grade as `scale: [1, 5]`"
    elif judge.at_least is not None and not scale[0] < judge.at_least <= scale[1]:
        yield "at_least", f"{judge.at_least:g} is not on the scale above its least grade, {scale[0]:g} to {scale[1]:g}"


def _target_problem(target: Target) -> str:
    if target.probe != _PROBE:
        return f"has the probe {target.probe}; a judge is asked by the probe {_PROBE}"
    if target.options.get("api", "chat") != "chat":
        return f"is for {target.options['api']}; a judge is asked by `api: chat`"
    if not target.options.get("model"):
        return "has no `model`; write it, since it is part of what the score means"
    if target.python:
        return "has its own `python`; a judge runs in the interpreter of goldwatch"
    return ""


def scale_of(entry: ScoreEntry, prompt: Prompt) -> tuple[float, float] | None:
    """Return the scale of a judge's grades: that of the config, or of the prompt; None if neither has one."""
    low, high = entry.scale
    return (low, high) if "scale" in entry.model_fields_set and high is not None else prompt.scale


def _score_scale(entry: ScoreEntry, scale: tuple[float, float]) -> tuple[float, float]:
    passes = entry.judge is not None and entry.judge.at_least is not None
    return (0.0, 1.0) if passes else scale


def resolve_judges(
    written: ConfigFile, targets: Mapping[str, Target], folder: Path, store: Path
) -> dict[str, NamedJudge]:
    """Return the judge of each score that has one, of a file without problems."""
    found = {}
    for name, entry in written.scores.items():
        if entry.judge is not None:
            prompt = read_prompt(entry.judge.prompt, folder)
            target = targets[entry.judge.target]
            scale = scale_of(entry, prompt) or (0.0, 1.0)
            found[name] = NamedJudge(target, prompt, scale, _score_scale(entry, scale), store)
    return found
