"""The output of `goldwatch backtest`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from goldwatch.commands.backtest import AlertEpisode, Played
from goldwatch.commands.common_rules import Fired
from goldwatch.commands.text_table import text_table
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
    rows = [("monitor", "would have alerted")]
    for name, episodes in played.episodes.items():
        if episodes is None:
            rows.append((name, "the history does not say"))
            continue
        rows.append((name, times(len(episodes))))
        rows += [("", f"  {_episode(episode)}") for episode in episodes[:_SHOWN]]
        if len(episodes) > _SHOWN:
            rows.append(("", f"  and {len(episodes) - _SHOWN:,} more"))
    yield from (f"  {line}" for line in text_table(rows))
    if rules:
        yield ""
        rows = [("common rule", "would have called"), *((rule.rule, calls(rule)) for rule in rules)]
        yield from (f"  {line}" for line in text_table(rows))


def times(count: int) -> str:
    """Say how often."""
    return "never" if count == 0 else "once" if count == 1 else f"{count:,} times"


def _episode(episode: AlertEpisode) -> str:
    until = "to the end" if episode.closed is None else f"to {format_moment(episode.closed)}"
    return f"{episode.severity} {format_moment(episode.opened)} {until}: {episode.summary}"


def calls(rule: Fired) -> str:
    """Say how often a rule would have called, in how many replays, and when first."""
    first = "" if rule.first is None else f", first {format_moment(rule.first)}"
    return f"{times(rule.times)} in {rule.looked:,} replays{first}"
