"""Profiles of clusters add up: every customer is in exactly one of them."""

from __future__ import annotations

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, picked

# customer: (cluster, days since last, frequency, revenue)
CUSTOMERS = {
    "ann": (1, 3, 9, "500.50"),
    "bob": (1, 6, 5, "299.50"),
    "cid": (2, 9, 1, "100.00"),
    "dee": (2, 11, 0, "60.00"),
    "eve": (2, 20, 0, "10.00"),
}
NAMES = {1: "High value, recent", 2: "Low value, lapsed"}


def test_a_profile_describes_the_customers_of_its_cluster(bench: Bench) -> None:
    of_cluster = {name: cluster for name, (cluster, *_) in CUSTOMERS.items()}
    bench.given(
        "customer_clusters",
        [{"customer_id": name, "cluster": k, "cluster_name": NAMES[k]} for name, k in of_cluster.items()],
    )
    bench.given(
        "rfm",
        [
            {"customer_id": name, "days_since_last": days, "frequency": frequency, "revenue": revenue}
            for name, (_, days, frequency, revenue) in CUSTOMERS.items()
        ],
    )
    medians = ("median_days_since_last", "median_frequency", "median_revenue")
    assert picked(
        bench.run("cluster_profiles"), "cluster", "cluster_name", "customers", "customer_share", *medians
    ) == [
        (1, "High value, recent", 2, pytest.approx(0.4), 4.5, 7.0, 400.0),
        (2, "Low value, lapsed", 3, pytest.approx(0.6), 11.0, 0.0, 60.0),
    ]
