"""Secrets in the config: they come by reference, and are text whatever they look like."""

from __future__ import annotations

from pydantic import JsonValue

from goldwatch.config.document import Document
from goldwatch.config.problem import Route

_LITERAL = "a secret must not be written in the file; use ${NAME} or ${file:PATH}"
_DEFAULT = "a secret must not be written in the file, not even as a default; use ${NAME} or ${file:PATH}"


def secret(document: Document, value: JsonValue, route: Route) -> JsonValue:
    """Return `value` with all its scalars as text, and note those that are written in the file."""
    if isinstance(value, dict):
        return {key: secret(document, item, (*route, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [secret(document, item, (*route, index)) for index, item in enumerate(value)]
    place = document.places[route]
    if not place.resolved and place.written:
        document.add(route, _LITERAL)
    elif place.has_default:
        document.add(route, _DEFAULT)
    elif place.resolved and not place.text:
        document.add(route, f"{document.shown(route)} is empty; a secret is needed here")
    for reference, meaning in place.resolved:
        document.secret_values.add(meaning)
        name = reference.removeprefix("${").removesuffix("}")
        if not name.startswith("file:"):
            document.secret_variables.add(name)
    return place.text if place.resolved else value
