"""The reference of the `clv` command, generated from click.

Run: python -m clv_pipeline.cli.reference (`make commands`) writes docs/reference/command-line.md
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from clv_pipeline.cli.commands import main

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"

_INTRODUCTION = """\
# Command line: clv

Generated from the commands by `make commands`; change the help texts in `clv_pipeline/cli/`, not this file.

In a clone, the command is `.venv/bin/clv`. A command that fails ends with status 1, and says on standard error what to
do. Status 2 means that the command itself was not understood.
"""


def as_markdown(group: click.Group) -> str:
    """The page: every command of `group` with its usage, its text and its options."""
    context = click.Context(group, info_name="clv", **group.context_settings)
    commands = list(_commands(group, context))
    index = ["| command | what it does |", "|---|---|"]
    index += [
        f"| [`{of.command_path}`](#{of.command_path.replace(' ', '-')}) | {_cell(_first_sentence(of.command))} |"
        for of in commands
    ]
    lines = [_INTRODUCTION, *index, "", *_options(group, context)]
    for of in commands:
        lines += ["", *_section(of)]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, parent: click.Context) -> Iterator[click.Context]:
    """Every command by name, in a context of its own; those of a group in place of the group."""
    for name, command in sorted(group.commands.items()):
        context = click.Context(command, info_name=name, parent=parent)
        if isinstance(command, click.Group):
            yield from _commands(command, context)
        elif not command.hidden:
            yield context


def _section(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"## {context.command_path}"
    yield ""
    yield "```text"
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    yield " ".join((command.help or "").split())
    yield ""
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    yield "| option | meaning |"
    yield "|---|---|"
    for parameter in command.get_params(context):
        # The text of a command explains its arguments.
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)) is not None:
            names, meaning = record
            yield f"| `{_cell(names)}` | {_cell(meaning)} |"


def _first_sentence(command: click.Command) -> str:
    text = " ".join((command.help or "").split())
    return text.split(". ")[0].split("; ")[0].rstrip(".") + "."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(as_markdown(main), encoding="utf-8")
