"""Questions in `clv.yaml` that nobody has answered yet: values that begin with a question mark.

`clv init` writes them where a file does not tell what is meant. No command works with a file that still asks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from clv_pipeline.errors import ConfigError

MARK = "?"


def question(text: str) -> str:
    """The value that asks `text`."""
    return f"{MARK} {text}"


def is_question(value: object) -> bool:
    """Whether a value of `clv.yaml` is a question."""
    return isinstance(value, str) and (value.strip() == MARK or value.startswith(f"{MARK} "))


def refuse_questions(raw: Mapping[str, Any], origin: str) -> None:
    """Refuse a configuration that still asks.

    Raises:
        ConfigError: names each key whose value is a question, and the question.
    """  # noqa: DOC501  (`together` makes it)
    problems = [
        ConfigError(
            f"{origin}: {key} is asked, and not answered",
            quoted=text.removeprefix(MARK).strip(),
            to_do="write the answer in place of the text that begins with ?",
        )
        for key, text in _questions(raw, "")
    ]
    if problems:
        raise ConfigError.together(problems)


def _questions(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _questions(child, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from _questions(child, f"{key}[{position}]")
    elif is_question(value):
        yield key, value
