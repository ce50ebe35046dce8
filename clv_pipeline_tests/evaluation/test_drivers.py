import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import ClassVar

import polars as pl
import pytest

from clv_pipeline.evaluation import drivers
from clv_pipeline.evaluation.backtest import plan_windows
from clv_pipeline.evaluation.drivers import (
    COEFFICIENTS_SCHEMA,
    DRIVERS_SCHEMA,
    FACTS,
    find_drivers,
    linear_coefficients,
    permutation_importance,
)
from clv_pipeline.forecasting.frames import Floats, floats, forecast_frame
from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    FitReport,
    Target,
    TrainingData,
)
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline.forecasting.serving import fit_rows
from clv_pipeline_tests.forecasting import examples
from clv_pipeline_tests.forecasting.examples import CUTOFF, training_data

HALF = CUTOFF - timedelta(days=90)

Formula = Callable[[pl.DataFrame], Floats]


def simulated(customers: int, seed: int = 1, horizon_days: int = 90, cutoff: date = CUTOFF) -> pl.DataFrame:
    """Simulated customers without what came."""
    return examples.simulated(customers, seed, horizon_days, cutoff).drop("actual_purchases", "actual_spend")


def what_came(customers: pl.DataFrame, spend: pl.Expr) -> pl.DataFrame:
    """Outcomes by a formula."""
    return customers.select("customer_id", spend.cast(pl.Float64).alias("actual_spend"))


@dataclass
class Rule:
    """A fitted model that forecasts spend by a formula and keeps what it was asked about."""

    formula: Formula
    as_of: date = CUTOFF
    asked: list[pl.DataFrame] = field(default_factory=list)

    @property
    def report(self) -> FitReport:
        return FitReport("rule", self.as_of, {}, 0, "ok", "")

    def can_forecast(self, horizon_days: int) -> bool:
        return horizon_days != 365

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        self.asked.append(customers)
        spend = self.formula(customers)
        return forecast_frame("rule", customers, expected_spend=spend, discounted_spend=spend)


def measured(
    formula: Formula, customers: pl.DataFrame, outcomes: pl.DataFrame | None = None
) -> dict[str, dict[str, object]]:
    """The rows of `permutation_importance` by fact, for a rule that was right about everybody unless told."""
    came = pl.DataFrame({"customer_id": customers["customer_id"], "actual_spend": formula(customers)})
    table = permutation_importance(Rule(formula), customers, came if outcomes is None else outcomes, 90)
    assert table.schema == DRIVERS_SCHEMA
    return {row["feature"]: row for row in table.to_dicts()}


def test_every_column_that_says_something_belongs_to_one_fact() -> None:
    placed = Counter(column for columns in FACTS.values() for column in columns)
    key = {"customer_id", "cutoff", "horizon_days"}
    follow = {"tenure_days", "first_purchase_date", "revenue", "monetary_value"}
    assert placed == Counter(set(CUSTOMER_COLUMNS) - key - follow | {"first_spend", "repeat_spend"})


def test_only_what_the_model_uses_is_important() -> None:
    found = measured(lambda customers: floats(customers, "spend_90_days"), simulated(300))
    assert {fact for fact, row in found.items() if row["direction"] != "none"} == {"recent_activity"}
    assert found["recent_activity"]["direction"] == "up"
    # A rule that was right is wrong about nearly everybody after a swap.
    importance = found["recent_activity"]["importance"]
    assert isinstance(importance, float)
    assert 0.5 < importance <= 2.0
    assert all(row["importance"] == 0.0 for fact, row in found.items() if fact != "recent_activity")


def test_a_fact_that_misleads_has_negative_importance() -> None:
    customers = simulated(300)
    unknown = pl.col("country").is_null()
    found = measured(
        lambda rows: floats(rows.select(pl.when(unknown).then(20.0).otherwise(30.0).alias("v")), "v"),
        customers,
        what_came(customers, pl.when(unknown).then(30.0).otherwise(20.0)),
    )
    assert float(str(found["country"]["importance"])) < 0.0


def test_who_buys_more_often_has_spent_more() -> None:
    """A swap of frequency takes the money with it, so that a forecast from revenue rises with frequency."""
    found = measured(lambda rows: floats(rows, "revenue"), simulated(300))
    assert found["frequency"]["direction"] == found["spend_per_purchase"]["direction"] == "up"


DIRECTIONS: dict[str, tuple[str, pl.Expr]] = {
    "up": ("frequency", pl.col("frequency") * 3.0),
    "down": ("days_since_last", 1_000.0 - pl.col("days_since_last")),
    "mixed": ("days_since_last", (pl.col("days_since_last") - 200.0).abs()),
    "mixed, a category": ("country", pl.when(pl.col("country").is_null()).then(1.0).otherwise(9.0)),
}


@pytest.mark.parametrize("expected", list(DIRECTIONS))
def test_the_direction_is_that_of_the_forecast(expected: str) -> None:
    fact, expression = DIRECTIONS[expected]
    found = measured(lambda rows: floats(rows.select(expression.alias("v")), "v"), simulated(300))
    assert found[fact]["direction"] == expected.partition(",")[0]


def test_swapped_customers_are_possible_customers() -> None:
    rule = Rule(lambda rows: floats(rows, "revenue"))
    customers = simulated(200)
    permutation_importance(rule, customers, what_came(customers, pl.col("revenue")), 90)
    for asked in rule.asked:
        assert asked.schema == customers.schema
        tenure, repeats, value = (pl.col(column) for column in ("tenure_days", "frequency", "monetary_value"))
        consistent = (
            (pl.col("recency_days") + pl.col("days_since_last") == tenure)
            & (pl.col("first_purchase_date") == pl.col("cutoff") - pl.duration(days=tenure))
            & ((repeats > 0) == (pl.col("recency_days") > 0))
            & ((repeats > 0) == (value > 0))
            & (pl.col("revenue") - repeats * value > 19.9)  # The first purchase of all of them brought 20.
        )
        assert asked.select(consistent.all()).item()


def test_facts_of_attributes_and_events_are_swapped_by_attribute_and_by_type_of_event() -> None:
    numbers = pl.int_range(pl.len()).cast(pl.Float64)
    customers = simulated(100).with_columns(
        numbers.alias("attribute:age"),
        pl.lit("gold").alias("attribute:tier"),
        numbers.alias("event:visit:count_30_days"),
        numbers.alias("event:visit:count_90_days"),
        pl.lit(None, pl.Float64).alias("event:never:count_30_days"),
        pl.lit(None, pl.Int64).alias("products"),
    )
    found = measured(lambda rows: floats(rows, "event:visit:count_90_days"), customers)
    optional = {"attribute:age", "attribute:tier", "event:visit"}
    assert set(found) == set(FACTS) - {"product_breadth"} | optional
    assert found["event:visit"]["direction"] == "up"
    assert found["attribute:age"]["direction"] == "none"


def test_the_order_of_rows_does_not_matter_and_the_sample_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "CUSTOMERS", 50)
    rule = Rule(lambda rows: floats(rows, "spend_365_days"))
    customers = simulated(400)
    came = what_came(customers, pl.col("revenue"))
    table = permutation_importance(rule, customers, came, 90)
    assert table.equals(
        permutation_importance(rule, customers.reverse(), came.sample(fraction=1, shuffle=True, seed=1), 90)
    )
    assert table["customers"].unique().to_list() == [50]
    assert max(asked.height for asked in rule.asked) == 50 * drivers.REPEATS


def test_importance_is_undefined_when_nobody_spent_anything() -> None:
    customers = simulated(50)
    found = measured(lambda rows: floats(rows, "revenue"), customers, what_came(customers, pl.lit(0.0)))
    assert found["spend_per_purchase"]["importance"] is None
    assert found["spend_per_purchase"]["direction"] == "up"


def test_a_customer_without_outcome_is_an_error() -> None:
    customers = simulated(50)
    with pytest.raises(ValueError, match="1 customers have no outcome for 90 days"):
        permutation_importance(
            Rule(lambda rows: floats(rows, "revenue")), customers, what_came(customers[1:], pl.col("revenue")), 90
        )


@pytest.mark.parametrize("name", ["own_rate", "linear_regression", "glm", "pareto_nbd"])
def test_models_of_every_kind_can_forecast_swapped_customers(name: str) -> None:
    customers = simulated(40)
    fitted = MODELS[name]().fit(training_data(customers, examples.simulated(200, 2, cutoff=HALF)), [90])
    table = permutation_importance(fitted, customers, what_came(customers, pl.col("revenue")), 90)
    assert set(table["feature"]) == set(FACTS)
    assert table["importance"].is_finite().all()


class Spy:
    """A model that notes as of when it was fitted, for which horizons."""

    name: ClassVar[str] = "rule"
    targets: ClassVar[frozenset[Target]] = frozenset({"spend"})
    is_baseline: ClassVar[bool] = False

    def __init__(self) -> None:
        self.fits: list[tuple[date, list[int]]] = []

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> Rule:
        self.fits.append((training.cutoff, list(horizons_days)))
        return Rule(lambda rows: floats(rows, "revenue"), training.cutoff)


def test_champions_are_fitted_as_of_the_latest_backtest_window_and_never_later() -> None:
    windows = plan_windows(CUTOFF - timedelta(days=900), CUTOFF, [30, 90, 365], 2)
    spy = Spy()
    champions = {30: spy, 90: spy, 365: spy, 999: spy}

    def as_of(cutoff: date, _: Sequence[int]) -> TrainingData:
        data = training_data(simulated(50))
        return TrainingData(
            cutoff,
            data.customer_counts,
            data.repeat_spend,
            pl.DataFrame(),
            data.daily_totals.filter(pl.col("day") <= cutoff),
        )

    table = find_drivers(
        champions,
        windows,
        training_for=as_of,
        customers_for=lambda cutoff, horizon: simulated(50, horizon_days=horizon, cutoff=cutoff),
        outcomes_for=lambda *_: what_came(simulated(50), pl.col("revenue")),
    )
    past = {horizon: CUTOFF - timedelta(days=horizon) for horizon in (30, 90, 365)}
    assert spy.fits == [(past[horizon], [horizon]) for horizon in (30, 90, 365)]
    # The rule cannot forecast a year.
    assert table.select("horizon_days", "cutoff").unique().sort("horizon_days").rows() == [
        (30, past[30]),
        (90, past[90]),
    ]
    for of_horizon in table.partition_by("horizon_days"):
        assert of_horizon["importance"].is_sorted(descending=True)


def test_coefficients_are_those_of_the_latest_backtest_fit() -> None:
    windows = plan_windows(CUTOFF - timedelta(days=400), CUTOFF, [90], 2)
    latest, earlier = CUTOFF - timedelta(days=90), CUTOFF - timedelta(days=180)
    linear = {"intercept": 1.0, "frequency": 2.5}
    parts = {
        "rows": 10,
        "mean": {"frequency": 4.0},
        "purchases": linear,
        "spend": {"intercept": 0.0, "frequency": -3.0},
    }
    reports = [
        FitReport("linear_regression", latest, {"horizons": {"90": parts}}, 9, "ok", ""),
        FitReport("linear_regression", earlier, {"horizons": {"90": {"spend": {"intercept": 9.0}}}}, 9, "ok", ""),
        FitReport("bg_nbd", latest, {"r": 0.5}, 9, "ok", ""),
    ]
    table = linear_coefficients(fit_rows(reports, {}), windows)
    assert table.schema == COEFFICIENTS_SCHEMA
    assert table.rows() == [
        (90, "linear_regression", "purchases", "intercept", 1.0, latest),
        (90, "linear_regression", "purchases", "frequency", 2.5, latest),
        (90, "linear_regression", "spend", "intercept", 0.0, latest),
        (90, "linear_regression", "spend", "frequency", -3.0, latest),
    ]


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        ("linear_regression", {"purchases", "spend"}),
        ("glm", {"purchases", "spend_per_purchase"}),
        ("logistic", {"log_odds"}),
    ],
)
def test_linear_models_report_their_coefficients_where_they_are_looked_for(model: str, targets: set[str]) -> None:
    windows = plan_windows(CUTOFF - timedelta(days=400), CUTOFF + timedelta(days=90), [90], 1)
    past = examples.simulated(300, 2, cutoff=HALF)
    report = MODELS[model]().fit(training_data(simulated(50), past), [90]).report
    json.dumps(report.parameters)
    table = linear_coefficients(fit_rows([report], {}), windows)
    assert set(table["target"]) == targets
    assert "frequency" in table["feature"]
