"""The page of one alert: the first action, the size of the change, where, since when, and what else changed.

It shows the same values and words as the alert's text. It needs nothing else: no script, no font, no picture.
All that it shows comes from models, golden sets and servers, so all of it is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from goldwatch.core import kinds
from goldwatch.daemon import alert_rows
from goldwatch.daemon.alert_explanation import Explanation
from goldwatch.daemon.alert_style import STYLE
from goldwatch.daemon.page_parts import age, when
from goldwatch.daemon.words import plain

_EXAMPLES = 12
_REFRESH_S = 15


def alert_page(alert: Mapping[str, Any], at: float) -> str:
    """Write the page of one alert, which is what `Status.alert` returns, at Unix time `at`."""
    body = [_top(alert, at)]
    if alert["explanation"] is None:  # of an older goldwatch
        body.append(f"<main><pre>{escape(alert['text'])}</pre></main>")
    else:
        told = Explanation.from_json(alert["explanation"])
        parts = [_head(told, alert), _action(told), _figures(told), _changed(told), _live(told), _errors(told)]
        parts += [_slices(told), _mistakes(told), _examples(told), _links(told), _message(alert["text"])]
        body.append(f"<main>{''.join(parts)}</main>")
    return _whole(f"[{alert['severity']}] {alert['headline']}", body)


def _whole(title: str, body: Sequence[str]) -> str:
    """Put the page together; `title` is plain text, `body` HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{_REFRESH_S}"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _top(alert: Mapping[str, Any], at: float) -> str:
    closed = alert["closed_at"]
    opened = f"opened {when(alert['opened_at'])}"
    state = f"{opened}, open {age(at - alert['opened_at'])}" if closed is None else f"{opened}, closed {when(closed)}"
    return (
        f'<header><b><a href="../">goldwatch</a></b><span>alert <b>{int(alert["number"])}</b>: {state}</span>'
        f'<span class="quiet">as of {when(at)}</span></header>'
    )


def _head(told: Explanation, alert: Mapping[str, Any]) -> str:
    kind = "silenced" if alert["silenced_why"] else str(told.severity)
    mark = {"page": "!", "ticket": "▭", "silenced": "❙❙"}[kind]
    badge = f'<span class="badge {kind}"><span aria-hidden="true">{mark}</span> {kind.upper()}</span>'
    since = alert_rows.since(told)
    about = f'<p class="quiet">Since <b>{escape(since)}</b></p>' if since else ""
    if alert["silenced_why"]:
        until = f" until {when(alert['silenced_until'])}" if alert["silenced_until"] is not None else ""
        about += f'<p class="quiet">Calls nobody{until}: {_text(alert["silenced_why"])}</p>'
    if alert["closed_at"] is not None:
        about += f'<p class="steady">Recovered at {when(alert["closed_at"])}.</p>'
    return f'<div class="hero {kind}">{badge}<h1>{_text(told.headline, 300)}</h1>{about}</div>'


def _action(told: Explanation) -> str:
    if (action := told.action) is None:
        return ""
    why = "".join(f"<p>{_text(text, 300)}</p>" for text in (told.cause, action.why) if text)
    note = '<p class="quiet">goldwatch never runs it. When the model is well, this page shows it.</p>'
    return (
        f'<section class="first"><h2>First action: {_text(action.title, 300)}</h2>{why}'
        f"{_command(action.command)}{note if action.command else ''}</section>"
    )


def _figures(told: Explanation) -> str:
    cells = [
        f"<div><span>{_text(row.name)}</span><b>{_text(row.values)}</b><small>{_text(row.note)}</small></div>"
        for row in alert_rows.size_rows(told)
    ]
    also = [f"<p><b>{_text(v.monitor)}</b> alerts too: {_text(v.summary, 300)}</p>" for v in told.verdicts[1:]]
    return f'<section class="figures">{"".join(cells)}</section>{"".join(also)}'


def _changed(told: Explanation) -> str:
    found = [(c.at, c.field, c.before, c.after) for c in alert_rows.change_rows(told)]
    table = (
        _table(("when, UTC", "what", "from", "to"), found, row_head=1) if found else "<p>Nothing that is recorded.</p>"
    )
    same = f"<p><b>The same:</b> {_text(', '.join(told.unchanged), 300)}.</p>" if told.unchanged else ""
    unknown = f'<p class="quiet">Not known: {_text("; ".join(told.not_known), 300)}.</p>' if told.not_known else ""
    return f"<h2>What changed</h2>{table}{same}{unknown}"


def _live(told: Explanation) -> str:
    if (found := told.live) is None:
        return ""
    table = _table(("column", "in the reference", "now"), list(alert_rows.column_rows(told)), row_head=0)
    unread = "".join(f"<li>{count:,} unread: {_text(why)}</li>" for why, count in found.reasons.items())
    return f"<h2>Live rows</h2>{table}<p>{_text(alert_rows.live_rows(told))}</p><ul>{unread}</ul>"


def _errors(told: Explanation) -> str:
    lines = "".join(f"<li>{_text(error)}</li>" for error in told.errors)
    return f"<h2>Errors</h2><ul>{lines}</ul>" if lines else ""


def _slices(told: Explanation) -> str:
    if told.difference is None or not (found := alert_rows.slice_rows(told)):
        return ""
    bars = []
    for share in told.difference.where:
        of_flips = share.flips / told.difference.harmful if told.difference.harmful else 0.0
        of_set = share.examples / told.difference.compared if told.difference.compared else 0.0
        bars.append(f'<span class="bar"><i style="width:{of_flips:.1%}"></i><b style="left:{of_set:.1%}"></b></span>')
    head = ("slice", "turned wrong", "0 to 100%", "of the set", "against chance")
    caption = (
        "The worst slices. Bar: share of those that turned wrong; mark: share of the set. Bold: more than chance would "
        "put there (hypergeometric, 1% over all slices)."
    )
    return f"<h2>Where</h2>{_shares(head, caption, found, bars)}"


def _mistakes(told: Explanation) -> str:
    if not (found := alert_rows.mistake_rows(told)):
        return ""
    head = ("right → said", "turned wrong", "before → now", "against chance")
    caption = "Mistakes that have become more frequent. Bold: by more than chance (sign test, 1% over all mistakes)."
    return f"<h2>Mistakes</h2>{_shares(head, caption, found)}"


def _shares(head: Sequence[str], caption: str, found: Sequence[alert_rows.Share], bars: Sequence[str] = ()) -> str:
    lines = []
    for place, share in enumerate(found):
        p_value = "" if share.p_value is None else f' <small class="quiet">{_p(share.p_value)}</small>'
        cells = [_text(share.flips), *bars[place : place + 1], _text(share.size), f"{share.chance}{p_value}"]
        body = "".join(
            f'<td data-head="{escape(name)}">{cell}</td>' for name, cell in zip(head[1:], cells, strict=True)
        )
        lines.append(f'<tr class="{"beyond" if share.beyond else ""}"><th>{_text(share.name)}</th>{body}</tr>')
    return _framed(head, "".join(lines), caption)


def _p(value: float) -> str:
    return "p < 0.0001" if value < 1e-4 else f"p = {value:.2g}"


def _examples(told: Explanation) -> str:
    found = alert_rows.example_rows(told)[:_EXAMPLES]
    if not found:
        return ""
    names = any(e.name for e in found)
    head = ("example", *(("name",) if names else ()), "the answer")
    lines = [(str(e.number), *((e.name,) if names else ()), e.words) for e in found]
    figures = {e.number: " ".join(filter(None, (str(e.number), e.name))) + f": {e.words}" for e in found}
    drawn = "".join(
        f"<figure><pre>{escape(chr(10).join(p.lines))}</pre>"
        f"<figcaption>{_text(figures.get(p.example, str(p.example)))}</figcaption></figure>"
        for p in told.pictures
    )
    pictures = f'<div class="pictures">{drawn}</div>' if drawn else ""
    return f"<h2>Examples</h2>{_table(head, lines, row_head=0)}{pictures}{_command(told.replay)}"


def _links(told: Explanation) -> str:
    parts = []
    if told.silence:
        parts.append(f"<p>Silence it for two hours; no evidence is lost:</p>{_command(told.silence)}")
    runbook = (
        told.runbook
        if told.runbook.startswith(("http://", "https://"))
        else f"../runbooks/{kinds.runbook(told.monitor)}"
    )
    parts.append(f'<p><a class="big" href="{escape(runbook)}">Runbook “{_text(kinds.runbook(told.monitor))}”</a></p>')
    return f"<h2>Not now?</h2>{''.join(parts)}"


def _message(text: str) -> str:
    return f'<h2>The same as a message</h2><pre class="message">{escape(text)}</pre>'


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], row_head: int) -> str:
    body = []
    for line in lines:
        cells = [
            f'<{tag} data-head="{escape(name)}">{_text(cell)}</{tag}>'
            for place, (name, cell) in enumerate(zip(head, line, strict=True))
            for tag in ("th" if place == row_head else "td",)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    return _framed(head, "".join(body))


def _framed(head: Sequence[str], body: str, caption: str = "") -> str:
    names = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{above}<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def _command(command: str) -> str:
    return f'<pre class="command"><code>{escape(plain(command, 2000))}</code></pre>' if command else ""


def _text(text: str, most: int = 160) -> str:
    """Return untrusted text as HTML, with arrows as people read them."""
    return f"<bdi>{escape(plain(text, most)).replace('-&gt;', '→')}</bdi>"
