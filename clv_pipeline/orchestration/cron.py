"""Validation of the cron expressions in `clv.yaml`, with Dagster's own rules."""

from __future__ import annotations

from clv_pipeline.config.settings import EMBEDDED_DEFAULT, Schedule, Settings
from clv_pipeline.errors import ConfigError

CRON_KEYS = ("cron", "review_cron")


def check_schedule(settings: Settings) -> None:
    """Check the cron expressions in `clv.yaml` with Dagster's own validation.

    Raises:
        ConfigError: names every key whose value is no cron expression, the value, and an example.
    """
    stated = [key for key in CRON_KEYS if key in settings.schedule.model_fields_set]
    wrong = [
        f"  schedule.{key}: should be five cron fields (minute, hour, day of the month, month, day of the week) such as"
        f" {Schedule.model_fields[key].default!r}; found {value!r}"
        for key in stated
        if not _dagster_takes(value := getattr(settings.schedule, key))
    ]
    if wrong:
        raise ConfigError("\n".join([f"{settings.config_file or EMBEDDED_DEFAULT}:", *wrong]))


def _dagster_takes(cron: str) -> bool:
    # Imported only when there is something to check: it takes a second.
    import dagster as dg

    try:
        dg.ScheduleDefinition(name="asked", job_name="asked", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        return False
    return True
