"""Strict YAML: repeated keys, recursive aliases and aliases that expand to too much are errors with a line number.

It reads `clv.yaml` and the contracts. Values are plain, as with YAML's safe loader.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Any

import yaml

from clv_pipeline.errors import ConfigError

MOST_NODES = 100_000
"""Values that a file may hold once its aliases are spelled out."""

DEEP = 100
"""Levels of nesting that are not left to the parser in C, because it would crash at many thousands."""


class _Strict:
    """What makes a safe loader strict: writing a key twice in one mapping is an error."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()  # type: ignore[misc]
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
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)  # type: ignore[misc]
        return mapping


class _FastLoader(_Strict, yaml.CSafeLoader):
    """Written in C, because every process reads all contracts: a quarter of the time."""


class _TellingLoader(_Strict, yaml.SafeLoader):
    """Says better what is wrong."""


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """The mapping in `text`; an empty text is an empty mapping.

    `origin` is the name of the file in errors.

    Raises:
        ConfigError: a syntax error, a key written twice, an alias that contains itself or expands to more than
            MOST_NODES values (each with line and column), or a text whose top level is not a mapping.
    """
    try:
        loaded = _loaded(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{origin}{where}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{origin}: not valid YAML: nested too deeply") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{origin}: expected `key: value` lines, found {type(loaded).__name__} at the top level")
    return loaded


def _loaded(text: str) -> Any:
    # Both are safe loaders: they build plain values only.
    with suppress(yaml.YAMLError):
        if not _is_deep(text):
            return yaml.load(text, Loader=_FastLoader)  # noqa: S506
    return yaml.load(text, Loader=_TellingLoader)  # noqa: S506


def _is_deep(text: str) -> bool:
    """Whether values are nested in more than DEEP levels; known before anything is built."""
    level = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > DEEP:
            return True
    return False


def _mistake(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


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
