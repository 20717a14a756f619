"""HTML put together from values that are escaped unless they are HTML already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape


class Html(str):
    """Text that is HTML already; anything else is escaped where it is put in."""

    __slots__ = ()


_VOID = frozenset({"img", "br", "input"})

Content = str | Html | None
"""What an element holds: text, which is escaped, or HTML; None is nothing."""


def h(content: Content) -> Html:
    """Return HTML as it is, and text escaped."""
    return content if isinstance(content, Html) else Html(escape(content or ""))


def tag(name: str, /, *contents: Content, **attributes: str | None) -> Html:
    """Return an element; `class_` is the attribute class, `_` in a name is a dash, None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(contents)}</{name}>")


def join(contents: Iterable[Content], by: str = "") -> Html:
    """Return contents one after the other."""
    return Html(by.join(map(h, contents)))


def name(text: str) -> Html:
    """Return what others have named, which may run from right to left, or be long."""
    return tag("bdi", text)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, and whether it holds numbers."""

    heading: str
    numbers: bool = False
    drawn: bool = False
    """Whether it repeats in a drawing what other cells say: screen readers skip it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows a phone shows as cards: each cell has the name of its column."""

    caption: Content
    columns: Sequence[Column]
    rows: list[Sequence[Content]] = field(default_factory=list)

    def html(self) -> Html:
        """Return it; the first cell of a row is its heading. Roles are explicit, since cards remove those of tables."""
        heads = [tag("th", c.heading, scope="col", role="columnheader", class_=_class(c)) for c in self.columns]
        head = tag("thead", tag("tr", *heads, role="row"), role="rowgroup")
        body = tag("tbody", *(self._row(row) for row in self.rows), role="rowgroup")
        caption = tag("caption", tag("span", self.caption, class_="cap"))
        table = tag("table", caption, head, body, role="table", data_stack="")
        # what may be scrolled must be reached by keys
        return tag("div", table, class_="wide", tabindex="0", role="region", aria_label=_plain(self.caption))

    def _row(self, cells: Sequence[Content]) -> Html:
        first = tag("th", cells[0], scope="row", role="rowheader")
        rest = [
            tag("td", tag("span", cell, class_="v"), role="cell", class_=_class(c), data_h=c.heading)
            if not c.drawn
            else tag("td", cell, class_="ivc", aria_hidden="true")
            for cell, c in zip(cells[1:], self.columns[1:], strict=True)
        ]
        return tag("tr", first, *rest, role="row")


def _class(column: Column) -> str | None:
    return "n" if column.numbers else None


def _plain(caption: Content) -> str:
    return "table" if caption is None or isinstance(caption, Html) else caption[:120]


def pairs(rows: Iterable[tuple[Content, Content]]) -> Html:
    """Return a list of names and what they are."""
    return tag("dl", *(join((tag("dt", key), tag("dd", value))) for key, value in rows), class_="kv")


def section(heading: str, *contents: Content) -> Html:
    """Return a section, nothing if it is empty."""
    inside = join(contents)
    return tag("section", tag("h2", heading), inside) if inside else Html()
