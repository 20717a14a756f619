"""`goldwatch top`: the watches of a running agent, the worst first, and one of them in detail, by its JSON API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from goldwatch.config import Config, format_seconds
from goldwatch.config.quantities import format_span
from goldwatch.core.judgement import Severity, State, Validity, Verdict
from goldwatch.daemon.words import printable
from goldwatch.errors import GoldwatchError
from goldwatch.face.terminal import alert_panel, bar, evidence_bars, plain_table, state_text
from goldwatch.http_reading import Unreadable, fetch

_MAX_BYTES = 2**24
_WATCHES = 200
"""Asked for at once: more than fit on a screen."""
_MOST_WATCHES = 1000
"""The most that an agent tells at once: where one is looked for by its name."""
_BAR = 12
_MIN_ROWS = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """What an agent answered at Unix time `at`: its watches, the worst first, and the alert of the one in detail."""

    at: float
    total: int
    counts: Mapping[str, int]
    watches: Sequence[Mapping[str, Any]]
    detail: Mapping[str, Any] | None
    alert: Mapping[str, Any] | None


def address_of(config: Config) -> tuple[str, str]:
    """Return the address of the agent of a config on this machine, and its token, empty if it needs none."""
    section = config.exporters.prometheus
    host = section.listen.host
    host = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - an agent that listens on all addresses
    scheme = "http" if section.tls_server_config is None else "https"
    token = section.authorization.credentials if section.authorization is not None else None
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{bracketed}:{section.listen.port}", token.get_secret_value() if token is not None else ""


class Agent:
    """The JSON API of a running agent."""

    def __init__(self, url: str, token: str = "") -> None:
        """Read from the address; a token, if there is one, is sent with each request."""
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def frame(self, watch: str = "") -> Frame:
        """Ask for the watches, and all of one: the first of a name, or without one the worst. Raises GoldwatchError."""
        told = self._read(f"/api/v1/watches?limit={_MOST_WATCHES if watch else _WATCHES}")
        try:
            watches = told["watches"]
            named = [each for each in watches if watch in ("", each["watch"])]
            if watch and not named:
                if told["total"] > len(watches):
                    raise GoldwatchError(
                        f'{self.url}: "{watch}" is not among the {len(watches):,} worst of {told["total"]:,} watches'
                    )
                names = ", ".join(dict.fromkeys(each["watch"] for each in watches[:10]))
                raise GoldwatchError(f'{self.url}: no watch is named "{watch}"; there are {names or "none"}')
            detail = named[0] if named else None
            number = detail["alert"] if detail is not None else None
            alert = self._read(f"/api/v1/alerts/{int(number)}") if number is not None else None
            return Frame(told["at"], told["total"], told["states"], watches, detail, alert)
        except (KeyError, TypeError, ValueError):
            raise Unreadable(f"{self.url} does not answer as an agent of this version does") from None

    def _read(self, path: str) -> Any:  # noqa: ANN401 - JSON
        try:
            content = fetch(self.url + path, self._headers, _MAX_BYTES)
        except Unreadable as error:
            raise Unreadable(f"{error}{_hint(str(error))}") from None
        try:
            return _printable(json.loads(content))
        except (ValueError, RecursionError):
            raise Unreadable(f"{self.url} does not answer as an agent of goldwatch does: no JSON") from None


def _hint(why: str) -> str:
    if "HTTP 401" in why:
        return "; the token is read from the config, or with an address from the variable GOLDWATCH_TOKEN"
    if "CERTIFICATE_VERIFY" in why.upper():
        return "; name the agent as its certificate does, and trust its authority by SSL_CERT_FILE"
    if "refused" in why:
        return "; no agent runs there: start one with `goldwatch run CONFIG`"
    return ""


def _printable(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return JSON whose texts hold nothing that a terminal obeys."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return {key: _printable(each) for key, each in value.items()} if isinstance(value, dict) else value


def draw(url: str, frame: Frame, rows: int, trouble: str = "") -> RenderableType:
    """Put the screen together, with so many watches; `trouble` is why the agent does not answer any more."""
    told = ", ".join(f"{n:,} {state}" for state, n in frame.counts.items() if n)
    head = Text(f"{url}  {frame.total:,} watch{'' if frame.total == 1 else 'es'}: {told or 'none yet'}", "bold")
    parts: list[RenderableType] = [head]
    if trouble:
        parts.append(Text(f"this is old: {trouble}", "bold yellow"))
    parts += [Text(), _watches(frame, rows)]
    if frame.total > rows:
        parts.append(Text(f"and {frame.total - rows:,} more", "dim"))
    if frame.detail is not None:
        parts += [Text(), *_detail(frame)]
    return Group(*parts)


def _watches(frame: Frame, rows: int) -> RenderableType:
    table = plain_table("watch", "target", "state", "score", "p50", "p99", "most evidence", "", "last valid replay")
    for watch in frame.watches[:rows]:
        verdicts = _verdicts(watch)
        shares = [(v.evidence / v.threshold, v) for v in verdicts if v.evidence is not None and v.threshold]
        share, most = max(shares, key=lambda each: each[0], default=(0.0, None))
        latency = {q["q"]: q["latency_s"] for q in watch["latency"]}
        state = State(watch["state"])
        table.add_row(
            Text(watch["watch"]),
            Text(watch["target"]),
            state_text(state),
            Text(_score(watch["scores"][0]["value"]) if watch["scores"] else "none yet"),
            *(_seconds(latency.get(q)) for q in (0.5, 0.99)),
            bar(share, most.state, _BAR) if most is not None else Text("unknown", "dim"),
            Text(most.monitor if most is not None else ""),
            Text(_age(watch["last_valid_replay_at"], frame.at)),
        )
    return table


def _detail(frame: Frame) -> list[RenderableType]:
    watch = frame.detail
    assert watch is not None  # noqa: S101 - the caller has looked
    model = watch["model"] or {}
    what = " ".join(filter(None, (model.get("model"), model.get("version"))))
    names = " ".join(dict.fromkeys((watch["watch"], watch["target"])))
    words = [
        f"golden {watch['golden']} ({watch['examples']:,} examples)",
        watch["probe"],
        f"model {what}" if what else "",
    ]
    head = Text.assemble((names, "bold"), "  ", state_text(State(watch["state"])), "  ", "  ".join(filter(None, words)))
    parts: list[RenderableType] = [head]
    parts += [
        Text(f"{s['name']} {_score(s['value'])} [{_score(s['low'])}, {_score(s['high'])}]" + _reference(s))
        for s in watch["scores"][:3]
    ]
    about = "The referee found" if watch["validity"] == Validity.VALID else "not known"
    parts += [Text(f"{about}: {reason}") for reason in watch["reasons"][:3]]
    if watch["silenced"]:
        parts.append(Text(f"silenced: {watch['silenced']}"))
    parts.append(evidence_bars(_verdicts(watch), summaries=True))
    if frame.alert is not None:
        parts.append(alert_panel(frame.alert["number"], frame.alert["text"]))
    return parts


def _reference(score: Mapping[str, Any]) -> str:
    return "" if score["reference"] is None else f"   reference {score['reference']:.4f}"


def _score(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"  # the API has null for what is no number


def _verdicts(watch: Mapping[str, Any]) -> list[Verdict]:
    return [
        Verdict(
            v["monitor"],
            State(v["state"]),
            Severity(v["severity"]),
            v["evidence"],
            v["threshold"],
            v["since"],
            confirm=False,
            summary=v["summary"],
        )
        for v in watch["verdicts"]
    ]


def _seconds(latency_s: float | None) -> Text:
    return Text("not certifiable", "dim") if latency_s is None else Text(format_seconds(latency_s))


def _age(at: float | None, now: float) -> str:
    return "never" if at is None else f"{format_span(max(round(now - at), 0))} ago"


def show(
    agent: Agent,
    console: Console,
    watch: str = "",
    every_s: float = 2.0,
    *,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Draw one frame, or one after the other until Ctrl-C. Raises GoldwatchError if the first cannot be drawn."""
    frame, trouble = agent.frame(watch), ""
    if once:
        console.print(_drawn(agent.url, frame, _WATCHES))
        return
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            live.update(_drawn(agent.url, frame, _rows(frame, console.size.height), trouble), refresh=True)
            sleep(every_s)
            try:
                frame, trouble = agent.frame(watch), ""
            except GoldwatchError as error:
                trouble = str(error)


def _drawn(url: str, frame: Frame, rows: int, trouble: str = "") -> RenderableType:
    try:
        return draw(url, frame, rows, trouble)
    except (KeyError, TypeError, ValueError):
        raise Unreadable(f"{url} does not answer as an agent of this version does") from None


def _rows(frame: Frame, height: int) -> int:
    """Return how many watches leave room for the detail of one."""
    detail = 0
    if frame.detail is not None:
        detail = 6 + len(frame.detail["verdicts"]) + len(frame.detail["reasons"][:3])
        detail += frame.alert["text"].count("\n") + 3 if frame.alert is not None else 0
    return max(height - detail - 5, _MIN_ROWS)
