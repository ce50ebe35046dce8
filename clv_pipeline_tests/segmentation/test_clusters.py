"""Clusters: chosen by evidence, the same whatever the row order, named for people, and never a crash."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from importlib import resources

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from clv_pipeline.segmentation import clusters as module
from clv_pipeline.segmentation.clusters import MIN_CUSTOMERS, Clusters, find_clusters

KINDS = {"regulars": (5.0, 20.0, 5_000.0), "sleepers": (60.0, 6.0, 900.0), "one-timers": (400.0, 0.0, 60.0)}


def three_kinds(each: int = 100) -> pl.DataFrame:
    """Three clearly different kinds of customers; customer_id starts with the kind."""
    rng = np.random.default_rng(1)
    frames = []
    for kind, centre in KINDS.items():
        noise = rng.lognormal(0, 0.15, size=(each, 3))
        recency, frequency, revenue = (np.array(centre) * noise).T
        columns = {"days_since_last": recency.round(), "frequency": frequency.round(), "revenue": revenue}
        ids = pl.Series("customer_id", [f"{kind}-{i:04}" for i in range(each)])
        frames.append(pl.DataFrame(columns).insert_column(0, ids))
    return pl.concat(frames)


def assert_same(left: Clusters, right: Clusters) -> None:
    for of_left, of_right in ((left.centre, right.centre), (left.spread, right.spread)):
        np.testing.assert_array_equal(of_left, of_right)
    np.testing.assert_array_equal(left.centroids, right.centroids)
    assert_frame_equal(left.diagnostics, right.diagnostics, check_exact=True)
    assert (left.names, left.reason) == (right.names, right.reason)


def sizes(assigned: pl.DataFrame) -> dict[str, int]:
    """Customers by name of cluster, cluster 1 first."""
    return dict(assigned.group_by("cluster", "cluster_name").len().sort("cluster").drop("cluster").iter_rows())


def test_three_kinds_of_customers_are_found_again_and_ordered_by_spend() -> None:
    rfm = three_kinds()
    found = find_clusters(rfm)

    assigned = found(rfm).with_columns(rfm["revenue"], kind=pl.col("customer_id").str.split("-").list.first())
    assert assigned.group_by("kind").agg(pl.col("cluster").n_unique())["cluster"].to_list() == [1, 1, 1]
    typical = assigned.group_by("cluster").agg(pl.len(), pl.col("revenue").median()).sort("cluster")
    assert typical["cluster"].to_list() == [1, 2, 3]
    assert typical["len"].to_list() == [100, 100, 100]
    assert typical["revenue"].is_sorted(descending=True)
    assert found.names[0] == "High value, recent"
    assert found.names[2] == "Low value, lapsed"
    assert found.diagnostics.filter("chosen")["k"].to_list() == [3]
    assert found.reason.startswith("3 clusters: ")


def test_a_customer_is_in_the_same_cluster_in_any_batch_and_after_pickling() -> None:
    rfm = three_kinds()
    found = find_clusters(rfm)
    together = found(rfm)

    unpickled = pickle.loads(pickle.dumps(found))  # noqa: S301  (our own bytes)
    batches = [unpickled(rfm.slice(first, 7)) for first in range(0, rfm.height, 7)]

    assert_frame_equal(pl.concat(batches), together)
    assert found(rfm.clear()).schema == together.schema


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    rfm = three_kinds(each=40)

    assert_same(find_clusters(rfm.sample(fraction=1.0, shuffle=True, seed=seed)), find_clusters(rfm))


def test_a_decimal_revenue_and_integer_keys_give_the_same_clusters() -> None:
    rfm = three_kinds().with_columns(pl.col("revenue").round(2), customer_id=pl.int_range(pl.len()))
    money = rfm.with_columns(pl.col("revenue").cast(pl.Decimal(18, 2)))
    assert isinstance(money["revenue"][0], Decimal)

    assert_same(find_clusters(money), find_clusters(rfm))
    assert_frame_equal(find_clusters(money)(money), find_clusters(rfm)(rfm))


def test_one_wholesaler_does_not_get_a_cluster_of_its_own() -> None:
    wholesaler = {"customer_id": "wholesaler", "days_since_last": 0.0, "frequency": 900.0, "revenue": 5e7}
    rfm = pl.concat([three_kinds(), pl.DataFrame([wholesaler])])

    found = find_clusters(rfm)

    assert len(found.names) == 3
    assert found(rfm).filter(pl.col("customer_id") == "wholesaler")["cluster"].item() == 1


@pytest.mark.parametrize("customers", [0, 1, MIN_CUSTOMERS - 1])
def test_too_few_customers_are_one_cluster_and_the_reason_says_so(customers: int) -> None:
    rfm = three_kinds().head(customers)
    found = find_clusters(rfm)

    assert found(rfm)["cluster"].to_list() == [1] * customers
    assert found(rfm).schema["cluster_name"] == pl.String
    assert found.diagnostics.is_empty()
    assert f"{customers} customers are fewer than" in found.reason


def test_identical_customers_are_one_cluster_and_the_reason_says_so() -> None:
    rfm = three_kinds().with_columns(days_since_last=3, frequency=0, revenue=9.99)

    found = find_clusters(rfm)

    assert sizes(found(rfm)) == {"All customers": 300}
    assert "the same recency, frequency and revenue" in found.reason


def test_a_shapeless_cloud_is_not_split() -> None:
    cloud = np.random.default_rng(0).lognormal(3, 1, size=(2_000, 3))
    rfm = pl.DataFrame(cloud, schema=list(module.FEATURES)).with_row_index("customer_id")

    found = find_clusters(rfm)

    assert found.names == ("All customers",)
    assert found.names_frame.select("cluster", "cluster_name", "cluster_name_code").rows() == [
        (1, "All customers", "all_customers")
    ]
    assert found.reason.startswith("One cluster: no split is stable")
    assert found.diagnostics["k"].to_list() == list(module.CANDIDATE_K)
    assert not found.diagnostics["eligible"].any()


def test_two_kinds_of_customers_fall_back_to_two_clusters() -> None:
    rfm = pl.concat([three_kinds().head(1), three_kinds().tail(1)]).drop("customer_id")
    rfm = pl.concat([rfm] * 40).with_row_index("customer_id")

    found = find_clusters(rfm)

    assert found.names == ("High value, recent", "Low value, lapsed")
    assert found.reason.startswith("2 clusters: no split into three or more")


def test_mostly_one_time_buyers_have_an_interquartile_range_of_zero_and_still_split() -> None:
    rfm = pl.concat([three_kinds(each=20).head(40), three_kinds(each=200).tail(200)])
    assert rfm["frequency"].quantile(0.75) == rfm["frequency"].quantile(0.25)

    assert len(find_clusters(rfm).names) == 3


def test_clusters_that_would_share_a_name_are_told_apart_by_spend() -> None:
    centroids = np.array([[9.0, 0.0, -3.0], [0.0, 0.0, 9.0], [9.5, 0.0, -2.0]])

    order = module._ranking(centroids)

    assert order.tolist() == [1, 2, 0]
    named = module._named(centroids[order])
    assert tuple(map(str, named)) == (
        "High value, recent",
        "Low value, lapsed (1 of 2 by spend)",
        "Low value, lapsed (2 of 2 by spend)",
    )
    assert [name.code for name in named] == ["high_value_recent", "low_value_lapsed", "low_value_lapsed"]
    assert json.loads(named[2].facts) == {"value": "low", "recency": "lapsed", "number": 2, "alike": 2}


def test_a_customer_keeps_the_place_in_the_sample_when_others_come() -> None:
    ids = pl.Series([f"{i}" for i in range(1_000)])
    order = pl.Series(ids.gather(module._stable_shuffle(ids)))
    more = pl.concat([ids, pl.Series(["a-newcomer-with-a-long-name", "é"])])
    order_with_more = pl.Series(more.gather(module._stable_shuffle(more)))

    assert order.to_list() == order_with_more.filter(order_with_more.is_in(ids.implode())).to_list()
    assert abs(order.head(500).cast(pl.Int64).mean() - 499.5) < 40  # type: ignore[operator]


def test_only_a_sample_is_fitted_but_everybody_is_assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    rfm = three_kinds()
    everyone = find_clusters(rfm)(rfm)
    monkeypatch.setattr(module, "FIT_CUSTOMERS", 120)
    monkeypatch.setattr(module, "SAMPLE_CUSTOMERS", 60)

    assert_frame_equal(find_clusters(rfm)(rfm), everyone)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (three_kinds().drop("revenue"), "revenue"),
        (three_kinds().with_columns(revenue=pl.col("revenue").shift(1)), "revenue has null"),
        (three_kinds().with_columns(revenue=float("nan")), "revenue has null or infinite"),
        (three_kinds().with_columns(days_since_last=-1), "days_since_last of at least 0"),
        (pl.concat([three_kinds(), three_kinds()]), "repeated"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused(broken: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_clusters(broken)


def test_cdnow_gives_three_clusters_from_the_best_to_the_lapsed() -> None:
    log = resources.files("lifetimes") / "datasets" / "CDNOW_master.txt"
    fields = [line.split() for line in log.read_text().splitlines()[1:] if line.strip()]
    purchases = pl.DataFrame(fields, schema=["customer_id", "day", "cds", "amount"], orient="row").select(
        "customer_id", pl.col("day").str.to_date("%Y%m%d"), pl.col("amount").cast(pl.Float64)
    )
    rfm = purchases.group_by("customer_id").agg(
        days_since_last=(pl.lit(purchases["day"].max()) - pl.col("day").max()).dt.total_days(),
        frequency=pl.col("day").n_unique() - 1,
        revenue=pl.col("amount").sum().round(2),
    )

    found = find_clusters(rfm)
    customers = sizes(found(rfm))

    assert sum(customers.values()) == 23_570
    assert list(customers) == ["High value, recent", "High value, lapsed", "Low value, lapsed"]
    assert [n / 23_570 for n in customers.values()] == pytest.approx([0.112, 0.260, 0.628], abs=0.01)


def test_without_money_clusters_are_of_recency_and_frequency() -> None:
    rfm = three_kinds().with_columns(revenue=pl.lit(None, pl.Float64))
    clusters = find_clusters(rfm)
    assert clusters.centroids.shape[1] == 2
    assert clusters.names[0] == "High frequency, recent"
    assert clusters.named[0].code == "high_frequency_recent"
    assert json.loads(clusters.named[0].facts)["frequency"] == "high"
    assert clusters(rfm)["cluster"].null_count() == 0


def test_a_revenue_that_is_unknown_of_some_is_refused() -> None:
    rfm = three_kinds().with_columns(revenue=pl.when(pl.int_range(pl.len()) > 0).then("revenue"))
    with pytest.raises(ValueError, match="revenue has null"):
        find_clusters(rfm)
