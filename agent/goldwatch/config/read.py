"""Reads a config file into a Document: opens, decodes, composes, merges, replaces references; all within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import JsonValue

from goldwatch.config.document import Document, Place, Position
from goldwatch.config.nodes import (
    MAX_DEPTH,
    MAX_NODES,
    MERGE_TAG,
    Unusable,
    compose,
    resolved_tag,
    scalar,
    too_deep,
    too_many,
)
from goldwatch.config.policy import SECTIONS, AllowedReferences, allowed_references
from goldwatch.config.problem import Problem, Route, UnreadableConfig
from goldwatch.config.references import Expanded, expand
from goldwatch.errors import GoldwatchError

MAX_BYTES = 2**20
MAX_EXPANDED = 4 * 2**20
"""The most that all references of a file may stand for, in characters."""


def read(file: Path, environ: Mapping[str, str]) -> Document:
    """Read a config file. Raises UnreadableConfig if it is no YAML mapping; lesser problems are in the result."""
    document = Document(file)
    try:
        _Walk(document, environ).root(compose(_text(file)))
    except Unusable as error:
        raise UnreadableConfig([Problem(str(file), error.line, error.column, "", error.message)]) from None
    return document


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Unusable("no such file") from None
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise Unusable(f"cannot be read: {error}") from None
    if len(content) > MAX_BYTES:
        raise Unusable(f"larger than {MAX_BYTES // 2**20} MiB; is it the right file?")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        raise Unusable("not text in UTF-8", before.count(b"\n") + 1, error.start - before.rfind(b"\n")) from None


class _Walk:
    """Visits each node once per place where aliases put it, and notes values, places and problems."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._loader = yaml.SafeLoader("")
        self._visited = 0
        self._expanded = 0
        self._allowed: AllowedReferences | None = None

    def root(self, node: yaml.MappingNode) -> None:
        start = _position(node)
        self._document.places[()] = Place(start, start)
        for key, value in node.value:  # before any reference is followed
            if isinstance(key, yaml.ScalarNode) and key.value == "policy":
                self._document.value = {"policy": self._value(key, value, ("policy",))}
                self._allowed = allowed_references(self._document.value)
        self._document.value = self._mapping(node, ())
        if self._allowed is None and "policy" in self._document.value:  # references were followed before it was known
            self._document.add(("policy",), 'must be a key of the file itself, not one that "<<" merges into it')

    def _value(self, key: yaml.Node, node: yaml.Node, route: Route) -> JsonValue:
        self._count(node)
        if len(route) > MAX_DEPTH:  # an alias that holds itself
            raise too_deep(node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(key, node, route)
        self._document.places[route] = Place(_position(key), _position(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, item, (*route, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - PyYAML has no fourth kind
        return self._mapping(node, route)

    def _mapping(self, node: yaml.MappingNode, route: Route) -> dict[str, JsonValue]:
        result: dict[str, JsonValue] = {}
        for key, value in self._own_pairs(node, route):
            result[key.value] = self._value(key, value, (*route, key.value))
        for key, value in self._merged_pairs(node, route):
            if key.value not in result:  # the mapping's own keys win, then the mapping merged first
                result[key.value] = self._value(key, value, (*route, key.value))
        return result

    def _own_pairs(self, node: yaml.MappingNode, route: Route) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        first: dict[str, Position] = {}
        for key, value in node.value:
            self._count(key)
            if key.tag == MERGE_TAG:
                continue
            if problem := self._key_problem(key, first):
                name = key.value if isinstance(key, yaml.ScalarNode) else "?"
                self._document.add((*route, name), problem, at=_position(key))
                continue
            first[key.value] = _position(key)
            yield key, value

    def _key_problem(self, key: yaml.Node, first: Mapping[str, Position]) -> str | None:
        """Say what is wrong with a key. Any scalar is taken as its text, so that `no:` and `8:` are names too."""
        if not isinstance(key, yaml.ScalarNode):
            return "a key must be text, not a list or mapping"
        if key.value in first:
            line, column = first[key.value]
            return f'duplicate key "{key.value}"; it is already at {line}:{column}'
        try:
            scalar(self._loader, "tag:yaml.org,2002:str", key.value)
        except ValueError as error:
            return f"the key {error}"
        return None

    def _merged_pairs(self, node: yaml.MappingNode, route: Route) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        for key, value in node.value:
            if key.tag != MERGE_TAG:
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self._count(source)
                if not isinstance(source, yaml.MappingNode):
                    message = 'what "<<" merges must be a mapping, or a list of mappings'
                    self._document.add((*route, "<<"), message, at=_position(key))
                    continue
                if len(route) >= MAX_DEPTH:
                    raise too_deep(source.start_mark)
                yield from self._own_pairs(source, route)
                yield from self._merged_pairs(source, (*route, "<<"))

    def _scalar(self, key: yaml.Node, node: yaml.ScalarNode, route: Route) -> JsonValue:
        expanded = Expanded(node.value)
        tag = node.tag
        problem = None
        try:
            if "$" in node.value:
                allowed = self._allowed if route[0] in SECTIONS else None
                expanded = expand(node.value, self._environ, self._document.folder, allowed)
                tag = resolved_tag(self._loader, expanded.text) if node.style is None else tag
            value = scalar(self._loader, tag, expanded.text)
        except (GoldwatchError, ValueError) as error:
            value, problem = "", str(error)
        self._bound(expanded, node)
        self._document.places[route] = Place(
            _position(key), _position(node), node.value, expanded.text, expanded.resolved, expanded.has_default
        )
        if problem:
            self._document.add(route, problem)
        return value

    def _bound(self, expanded: Expanded, node: yaml.Node) -> None:
        self._expanded += sum(len(value) for _, value in expanded.resolved)
        if self._expanded > MAX_EXPANDED:
            what = f"the references of this file stand for more than {MAX_EXPANDED // 2**20} MiB of text"
            raise Unusable(what, *_position(node))

    def _count(self, node: yaml.Node) -> None:
        self._visited += 1
        if self._visited > MAX_NODES:
            raise too_many(node.start_mark)


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
