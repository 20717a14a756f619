"""The status page: what is open, what is not known to be good, and the watches, the worst first.

Filter, order and paging are query parameters, so that 1,000 watches need no script. All that it shows comes from
models, golden sets and servers, so all of it is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlencode

from goldwatch.config import format_seconds
from goldwatch.daemon import page_parts
from goldwatch.daemon.page_parts import STATES, age, ago, badge, glyph, kind_of, link, state, text, when
from goldwatch.face.html import Column, Content, Html, Table, join, section, tag
from goldwatch.face.page import page

REFRESH_S = 15
_ROWS = 50
_CARDS = 20
_CLOSED = 10
_FULL = 0.9
_MOST_LETTERS = 200
_MOST_PAGES = 99_999
_ORDERS = {"worst": "worst first", "name": "by name", "replayed": "longest without a valid replay"}

_STYLE = """
.card{background:var(--card);border:1px solid var(--line);border-left:8px solid var(--alert);border-radius:6px;
  padding:.6rem 1rem;margin:.5rem 0}.card.ticket{border-left-style:double}
.card.silenced{border-left:8px dotted var(--hatch)}
.card h3{margin:.2rem 0}.card pre{margin:.35rem 0;overflow-wrap:anywhere}.card .badge{margin-right:.6rem}
form{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:end;margin:.5rem 0}label{display:grid;font-size:.8125rem;
  color:var(--quiet);min-width:0}label.find{flex:1 1 16rem}
input,select,button{font:inherit;color:var(--text);background:var(--card);border:1px solid var(--quiet);
  border-radius:4px;padding:.35rem .5rem;min-height:36px;min-width:0;max-width:100%}
.ev{display:block;white-space:nowrap}.bar{display:inline-block;width:5rem;height:.5rem;background:var(--faint);
  border:1px solid var(--line);margin-right:.4rem}.bar i{display:block;height:100%;background:var(--quiet)}
.bar.alerting i{background:var(--alert)}.bar.suspect i{background:var(--suspect)}
.all tbody th{max-width:24rem}.all th div{font-weight:400}
.all .st{font-size:.9375rem}.pages{display:flex;gap:1rem;margin:.75rem 0}
@media screen and (max-width:40rem){.all .v{text-align:right}
.message{white-space:pre;overflow-x:auto;font-size:.6875rem}}
"""


@dataclass(frozen=True, slots=True)
class Query:
    """What of the watches is shown: those of a state, whose names or models contain `find`; and a page of these."""

    state: str = ""
    find: str = ""
    order: str = "worst"
    page: int = 1
    refresh: bool = True

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read the parameters of an address. Raises ValueError that says what is wrong."""
        shown, order, number = query.get("state", ""), query.get("order", "worst"), query.get("page", "1")
        if shown not in ("", *STATES):
            raise ValueError(f"state is one of {', '.join(STATES)}")
        if order not in _ORDERS:
            raise ValueError(f"order is one of {', '.join(_ORDERS)}")
        if not (number.isascii() and number.isdigit() and len(number) <= 5 and 1 <= int(number) <= _MOST_PAGES):
            raise ValueError(f"page is a number from 1 to {_MOST_PAGES}")
        if len(find := query.get("q", "").strip()) > _MOST_LETTERS:
            raise ValueError(f"q has at most {_MOST_LETTERS} letters")
        if query.get("refresh", "on") not in ("on", "off"):
            raise ValueError("refresh is on or off")
        return cls(shown, find, order, int(number), query.get("refresh", "on") == "on")

    def address(self) -> str:
        """Return the relative address of the page that it asks for."""
        values = {"state": self.state, "q": self.find, "order": self.order, "page": str(self.page)}
        values |= {} if self.refresh else {"refresh": "off"}
        usual = {"order": "worst", "page": "1"}
        return "?" + urlencode({k: v for k, v in values.items() if v and usual.get(k) != v})

    def takes(self, watch: Mapping[str, Any]) -> bool:
        """Return whether a watch contains the text that is looked for, in upper or lower case."""
        model = watch["model"] or {}
        names = (watch["watch"], watch["target"], watch["probe"], watch["golden"], model.get("model", ""))
        return self.find.casefold() in "\n".join(names).casefold()


def status_page(watches: Mapping[str, Any], alerts: Sequence[Mapping[str, Any]], query: Query) -> Html:
    """Write the page; the first arguments are what `Status.watches`, of all watches, and `Status.alerts` return."""
    at = watches["at"]
    found = [(kind_of(watch), watch) for watch in watches["watches"]]
    counts = {kind: sum(each == kind for each, _ in found) for kind in STATES}
    opened = [a for a in alerts if a["closed_at"] is None]
    opened.sort(key=lambda a: STATES.index(_kind(a)))
    closed = [a for a in alerts if a["closed_at"] is not None][:_CLOSED]
    open_alerts = max(sum(watch["alert"] is not None for _, watch in found), len(opened))
    return page(
        "goldwatch",
        _top(watches, query),
        tag("h1", _sentence(counts, len(found))),
        section("Open alerts", *_cards(opened, open_alerts, at)),
        section("Watches", *_watches(found, counts, query, at)) or tag("p", "No watch is in force."),
        section("Closed alerts", _closed(closed)) if closed else None,
        style=page_parts.STYLE + _STYLE,
        refresh_s=REFRESH_S if query.refresh else None,
    )


def _top(watches: Mapping[str, Any], query: Query) -> Html:
    other = replace(query, refresh=not query.refresh).address()
    words = f"loads again every {REFRESH_S} s: stop" if query.refresh else f"load again every {REFRESH_S} s"
    share = watches["slots_in_use"]
    late = share is not None and share >= _FULL
    # from `_FULL` on the agent is late, and skips what it cannot carry
    in_use = (
        None if share is None else tag("span", f"replay slots {share:.0%} in use", class_="st suspect" if late else "q")
    )
    return join(
        (
            tag("b", "goldwatch", class_="brand"),
            tag("span", f"as of {when(watches['at'])}", class_="q"),
            link(other, words),
            in_use,
            link("api/v1/watches", "for programs"),
        )
    )


def _sentence(counts: Mapping[str, int], total: int) -> str:
    """Return the answer of the page."""
    if not total:
        return "Nothing is watched yet"
    unknown = f"; {counts['unknown']:,} of {total:,} watches are not known to be good" if counts["unknown"] else ""
    if urgent := [k for k in ("page", "ticket") if counts[k]]:
        has = "watch has" if sum(counts[k] for k in urgent) == 1 else "watches have"
        return f"{' and '.join(f'{counts[k]:,} {has} an open {k}' for k in urgent)}{unknown}"
    others = ", ".join(f"{counts[kind]:,} {kind}" for kind in STATES[2:] if counts[kind])
    none = "No alert calls anyone" if counts["silenced"] else "No alert is open"
    return f"{none}{unknown}: {others}"


def _kind(alert: Mapping[str, Any]) -> str:
    return "silenced" if alert["silenced_why"] else str(alert["severity"])


def _cards(opened: Sequence[Mapping[str, Any]], total: int, at: float) -> Iterator[Content]:
    """Yield the first of the `total` open alerts; `opened` are those among the newest alerts."""
    for alert in opened[:_CARDS]:
        kind, number = _kind(alert), int(alert["number"])
        until = f" until {when(alert['silenced_until'])}" if alert["silenced_until"] is not None else ""
        hushed = tag("p", f"silenced{until}: ", text(alert["silenced_why"])) if alert["silenced_why"] else None
        headline = link(f"alerts/{number}", text(alert["headline"].partition("] ")[2] or alert["headline"], 300))
        about = tag("span", f"alert {number}, open {age(at - alert['opened_at'])}", class_="q s")
        whole = tag("pre", alert["text"], class_="message", tabindex="0")
        more = whole if kind == "page" else tag("details", tag("summary", "the message"), whole)
        yield tag("article", badge(kind), about, tag("h3", headline), hushed, more, class_=f"card {kind}")
    if (left_out := total - min(len(opened), _CARDS)) > 0:
        yield tag("p", f"and {left_out:,} more, at their watches below")


def _watches(
    found: Sequence[tuple[str, Mapping[str, Any]]], counts: Mapping[str, int], query: Query, at: float
) -> Iterator[Content]:
    if not found:
        return
    yield _chips(counts, len(found), query)
    yield _form(query)
    wanted = [(k, w) for k, w in found if query.state in ("", k) and query.takes(w)]
    if query.order == "name":
        wanted.sort(key=lambda each: (each[1]["watch"], each[1]["target"]))
    elif query.order == "replayed":
        wanted.sort(key=lambda each: each[1]["last_valid_replay_at"] or 0.0)
    else:
        wanted.sort(key=lambda each: STATES.index(each[0]))
    first = (query.page - 1) * _ROWS
    shown = wanted[first : first + _ROWS]
    if not shown:
        yield tag("p", "No watch matches. ", link(Query(refresh=query.refresh).address(), "Show all"))
        return
    columns = (
        Column("watch"),
        Column("state"),
        Column("score"),
        Column("latency"),
        Column("evidence"),
        Column("last valid replay"),
    )
    caption = f"{first + 1:,} to {first + len(shown):,} of {len(wanted):,}, {_ORDERS[query.order]}"
    yield tag("div", Table(caption, columns, [_row(kind, watch, at) for kind, watch in shown]).html(), class_="all")
    yield _pages(query, last=-(-len(wanted) // _ROWS))


def _chips(counts: Mapping[str, int], total: int, query: Query) -> Html:
    def chip(kind: str, count: int) -> Html:
        here = "page" if query.state == kind else None
        words = (glyph(kind), f"{count:,} {kind}") if kind else (f"{count:,} all",)
        return tag("li", tag("a", *words, href=replace(query, state=kind, page=1).address(), aria_current=here))

    chips = [chip("", total), *(chip(kind, count) for kind, count in counts.items() if count or query.state == kind)]
    return tag("ul", *chips, class_="chips", aria_label="states")


def _form(query: Query) -> Html:
    options = [
        tag("option", words, value=order, selected="" if order == query.order else None)
        for order, words in _ORDERS.items()
    ]
    hidden = {"state": query.state, "refresh": "" if query.refresh else "off"}
    find = tag("input", type="search", name="q", value=query.find, maxlength=str(_MOST_LETTERS))
    return tag(
        "form",
        *(tag("input", type="hidden", name=key, value=value) for key, value in hidden.items() if value),
        tag("label", "find a watch, target, model, probe or golden set", find, class_="find"),
        tag("label", "order", tag("select", *options, name="order")),
        tag("button", "Show"),
        method="get",
        role="search",
    )


def _pages(query: Query, last: int) -> Content:
    if last < 2:
        return None
    before, after = (replace(query, page=number) for number in (query.page - 1, query.page + 1))
    return tag(
        "nav",
        link(before.address(), "previous page") if query.page > 1 else None,
        tag("span", f"page {query.page:,} of {last:,}", class_="q"),
        link(after.address(), "next page") if query.page < last else None,
        class_="pages",
        aria_label="pages",
    )


def _row(kind: str, watch: Mapping[str, Any], at: float) -> Sequence[Content]:
    names = watch["watch"] if watch["watch"] == watch["target"] else f"{watch['watch']} · {watch['target']}"
    model = watch["model"] or {}
    about = " ".join(filter(None, [model.get("model"), model.get("version"), watch["probe"], watch["golden"]]))
    reasons = [tag("div", text(reason), class_="s") for reason in watch["reasons"][:2]]
    address = f"watches/{watch['watch']}?{urlencode({'target': watch['target']})}"
    alert = None if watch["alert"] is None else tag("div", link(f"alerts/{watch['alert']}", f"alert {watch['alert']}"))
    quantiles = [tag("div", f"p{100 * q['q']:g} {_seconds(q['latency_s'])}") for q in watch["latency"][:3]]
    return (
        join((tag("b", link(address, text(names))), tag("div", text(about), class_="q s"), *reasons)),
        join((state(kind), alert)),
        _score(watch["scores"]),
        join(quantiles) if quantiles else "not known",
        join(_evidence(watch["verdicts"])) or "none yet",
        ago(watch["last_valid_replay_at"], at),
    )


def _score(scores: Sequence[Mapping[str, Any]]) -> Content:
    if not scores:
        return "no score yet"
    first = scores[0]
    reference = None if first["reference"] is None else tag("div", f"reference {first['reference']:.4f}", class_="q s")
    return join((tag("div", text(first["name"]), f" {first['value']:.4f}"), reference))


def _evidence(verdicts: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    """Draw the monitors with evidence, and those that alert."""
    for verdict in sorted(verdicts, key=lambda v: v["state"] != "alerting"):
        if verdict["evidence"] is None or not verdict["threshold"]:
            if verdict["state"] in ("alerting", "suspect"):
                yield tag("span", verdict["monitor"], " ", verdict["state"], class_="ev")
            continue
        full = max(0.0, min(1.0, verdict["evidence"] / verdict["threshold"]))
        bar = tag("span", tag("i", style=f"width:{full:.0%}"), class_=f"bar {verdict['state']}", aria_hidden="true")
        numbers = f"{verdict['evidence']:.1f} of {verdict['threshold']:.1f}"
        yield tag("span", bar, verdict["monitor"], tag("span", f" {numbers}", class_="q s"), class_="ev")


def _closed(alerts: Sequence[Mapping[str, Any]]) -> Content:
    rows: list[Sequence[Content]] = [
        (
            link(f"alerts/{a['number']}", f"alert {a['number']}"),
            when(a["opened_at"]),
            when(a["closed_at"]),
            text(a["headline"], 300),
        )
        for a in alerts
    ]
    return Table(
        "The newest first.", (Column("alert"), Column("opened"), Column("closed"), Column("what")), rows
    ).html()


def _seconds(seconds: float | None) -> str:
    return "not certifiable" if seconds is None else format_seconds(seconds)
