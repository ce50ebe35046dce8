"""`clv demo` writes a shop with every input, says that it is made up, and what it writes can be read."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.rehearsal import rehearse
from clv_pipeline.simulation.demo import demo_shop
from clv_pipeline.simulation.shop import Shop


def demo(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["demo", str(folder), "--customers", "300", *options])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent") / "a shop"
    result = demo(folder)
    assert result.exit_code == 0, result.output
    assert f"next: clv run --config '{folder / 'clv.yaml'}'" in result.output
    return folder


@pytest.fixture(scope="module")
def shop() -> Shop:
    return demo_shop(2_000, seed=3)


def test_every_optional_input_is_mapped_and_can_be_read(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLV_HOME", raising=False)
    settings = Settings.load(written / "clv.yaml")
    found = rehearse(settings).survey
    mapped = settings.source.transactions
    assert set(mapped.known) - set(mapped.columns) == {"amount", "currency"}, "it has prices, in one currency"
    assert set(mapped.attributes) == {"channel"}
    assert [Path(file.source_file).name for file in found.files] == ["2022.csv", "2023.csv", "2024.csv"]
    assert found.rows > 1_000
    assert found.no_date == found.no_number == found.unreadable_lines == 0
    assert {name for name, share in found.readable.items() if share < 1.0} == {"customer_id", "cost"}
    assert found.not_positive > 0, "returns"
    assert settings.cleaning.returns == "net"
    assert found.demographics is not None
    assert {attribute.name for attribute in found.demographics.attributes} == {"age", "region", "referral"}
    assert found.demographics.customers == 300
    assert found.events is not None
    assert found.events.event_types == 2
    assert found.costs is not None
    assert (found.costs.rows, found.costs.channels) == (36 * 3, 3)
    assert settings.campaign is not None
    assert settings.home == written / "data"


def test_check_takes_it(written: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--config", str(written / "clv.yaml")])
    assert result.exit_code == 0, result.output


def test_folder_and_configuration_say_that_it_is_made_up(written: Path) -> None:
    assert (written / "README.md").read_text().startswith("# A made-up shop\n\nNothing in this folder is real: 300")
    assert (written / "clv.yaml").read_text().startswith("# A made-up shop, written by `clv demo`: no customer and no")


def test_a_seed_is_a_shop(written: Path, tmp_path: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.rglob("*.csv")}

    demo(tmp_path / "same")
    demo(tmp_path / "other", "--seed", "2")
    assert files(tmp_path / "same") == files(written)
    assert files(tmp_path / "other") != files(written)


def test_a_folder_that_has_files_is_left_alone(written: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, written):
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        result = demo(folder)
        assert result.exit_code == 1
        assert f"{folder} has files in it; name a folder that is empty or not there yet" in result.output
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (tmp_path / "empty").mkdir()
    assert demo(tmp_path / "empty").exit_code == 0


def test_a_name_of_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = demo(tmp_path / "mine.txt")
    assert result.exit_code == 1
    assert "mine.txt cannot be written: Not a directory; name another folder" in result.output


def test_first_orders_come_by_what_the_customer_named_and_later_ones_do_not(shop: Shop) -> None:
    lines = shop.transactions.filter(pl.col("customer_id").is_not_null() & (pl.col("quantity") > 0))
    orders = lines.unique("order_id").sort("ordered_at").join(shop.customers, on="customer_id")
    # The first order of a few is one without a customer.
    first = orders.filter(pl.col("customer_id").is_first_distinct())
    named = first.filter(pl.col("channel").eq_missing(pl.col("referral")))
    assert named.height > 0.95 * first.height
    later = orders.filter(~pl.col("customer_id").is_first_distinct())
    assert set(later["channel"]) == {"direct", "newsletter"}


def test_a_return_follows_its_line_within_a_month(shop: Shop) -> None:
    returns = shop.transactions.filter(pl.col("quantity") < 0)
    same = ["order_id", "product_id", "customer_id", "unit_price", "channel"]
    bought = shop.transactions.filter(pl.col("quantity") > 0)
    pairs = returns.join(bought, on=same, nulls_equal=True, suffix="_bought")
    assert pairs.height == returns.height
    assert (pairs["quantity"] == -pairs["quantity_bought"]).all()
    days = (pairs["ordered_at"] - pairs["ordered_at_bought"]).dt.total_days()
    assert (days.min(), days.max()) == (1, 30)
    assert returns.height / bought.height == pytest.approx(0.03, rel=0.1)


def test_a_few_orders_have_no_customer_and_the_lines_of_an_order_are_of_one(shop: Shop) -> None:
    orders = shop.transactions.group_by("order_id").agg(
        nobody=pl.col("customer_id").is_null().all(), customers=pl.col("customer_id").n_unique()
    )
    assert float(orders["nobody"].mean()) == pytest.approx(0.02, rel=0.2)  # type: ignore[arg-type]
    assert set(orders["customers"]) == {1}


def test_every_line_has_a_product_and_a_country_and_there_are_two_kinds_of_events(shop: Shop) -> None:
    assert shop.transactions["product_id"].null_count() == shop.transactions["country"].null_count() == 0
    assert set(shop.events["event"]) == {"visit", "newsletter"}
