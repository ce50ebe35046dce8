"""Reference fit on Online Retail II (UCI; Chen 2019, CC BY 4.0), where the file is at hand."""

from datetime import date

import polars as pl
import pytest

from clv_pipeline.forecasting import gamma_gamma
from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.buy_till_you_die import ProcessFit
from clv_pipeline.forecasting.protocol import TrainingData
from clv_pipeline_tests.helpers.holdout import holdout
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays
from clv_pipeline_tests.helpers.shared_files import DATA

FILE = DATA / "online_retail_II.csv.gz"
CUTOFF, HORIZON = date(2011, 6, 9), 182

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="online_retail_II.csv.gz is not beside the repository")


@pytest.fixture(scope="module")
def purchase_days() -> PurchaseDays:
    """Customer known, quantity and price positive, text trimmed, exact duplicates dropped."""
    return PurchaseDays.of(
        pl.scan_csv(FILE, infer_schema=False)
        .with_columns(pl.all().str.strip_chars())
        .filter(
            pl.col("Customer ID") != "",
            pl.col("Quantity").cast(pl.Int64) > 0,
            pl.col("Price").cast(pl.Float64) > 0,
        )
        .unique()
        .select(
            pl.col("Customer ID").alias("customer_id"),
            pl.col("InvoiceDate").str.slice(0, 10).str.to_date("%Y-%m-%d").alias("day"),
            (pl.col("Quantity").cast(pl.Int64) * pl.col("Price").cast(pl.Float64)).alias("spend"),
        )
        .collect()
    )


@pytest.fixture(scope="module")
def training(purchase_days: PurchaseDays) -> TrainingData:
    return purchase_days.training(CUTOFF, most_windows=0)


@pytest.fixture(scope="module")
def fitted(training: TrainingData) -> ProcessFit:
    return BgNbd().estimate(training.customer_counts)


def test_the_purchase_days_are_the_reference_ones(purchase_days: PurchaseDays) -> None:
    assert purchase_days.days.height == 33_107
    assert purchase_days.days["spend"].sum() == pytest.approx(17_374_786.27, abs=0.01)


def test_bg_nbd_and_gamma_gamma_parameters(fitted: ProcessFit, training: TrainingData) -> None:
    assert training.customers == 4969
    assert fitted.log_likelihood == pytest.approx(-58_602.470, abs=1e-3)
    parameters = fitted.parameters | gamma_gamma.fit(training.repeat_spend).parameters
    for name, value, tolerance in (
        ("r", 0.6754, 5e-5),
        ("alpha", 9.3477, 5e-5),
        ("a", 0.1551, 5e-5),
        ("b", 3.3955, 5e-5),
        ("p", 2.394, 5e-4),
        ("q", 3.497, 5e-4),
        ("v", 421.84, 5e-3),
    ):
        assert parameters[name] == pytest.approx(value, abs=tolerance), name


def test_predicted_buyers_match_the_buyers_that_came(fitted: ProcessFit, purchase_days: PurchaseDays) -> None:
    customers, outcomes = purchase_days.customers(CUTOFF), purchase_days.outcomes(CUTOFF, HORIZON)
    assert (outcomes["actual_purchases"] > 0).sum() == 2576
    assert holdout(fitted, customers, HORIZON, outcomes)["p_purchase"].sum() == pytest.approx(2578, abs=0.5)
