"""The total of all customers: what a year ago says, and when it cannot be asked."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.forecasting.season import expected_total

CUTOFF = date(2024, 6, 30)


def daily(days: int, purchases: list[int] | None = None, new_share: float = 0.2) -> pl.DataFrame:
    """Sales of `days` days up to the cutoff; without numbers, ten purchases a day."""
    counts = purchases or [10] * days
    return pl.DataFrame(
        {
            "day": [CUTOFF - timedelta(days=days - 1 - n) for n in range(days)],
            "purchases": counts,
            "new_customers": [round(n * new_share) for n in counts],
            "spend": [20.0 * n for n in counts],
        }
    )


def total(totals: pl.DataFrame, horizon: int = 90, share: float = 0.9) -> float:
    told = expected_total(totals, CUTOFF, horizon, known_share=share, process_total=1_000.0)
    assert told.note
    return told.purchases


def test_a_steady_shop_sells_what_it_sold_a_year_ago_less_what_new_customers_will_buy() -> None:
    assert total(daily(730)) == pytest.approx(90 * 10 * 0.9)


def test_the_season_of_a_year_ago_returns_at_the_size_that_the_shop_has_grown_to() -> None:
    # 730 days: the 90 days after the cutoff of a year ago were a high season; then the shop grew by half.
    days = [10] * 365 + [40] * 90 + [15] * 275
    last_year, this_year = sum(days[:365]), sum(days[365:])
    assert total(daily(730, days), share=1.0) == pytest.approx(90 * 40 * this_year / last_year)


@pytest.mark.parametrize(
    ("why", "totals", "horizon"),
    [
        ("a year and 27 days of history", daily(365 + 27), 90),
        ("a horizon of more than a year", daily(900), 366),
        ("a shop closed to new customers", daily(730, new_share=0.0), 90),
        ("no sales a year ago", daily(730, [0] * 365 + [10] * 365), 90),
        ("no sales at all", daily(0, []), 90),
    ],
)
def test_the_purchase_process_says_the_total_where_a_year_ago_does_not(
    why: str, totals: pl.DataFrame, horizon: int
) -> None:
    assert total(totals, horizon) == pytest.approx(1_000.0), why


@given(st.integers(1, 900), st.integers(1, 400), st.floats(0.0, 1.0))
def test_a_total_is_never_negative_nor_infinite(days: int, horizon: int, share: float) -> None:
    assert 0.0 <= total(daily(days), horizon, share) < 1e9
