"""YAML text to PyYAML's nodes, and scalar nodes to values: the part of YAML that a config needs, with bounds.

Mappings, lists, text, whole and decimal numbers, true, false and null; aliases. A date stays text.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

from goldwatch.errors import GoldwatchError

MAX_DEPTH = 32
MAX_NODES = 100_000

_TAG = "tag:yaml.org,2002:"
_CONVERTED = frozenset(_TAG + name for name in ("null", "bool", "int", "float"))
_TEXT = frozenset(_TAG + name for name in ("str", "timestamp", "value", "merge"))
MERGE_TAG = _TAG + "merge"


class Unusable(GoldwatchError):
    """The file as a whole cannot be used. `line` and `column` count from 1, and are 0 if no place is to blame."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


class _Composer(yaml.SafeLoader):
    """Composes nodes, with limits on their number, for time, and on their depth, for Python's own stack."""

    _count = 0
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - as the base
        self._depth += 1
        self._count += 1
        if self._count > MAX_NODES:
            raise too_many(self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        if self._depth > MAX_DEPTH:
            raise too_deep(self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def too_deep(mark: yaml.Mark) -> Unusable:
    """Return the error for a node at `mark` that is nested too deep."""
    return Unusable(f"nested deeper than {MAX_DEPTH} levels", mark.line + 1, mark.column + 1)


def too_many(mark: yaml.Mark) -> Unusable:
    """Say that the node at `mark` is one too many."""
    message = f"holds more than {MAX_NODES:,} keys and values once its aliases are followed"
    return Unusable(message, mark.line + 1, mark.column + 1)


def _told(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return PyYAML's message, and a hint that it lacks: that the braces of a reference are no mapping here."""
    told = error.problem or error.context or ""
    if told.startswith("but "):
        told = f"{error.context}, {told}"
    mark = error.problem_mark
    lines = text.splitlines()
    if mark and mark.line < len(lines) and "${" in lines[mark.line][: mark.column + 1]:
        return f"{told}; within {{ }} or [ ] a reference stands in quotes"
    return told


def compose(text: str) -> yaml.MappingNode:
    """Return the root mapping of a YAML document. Raises Unusable with the position."""
    try:
        root = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else ()
        raise Unusable(f"not valid YAML: {_told(error, text)}", *place) from None
    except yaml.YAMLError as error:
        raise Unusable(f"not valid YAML: {getattr(error, 'reason', 'it cannot be read')}") from None
    except (ValueError, OverflowError):  # PyYAML does not check every escape and directive itself
        raise Unusable("not valid YAML: an escape or directive holds a number that is too large") from None
    if root is None:
        raise Unusable("empty; a config needs targets, golden and watches")
    if not isinstance(root, yaml.MappingNode):
        mark = root.start_mark
        raise Unusable("not a mapping; a config begins with `targets:`", mark.line + 1, mark.column + 1)
    return root


def scalar(loader: yaml.SafeLoader, tag: str, text: str) -> str | int | float | bool | None:
    """Return the value of a scalar. Raises ValueError with a message for the user, which does not hold the text."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a character that cannot be written in UTF-8 text")
    if tag in _TEXT:
        return text
    if tag not in _CONVERTED:
        raise ValueError(f"the YAML tag {tag.replace(_TAG, '!!')} is not supported; write plain text or numbers")
    try:
        value: str | float | bool | None = loader.construct_object(yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ValueError, LookupError):
        raise ValueError(f"not a value of the YAML tag {tag.replace(_TAG, '!!')}") from None
    if isinstance(value, int) and value.bit_length() > 64:
        raise ValueError("the number is too large")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def resolved_tag(loader: yaml.SafeLoader, text: str) -> str:
    """Return the tag that YAML gives a plain scalar of this text."""
    return str(loader.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]
