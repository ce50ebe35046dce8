"""One YAML file on disk becomes one plain mapping, or an error that says what is wrong and where.

This module holds what is true of any configuration file: `${VAR}` and `${VAR:-default}` from the environment, and
mistakes in the words of the file. How YAML is read is `strict_yaml`; what the keys mean belongs in `settings.py`.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ValidationError

from clv_pipeline.config.secret_text import holds_a_secret, is_secret_name, is_written, without_credentials
from clv_pipeline.errors import ConfigError, did_you_mean

NAMED_BY_OTHERS = ("storage.spark.config.", "storage.catalog.properties.")
"""Below these, keys are the names of somebody else's settings, some of which are secrets."""

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


class FromEnvironment(str):
    """A text with values of the environment in it, which errors show as it is written in the file: `${NAME}`."""

    __slots__ = ("written",)

    written: str

    def __new__(cls, text: str, written: str) -> Self:
        """The text, and how the file has it."""
        self = super().__new__(cls, text)
        self.written = written
        return self

    def __repr__(self) -> str:
        """As errors show it, alone or within a list."""
        return repr(self.written)


def expand_variables(value: Any, origin: str, environment: Mapping[str, str] = os.environ) -> Any:
    """Replace `${VAR}` and `${VAR:-default}` in every string of `value`, at any depth.

    As in a shell, `:-` also applies to a variable that is set but empty.

    Raises:
        ConfigError: names every key whose variable is neither set nor given a default.
    """
    problems: list[str] = []

    def expand(node: Any, key: str) -> Any:
        if isinstance(node, dict):
            return {name: expand(child, f"{key}.{name}" if key else str(name)) for name, child in node.items()}
        if isinstance(node, list):
            return [expand(child, f"{key}[{position}]") for position, child in enumerate(node)]
        if not isinstance(node, str):
            return node

        def substitute(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            found = environment.get(name)
            if default is not None:
                return found or default
            if found is None:
                advice = f"set it, or write ${{{name}:-default}}"
                problems.append(f"  {key}: the environment variable {name} is not set; {advice}")
                return ""
            return found

        text = _VARIABLE.sub(substitute, node)
        return text if text == node else FromEnvironment(text, node)

    expanded = expand(value, "")
    if problems:
        raise ConfigError("\n".join([f"{origin}:", *problems]))
    return expanded


def refuse_written_secrets(value: Any, origin: str, key: str = "") -> None:
    """Refuse secrets that stand as text, at any depth of `value`.

    `value` is the content of the file before `expand_variables`: a secret has to be a `${VAR}` without a default.

    Raises:
        ConfigError: a text holds a secret.
    """
    if isinstance(value, dict):
        for name, child in value.items():
            refuse_written_secrets(child, origin, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            refuse_written_secrets(child, origin, f"{key}[{position}]")
    elif isinstance(value, str) and (holds_a_secret(value) or (_is_secret_key(key) and is_written(value))):
        raise ConfigError(
            f"{origin}:\n  {key}: holds a secret as text; write ${{NAME}} in its place and set the environment variable"
            " NAME"
        )


def _is_secret_key(key: str) -> bool:
    """Whether a key of clv.yaml holds a secret by its name. Most names are the user's own: of columns, of models."""
    return any(key.startswith(block) and is_secret_name(key.removeprefix(block)) for block in NAMED_BY_OTHERS)


def explain(model: type[BaseModel], error: ValidationError) -> list[str]:
    """One indented line per mistake: the full key, the expected and the found value, the nearest key."""
    lines = []
    for mistake in error.errors(include_url=False):
        location = mistake["loc"]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
        if mistake["type"] == "extra_forbidden":
            known = _keys_at(model, location[:-1])
            hint = did_you_mean(str(location[-1]), known)
            lines.append(f"  {key}: unknown key{hint} (known here: {', '.join(known)})")
            continue
        if mistake["type"] == "missing":
            lines.append(f"  {key}: is missing")
            continue
        said = mistake["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
        found = _shown(location, mistake["input"])
        is_one_value = not isinstance(mistake["input"], list | dict)
        quotes = "; write it in quotes" if mistake["type"] == "string_type" and found and is_one_value else ""
        lines.append(f"  {key or 'file'}: {said}{f'; found {found}' if found else ''}{quotes}")
    return lines


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            # An item of a list; the blocks of the list were found by its name.
            continue
        annotation = model.model_fields[part].annotation
        # An optional block is annotated as `Block | None`.
        blocks = [
            choice
            for choice in (annotation, *get_args(annotation))
            if isinstance(choice, type) and issubclass(choice, BaseModel)
        ]
        if not blocks:
            return []
        model = blocks[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _shown(location: tuple[int | str, ...], value: Any) -> str:
    """A found value as an error may show it: no secret, no database URL, and no block, which could hold one."""
    if isinstance(value, dict | BaseModel) or {"url", "webhook", "password"} & set(location):
        return ""
    if isinstance(value, str) and not isinstance(value, FromEnvironment):
        return "" if holds_a_secret(value) else repr(without_credentials(value))
    return repr(value)
