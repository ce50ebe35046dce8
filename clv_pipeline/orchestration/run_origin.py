"""Ownership of runs: where the UI files the runs of `clv run`, and which runs belong to this warehouse."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import dagster as dg

from clv_pipeline.config.settings import Settings

WAREHOUSE_TAG = "clv/warehouse"
"""Tag on runs of `clv run`: their warehouse."""

_REPOSITORY = "__repository__"
"""Dagster's name for the definitions of a code location without a named repository."""


def code_location() -> str:
    """The name of this package in the UI and the daemon: that of `workspace.yaml`, or CLV_CODE_LOCATION."""
    return os.environ.get("CLV_CODE_LOCATION") or "clv_pipeline.definitions"


def file_under_code_location(instance: dg.DagsterInstance, job: str) -> None:
    """File runs that this process creates on `instance` under the job in the UI, as if they had been launched there.

    A run without a code location is missing on the timeline and on its job's page, and cannot be repeated from the UI.
    """
    # As Dagster writes it into its stores: later versions can still read this form.
    location = {"__class__": "RegisteredRepositoryLocationOrigin", "location_name": code_location()}
    repository = {
        "__class__": "ExternalRepositoryOrigin",
        "repository_location_origin": location,
        "repository_name": _REPOSITORY,
    }
    written = {"__class__": "ExternalPipelineOrigin", "external_repository_origin": repository, "pipeline_name": job}
    origin: Any = dg.deserialize_value(json.dumps(written))
    # `execute_in_process` creates its run by this method, and accepts no origin itself.
    instance.create_run_for_job = partial(  # type: ignore[method-assign]
        instance.create_run_for_job, remote_job_origin=origin
    )


def is_ours(run: dg.DagsterRun, settings: Settings, location: str | None) -> bool:
    """Whether a run of this instance, which may be shared, belongs to this warehouse or this code location."""
    ours = str(settings.warehouse_path)
    if run.remote_job_origin is None or WAREHOUSE_TAG in run.tags:
        return run.tags.get(WAREHOUSE_TAG, ours) == ours
    return run.remote_job_origin.repository_origin.code_location_origin.location_name == location
