"""The commands in this process, as if typed."""

from __future__ import annotations

from click.testing import CliRunner, Result

from clv_pipeline.cli.commands import main


def clv(*arguments: str) -> Result:
    """Run the command; whatever it does not handle is raised here."""
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)
