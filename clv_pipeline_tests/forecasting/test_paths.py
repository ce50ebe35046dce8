"""Paths: what is no number, or contradicts itself, never becomes a table; readings keep the order of customers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.paths import OUTLOOK_SCHEMA, PATH_SCHEMA, Paths

GOOD = Paths(
    model="mine",
    customer_id=pl.Series(["b", "a"]),
    days=(90, 30),
    purchases=np.array([[1.5, 0.5], [0.25, 0.125]]),
    p_purchase=np.array([[0.75, 0.5], [0.25, 0.125]]),
    spend=np.array([[30.0, 10.0], [5.0, 2.5]]),
    discounted_spend=np.array([[29.0, 9.5], [4.5, 2.25]]),
    p_alive=np.array([0.875, 0.5]),
    value=np.array([20.0, 20.0]),
    lifetime_value=np.array([200.0, np.nan]),
    next_order_days=np.array([30.0, np.nan]),
)


def test_a_frame_has_a_row_per_customer_and_day_in_the_order_that_was_asked_for() -> None:
    frame = GOOD.frame()
    assert frame.schema == PATH_SCHEMA
    assert frame.select("customer_id", "horizon_days", "expected_purchases", "p_alive").rows() == [
        ("b", 90, 1.5, 0.875),
        ("b", 30, 0.5, 0.875),
        ("a", 90, 0.25, 0.5),
        ("a", 30, 0.125, 0.5),
    ]
    assert frame.row(1, named=True) == {
        "customer_id": "b",
        "horizon_days": 30,
        "expected_purchases": 0.5,
        "expected_spend": 10.0,
        "p_purchase": 0.5,
        "p_alive": 0.875,
        "discounted_spend": 9.5,
    }


def test_what_a_yardstick_does_not_say_is_null() -> None:
    few = Paths("rule", GOOD.customer_id, GOOD.days, spend=GOOD.spend)
    few.require_coherence()
    assert few.frame().null_count().row(0) == (0, 0, 4, 0, 4, 4, 4)
    assert few.outlook().null_count().row(0) == (0, 2, 2, 2, 2)


def test_paths_read_at_fewer_days_say_the_same_of_them() -> None:
    one = GOOD.at([30])
    assert one.frame().rows() == [row for row in GOOD.frame().rows() if row[1] == 30]
    assert GOOD.at([30, 90]).days == (30, 90)
    assert one.outlook().equals(GOOD.outlook())
    silent = Paths("rule", GOOD.customer_id, GOOD.days, spend=GOOD.spend).at([90])
    assert silent.p_purchase is None
    with pytest.raises(ValueError, match="not in tuple"):
        GOOD.at([7])


def test_an_outlook_has_a_row_per_customer_and_null_where_there_is_no_number() -> None:
    outlook = GOOD.outlook()
    assert outlook.schema == OUTLOOK_SCHEMA
    assert outlook.rows() == [("b", 0.875, 20.0, 200.0, 30.0), ("a", 0.5, 20.0, None, None)]


def test_nobody_has_no_rows() -> None:
    nothing = np.empty((0, 2))
    nobody = Paths("m", pl.Series([], dtype=pl.String), (30, 90), purchases=nothing, p_alive=np.empty(0))
    nobody.require_coherence()
    assert nobody.frame().equals(pl.DataFrame(schema=PATH_SCHEMA))
    assert nobody.outlook().equals(pl.DataFrame(schema=OUTLOOK_SCHEMA))


@pytest.mark.parametrize("name", ["purchases", "p_purchase", "spend", "discounted_spend"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_what_is_no_such_number_is_refused_with_its_place(name: str, wrong: float) -> None:
    values = getattr(GOOD, name).copy()
    values[1, 0] = wrong
    told = name if name in ("p_purchase", "discounted_spend") else f"expected_{name}"
    with pytest.raises(ValueError, match=rf"mine: {told} of customer a at day 90 is no such number; .* 1 of 4 numbers"):
        replace(GOOD, **{name: values})


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="mine: p_alive of customer b is no such number"):
        replace(GOOD, p_alive=np.array([1.1, 0.5]))
    with pytest.raises(ValueError, match="p_purchase of customer a at day 30"):
        replace(GOOD, p_purchase=np.array([[0.75, 0.5], [0.25, 1.5]]))


def test_coherent_paths_pass_in_whatever_order_days_were_asked_for() -> None:
    GOOD.require_coherence()


@pytest.mark.parametrize("name", ["purchases", "p_purchase", "spend", "discounted_spend"])
def test_a_path_that_falls_as_the_horizon_grows_is_refused(name: str) -> None:
    values = getattr(GOOD, name).copy()
    values[1] = values[1, ::-1]
    with pytest.raises(ValueError, match=f"mine: {name} of customer a at day .* falls as the horizon grows"):
        replace(GOOD, **{name: values}).require_coherence()


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, purchases=np.array([[0.5, 0.25], [0.25, 0.125]])),
        replace(GOOD, p_alive=np.array([0.6, 0.5])),
    ],
    ids=["purchases", "p_alive"],
)
def test_nobody_is_likelier_to_buy_than_to_be_there_or_than_purchases_are_expected(wrong: Paths) -> None:
    with pytest.raises(ValueError, match="p_purchase of customer b at day 90 exceeds expected purchases or p_alive"):
        wrong.require_coherence()
