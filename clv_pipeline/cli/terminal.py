"""What every command shares: how it prints, how errors that a user can fix end it, and the options of most commands."""

import errno
from pathlib import Path
from typing import Any, NoReturn

import click

from clv_pipeline.errors import ClvError, StorageError
from clv_pipeline.text import displayed

_FREE, _PERMIT, _PATH = "free some space", "give the user who runs clv the right to it", "correct the path"
_OF_THE_DISK = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EACCES: _PERMIT,
    errno.EPERM: _PERMIT,
    errno.EROFS: "the disk is read-only; mount it for writing, or name another place",
    errno.EIO: "check the disk",
    errno.ENOENT: _PATH,
    errno.ENOTDIR: _PATH,
    errno.EISDIR: _PATH,
}
"""Remedies for errors of the operating system that a user can fix."""
_JSON = "clv.json"
"""Key of a context under which it keeps whether --json was given."""


class ClvGroup(click.Group):
    """The one place that prints errors that a user can fix: their text, status 1, no traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was asked for.

        Raises:
            OSError: one that no user can fix.
        """
        try:
            return super().invoke(context)
        except ClvError as error:
            _tell(context, error)
        except OSError as error:
            # Errors that no other room explains: a file that a command itself reads or writes.
            if error.errno not in _OF_THE_DISK:
                raise
            where = f"{error.filename}: " if error.filename else ""
            _tell(context, StorageError(f"{where}{error.strerror}", to_do=_OF_THE_DISK[error.errno]))


def _tell(context: click.Context, error: ClvError) -> NoReturn:
    if context.meta.get(_JSON):
        from clv_pipeline.cli.json_documents import as_json, error_document

        say(as_json(error_document(context.invoked_subcommand, error)))
        raise SystemExit(1)
    stop(str(error))


config_option = click.option("--config", type=click.Path(path_type=Path), help="Instead of CLV_CONFIG or ./clv.yaml.")


def _note_json(context: click.Context, _: click.Parameter, as_json: bool) -> bool:
    context.meta[_JSON] = as_json
    return as_json


json_option = click.option(
    "--json",
    "json",
    is_flag=True,
    callback=_note_json,
    help="Print one JSON document, and what is for people on standard error.",
)


def say(text: str, *, err: bool = False) -> None:
    """The one place that prints: names of files and what they hold reach the terminal as they are displayed."""
    click.echo(displayed(text), err=err)  # noqa: TID251


def note(lines: list[str]) -> None:
    """Print notes before the work begins, on standard error."""
    for line in lines:
        say(f"note: {line}", err=True)


def stop(message: str) -> NoReturn:
    """End the command with a message on standard error and status 1, without a traceback.

    Raises:
        SystemExit: always.
    """
    say(message, err=True)
    raise SystemExit(1)
