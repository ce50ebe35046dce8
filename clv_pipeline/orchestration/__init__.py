"""The only room that imports Dagster: assets and their gates, jobs, schedules, sensors, the instance, a run."""
