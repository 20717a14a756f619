"""Dataclasses as JSON and back. Workers in other interpreters use it: it needs the standard library alone."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def plain(value: object) -> dict[str, Any] | list[Any] | str:
    """Return the fields of a dataclass, the items of a mapping or an array, or a path as text: `json.dumps`' default.

    Raises TypeError for any other type.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, array | memoryview):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be sent")


def typed(kind: type[T], value: Any) -> T:  # noqa: ANN401 - whatever JSON holds
    """Return what JSON holds as a value of a type: dataclasses, enums, paths, tuples of them, None; else as it is.

    Raises TypeError for a field that is missing, or one too many.
    """
    return cast("T", _made(kind, value))


def _made(kind: Any, value: Any) -> Any:  # noqa: ANN401 - as above
    if value is None:
        return None
    arguments = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        one, *more = (each for each in arguments if each is not NoneType)
        return value if more else _made(one, value)
    if get_origin(kind) is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_made(each, item) for each, item in zip(kinds, value, strict=True))
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _made(hints.get(name), item) for name, item in value.items()})
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum | Path) else value


@cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return get_type_hints(kind)
