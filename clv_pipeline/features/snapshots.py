"""Customers and forecasts of the previous run beside today's, and the shift between them."""

# Only names of columns and tables, and a horizon, are spliced into SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.warehouse import Session

DRIFT_CUSTOMERS = 100_000
"""Most customers of a snapshot that shifts are measured on; with this many, chance alone makes an index of 0.0002."""

_MEASURES = ("days_since_last", "frequency", "monetary_value", "revenue")
_SCORES = ("expected_spend", "p_purchase")


def drift_since_last_run(session: Session) -> pl.DataFrame:
    """The stability index of every measure and score between the previous run and today's, as rows of `drift`."""
    import polars as pl

    from clv_pipeline.evaluation.drift import DRIFT_SCHEMA, drift

    def snapshots(table: str, columns: tuple[str, ...], condition: str = "true") -> tuple[pl.DataFrame, pl.DataFrame]:
        """The columns as of the previous run (empty without one) and as of today."""
        numbers = ", ".join(f"cast({column} as double) as {column}" for column in columns)
        today = "(select as_of from history_span)"
        before = f"(select max(as_of) from {table} where as_of < {today} and {condition})"

        def snapshot(day: str) -> pl.DataFrame:
            rows = f"from {table} where as_of = {day} and {condition}"
            return session.read(
                f"select as_of, (select count(*) {rows}) as customers, {numbers} {rows}"
                " order by md5(customer_id), customer_id limit ?",
                [DRIFT_CUSTOMERS],
            )

        return snapshot(before), snapshot(today)

    found = [pl.DataFrame(schema=DRIFT_SCHEMA), drift(*snapshots("customer_snapshots", _MEASURES), _MEASURES, None)]
    horizons = session.read(
        "select distinct horizon_days from forecast_history where as_of = (select as_of from history_span) order by 1"
    )
    for (horizon,) in horizons.iter_rows():
        scores = snapshots("forecast_history", _SCORES, f"horizon_days = {horizon}")
        found.append(drift(*scores, _SCORES, horizon))
    return pl.concat(found)
