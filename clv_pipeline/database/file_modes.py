"""Modes of the files that this process writes: only its own user may read them.

Files hold what customers bought. DuckDB, Parquet and Dagster's own storage all honour the process's mask, so that
one call covers every file: the warehouse, its log, spill files, publications, the Dagster instance.
"""

import os


def private_files() -> None:
    """From here on, this process makes files with mode 0600 and folders with 0700."""
    os.umask(0o077)
