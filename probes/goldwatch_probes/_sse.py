"""Server-sent events, as the WHATWG's HTML standard defines their parsing.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|$)")


class Event(NamedTuple):
    """One event: its type (empty for the default), its data, and its position in the stream.

    `end` is the number of bytes of the stream up to the end of its last field, and `upto` that up to the end of the
    blank line after it. `whole` is False for a last event that no blank line ends: the standard discards it, and some
    servers end a stream so.
    """

    kind: str
    data: str
    end: int
    upto: int
    whole: bool = True


def events(body: bytes) -> Iterator[Event]:
    """Yield the events of a whole stream.

    Fields that are not in the standard are ignored, but for `error`: llama.cpp's older servers report errors so. An
    event of type `error` counts without data, too.
    """
    kind, data, end = "", list[bytes](), 0
    position = len(BOM) if body.startswith(BOM) else 0
    while position < len(body):
        match = _LINE.match(body, position)
        assert match is not None  # noqa: S101 - the pattern matches anywhere
        line, position = match[1], match.end()
        if not line:
            if data or kind == "error":
                yield Event(kind, b"\n".join(data).decode("utf-8", "replace"), end, position)
            kind, data = "", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"error":
            kind = "error"
            data.append(value)
        if name:  # a comment may come much later than the event before it
            end = match.end(1)
    if data or kind == "error":
        yield Event(kind, b"\n".join(data).decode("utf-8", "replace"), end, position, whole=False)
