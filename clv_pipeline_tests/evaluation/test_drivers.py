from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.evaluation import drivers
from clv_pipeline.evaluation.drivers import (
    COEFFICIENTS_SCHEMA,
    DRIVERS_SCHEMA,
    linear_coefficients,
    permutation_importance,
)
from clv_pipeline.evaluation.facts import FACTS, swapped
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import CUSTOMER_COLUMNS, PAST_DAYS, PIECES_DAYS, YEAR_AGO_DAYS, FitReport
from clv_pipeline.forecasting.registry import models_of
from clv_pipeline.forecasting.serving import fit_rows
from clv_pipeline_tests.helpers import forecast_examples
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

Formula = Callable[[pl.DataFrame], Floats]
Found = dict[str, dict[str, Any]]


def simulated(customers: int, seed: int = 1) -> pl.DataFrame:
    """Simulated customers without what came."""
    return forecast_examples.simulated(customers, seed).drop("actual_purchases", "actual_spend")


def came_of(customers: pl.DataFrame, spend: Floats, seed: int = 5) -> pl.DataFrame:
    """Outcomes that scatter around an expected spend; purchases of ten each."""
    scatter = np.random.default_rng(seed).gamma(4.0, 0.25, customers.height)
    return customers.select(
        "customer_id", actual_purchases=pl.Series(spend * scatter / 10.0), actual_spend=pl.Series(spend * scatter)
    )


def column(name: str) -> Formula:
    return lambda customers: floats(customers, name)


def formula(expression: pl.Expr) -> Formula:
    return lambda customers: floats(customers.select(expression.alias("v")), "v")


@dataclass
class Rule:
    """A fitted model that forecasts spend by a formula, purchases as a tenth of it, and keeps what it was asked."""

    spend: Formula
    as_of: date = CUTOFF
    asked: list[pl.DataFrame] = field(default_factory=list)

    @property
    def report(self) -> FitReport:
        return FitReport("rule", self.as_of, {}, 0, "ok", "")

    def can_forecast(self, horizon_days: int) -> bool:
        return horizon_days != 365

    def forecast(
        self,
        customers: pl.DataFrame,
        days: Sequence[int],
        annual_discount_rate: float = 0.0,
        *,
        with_outlook: bool = False,
    ) -> Paths:
        self.asked.append(customers)
        spend = np.tile(self.spend(customers)[:, None], len(days))
        return Paths("rule", customers["customer_id"], tuple(days), purchases=spend / 10.0, spend=spend)


def measured(spend: Formula, customers: pl.DataFrame, outcomes: pl.DataFrame | None = None) -> Found:
    """The rows of `permutation_importance` by fact, for a rule that was right on average unless told."""
    came = came_of(customers, spend(customers)) if outcomes is None else outcomes
    table = permutation_importance(Rule(spend), customers, {90: came})
    assert table.schema == DRIVERS_SCHEMA
    return {row["feature"]: row for row in table.to_dicts()}


def test_every_column_that_says_something_states_one_fact() -> None:
    placed = Counter(column for columns in FACTS.values() for column in columns)
    follow = {"customer_id", "cutoff", "tenure_days", "first_purchase_date"}
    assert placed == Counter(set(CUSTOMER_COLUMNS) - follow)


def test_only_what_the_model_uses_is_important() -> None:
    found = measured(column("lines_per_order"), simulated(300))
    assert {fact for fact, row in found.items() if row["direction"] != "none"} == {"basket_size"}
    assert found["basket_size"]["direction"] == "up"
    assert found["basket_size"]["importance"] > 0.1
    assert all(row["importance"] == 0.0 for fact, row in found.items() if fact != "basket_size")


def test_importance_is_the_gain_in_the_loss_that_chooses() -> None:
    customers = simulated(300)
    spend = formula(1.0 + pl.col("lines_per_order"))
    came = came_of(customers, spend(customers))
    found = measured(spend, customers, came)["basket_size"]

    def loss(told: Floats) -> float:
        """Half the logs of both mean deviances, without the customer whose loss was highest before."""
        actual, mean = floats(came.sort("customer_id"), "actual_spend"), 0.0
        for scale, deviance in ((1.0, tweedie), (0.1, poisson)):
            each, before = (deviance(scale * values, scale * actual) for values in (told, right))
            mean += 0.5 * float(np.log(np.delete(each, before.argmax()).mean()))
        return mean

    ordered = customers.sort("customer_id")
    right = spend(ordered)
    gains = []
    for repeat in range(drivers.REPEATS):
        order = np.random.default_rng([20_240_901, repeat]).permutation(ordered.height)
        gains.append(loss(right[order]) - loss(right))
    assert found["importance"] == pytest.approx(np.mean(gains))
    assert found["importance_deviation"] == pytest.approx(np.std(gains, ddof=1))


def tweedie(told: Floats, actual: Floats) -> Floats:
    return np.asarray(4.0 * (np.sqrt(actual) - np.sqrt(told)) ** 2 / np.sqrt(told), dtype=np.float64)


def poisson(told: Floats, actual: Floats) -> Floats:
    return np.asarray(2.0 * (actual * np.log(actual / told) - actual + told), dtype=np.float64)


def test_a_fact_that_misleads_has_negative_importance() -> None:
    customers = simulated(300)
    is_unknown = pl.col("country").is_null()
    told, true = (formula(pl.when(is_unknown).then(a).otherwise(b)) for a, b in ((20.0, 30.0), (30.0, 20.0)))
    assert measured(told, customers, came_of(customers, true(customers)))["country"]["importance"] < 0.0


def test_one_absurd_order_does_not_say_what_forecasts_rest_on() -> None:
    customers = simulated(300)
    came = came_of(customers, floats(customers, "revenue"))
    quiet = customers["revenue"].arg_min()
    absurd = pl.when(pl.int_range(pl.len()) == quiet).then(1e6).otherwise("actual_spend")
    before = measured(column("revenue"), customers, came)
    after = measured(column("revenue"), customers, came.with_columns(actual_spend=absurd))
    for fact in ("frequency", "spend_per_purchase"):
        assert after[fact]["importance"] == pytest.approx(before[fact]["importance"], rel=0.3)


def test_what_follows_from_a_fact_moves_with_it() -> None:
    """Who is silent for longer has bought less lately, who buys more often or for more has spent more."""
    customers = simulated(300)
    assert measured(column("spend_90_days"), customers)["days_since_last"]["direction"] == "down"
    found = measured(column("revenue"), customers)
    assert found["frequency"]["direction"] == found["spend_per_purchase"]["direction"] == "up"
    assert found["days_since_last"]["direction"] == "none"
    assert found["recent_activity"]["direction"] == "none"


DIRECTIONS: dict[str, tuple[str, pl.Expr]] = {
    "up": ("frequency", pl.col("frequency") * 3.0),
    "down": ("days_since_last", 1_000.0 - pl.col("days_since_last")),
    "mixed": ("days_since_last", (pl.col("days_since_last") - 330.0).abs() + 1.0),
    "mixed, a category": ("country", pl.when(pl.col("country").is_null()).then(1.0).otherwise(9.0)),
    "up, money in log form": ("spend_per_purchase", pl.col("log_spend") + 100.0),
    "up, lately": ("recent_activity", pl.col("spend_180_days") + 1.0),
    "up, a year ago": ("same_window_last_year", pl.col("purchases_90_days_year_ago") + 1.0),
}


@pytest.mark.parametrize("expected", list(DIRECTIONS))
def test_the_direction_is_that_of_the_forecast(expected: str) -> None:
    fact, expression = DIRECTIONS[expected]
    assert measured(formula(expression), simulated(300))[fact]["direction"] == expected.partition(",")[0]


@settings(max_examples=40, deadline=None)
@given(forecast_examples.any_shop(), st.sampled_from(list(FACTS)), st.integers(0, 9))
def test_who_swaps_a_fact_stays_a_possible_customer(any_shop: tuple[PurchaseDays, date], fact: str, seed: int) -> None:
    days, cutoff = any_shop
    customers = forecast_examples.varied(days.customers(cutoff))
    swaps = swapped(customers, fact, FACTS[fact], np.random.default_rng(seed).permutation(customers.height))
    assert swaps.schema == customers.schema
    purchases, repeats, tenure = pl.col("frequency") + 1, pl.col("frequency"), pl.col("tenure_days")
    nearly = 1.0 + 1e-9
    rules = {
        "dates": pl.col("recency_days") + pl.col("days_since_last") == tenure,
        "first day": pl.col("first_purchase_date") == pl.col("cutoff") - pl.duration(days=tenure),
        "span": ((repeats > 0) == (pl.col("recency_days") > 0)) & (repeats <= pl.col("recency_days")),
        "gaps": (pl.col("mean_gap_days") * repeats - pl.col("recency_days")).abs().fill_null(0.0) < 1e-6,
        "money": (pl.col("last_spend") <= pl.col("largest_spend") * nearly)
        & (pl.col("largest_spend") <= pl.col("revenue") * nearly)
        & (repeats * pl.col("monetary_value") <= pl.col("revenue") * nearly),
        "means": pl.col("log_spend") <= purchases * (pl.col("revenue") / purchases).log() + 1e-6,
        "scatter": pl.col("log_spend") ** 2 <= purchases * pl.col("squared_log_spend") * nearly + 1e-6,
        "products": pl.col("products") <= pl.max_horizontal(pl.col("lines_per_order") * pl.col("orders"), 1),
        "a year ago": pl.col("purchases_180_days_year_ago")
        <= pl.col("purchases_365_days") - pl.col("purchases_180_days"),
        "all at least": pl.min_horizontal(f"purchases_{n}_days_year_ago" for n in YEAR_AGO_DAYS) >= 0,
    }
    for window in PAST_DAYS:
        count, spend = pl.col(f"purchases_{window}_days"), pl.col(f"spend_{window}_days")
        rules |= {
            f"count of {window}": ((count == 0) == (pl.col("days_since_last") >= window))
            & ((count == purchases) == (tenure < window))
            & (count <= (window - pl.col("days_since_last")).clip(lower_bound=0)),
            f"money of {window}": ((count > 0) | (spend == 0.0))
            & (spend <= pl.col("revenue") * nearly)
            & ((count < purchases) | (spend >= pl.col("revenue") / nearly))
            & ((count != 1) | (repeats == 0) | ((spend / pl.col("last_spend") - 1.0).abs() < 1e-6)),
        }
    for windows in (PAST_DAYS, YEAR_AGO_DAYS):
        names = (*FACTS["recent_activity"], *FACTS["same_window_last_year"])
        for short, long in pairwise(windows):
            rules |= {
                f"{name} of {long}": pl.col(name) <= pl.col(name.replace(f"_{short}_", f"_{long}_")) * nearly + 1e-9
                for name in names
                if f"_{short}_" in name and name.replace(f"_{short}_", f"_{long}_") in names
            }
    held = swaps.select(rule.all().alias(name) for name, rule in rules.items())
    assert [name for name in held.columns if not held[name].item()] == []


@settings(max_examples=20, deadline=None)
@given(forecast_examples.any_shop(), st.sampled_from(list(FACTS)))
def test_who_swaps_with_themselves_stays_as_they_are(any_shop: tuple[PurchaseDays, date], fact: str) -> None:
    days, cutoff = any_shop
    customers = days.customers(cutoff)
    again = swapped(customers, fact, FACTS[fact], np.arange(customers.height))
    whole = [name for name, kind in customers.schema.items() if kind != pl.Float64]
    assert again.select(whole).equals(customers.select(whole))
    numbers = customers.select(name for name in customers.columns if name not in whole)
    for name in numbers.columns:
        np.testing.assert_allclose(floats(again, name), floats(customers, name), rtol=1e-9, atol=1e-6)


def test_a_longer_silence_empties_windows_and_a_shorter_one_fills_them_at_ones_own_pace() -> None:
    weekly = forecast_examples.customers_frame([20, 0], [140, 0], [141, 100], [10.0, 0.0])
    weekly = weekly.with_columns(
        **{
            f"purchases_{n}_days": pl.Series([count, int(n > 100)])
            for n, count in zip(PAST_DAYS, (5, 13, 21, 21), strict=True)
        }
    )
    silent = swapped(weekly, "days_since_last", FACTS["days_since_last"], np.array([1, 0]))
    first = silent.row(0, named=True)
    assert (first["days_since_last"], first["tenure_days"], first["frequency"]) == (100, 240, 20)
    assert [first[f"purchases_{n}_days"] for n in PAST_DAYS] == [0, 0, 12, 21]
    assert [silent[f"purchases_{n}_days"][1] for n in PAST_DAYS] == [1, 1, 1, 1]


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
    found = measured(column("event:visit:count_90_days"), customers)
    optional = {"attribute:age", "attribute:tier", "event:visit"}
    assert set(found) == set(FACTS) - {"product_breadth"} | optional
    assert found["event:visit"]["direction"] == "up"
    assert found["attribute:age"]["direction"] == "none"


def test_the_order_of_rows_does_not_matter_and_the_sample_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "CUSTOMERS", 50)
    rule = Rule(column("spend_365_days"))
    customers = simulated(400)
    came = came_of(customers, floats(customers, "revenue"))
    table = permutation_importance(rule, customers, {90: came})
    shuffled = came.sample(fraction=1, shuffle=True, seed=1)
    assert table.equals(permutation_importance(rule, customers.reverse(), {90: shuffled}))
    assert table["customers"].unique().to_list() == [50]
    assert max(asked.height for asked in rule.asked) == 50 * drivers.REPEATS


def test_importance_is_undefined_when_nobody_spent_anything() -> None:
    customers = simulated(50)
    found = measured(column("revenue"), customers, came_of(customers, np.zeros(customers.height)))
    assert found["spend_per_purchase"]["importance"] is None
    assert found["spend_per_purchase"]["direction"] == "up"


def test_one_customer_alone_tells_nothing() -> None:
    table = permutation_importance(Rule(column("revenue")), simulated(1), {90: came_of(simulated(1), np.ones(1))})
    assert table["importance"].is_null().all()
    assert set(table["direction"]) == {"none"}


def test_a_customer_without_outcome_is_an_error() -> None:
    customers = simulated(50)
    with pytest.raises(ValueError, match="1 customers have no outcome for 90 days"):
        permutation_importance(
            Rule(column("revenue")), customers, {90: came_of(customers, floats(customers, "revenue"))[1:]}
        )


@pytest.fixture(scope="module")
def shop() -> PurchaseDays:
    """A shop whose frequent customers, and whose big spenders, go on to be so; it knows what came."""
    return forecast_examples.shop(1_000, 3)


@pytest.fixture(scope="module")
def ground(shop: PurchaseDays) -> Ground:
    """What the families share as of the cutoff."""
    return Ground(shop.training(CUTOFF, 6))


def outcomes(shop: PurchaseDays) -> dict[int, pl.DataFrame]:
    return {horizon: shop.outcomes(CUTOFF, horizon) for horizon in (90, 180)}


@pytest.mark.parametrize("name", ["hybrid", "pareto_nbd"])
def test_families_owe_their_forecasts_to_what_an_expert_would_name(
    shop: PurchaseDays, ground: Ground, name: str
) -> None:
    [model] = models_of([name])
    table = permutation_importance(model.fit(ground), shop.customers(CUTOFF), outcomes(shop))
    assert set(table["horizon_days"]) == {90, 180}
    strong = {"days_since_last": "down", "frequency": "up", "spend_per_purchase": "up"}
    for row in table.filter(pl.col("feature").is_in(strong.keys())).iter_rows(named=True):
        assert row["direction"] == strong[row["feature"]]
        assert row["importance"] > 2.0 * row["importance_deviation"]
    lately = table.filter(pl.col("feature") == "recent_activity")["direction"].to_list()
    assert lately == ["none", "none"] or name == "hybrid"


def test_rules_that_repeat_a_window_owe_their_forecasts_to_it(shop: PurchaseDays, ground: Ground) -> None:
    customers = shop.customers(CUTOFF, [90, 180])
    for rule, fact in (("last_window", "recent_activity"), ("same_window_last_year", "same_window_last_year")):
        [model] = models_of([rule])
        table = permutation_importance(model.fit(ground), customers, outcomes(shop))
        moved = table.filter(pl.col("direction") != "none")
        assert set(moved["feature"]) == {fact, "spend_per_purchase"}
        assert set(moved["direction"]) == {"up"}


def test_coefficients_are_those_of_the_latest_fits() -> None:
    latest, earlier = CUTOFF - timedelta(days=30), CUTOFF - timedelta(days=60)
    worth = {"mean_log_spend": 3.0, "level": 0.1, "own_mean": 0.9, "last": 0.2, "lines_per_order": -0.1}
    pieces = {"30": {"log_rate": 2.5}, "90": {"log_rate": -3.0}}
    learned = {"process": {"r": 1.0}, "correction": {"dispersion": 1.2, "coefficients": pieces}, "value": worth}
    reports = [
        FitReport("hybrid", latest, learned, 9, "ok", ""),
        FitReport("hybrid", earlier, {"correction": {"coefficients": {"30": {"log_rate": 9.0}}}}, 9, "ok", ""),
        FitReport("bg_nbd", latest, {"correction": {}}, 9, "ok", ""),
        FitReport("own", latest, {"correction": 0.5, "value": ["level"]}, 9, "ok", ""),
    ]
    table = linear_coefficients(fit_rows(reports, {}))
    assert table.schema == COEFFICIENTS_SCHEMA
    assert table.filter(pl.col("target") == "purchases").rows() == [
        (30, "hybrid", "purchases", "log_rate", 2.5, latest),
        (90, "hybrid", "purchases", "log_rate", -3.0, latest),
    ]
    spend = table.filter(pl.col("target") == "spend", pl.col("horizon_days") == 365)
    assert dict(spend.select("feature", "coefficient").iter_rows()) == {
        "intercept": 0.1,
        "own_mean": 0.9,
        "last_spend_over_own_mean": 0.2,
        "lines_per_order": -0.1,
    }
    assert linear_coefficients(fit_rows([], {})).equals(pl.DataFrame(schema=COEFFICIENTS_SCHEMA))


def test_families_report_their_coefficients_where_they_are_looked_for(ground: Ground) -> None:
    reports = [model.fit(ground).report for model in models_of(["hybrid", "pareto_nbd"])]
    for report in reports:
        json.dumps(report.parameters)
    table = linear_coefficients(fit_rows(reports, {}))
    found = table.group_by("model", "target").agg(pl.col("horizon_days").unique().sort()).sort("model", "target")
    pieces = list(PIECES_DAYS)
    assert found.rows() == [
        ("hybrid", "purchases", pieces),
        ("hybrid", "spend", pieces),
        ("pareto_nbd", "spend", pieces),
    ]
    assert {"log_rate", "log_alive", "days_since_last"} <= set(table["feature"])
    assert not table.select("horizon_days", "model", "target", "feature").is_duplicated().any()
