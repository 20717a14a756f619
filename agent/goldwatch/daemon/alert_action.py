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
from goldwatch.core.monitors.kind import FirstLook
from goldwatch.daemon.words import clock, plain

_RELEASE = ("version", "image", "digest", "model", "deployment revision")
"""What changes with a release of the model, in the order in which people know it."""
_OWN = ("golden set", "config", "goldwatch")
"""What changes on goldwatch's own side."""

_UNCHANGED = "nothing that goldwatch records has changed"
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
    elif (look := _first_look(scene)) is not None and look.certain:
        found = Action(look.title, look.why)
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
    if (look := _first_look(scene)) is not None:
        command = _kubectl(scene, look.verb) if look.verb else ""
        return Action(look.title, look.why, command or _check(scene))
    if scene.examples:
        title = "Replay the examples below, then look at what the model reads from: features, caches."
        return Action(title, _UNCHANGED, replay_command(scene))
    return Action("Read the runbook.", _UNCHANGED, _check(scene))


def _first_look(scene: Scene) -> FirstLook | None:
    """Return what the monitor itself has to say."""
    return kinds.of(scene.monitor).first_look(scene.target, plain(scene.subject), _UNCHANGED)


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


def _check(scene: Scene) -> str:
    return _goldwatch("check", scene) if scene.config else ""


def _goldwatch(verb: str, scene: Scene) -> str:
    return f"goldwatch {verb} {shlex.quote(scene.config)}"
