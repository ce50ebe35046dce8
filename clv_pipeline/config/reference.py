"""The reference of `clv.yaml` and the JSON schema that editors check it with, generated from their code.

Run: python -m clv_pipeline.config.reference (`make configuration`) writes docs/reference/configuration.md and
clv_pipeline/config/clv_schema.json. The text below a key in its block describes it; pydantic could read it, too, but on
every import.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import yaml
from pydantic_core import PydanticUndefined

from clv_pipeline.config.block import Block
from clv_pipeline.config.settings import Settings
from clv_pipeline.config.source import TableSource

Node = dict[str, Any]
"""A part of a JSON schema."""

SCHEMA = Path(__file__).with_name("clv_schema.json")
"""The schema as shipped; `clv init` writes its path."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"

VARIABLE: Node = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
"""Stands for any value: `${NAME}` or `${NAME:-default}`."""

_INTRODUCTION = """\
# Configuration: every key of clv.yaml

`make configuration` writes this page from the code. [Your own data](../how-to/your-own-data.md) shows a whole file.

`clv.yaml` is the file that `--config` names, else the one that the environment variable `CLV_CONFIG` names, else
`clv.yaml` in the current folder, else the embedded default, which reads the CDNOW data. Every key but `source` may be
left out. An unknown key is an error that names the nearest known one; `clv check` tells every mistake before anything
is loaded. In any value `${NAME}` stands for an environment variable, and `${NAME:-default}` for one that may be
missing. `CLV_HOME` overrides `storage.home`.

**In an editor.** `clv init` writes a first line that leads to the JSON schema in the installed package:

```yaml
# yaml-language-server: $schema=.venv/lib/python3.11/site-packages/clv_pipeline/config/clv_schema.json
```

Editors with the YAML language server (VS Code with the YAML extension, Neovim, Emacs) then complete keys, show what
they mean, and underline what is wrong. The path is relative where the package lies below the folder of `clv.yaml`. For
the pipeline the line is a comment. Where it leads nowhere, because the file was copied to another machine, only the
editor's help is missing. An older `clv.yaml` gets the line by hand; this prints the path:
`python -c "from clv_pipeline.config.reference import SCHEMA; print(SCHEMA)"`.
"""


def json_schema() -> Node:
    """The JSON schema of `clv.yaml`, with a description of every key."""
    schema = Settings.model_json_schema()
    _describe(schema, Settings)
    for block in _blocks(Settings):
        _describe(schema["$defs"][block.__name__], block)
    for node in (schema, *schema["$defs"].values()):
        node.pop("title")
        for key, child in node["properties"].items():
            child.pop("title", None)
            node["properties"][key] = _or_variable(child)
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "clv.yaml", **schema}


def schema_text() -> str:
    """The text of the schema file."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def as_markdown() -> str:
    """The reference: a section per block, a row per key."""
    lines = [_INTRODUCTION, "## The blocks", "", *_table(Settings, "")]
    for key, block in _sections(Settings, ""):
        lines += ["", f"## `{key}`", "", _linked(_paragraphs(inspect.getdoc(block) or ""))]
        if issubclass(block, TableSource):
            lines += ["", f"`columns` maps {block.needed}. Known: {_listed(block.known)}."]
        if issubclass(block, TableSource) and block.key != "source.transactions":
            lines += ["", "The keys are those of [`source.transactions`](#sourcetransactions)."]
        else:
            lines += ["", *_table(block, key)]
    return "\n".join(lines) + "\n"


def attribute_docstrings(block: type[Block]) -> dict[str, str]:
    """The docstrings below the fields of a block and of its bases, by field, each as one line."""
    found: dict[str, str] = {}
    for base in reversed(block.__mro__):
        if not issubclass(base, Block) or base is Block:
            continue
        body = ast.parse(dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                found[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return found


def _blocks(block: type[Block]) -> Iterator[type[Block]]:
    """Every block below this one."""
    for field in block.model_fields.values():
        if below := _block_of(field.annotation):
            yield below
            yield from _blocks(below)


def _sections(block: type[Block], prefix: str) -> Iterator[tuple[str, type[Block]]]:
    for name, field in block.model_fields.items():
        # What all three sources have is described once.
        is_shared = issubclass(block, TableSource) and name in TableSource.model_fields
        if (below := _block_of(field.annotation)) and (not is_shared or prefix == "source.transactions."):
            key = f"{prefix}{field.alias or name}"
            yield key, below
            yield from _sections(below, f"{key}.")


def _block_of(annotation: Any) -> type[Block] | None:
    choices = [choice for choice in (annotation, *get_args(annotation)) if isinstance(choice, type)]
    return next((choice for choice in choices if issubclass(choice, Block)), None)


def _describe(schema: Node, block: type[Block]) -> None:
    described = attribute_docstrings(block)
    for name, field in block.model_fields.items():
        schema["properties"][field.alias or name]["description"] = described[name]
    schema["description"] = _paragraph(inspect.getdoc(block) or "")


def _or_variable(node: Node) -> Node:
    """The schema of a value, or of a variable in its place where the value is not plain text."""
    said: Node = {key: node[key] for key in ("default", "description") if key in node}
    bare = {key: value for key, value in node.items() if key not in said}
    choices = [
        {**choice, "items": _or_variable(choice["items"])} if "items" in choice else choice
        for choice in bare.get("anyOf", [bare])
    ]
    if not all(_is_block_or_text(choice) for choice in choices):
        choices.append(VARIABLE)
    return {"anyOf": choices, **said} if len(choices) > 1 else {**choices[0], **said}


def _is_block_or_text(node: Node) -> bool:
    """Whether a variable fits anyway: as part of a text, or never, because a text cannot replace a block."""
    is_text = node.get("type") == "string" and not {"enum", "pattern", "format"} & node.keys()
    return (
        is_text or "$ref" in node or node.get("type") in ("array", "object", "null") or node.get("format") == "password"
    )


def _table(block: type[Block], prefix: str) -> list[str]:
    """A row per key: type, default, what it does."""
    properties, described = block.model_json_schema()["properties"], attribute_docstrings(block)
    lines = ["| key | type | default | what it does |", "| --- | --- | --- | --- |"]
    for name, field in block.model_fields.items():
        written = field.alias or name
        key = f"{prefix}.{written}" if prefix else written
        below = _block_of(field.annotation)
        # A heading's anchor has no dots.
        shown = f"[`{key}`](#{key.replace('.', '')})" if below else f"`{key}`"
        type_ = "block" if below else _type(properties[written])
        default = "required" if field.is_required() else "" if below else _default(field.default)
        cells = (shown, type_, default, _linked(described[name]))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines


def _type(node: Node) -> str:
    """The type of a value in words."""
    if "anyOf" in node:
        return " or ".join(_type(choice) for choice in node["anyOf"] if choice.get("type") != "null")
    if "enum" in node:
        return _listed(node["enum"], "or")
    match node["type"]:
        case "array":
            items = re.sub("^(text|day|whole number)", r"\1s", _type(node["items"]))
            return f"list of {items}" + (", not empty" if node.get("minItems") else "")
        case "object":
            return "mapping of text to text"
        case "boolean":
            return "`true` or `false`"
        case "string":
            return {"date": "day", "password": "secret"}.get(node.get("format", ""), "text")
        case number:
            limits = {
                "minimum": "at least",
                "exclusiveMinimum": "above",
                "maximum": "at most",
                "exclusiveMaximum": "below",
            }
            words = [f"{word} {node[limit]:g}" for limit, word in limits.items() if limit in node]
            return ", ".join(["whole number" if number == "integer" else "number", *words])


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix('...' + chr(10)).strip()}`"


def _listed(words: Any, last: str = "and") -> str:
    *most, final = [f"`{word}`" for word in words]
    return f"{', '.join(most)} {last} {final}" if most else final


def _paragraphs(text: str) -> str:
    """Every paragraph of a text, each in one line."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _paragraph(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _linked(text: str) -> str:
    """The text with links from the reference to the documents that it names."""
    return re.sub(r"\bdocs/([\w/-]+\.md)", r"[\1](../\1)", text)


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    DOCUMENT.write_text(as_markdown(), encoding="utf-8")
