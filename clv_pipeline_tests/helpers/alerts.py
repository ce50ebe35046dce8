"""A message about a failed run."""

from clv_pipeline.alerts.message import Alert, Problem

ALERT = Alert(
    run_id="1b9d",
    job="nightly_refresh",
    problems=(
        Problem(
            "raw_transactions", "most_dates_can_be_read", "9 of 10 rows unexpected", "95 % readable", "mend the file"
        ),
    ),
    published=False,
    link="http://127.0.0.1:3000/runs/1b9d",
)
