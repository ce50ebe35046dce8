"""The only room where Dagster is spoken: assets and their gates, jobs, schedules, sensors, the instance, a run."""
