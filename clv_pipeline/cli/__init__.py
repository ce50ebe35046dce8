"""The command line: the commands of `clv`, and every line that they print."""

from clv_pipeline.cli.commands import main

__all__ = ["main"]
