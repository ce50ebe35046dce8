"""Groups of customers add up, hold whom they name, and are left out where they say nothing."""

import polars as pl
import pytest

from clv_pipeline_tests.helpers.served_forecasts import CUSTOMERS, CUSTOMERS_KNOWN, CUTOFFS, walk


def test_groups_add_up_to_all_customers(served: pl.DataFrame) -> None:
    whole = pl.col("group_name") != "best 1 %"
    means = served.filter(whole, pl.col("metric").is_in(["mae", "predicted_mean", "coverage"]))
    sums = means.group_by("cutoff", "horizon_days", "target", "metric", "group_kind").agg(
        (pl.col("value") * pl.col("customers")).sum().alias("total"), pl.col("customers").sum()
    )
    assert (sums["customers"] == CUSTOMERS).all()
    ends = sums.group_by("cutoff", "horizon_days", "target", "metric").agg(
        pl.col("total").min().alias("least"), pl.col("total").max().alias("most")
    )
    assert ends["least"].to_list() == pytest.approx(ends["most"].to_list())


def test_the_best_tenth_has_the_highest_forecasts(served: pl.DataFrame) -> None:
    one = served.filter(
        cutoff=CUTOFFS[0], horizon_days=30, target="spend", metric="predicted_mean", group_kind="decile"
    )
    means = dict(one.select("group_name", "value").iter_rows())
    ordered = [means[name] for name in ("best 1 %", *(str(tenth) for tenth in range(1, 11)))]
    assert ordered == sorted(ordered, reverse=True)
    assert one.filter(group_name="best 1 %")["customers"].to_list() == [4]


def test_small_countries_are_one_group(served: pl.DataFrame) -> None:
    one = served.filter(cutoff=CUTOFFS[0], horizon_days=30, target="spend", metric="mae", group_kind="country")
    assert dict(one.select("group_name", "customers").iter_rows()) == {
        "France": 100,
        "Spain": 200,
        "other": 50,
        "unknown": 50,
    }


@pytest.mark.parametrize(
    ("customers", "known", "missing"),
    [
        (CUSTOMERS, {"country": pl.lit(None, pl.String)}, "country"),
        (CUSTOMERS, {"revenue": pl.lit(None, pl.Float64)}, "value"),
        (299, {}, "value"),
    ],
)
def test_groups_that_are_not_known_or_too_small_are_left_out(
    forecasts: pl.DataFrame, customers: int, known: dict[str, pl.Expr], missing: str
) -> None:
    some = forecasts.filter(pl.col("cutoff") == CUTOFFS[0], pl.col("customer_id") < f"c{customers:04d}")
    kinds = set(walk(some, known=CUSTOMERS_KNOWN.with_columns(**known))["group_kind"])
    assert kinds == {"all", "decile", "segment", "country", "value", "age", "p_class"} - {missing}


def test_calibration_of_p_alive_stands_beside_that_of_p_purchase(served: pl.DataFrame) -> None:
    classes = served.filter(cutoff=CUTOFFS[0], horizon_days=60, group_kind="p_class")
    told = classes.filter(target="purchase", metric="predicted_mean")
    for name, value in told.select("group_name", "value").iter_rows():
        low, high = (float(end) for end in name.split("-"))
        assert low <= value <= high
    alive = classes.filter(target="alive", metric="bought")
    assert alive["value"].to_list() == classes.filter(target="purchase", metric="bought")["value"].to_list()


def test_equal_forecasts_share_their_outcomes_evenly_among_tenths(forecasts: pl.DataFrame) -> None:
    one = forecasts.filter(pl.col("cutoff") == CUTOFFS[0])
    told = one.with_columns(pl.lit(5.0).alias("expected_spend"))
    tenths = walk(told).filter(target="spend", metric="actual_mean", group_kind="decile", horizon_days=30)
    assert tenths["value"].to_list() == pytest.approx([tenths["value"][0]] * 11)


def test_a_window_in_which_nothing_came_is_undefined_and_no_crash(forecasts: pl.DataFrame) -> None:
    quiet = forecasts.filter(pl.col("cutoff") == CUTOFFS[0]).with_columns(
        actual_spend=pl.lit(0.0), actual_purchases=pl.lit(0.0)
    )
    found = walk(quiet).filter(group_kind="all", horizon_days=30, target="spend")
    values = dict(found.select("metric", "value").iter_rows())
    assert (values["bias"], values["absolute_bias"], values["tweedie_skill"]) == (None, None, None)
    assert values["mae"] > 0.0
