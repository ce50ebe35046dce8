"""Whose a run is: where the UI files the runs of `clv run`, and which runs of an instance are of this warehouse."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import dagster as dg

from clv_pipeline.config.settings import Settings

WAREHOUSE_TAG = "clv/warehouse"
"""On runs of `clv run`: the warehouse that they work on."""

_REPOSITORY = "__repository__"
"""Dagster's name for the definitions of a code location that name no repository."""


def code_location() -> str:
    """The name under which the UI and the daemon know this package: that of `workspace.yaml`, or CLV_CODE_LOCATION."""
    return os.environ.get("CLV_CODE_LOCATION") or "clv_pipeline.definitions"


def file_under_code_location(instance: dg.DagsterInstance, job: str) -> None:
    """Let runs that this process creates on `instance` be of the job in the UI, as if they had been launched there.

    A run without a code location is missing on the timeline and on its job's page, and cannot be run again from the UI.
    """
    # As Dagster writes it into its stores, which is the form that later versions go on reading.
    location = {"__class__": "RegisteredRepositoryLocationOrigin", "location_name": code_location()}
    repository = {
        "__class__": "ExternalRepositoryOrigin",
        "repository_location_origin": location,
        "repository_name": _REPOSITORY,
    }
    written = {"__class__": "ExternalPipelineOrigin", "external_repository_origin": repository, "pipeline_name": job}
    origin: Any = dg.deserialize_value(json.dumps(written))
    # `execute_in_process` creates its run by this method, and takes no origin itself.
    instance.create_run_for_job = partial(  # type: ignore[method-assign]
        instance.create_run_for_job, remote_job_origin=origin
    )


def is_ours(run: dg.DagsterRun, settings: Settings, location: str | None) -> bool:
    """Whether a run of this instance, which others may share, is of this warehouse or of this code location."""
    ours = str(settings.warehouse_path)
    if run.remote_job_origin is None or WAREHOUSE_TAG in run.tags:
        return run.tags.get(WAREHOUSE_TAG, ours) == ours
    return run.remote_job_origin.repository_origin.code_location_origin.location_name == location
