"""The first thing to do about an alert, and the command or the runbook for it.

It follows from the monitor, from what changed, and from how the target is deployed. A command is complete for this
config, or there is none: goldwatch never runs it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from goldwatch.core import kinds
from goldwatch.core.event import Event
from goldwatch.daemon.words import clock, plain

_RELEASE = ("version", "image", "digest", "model", "deployment revision")
"""What changes with a release of the model, in the order in which people know it."""
_OWN = ("golden set", "config", "goldwatch")
"""What changes on goldwatch's own side."""

_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Action:
    """The first thing to do, why, and the command for it, empty if no complete one is known."""

    title: str
    why: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """The facts that an action depends on.

    `deployment` is [NAMESPACE/]NAME of the target's Deployment, empty if it is not known; `config` the file, as it was
    named; `examples` those to replay, the harmful flips first; `subject` the column of a drift, why most live rows
    cannot be read, or the most frequent error. `cause` is why a watch is silent: see `silence_cause`. `configured` has
    the commands of `alerts.actions`.
    """

    monitor: str
    watch: str
    target: str
    events: Sequence[Event] = ()
    unchanged: Sequence[str] = ()
    deployment: str = ""
    config: str = ""
    examples: Sequence[int] = ()
    turned_wrong: int = 0
    subject: str = ""
    cause: str = ""
    configured: Mapping[str, str] | None = None


def first_action(scene: Scene) -> Action:
    """Return the first thing to do."""
    released = [e for name in _RELEASE for e in scene.events if e.field == name]
    own = [e for e in scene.events if e.field in _OWN]
    others = [e for e in scene.events if e not in released and e not in own]
    if scene.monitor == kinds.SILENT.name:
        found = _of_silence(scene)
    elif scene.monitor == kinds.SCHEMA.name:
        title = f"Check what sends the live requests of {scene.target}: many cannot be read."
        found = Action(title, plain(scene.subject))
    elif scene.monitor == kinds.DRIFT.name:
        found = _of_drift(scene)
    elif released:
        found = _roll_back(scene, released, others + own)
    elif others:
        found = _put_back(scene, others, own)
    elif own:
        found = Action(f"Check {_list(own)}: goldwatch's own side changed.", _why(own), _check(scene))
    else:
        found = _without_a_change(scene)
    command = _configured(scene, released[0] if released else None)
    return Action(found.title, found.why, command) if command else found


def replay_command(scene: Scene) -> str:
    """Return the command that replays the examples by hand; empty without examples or config."""
    if not (scene.config and scene.examples):
        return ""
    numbers = ",".join(map(str, scene.examples[:_EXAMPLES]))
    return f"{_goldwatch('replay', scene)} --watch {shlex.quote(scene.watch)} --examples {numbers}"


def silence_command(scene: Scene) -> str:
    """Return the command that silences the watch for two hours; empty if the config is not known."""
    if not scene.config:
        return ""
    why = shlex.quote(f"{scene.target} is {kinds.of(scene.monitor).said or scene.monitor}: I am on it")
    return f"{_goldwatch('silence', scene)} --watch {shlex.quote(scene.watch)} --for 2h --why {why}"


def _roll_back(scene: Scene, released: Sequence[Event], others: Sequence[Event]) -> Action:
    event = released[0]
    what = (
        "revision " if event.field == "deployment revision" else f"{event.field} " if event.field != "version" else ""
    )
    title = f"Roll {scene.target} back to {what}{plain(event.before or '?', 60)}"
    title += f": the validated model was right on all {scene.turned_wrong:,}." if scene.turned_wrong else "."
    revision = next((e.before for e in released if e.field == "deployment revision"), "")
    # A Deployment whose revision is known to be the same was not rolled out: undoing would go back one too far.
    command = "" if "deployment revision" in scene.unchanged else _kubectl(scene, "rollout undo")
    if command and revision.isascii() and revision.isdigit():
        command += f" --to-revision={revision}"
    return Action(title, _why(released, others), command)


def _put_back(scene: Scene, events: Sequence[Event], own: Sequence[Event]) -> Action:
    event = events[0]
    title = f"Undo the change of {event.field}: put {scene.target} back on {plain(event.before or '?', 60)}."
    return Action(title, _why(events, own))


def _without_a_change(scene: Scene) -> Action:
    """Return what to do where nothing that is recorded has changed."""
    unchanged = "nothing that goldwatch records has changed"
    if scene.monitor == kinds.FAILING.name:
        why = f"{plain(scene.subject)}; {unchanged}" if scene.subject else unchanged
        return Action(f"Look at the server of {scene.target} and its log.", why, _logs(scene) or _check(scene))
    if scene.monitor in (kinds.SLOW.name, kinds.SLOWER.name):
        title = f"Look at the load of {scene.target} and of its node."
        why = f"{unchanged}: look for throttling, a neighbour, a queue"
        return Action(title, why, _kubectl(scene, "describe") or _check(scene))
    if scene.monitor == kinds.COSTLY.name:
        title = f"Compare throughput, power and length of the answers of {scene.target} with before."
        return Action(title, f"{unchanged}: look for throttling, a shared machine, longer answers", _check(scene))
    if scene.examples:
        title = "Replay the examples below, then look at what the model reads from: features, caches."
        return Action(title, unchanged, replay_command(scene))
    return Action("Read the runbook.", unchanged, _check(scene))


def _of_drift(scene: Scene) -> Action:
    if not scene.subject:
        return Action(f"Check what sends the live requests of {scene.target}.")
    why = "a column that jumps has another unit, default, encoding or join upstream"
    return Action(f"Check what fills the column {plain(scene.subject)}.", why)


_SILENCE = {
    "deadline": ("Find out why {target} is slow: its load, its node, its queue.", "describe"),
    "busy": ("Give {target} room, or raise the limit of `busy` in the config.", ""),
    "failed": ("Repair what the reason names.", "logs --tail=50"),
    "nothing": ("Look at the log of the goldwatch agent: no replay has ended.", ""),
}


def _of_silence(scene: Scene) -> Action:
    title, verb = _SILENCE.get(scene.cause, _SILENCE["nothing"])
    command = _kubectl(scene, verb) if verb else ""
    return Action(title.format(target=scene.target), "", command or _check(scene))


def _configured(scene: Scene, event: Event | None) -> str:
    """Return the command of `alerts.actions` for the monitor; empty if there is none, or a place stays open."""
    command = (scene.configured or {}).get(scene.monitor, "")
    places = {"{target}": scene.target, "{watch}": scene.watch}
    if event is not None:
        places |= {"{from}": event.before, "{to}": event.after}
    for place, value in places.items():
        if place in command and value:
            command = command.replace(place, shlex.quote(value))
    return "" if any(place in command for place in ("{target}", "{watch}", "{from}", "{to}")) else command


def _why(events: Sequence[Event], others: Sequence[Event] = ()) -> str:
    first = events[0]
    said = f"{first.field} {plain(first.before or '?', 60)} -> {plain(first.after or '?', 60)} at {clock(first.at)}"
    if others:
        return f"{said}; changed too: {_list(others)}"
    together = [e for e in events[1:] if e.field != first.field]
    if together:
        return f"{said}, with {_list(together)}; nothing else that is recorded changed"
    return f"{said} is the only recorded change"


def _list(events: Sequence[Event]) -> str:
    return ", ".join(dict.fromkeys(event.field for event in events))


def _kubectl(scene: Scene, verb: str) -> str:
    namespace, _, name = scene.deployment.rpartition("/")
    if not name:
        return ""
    where = f"-n {shlex.quote(namespace)} " if namespace else ""
    verb, _, options = verb.partition(" --")
    return f"kubectl {where}{verb} deployment/{shlex.quote(name)}" + (f" --{options}" if options else "")


def _logs(scene: Scene) -> str:
    return _kubectl(scene, "logs --tail=50")


def _check(scene: Scene) -> str:
    return _goldwatch("check", scene) if scene.config else ""


def _goldwatch(verb: str, scene: Scene) -> str:
    return f"goldwatch {verb} {shlex.quote(scene.config)}"
