"""From raw transactions to RFM the way it is usually done today: pandas, then the summary of `lifetimes`.

The cleaning rules are those of the pipeline: customer known, quantity and price positive,
exact duplicates once. `lifetimes.utils.summary_data_from_transaction_data` is called as its documentation
shows; it works on pandas 3 as it is.

Run: python -m benchmarks.pandas_lifetimes --csv benchmarks/work/transactions.csv --out pandas.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from lifetimes.utils import summary_data_from_transaction_data

from benchmarks.commands import measure_once
from benchmarks.measurement import Stopwatch, matching, report


def clean(raw: pd.DataFrame) -> pd.DataFrame:
    """The kept lines with their amount (quantity × unit_price)."""
    kept = raw[raw["customer_id"].notna() & (raw["quantity"] > 0) & (raw["unit_price"] > 0)].drop_duplicates()
    return kept.assign(amount=kept["quantity"] * kept["unit_price"])


def run(csv: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The benchmark's report, and frequency, recency, T (days), monetary_value, revenue per customer_id."""
    watch = Stopwatch()
    with watch.stage("read"):
        parts = [pd.read_csv(part, dtype={"order_id": "str"}, parse_dates=["ordered_at"]) for part in matching(csv)]
        raw = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    with watch.stage("clean"):
        lines = clean(raw)
    with watch.stage("summarize"):
        summary = summary_data_from_transaction_data(lines, "customer_id", "ordered_at", monetary_value_col="amount")
        summary["revenue"] = lines.groupby("customer_id")["amount"].sum()
    counts = {"rows_read": len(raw), "rows_kept": len(lines), "customers": len(summary)}
    packages = ["pandas", "numpy", "lifetimes"]
    return report("pandas + lifetimes", watch, counts, packages), summary


def main() -> None:
    """Measure pandas and lifetimes on a CSV of transactions."""
    measure_once(run, main.__doc__)


if __name__ == "__main__":
    main()
