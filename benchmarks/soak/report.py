"""The result of a soak as the table of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SOUND_STATES = {"steady", "unknown"}
P99_MS = 250
SIGTERM_S = 5
SLOPE_MB_PER_H = 8
"""The memory of an agent of 70 MB is flat if it grows by less: a leak of 1 kB for each replay would be 12."""


def missed(found: Mapping[str, Any]) -> list[str]:
    """Return the aims that a soak has missed; empty if none."""
    replays, memory = found["replays"], found["memory"]
    bad = set(replays["states_of_the_sound_model"]) - SOUND_STATES
    held = {
        f"{replays['lost']} replays lost": replays["lost"] == 0,
        f"{replays['logged_and_not_in_the_ledger']} logged and not kept": not replays["logged_and_not_in_the_ledger"],
        f"{replays['missing_in_the_sequence']} missing in the sequence": not replays["missing_in_the_sequence"],
        f"the ledger is damaged: {replays['integrity_check']}": replays["integrity_check"] == "ok",
        f"the sound model was {', '.join(sorted(bad))}": not bad,
        "no replay of the sound model was judged": "steady" in replays["states_of_the_sound_model"],
        f"the agent ended by itself {found['kills']['ended_by_itself']} times": not found["kills"]["ended_by_itself"],
        f"/metrics took {found['scrapes']['p99_ms']} ms at p99": found["scrapes"]["p99_ms"] < P99_MS,
        f"SIGTERM took {found['sigterm_s_most']} s": found["sigterm_s_most"] < SIGTERM_S,
        f"the agent grew by {memory['agent_mb_per_hour']} MB an hour": memory["agent_mb_per_hour"] < SLOPE_MB_PER_H,
    }
    return [what for what, holds in held.items() if not holds]


def table(found: Mapping[str, Any]) -> str:
    """Return the table, in Markdown, with the aims that have one."""
    lines = ["| | measured | aim |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in _rows(found))]
    return "\n".join(lines) + "\n"


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    replays, memory, log, kills = found["replays"], found["memory"], found["log"], found["kills"]
    states = replays["states_of_the_sound_model"]
    yield "kills of workers; of the agent", f"{kills['workers']}; {kills['agent']}", ""
    yield (
        "times that the agent ended by itself",
        f"{kills['ended_by_itself']}",
        _aim(0, met=not kills["ended_by_itself"]),
    )
    yield "replays in the ledger", f"{replays['recorded']:,}", ""
    yield "begun at the sound server", f"{replays['begun_at_the_sound_server']:,}", ""
    in_flight = replays["of_these_under_way_at_an_end_of_the_agent"]
    yield "of these in flight when the agent was ended", f"{in_flight}", ""
    yield "of these lost otherwise", f"{replays['lost']}", _aim(0, met=not replays["lost"])
    gone = replays["logged_and_not_in_the_ledger"] + replays["missing_in_the_sequence"]
    yield "logged and not in the ledger, or missing in its sequence", f"{gone}", _aim(0, met=not gone)
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    yield "verdicts about the sound model", told, _aim("steady or unknown", met=not set(states) - SOUND_STATES)
    mb, slope = memory["agent_mb"], memory["agent_mb_per_hour"]
    yield "memory of the agent, median and most", f"{mb['median']:.0f} MB, {mb['most']} MB", ""
    over = f"its slope over the last {memory['slope_over_minutes']:.0f} minutes"
    yield over, f"{slope:.1f} MB an hour", _aim(f"under {SLOPE_MB_PER_H}", met=slope < SLOPE_MB_PER_H)
    mb, opened = memory["worker_mb"], memory["descriptors"]
    yield "memory of a worker, median and most", f"{mb['median']:.0f} MB, {mb['most']} MB", ""
    yield "descriptors of the agent, median and most", f"{opened['median']:.0f}, {opened['most']}", ""
    p99 = found["scrapes"]["p99_ms"]
    took = f"{found['scrapes']['p50_ms']:.0f} ms, {p99:.0f} ms"
    yield "`/metrics`, p50 and p99", took, _aim(f"p99 under {P99_MS} ms", met=p99 < P99_MS)
    loop = f"{found['loop']['p50_ms']:.0f} ms, {found['loop']['p99_ms']:.0f} ms"
    yield "`/healthz`, which only the event loop answers, p50 and p99", loop, ""
    floor = f"{found['floor']['p50_ms']:.0f} ms, {found['floor']['p99_ms']:.0f} ms"
    yield "a trivial page of the sound server, p50 and p99", floor, ""
    yield "scrapes without an answer", f"{found['scrapes']['without_answer']} of {found['scrapes']['count']:,}", ""
    yield "errors logged a minute", f"{log['errors_per_minute']}", ""
    ended_s = found["sigterm_s_most"]
    yield (
        "SIGTERM to the end of the agent, at most",
        f"{ended_s} s",
        _aim(f"under {SIGTERM_S} s", met=ended_s < SIGTERM_S),
    )


def _aim(aim: object, *, met: bool) -> str:
    return f"{aim}: {'met' if met else '**missed**'}"
