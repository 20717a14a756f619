"""Pydantic's errors as problems: where in the file, what was found, what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from goldwatch.config.document import Document
from goldwatch.config.problem import Route, did_you_mean
from goldwatch.config.quantities import QuantityError

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
}
_REMOVED = {
    "energy_at_most": "bound the load by requests, tokens or CPU instead: `at_most`, `tokens_at_most`, `cpu_at_most`",
}
"""Keys that older versions had, and what to write in their place."""
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def add_problems(document: Document, error: ValidationError, schema: Mapping[str, Any], base: Route = ()) -> None:
    """Add each of pydantic's errors to the document. `base` is the route of what was validated by `schema`."""
    for details in error.errors(include_url=False):
        # Pydantic adds that it is about a key, and which form of a value it is about.
        local = tuple(part for part in details["loc"] if part != "[key]" and not str(part).startswith("<"))
        route = (*base, *local)
        kind = details["type"]
        if kind == "missing":
            _missing(document, route, known_keys(schema, local[:-1]))
        elif kind in _UNKNOWN:
            _unknown(document, route, known_keys(schema, local[:-1]))
        elif details["loc"][-1:] == ("[key]",):
            complaint = getattr(_cause(details), "complaint", details["msg"])
            document.add(route, f'"{route[-1]}" {complaint}', at=document.places[route].key)
        else:
            _add_value_problem(document, details, route)


def _unknown(document: Document, route: Route, known: Sequence[str]) -> None:
    wrong = str(route[-1])
    at = document.places[route].key
    if wrong in _REMOVED:
        document.add(route, f"`{wrong}` was removed; {_REMOVED[wrong]}", at=at)
        return
    hint = did_you_mean(wrong, known, "the keys here are")
    document.add(route, f'unknown key "{wrong}"{hint}', at=at)


def _missing(document: Document, route: Route, known: Sequence[str]) -> None:
    """Say that a key is missing, or that another is misspelt and was meant to be it."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a config with a mistake needs it

    parent = document.present(route[:-1])
    others = [key for key in document.section(*parent) if key not in known]
    if near := get_close_matches(str(route[-1]), others, n=1):
        _unknown(document, (*parent, near[0]), known)
        return
    document.add(route, f'missing key "{route[-1]}"', at=document.places[parent].key, named=parent)


def _add_value_problem(document: Document, details: ErrorDetails, route: Route) -> None:
    present = document.present(route)
    cause = _cause(details)
    if isinstance(cause, QuantityError):
        detail = "" if document.places[present].resolved else cause.detail
        document.add(route, f"{document.shown(route)} {cause.complaint}{detail}")
    elif cause is not None:  # a check of several keys, ours or of a probe's options
        document.add(route, document.redacted(str(cause), present), at=document.places[present].key, named=present)
    else:
        document.add(route, _message(document, details, route))


def _cause(details: ErrorDetails) -> Exception | None:
    cause = details.get("ctx", {}).get("error")
    return cause if isinstance(cause, Exception) else None


def _message(document: Document, details: ErrorDetails, route: Route) -> str:
    kind, limits, found = details["type"], details.get("ctx", {}), document.shown(route)
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in str(limits["expected"]).replace(" or ", ", ").split(", ")]
        text = document.places[document.present(route)].written or ""
        return f"{found} is not one of {', '.join(choices)}{did_you_mean(text, choices)}"
    if kind == "too_short":
        return "is empty; at least one is needed"
    if kind == "string_type" and isinstance(details["input"], bool | int | float):
        return f"must be text, and {found} without quotes is not; write it in quotes"
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}; found {found}"
    if bound := _bound(limits):
        return f"{found} is out of range; it must be {bound}"
    return document.redacted(f"{found} is refused: {details['msg']}", document.present(route))


def _bound(limits: Mapping[str, Any]) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    return " and ".join(f"{word} {limits[key]}" for key, word in words.items() if key in limits)


def known_keys(schema: Mapping[str, Any], route: Iterable[str | int]) -> list[str]:
    """Return the keys that `schema` knows in the mapping at `route`."""
    node: Mapping[str, Any] = schema
    for part in route:
        mapping = _target(schema, node)
        by_name = [*mapping.get("patternProperties", {}).values(), mapping.get("items", {})]
        by_name.append(mapping.get("additionalProperties") or {})
        node = mapping.get("properties", {}).get(part) or next((schema for schema in by_name if schema), {})
    return list(_target(schema, node).get("properties", {}))


def _target(schema: Mapping[str, Any], node: Mapping[str, Any] | bool) -> Mapping[str, Any]:
    """Resolve `node`: to its definition, the first choice of an optional, or the form with keys."""
    if isinstance(node, bool):
        return {}
    if "anyOf" in node:
        return _target(schema, node["anyOf"][0])
    if "oneOf" in node:
        return _target(schema, next((form for form in node["oneOf"] if "$ref" in form), {}))
    if "$ref" in node:
        definition: Mapping[str, Any] = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        return definition
    return node
