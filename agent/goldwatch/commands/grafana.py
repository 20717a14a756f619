"""Dashboards, alert rules and annotations in a Grafana, by its HTTP API: finds differences from ours, and fixes them.

Reading and changing are separate, so that the differences can be shown first. Items equal to ours are left alone:
pushing twice changes nothing.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from goldwatch import __version__
from goldwatch.core.event import Event
from goldwatch.daemon.alert import Alert
from goldwatch.errors import GoldwatchError
from goldwatch.installation import install_command

Api: TypeAlias = Any
"""grafana_client's GrafanaApi, whose methods have no types."""

FOLDER = "goldwatch"
"""The uid and the title of the folder that all of it lies in."""

_OF_THE_SERVER = ("id", "version")
_MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at Unix time `at`, to be drawn into dashboards until `until`. `identity` is its own."""

    identity: str
    at: float
    text: str
    tags: tuple[str, ...] = ()
    until: float | None = None


@dataclass(frozen=True, slots=True)
class GrafanaChange:
    """One difference from what is wanted: what it is, its lines as in a diff, and how to make it."""

    what: str
    lines: tuple[str, ...]
    make: Callable[[], object] = field(repr=False)


def connect(url: str, token: str) -> Api:
    """Return a client. Raises GoldwatchError if the package is missing, or the address is none."""
    if not url.startswith(("http://", "https://")):
        raise GoldwatchError(f'"{url}" is not the address of a Grafana; write http://HOST:PORT as --url or GRAFANA_URL')
    try:
        from grafana_client import GrafanaApi, TokenAuth  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise GoldwatchError(f"pushing needs one more package: {install_command('grafana-client')}") from error
    return GrafanaApi.from_url(url, credential=TokenAuth(token) if token else None, timeout=30.0)


def differences(
    api: Api,
    dashboards: Iterable[Mapping[str, Any]],
    groups: Iterable[Mapping[str, Any]],
    marks: Sequence[Mark],
    *,
    replace: bool = False,
) -> list[GrafanaChange]:
    """Return the changes that make Grafana match what is given. Changes nothing.

    Raises GoldwatchError, also for a group of rules about other watches alone unless `replace` is set: it belongs to
    another config.
    """
    try:
        found = list(_folder(api))
        for board in dashboards:
            found += _dashboard(api, board)
        for group in groups:
            found += _group(api, group, replace=replace)
        return [*found, *_marks(api, marks)]
    except GoldwatchError:
        raise
    except Exception as error:
        raise _explained(error) from None


def apply(changes: Iterable[GrafanaChange]) -> None:
    """Make the changes, in their order. Raises GoldwatchError; what was made before stays, and is not made again."""
    for change in changes:
        try:
            change.make()
        except Exception as error:
            raise _explained(error, change.what) from None


def marks_of(alerts: Iterable[Alert], events: Iterable[Event]) -> Iterator[Mark]:
    """Yield the alerts and the changes of targets that a ledger holds."""
    for alert in alerts:
        tags = (f"watch:{alert.watch}", f"target:{alert.target}", f"severity:{alert.severity}")
        yield Mark(
            f"alert:{alert.watch}:{alert.number}", alert.opened_at, alert.headline, ("alert", *tags), alert.closed_at
        )
    for event in events:
        text = f"{event.target}: {event.field} {event.before or '?'} -> {event.after or '?'}"
        identity = f"event:{event.target}:{event.field}:{event.at:.0f}"
        yield Mark(identity, event.at, text, ("deployment", f"target:{event.target}"))


def _folder(api: Api) -> Iterator[GrafanaChange]:
    if _found(lambda: api.folder.get_folder(FOLDER)) is None:
        yield GrafanaChange(f"create folder {FOLDER}", (), lambda: api.folder.create_folder(FOLDER, uid=FOLDER))


def _dashboard(api: Api, wanted: Mapping[str, Any]) -> Iterator[GrafanaChange]:
    there = _found(lambda: api.dashboard.get_dashboard(wanted["uid"]))
    before = _without(there["dashboard"], _OF_THE_SERVER) if there else None
    after = _without(wanted, _OF_THE_SERVER)
    if before == after:
        return
    sent = {
        "dashboard": {**after, "id": None},
        "folderUid": FOLDER,
        "overwrite": True,
        "message": f"goldwatch {__version__}",
    }
    yield _change(f"dashboard {wanted['title']}", before, after, lambda: api.dashboard.update_dashboard(sent))


def _group(api: Api, group: Mapping[str, Any], *, replace: bool) -> Iterator[GrafanaChange]:
    name, seconds = group["name"], int(str(group["interval"]).removesuffix("s"))
    about = {"orgID": 1, "folderUID": FOLDER, "ruleGroup": name}
    after = {"title": name, "folderUid": FOLDER, "interval": seconds, "rules": [about | r for r in group["rules"]]}
    there = _found(lambda: api.alertingprovisioning.get_rule_group(FOLDER, name))
    theirs, ours = _watches_in(there), _watches_in(after)
    if theirs and ours and not theirs & ours and not replace:
        raise GoldwatchError(
            f'the rules "{name}" at this Grafana watch {_names(theirs)}, not {_names(ours)}: they belong to another '
            "config; give these another --name, or write --replace"
        )
    before = _like(there, after) if there else None
    if before != after:
        provisioning = api.alertingprovisioning
        yield _change(f"rules {name}", before, after, lambda: provisioning.update_rule_group(FOLDER, name, after))


def _watches_in(group: object) -> set[str]:
    """Return the watches that the queries of a group of rules select by name."""
    selected = re.findall(r'\bwatch=~?\\"(.*?)\\"', json.dumps(group))
    return {name.replace("\\", "") for names in selected for name in names.split("|")}


def _names(watches: set[str]) -> str:
    return ", ".join(sorted(watches)[:5]) + (", ..." if len(watches) > 5 else "")


def _marks(api: Api, marks: Sequence[Mark]) -> Iterator[GrafanaChange]:
    if not marks:
        return
    first = min(mark.at for mark in marks)
    asked = {"time_from": int(first * 1000) - 1, "time_to": int(max(m.until or m.at for m in marks) * 1000) + 1}
    there = api.annotations.find_annotations(**asked, tags=["goldwatch"], limit=10_000)
    known = {tag: annotation for annotation in there for tag in annotation["tags"]}
    for mark in marks:
        tags = ["goldwatch", mark.identity, *mark.tags]
        begins, ends = int(mark.at * 1000), int((mark.until or mark.at) * 1000)
        sent = {"time_from": begins, "time_to": ends, "tags": tags, "text": mark.text}
        old = known.get(mark.identity)
        if old is None:
            yield GrafanaChange(f"mark {mark.text}", (), partial(api.annotations.add_annotation, **sent))
        elif mark.until is not None and old.get("timeEnd") != ends:
            # The client sends null for what it is not given, so a patch must hold all.
            patch = partial(api.annotations.partial_update_annotation, old["id"], **sent)
            yield GrafanaChange(f"mark the end of {mark.text}", (), patch)


def _change(what: str, before: Any, after: Any, make: Callable[[], object]) -> GrafanaChange:  # noqa: ANN401 - plain JSON
    old, new = (_lines(value) if value is not None else [] for value in (before, after))
    if not old:
        return GrafanaChange(f"create {what}", (f"{len(new):,} lines",), make)
    found = [line for line in difflib.unified_diff(old, new, lineterm="", n=1) if not line.startswith(("---", "+++"))]
    more = (f"... {len(found) - _MOST_LINES:,} more lines",) if len(found) > _MOST_LINES else ()
    return GrafanaChange(f"change {what}", (*found[:_MOST_LINES], *more), make)


def _lines(value: Any) -> list[str]:  # noqa: ANN401
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def _without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k not in names}


def _like(there: Any, wanted: Any) -> Any:  # noqa: ANN401
    """Return what is there without the fields that the server adds by itself."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        return {k: _like(there[k], v) for k, v in wanted.items() if k in there}
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        return [_like(a, b) for a, b in zip(there, wanted, strict=True)]
    return there


def _found(ask: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return the answer; None if Grafana answers that it does not exist."""
    from grafana_client.client import GrafanaClientError  # noqa: PLC0415 - an extra

    try:
        return ask()
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise


def _explained(error: Exception, doing: str = "") -> GoldwatchError:
    """Say what went wrong, without the token."""
    code = getattr(error, "status_code", None)
    advice = {
        401: "it does not know the token; give one of a service account as GRAFANA_TOKEN",
        403: "the token may not do that; the service account needs the role Editor, and Admin for alert rules",
    }
    why = advice.get(code, str(error)) if isinstance(code, int) else f"{type(error).__name__}: {error}"
    return GoldwatchError(f"Grafana{f', at: {doing}' if doing else ''}: {why}")
