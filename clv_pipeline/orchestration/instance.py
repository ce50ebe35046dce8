"""The Dagster instance: its folder and its preparation. As a program the module prints the folder.

`clv run` and `make ui` share it, so a run from the shell shows in the UI.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from clv_pipeline.config.settings import Settings
from clv_pipeline.database.file_modes import private_files
from clv_pipeline.errors import StorageError

_PLACES = (Path(__file__).with_name("dagster.yaml"), Path(__file__).parents[2] / "dagster.yaml")
"""Where the configuration of an instance is: beside this module in a wheel, at the top in a clone."""

_EARLIER = {
    "2dd13a251b1b81d238962e0e9246ad8bf564b72092b3194bdb04fbe8b7c86422",
    "4caec589789119337900df1a9b96e5c9dc7d043576183d153d8939f7bd1aacbc",
    "7ca6c8fa0597248d88ab54396995897abfda9a3123d15bfd2275283e29fd6a8e",
    "d58f0c76c80d3a403addba61e83b3dc71412efccd9f59fa09d9beb167d63ee19",
}
"""SHA-256 of the configurations of earlier versions. An instance that has one of them, unchanged, gets today's."""


def prepare_instance(settings: Settings) -> Path:
    """Prepare DAGSTER_HOME with its configuration, storage and writer pool; safe to call before every start.

    The environment variable of this process is set, because Dagster reads it.

    Raises:
        StorageError: its folder or its database cannot be used.
    """
    private_files()
    folder = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").resolve()
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

    from dagster import DagsterInstance

    from clv_pipeline.orchestration.gated_step import WRITER_POOL

    with store_faults_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Several processes that start at once on an empty folder would break each other's new databases.
        with (folder / ".prepare.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            configuration = folder / "dagster.yaml"
            if not configuration.exists() or sha256(configuration.read_bytes()).hexdigest() in _EARLIER:
                shutil.copyfile(next(place for place in _PLACES if place.exists()), configuration)
            with DagsterInstance.get() as instance:
                # The default limit in dagster.yaml alone did not keep two runs apart on a fresh instance.
                instance.event_log_storage.set_concurrency_slots(WRITER_POOL, 1)
    return folder


@contextmanager
def store_faults_told(folder: Path) -> Iterator[None]:
    """Turn errors of the disk and the database of the instance in `folder` into a StorageError.

    Raises:
        StorageError: the run history cannot be used.
        BrokenPipeError: the terminal that follows the run is gone; unchanged.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except BrokenPipeError:  # the terminal that follows the run is gone
        raise
    except (DBAPIError, OSError) as error:
        raise StorageError(
            f"the run history of Dagster in {folder} cannot be used",
            quoted=str(error.orig if isinstance(error, DBAPIError) else error),
            to_do="see that its disk has space and that the user who runs clv may write to it. If it is damaged, move"
            " the folder away and run again: it holds the history of runs, and no table",
        ) from error


if __name__ == "__main__":
    print(prepare_instance(Settings.load()))
