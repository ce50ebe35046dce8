"""Returns of a real shop: what Online Retail II took back is taken off what its customers bought."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl
import pytest

from clv_pipeline.sources.reach import readable_folders
from clv_pipeline.warehouse import Session, Warehouse
from clv_pipeline_tests.helpers.nights import night
from clv_pipeline_tests.helpers.shared_files import online_retail_example

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """The example of the documentation, up to rfm."""
    settings = online_retail_example()
    folder = tmp_path_factory.mktemp("returns")
    reach = readable_folders(settings.source, settings.base_dir)
    warehouse = Warehouse(folder / "clv.duckdb", [folder, *reach])
    admissions = night(warehouse, settings, today=date(2011, 12, 10))
    assert not [result for step in admissions.values() for result in step.failures]
    try:
        yield warehouse.open("test")
    finally:
        warehouse.close()


def test_who_gave_back_what_made_them_a_giant_is_among_the_best_no_longer(shop: Session) -> None:
    """One cancelled 168,469.60 after twelve minutes, the other 77,183.60 after sixteen, and all else earlier."""
    returned: pl.DataFrame = shop.read(
        "select customer_id, sum(amount) as returned from matched_returns where purchase_day is not null group by all"
    )
    ranked: pl.DataFrame = shop.read(
        "select customer_id, revenue, rank() over (order by revenue desc) / count(*) over () as place from rfm"
    )
    giants = {"16446": 168_469.60, "12346": 77_556.46}
    taken_back = {row["customer_id"]: float(row["returned"]) for row in returned.iter_rows(named=True)}
    assert {customer: taken_back[customer] for customer in giants} == pytest.approx(giants)
    left = ranked.filter(pl.col("customer_id").is_in(list(giants)))
    assert (left["place"] > 0.5).all()


def test_kept_rows_days_and_customers_agree_to_the_penny(shop: Session) -> None:
    [(kept, of_days, of_customers)] = shop.read(
        "select (select sum(amount) from cleaned_transactions), (select sum(revenue) from known_days),"
        " (select sum(revenue) from rfm)"
    ).rows()
    assert kept == of_days == of_customers
