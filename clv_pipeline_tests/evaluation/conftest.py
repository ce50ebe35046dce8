"""Past forecasts of a shop, and what would have been served of them."""

import polars as pl
import pytest

from clv_pipeline_tests.helpers.served_forecasts import shop, walk


@pytest.fixture(scope="session")
def forecasts() -> pl.DataFrame:
    return shop()


@pytest.fixture(scope="session")
def served(forecasts: pl.DataFrame) -> pl.DataFrame:
    return walk(forecasts)
