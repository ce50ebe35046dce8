from datetime import date

import polars as pl
import pytest

from clv_pipeline.evaluation.choice import Evidence, choose
from clv_pipeline.evaluation.metrics import evaluate
from clv_pipeline.evaluation.ranges import SpendRanges
from clv_pipeline.evaluation.served import SERVED_SCHEMA, as_served
from clv_pipeline_tests.helpers.model_metrics import LAST_YEAR, OWN_RATE
from clv_pipeline_tests.helpers.served_forecasts import CONTENDERS, CUSTOMERS, CUSTOMERS_KNOWN, CUTOFFS, walk


def test_it_has_one_row_per_metric_and_group(served: pl.DataFrame) -> None:
    assert served.schema == SERVED_SCHEMA
    key = ["cutoff", "horizon_days", "target", "metric", "group_kind", "group_name"]
    assert not served.select(key).is_duplicated().any()
    assert served["value"].drop_nulls().is_finite().all()
    assert set(served["group_kind"]) == {"all", "decile", "segment", "country", "value", "age", "p_class"}
    names = {
        kind: set(served.filter(group_kind=kind)["group_name"])
        for kind in ("decile", "segment", "country", "value", "age")
    }
    assert names == {
        "decile": {*(str(tenth) for tenth in range(1, 11)), "best 1 %"},
        "segment": {"Loyal", "Lost"},
        # Islands are small, and told together.
        "country": {"France", "Spain", "other", "unknown"},
        "value": {*(str(tenth) for tenth in range(1, 11)), "best 1 %"},
        "age": {"0-30 days", "31-90 days", "91-365 days", "over 365 days"},
    }


def test_on_every_past_date_serves_who_was_best_by_what_was_over_then(
    forecasts: pl.DataFrame, served: pl.DataFrame
) -> None:
    evidence = Evidence.of(evaluate(forecasts))
    shown = served.filter(~pl.col("metric").str.starts_with("best_rule_")).select("cutoff", "model").unique()
    assert dict(shown.iter_rows()) == {day: choose(evidence, CONTENDERS, day).champion for day in CUTOFFS}
    # Three windows of 30 days are over only at the fourth of the dates; until then the preference stands.
    assert shown.sort("cutoff")["model"].to_list() == ["hybrid"] * 3 + ["pareto_nbd"] * 3


def test_nothing_from_after_the_date_is_used(forecasts: pl.DataFrame, served: pl.DataFrame) -> None:
    day = CUTOFFS[3]
    ends = pl.col("cutoff") + pl.duration(days=pl.col("horizon_days"))
    later = (ends > day) & (pl.col("cutoff") != day)
    changed = forecasts.with_columns(
        pl.when(later).then(1000.0 * pl.col("actual_spend")).otherwise("actual_spend").alias("actual_spend"),
        pl.when(later).then(7.0).otherwise("expected_purchases").alias("expected_purchases"),
    )
    assert walk(changed).filter(cutoff=day).equals(served.filter(cutoff=day))


def test_ranges_are_learned_from_the_windows_of_who_serves_that_were_over(
    forecasts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    learn = SpendRanges.learn

    def watched(past: pl.DataFrame, level: float) -> SpendRanges:
        seen.append(past)
        return learn(past, level)

    monkeypatch.setattr(SpendRanges, "learn", watched)
    walk(forecasts)
    assert len(seen) == len(CUTOFFS)
    for cutoff, past in zip(CUTOFFS, seen, strict=True):
        ends = past.select(pl.col("cutoff") + pl.duration(days=pl.col("horizon_days"))).to_series()
        assert (ends <= cutoff).all()
    windows = [past.select("cutoff", "horizon_days").n_unique() for past in seen]
    assert windows == [0, 1, 3, 5, 7, 9]
    own = forecasts.filter(model="pareto_nbd", cutoff=CUTOFFS[0], horizon_days=30)["expected_spend"].sum()
    first = seen[-1].filter(pl.col("cutoff") == CUTOFFS[0], pl.col("horizon_days") == 30)
    assert first["expected_spend"].sum() == pytest.approx(own)


def test_a_backtest_is_read_once_while_one_model_serves(forecasts: pl.DataFrame) -> None:
    asked: list[tuple[str, date]] = []
    walk(forecasts, asked)
    hybrid = [("hybrid", day) for day in CUTOFFS[:3]]
    assert asked == hybrid + [("pareto_nbd", day) for day in CUTOFFS]


def test_what_is_quoted_of_all_customers_is_what_evaluate_finds(forecasts: pl.DataFrame, served: pl.DataFrame) -> None:
    of_all = served.filter(pl.col("group_kind") == "all", pl.col("lower").is_not_null())
    key = ["cutoff", "horizon_days", "model", "target", "metric"]
    matched = of_all.join(evaluate(forecasts), on=key, suffix="_evaluated")
    assert set(matched["metric"]) >= {"mae", "normalized_gini", "decile_mape", "tweedie_skill", "poisson_skill", "auc"}
    assert matched["value"].to_list() == pytest.approx(matched["value_evaluated"].to_list())
    assert (matched["lower"] < matched["upper"]).all()
    absolute = of_all.filter(metric="absolute_bias", target="spend").sort("cutoff", "horizon_days")
    bias = of_all.filter(metric="bias", target="spend").sort("cutoff", "horizon_days")
    assert absolute["value"].to_list() == pytest.approx(bias["value"].abs().to_list())


def test_countries_are_those_of_the_date_and_tenths_are_by_what_had_been_spent_by_then(forecasts: pl.DataFrame) -> None:
    first = forecasts.filter(pl.col("cutoff") == CUTOFFS[0])
    asked: list[date] = []

    def described(cutoff: date) -> pl.DataFrame:
        asked.append(cutoff)
        return CUSTOMERS_KNOWN.with_columns(revenue=pl.col("customer_id").rank())

    def backtest(model: str, cutoff: date) -> pl.DataFrame:
        return first.filter(pl.col("model") == model, pl.col("cutoff") == cutoff)

    found = as_served(backtest, evaluate(first), CONTENDERS, described, 0.8).accuracy
    assert asked == [CUTOFFS[0]]
    [best] = found.filter(
        horizon_days=30, target="spend", metric="actual_mean", group_kind="value", group_name="1"
    ).rows(named=True)
    last = backtest(best["model"], CUTOFFS[0]).filter(horizon_days=30).sort("customer_id").tail(CUSTOMERS // 10)
    assert best["customers"] == CUSTOMERS // 10
    assert best["value"] == pytest.approx(last["actual_spend"].mean())


def test_beside_it_stands_the_rule_that_had_done_best_by_then(forecasts: pl.DataFrame, served: pl.DataFrame) -> None:
    rules = served.filter(pl.col("metric").str.starts_with("best_rule_"))
    by_date = dict(rules.sort("cutoff").select("cutoff", "model").unique(maintain_order=True).iter_rows())
    # Without evidence the first configured of two; then the one with less noise.
    assert [by_date[day] for day in CUTOFFS] == ["own_rate"] + ["same_window_last_year"] * 5
    metrics = evaluate(forecasts).filter(cutoff=CUTOFFS[5], horizon_days=60, model="same_window_last_year")
    known = dict(metrics.filter(target="spend").select("metric", "value").iter_rows())
    found = dict(rules.filter(cutoff=CUTOFFS[5], horizon_days=60).select("metric", "value").iter_rows())
    assert found == {
        "best_rule_absolute_bias": abs(known["bias"]),
        **{f"best_rule_{metric}": known[metric] for metric in ("mae", "tweedie_skill", "normalized_gini")},
    }


def test_rules_alone_are_served_too(forecasts: pl.DataFrame) -> None:
    rules = forecasts.filter(pl.col("p_purchase").is_null())

    def backtest(model: str, cutoff: date) -> pl.DataFrame:
        return rules.filter(pl.col("model") == model, pl.col("cutoff") == cutoff)

    found = as_served(backtest, evaluate(rules), (OWN_RATE, LAST_YEAR), lambda _: CUSTOMERS_KNOWN, 0.8).accuracy
    assert set(found["model"]) == {"own_rate", "same_window_last_year"}
    assert found.filter(target="spend", group_kind="all")["value"].null_count() == 0
    assert found.filter(target="alive", metric="predicted_mean")["value"].null_count() > 0
    assert "p_class" not in set(found["group_kind"])


def test_the_champion_that_had_no_forecast_is_stood_in_for(forecasts: pl.DataFrame) -> None:
    gap = forecasts.filter((pl.col("model") != "hybrid") | (pl.col("cutoff") > CUTOFFS[0]))
    first = walk(gap).filter(pl.col("cutoff") == CUTOFFS[0], pl.col("metric") == "mae", pl.col("group_kind") == "all")
    assert set(first["model"]) == {"pareto_nbd"}


def test_nothing_backtested_gives_an_empty_table(forecasts: pl.DataFrame) -> None:
    assert walk(forecasts.clear()).is_empty()
