"""The status page, the worst first. It is self-contained: no script, no font, no picture from elsewhere.

All that it shows comes from models, golden sets and servers, so all of it is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

REFRESH_S = 15
_FULL = 0.9

_STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --text: #1c1e21; --quiet: #667; --line: #dcdfe3; --card: #fff;
  --alerting: #c0202f; --suspect: #a86400; --unknown: #5c6370; --steady: #1f7a44; --recovered: #1f7a44; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --text: #e6e8ea; --quiet: #99a1ab; --line: #30353b;
  --card: #1d2024; --alerting: #ff7b86; --suspect: #e8b04a; --unknown: #a5adb8; --steady: #6fcf97;
  --recovered: #6fcf97; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif }
a { color: inherit } h1 { font-size: 1.25rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .5rem }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: baseline; border-bottom: 1px solid var(--line);
  padding-bottom: .75rem }
.quiet, th { color: var(--quiet) } .number { text-align: right; font-variant-numeric: tabular-nums }
table { border-collapse: collapse; width: 100% } th { font-weight: 500; text-align: left; font-size: .85rem }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.wide { overflow-x: auto }
.state { font-weight: 600; white-space: nowrap } .state::before { content: "\\25cf"; margin-right: .4em }
.alerting { color: var(--alerting) } .suspect { color: var(--suspect) } .unknown { color: var(--unknown) }
.steady { color: var(--steady) } .recovered { color: var(--recovered) }
.state.unknown::before { content: "\\25cb" }
.card { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--alerting);
  border-radius: 6px; padding: .75rem 1rem; margin: .75rem 0 } .card.hushed { border-left-color: var(--unknown) }
pre { margin: .25rem 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace }
.evidence { display: block; white-space: nowrap }
.bar { display: inline-block; width: 6rem; height: .5rem; border-radius: .25rem; background: var(--line);
  overflow: hidden }
.bar i { display: block; height: 100%; background: currentColor }
"""


def status_page(watches: Mapping[str, Any], alerts: Sequence[Mapping[str, Any]]) -> str:
    """Write the page of all watches; the arguments are what `Status.watches` and `Status.alerts` return."""
    opened = [a for a in alerts if a["closed_at"] is None]
    closed = [a for a in alerts if a["closed_at"] is not None][:10]
    counts = " ".join(
        f'<span class="state {escape(state)}">{count:,} {escape(state)}</span>'
        for state, count in watches["states"].items()
        if count
    )
    body = [_header("goldwatch", counts + _in_use(watches["slots_in_use"]), watches["at"])]
    body += ["<h2>Open alerts</h2>", *[_card(a) for a in opened]] if opened else []
    body += ["<h2>Watches</h2>", _watches(watches["watches"], watches["at"])]
    if (left_out := watches["total"] - len(watches["watches"])) > 0:
        body.append(f'<p class="quiet">and {left_out:,} more, none of them worse; /api/v1/watches has them</p>')
    body += ["<h2>Closed alerts</h2>", _closed(closed)] if closed else []
    return whole("goldwatch", body)


def whole(title: str, body: Sequence[str], style: str = _STYLE) -> str:
    """Put a page together; `title` is plain text, `body` HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{REFRESH_S}"><title>{escape(title)}</title>'
        f"<style>{style}</style></head><body>{''.join(body)}</body></html>"
    )


def _header(title: str, about: str, at: float) -> str:
    return f'<header><h1>{escape(title)}</h1><div>{about}</div><div class="quiet">{when(at)}</div></header>'


def _in_use(share: float | None) -> str:
    """Say how much of the agent is in use; from `_FULL` on it is late, and skips what it cannot carry."""
    if share is None:
        return ""
    css = "suspect" if share >= _FULL else "quiet"
    return f' <span class="{css}">replay slots {share:.0%} in use</span>'


def _card(alert: Mapping[str, Any], *, link: bool = True) -> str:
    hushed = ""
    if alert["silenced_why"]:
        until = f" until {when(alert['silenced_until'])}" if alert["silenced_until"] is not None else ""
        hushed = f'<div class="unknown">silenced{until}: {escape(alert["silenced_why"])}</div>'
    name = f'<a href="alerts/{int(alert["number"])}">alert {int(alert["number"])}</a>' if link else ""
    quiet = " hushed" if hushed or alert["closed_at"] is not None else ""
    return f'<article class="card{quiet}">{name}{hushed}<pre>{escape(alert["text"])}</pre></article>'


def _watches(watches: Sequence[Mapping[str, Any]], at: float) -> str:
    rows = [_row(watch, at) for watch in watches]
    head = "".join(f"<th>{name}</th>" for name in ("state", "watch", "score", "latency", "evidence", "replayed"))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(watch: Mapping[str, Any], at: float) -> str:
    name = watch["watch"] if watch["watch"] == watch["target"] else f"{watch['watch']} · {watch['target']}"
    model = watch["model"] or {}
    about = " ".join(filter(None, [model.get("model"), model.get("version"), watch["probe"], watch["golden"]]))
    state = f'<span class="state {escape(watch["state"])}">{escape(watch["state"])}</span>'
    if watch["alert"] is not None:
        state += f'<br><a href="alerts/{int(watch["alert"])}">alert {int(watch["alert"])}</a>'
    reasons = "".join(f'<br><span class="unknown">{escape(reason)}</span>' for reason in watch["reasons"][:2])
    page = f"watches/{watch['watch']}?target={watch['target']}"
    cells = [
        state,
        f'<b><a href="{escape(page)}">{escape(name)}</a></b><br><span class="quiet">{escape(about)}</span>{reasons}',
        _score(watch["scores"]),
        "<br>".join(f"p{q['q'] * 100:g} {_milliseconds(q['latency_s'])}" for q in watch["latency"][:3]) or "-",
        _evidence(watch["verdicts"]),
        _ago(watch["last_valid_replay_at"], at),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _score(scores: Sequence[Mapping[str, Any]]) -> str:
    if not scores:
        return "-"
    first = scores[0]
    reference = (
        "" if first["reference"] is None else f"<br><span class='quiet'>reference {first['reference']:.4f}</span>"
    )
    return f"{escape(first['name'])} {first['value']:.4f}{reference}"


def _evidence(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Draw the monitors with evidence, and those that alert."""
    lines = []
    for verdict in sorted(verdicts, key=lambda v: v["state"] != "alerting"):
        if verdict["evidence"] is None or not verdict["threshold"]:
            if verdict["state"] in ("alerting", "suspect"):
                lines.append(f'<span class="{escape(verdict["state"])}">{escape(verdict["monitor"])}</span>')
            continue
        full = max(0.0, min(1.0, verdict["evidence"] / verdict["threshold"]))
        bar = f'<span class="bar {escape(verdict["state"])}"><i style="width:{full:.0%}"></i></span>'
        numbers = f"{verdict['evidence']:.1f} of {verdict['threshold']:.1f}"
        lines.append(f'{bar} {escape(verdict["monitor"])} <span class="quiet">{numbers}</span>')
    return "".join(f'<span class="evidence">{line}</span>' for line in lines) or "-"


def _closed(alerts: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f'<tr><td><a href="alerts/{int(a["number"])}">alert {int(a["number"])}</a></td><td>{when(a["opened_at"])} to '
        f"{when(a['closed_at'])}</td><td>{escape(a['headline'])}</td></tr>"
        for a in alerts
    ]
    return f'<div class="wide"><table><tbody>{"".join(rows)}</tbody></table></div>'


def when(at: float) -> str:
    """Write Unix seconds as a date and time in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _ago(at: float | None, now: float) -> str:
    if at is None:
        return '<span class="unknown">never</span>'
    seconds = max(0, round(now - at))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _milliseconds(seconds: float | None) -> str:
    return "not certifiable" if seconds is None else f"{seconds * 1000:.3g} ms"
