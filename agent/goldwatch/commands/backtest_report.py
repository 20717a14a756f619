"""What `goldwatch backtest` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from goldwatch.commands.backtest import Episode, Played
from goldwatch.commands.common_rules import Fired
from goldwatch.config import format_moment

_SHOWN = 5


def as_text(title: str, played: Played, rules: Sequence[Fired]) -> str:
    """Write each alert that would have been, and how often common rules would have called."""
    return "\n".join(_lines(title, played, rules)) + "\n"


def as_json(title: str, played: Played, rules: Sequence[Fired]) -> str:
    """Write the same for programs."""
    monitors = {
        name: None if episodes is None else [asdict(episode) for episode in episodes]
        for name, episodes in played.episodes.items()
    }
    whole = {
        "of": title,
        "replays": len(played.records),
        "valid": played.valid,
        "from": played.records[0].at,
        "to": played.records[-1].at,
        "alerts": monitors,
        "common_rules": [asdict(rule) for rule in rules],
    }
    return json.dumps(whole, indent=2) + "\n"


def _lines(title: str, played: Played, rules: Sequence[Fired]) -> Iterator[str]:
    first, last = (format_moment(played.records[i].at) for i in (0, -1))
    replays = f"{len(played.records):,} replay{'' if len(played.records) == 1 else 's'}"
    yield f"{title}: {replays} from {first} to {last}, {played.valid:,} of them valid"
    yield ""
    yield f"  {'monitor':<10}would have alerted"
    for name, episodes in played.episodes.items():
        if episodes is None:
            yield f"  {name:<10}the history does not say"
            continue
        yield f"  {name:<10}{_times(len(episodes))}"
        yield from (f"  {'':<10}  {_episode(episode)}" for episode in episodes[:_SHOWN])
        if len(episodes) > _SHOWN:
            yield f"  {'':<10}  and {len(episodes) - _SHOWN:,} more"
    if rules:
        width = max(len(rule.rule) for rule in rules)
        yield ""
        yield f"  {'common rule':<{width}}  would have called"
        yield from (f"  {rule.rule:<{width}}  {_calls(rule)}" for rule in rules)


def _times(count: int) -> str:
    return "never" if count == 0 else "once" if count == 1 else f"{count:,} times"


def _episode(episode: Episode) -> str:
    until = "to the end" if episode.closed is None else f"to {format_moment(episode.closed)}"
    return f"{episode.severity} {format_moment(episode.opened)} {until}: {episode.summary}"


def _calls(rule: Fired) -> str:
    first = "" if rule.first is None else f", first {format_moment(rule.first)}"
    return f"{_times(rule.times)} in {rule.looked:,} replays{first}"
