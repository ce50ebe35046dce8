"""Reference fit on Online Retail II (UCI; Chen 2019, CC BY 4.0), where the file is at hand."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.protocol import FittedModel
from clv_pipeline_tests.golden import cdnow

FILE = Path(__file__).parents[3] / "shared" / "data" / "online_retail_II.csv.gz"
CUTOFF = date(2011, 6, 9)

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="online_retail_II.csv.gz is not beside the repository")


@pytest.fixture(scope="module")
def purchase_days() -> pl.DataFrame:
    """Customer known, quantity and price positive, text trimmed, exact duplicates dropped."""
    return (
        pl.scan_csv(FILE, infer_schema=False)
        .with_columns(pl.all().str.strip_chars())
        .filter(
            pl.col("Customer ID") != "",
            pl.col("Quantity").cast(pl.Int64) > 0,
            pl.col("Price").cast(pl.Float64) > 0,
        )
        .unique()
        .group_by(
            pl.col("Customer ID").alias("customer_id"),
            pl.col("InvoiceDate").str.slice(0, 10).str.to_date("%Y-%m-%d").alias("day"),
        )
        .agg((pl.col("Quantity").cast(pl.Int64) * pl.col("Price").cast(pl.Float64)).sum().alias("spend"))
        .sort("customer_id", "day")
        .collect()
    )


@pytest.fixture(scope="module")
def fitted(purchase_days: pl.DataFrame) -> FittedModel:
    customers = cdnow.customers_frame(purchase_days, CUTOFF, 182)
    return BgNbd().fit(cdnow.training_data(customers), [182])


def test_the_purchase_days_are_the_reference_ones(purchase_days: pl.DataFrame) -> None:
    assert purchase_days.height == 33_107
    assert purchase_days["spend"].sum() == pytest.approx(17_374_786.27, abs=0.01)


def test_bg_nbd_and_gamma_gamma_parameters(fitted: FittedModel) -> None:
    report = fitted.report
    assert report.customers == 4969
    assert report.log_likelihood == pytest.approx(-58_602.470, abs=1e-3)
    for name, value, tolerance in (
        ("r", 0.6754, 5e-5),
        ("alpha", 9.3477, 5e-5),
        ("a", 0.1551, 5e-5),
        ("b", 3.3955, 5e-5),
        ("p", 2.394, 5e-4),
        ("q", 3.497, 5e-4),
        ("v", 421.84, 5e-3),
    ):
        assert report.parameters[name] == pytest.approx(value, abs=tolerance), name


def test_predicted_buyers_match_the_buyers_that_came(fitted: FittedModel, purchase_days: pl.DataFrame) -> None:
    customers = cdnow.customers_frame(purchase_days, CUTOFF, 182)
    outcomes = cdnow.outcomes_frame(purchase_days, customers)
    assert (outcomes["actual_purchases"] > 0).sum() == 2576
    assert fitted.forecast(customers, 182)["p_purchase"].sum() == pytest.approx(2578, abs=0.5)
