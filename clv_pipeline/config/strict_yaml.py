"""Strict YAML: repeated keys, recursive aliases and aliases that expand to too much are errors with a line number.

It reads `clv.yaml` and the contracts. Values are plain, as with YAML's safe loader.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from clv_pipeline.errors import ConfigError

MOST_NODES = 100_000
"""Values that a file may hold once its aliases are spelled out."""

MOST_LEVELS = 100
"""How deep values may be nested; at many thousands the parser in C would crash."""


class _StrictLoader(yaml.CSafeLoader):
    """SafeLoader, except that writing a key twice in one mapping is an error.

    In C, because every process reads all contracts: a fifth of the time.
    """

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _size(node, {}, frozenset())
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first_lines: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _mistake("a key must be a word", key_node)
            line = key_node.start_mark.line + 1
            if key_node.value in first_lines and key_node.tag != "tag:yaml.org,2002:merge":
                first = first_lines[key_node.value]
                raise _mistake(f"the key {key_node.value!r} is written twice, first on line {first}", key_node)
            first_lines[key_node.value] = line
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """The mapping in `text`; an empty text is an empty mapping.

    `origin` is the name of the file in errors.

    Raises:
        ConfigError: a syntax error, a key written twice, more than MOST_LEVELS levels, an alias that contains itself
            or expands to more than MOST_NODES values (each with line and column), or a text whose top level is not a
            mapping.
    """
    try:
        _refuse_depth(text)
        # _StrictLoader is a SafeLoader: it builds plain values only.
        loaded = yaml.load(text, Loader=_StrictLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{origin}{where}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{origin}: expected `key: value` lines, found {type(loaded).__name__} at the top level")
    return loaded


def _refuse_depth(text: str) -> None:
    """Refuse more than MOST_LEVELS levels, before anything is built."""  # noqa: DOC501  (`_mistake` makes the error)
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_LEVELS:
                raise _mistake("nested too deeply", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _mistake(problem: str, found: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    mark: Any = found.start_mark  # of another class in C, with the same fields
    return yaml.constructor.ConstructorError(None, None, problem, mark)


def _size(node: yaml.Node, known: dict[int, int], around: frozenset[int]) -> int:
    """How many values a node holds with all aliases expanded.

    An alias that contains itself, or stands for more than MOST_NODES values, is a `_mistake`.
    """  # noqa: DOC501  (`_mistake` makes the error)
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in around:
        raise _mistake("an alias stands for what it is part of", node)
    if id(node) not in known:
        children = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_size(child, known, around | {id(node)}) for child in children)
        if known[id(node)] > MOST_NODES:
            raise _mistake(f"its aliases stand for more than {MOST_NODES:,} values", node)
    return known[id(node)]
