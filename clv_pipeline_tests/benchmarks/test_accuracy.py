"""Accuracy over many shops: what is read of a publication, who is asked beside it, and what the document shows."""

from __future__ import annotations

import gzip
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from benchmarks.accuracy import DOCUMENT, document, measure, peers, rules, shops, targets
from benchmarks.accuracy.history import History
from benchmarks.accuracy.measure import CELLS, FIGURES_SCHEMA, SERVED, Measured
from benchmarks.generated_blocks import replace_block
from clv_pipeline.config.settings import Settings
from clv_pipeline.simulation.seeded import SEEDED_SHOPS

TEXT = "before\n<!-- one -->\n<!-- end -->\nbetween\n<!-- two -->\nold\nlines\n<!-- end -->\nafter\n"
CUTOFF = date(2024, 6, 30)


# The document


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one", TEXT.replace("<!-- one -->\n", "<!-- one -->\nnew\n")),
        ("two", TEXT.replace("old\nlines", "new")),
    ],
)
def test_a_block_is_replaced_and_nothing_else(name: str, expected: str) -> None:
    assert replace_block(TEXT, name, "new") == expected


def test_a_block_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no block <!-- three -->"):
        replace_block(TEXT, "three", "new")


@pytest.mark.parametrize("name", ["targets", "coherence", "coverage", "seeded", "files", "cutoffs", *shops.REAL_SHOPS])
def test_the_document_has_the_blocks_that_the_command_writes(name: str) -> None:
    assert f"<!-- {name} -->\n" in DOCUMENT.read_text(encoding="utf-8")


# Shops


def test_a_shop_whose_file_is_not_there_is_left_out_with_the_reason(tmp_path: Path) -> None:
    (absent,) = shops.shops_of("donations", tmp_path, tmp_path)
    assert absent == shops.Absent("donations", f"donations.txt.gz is not in {tmp_path}")
    (nowhere,) = shops.shops_of("game", None, tmp_path)
    assert isinstance(nowhere, shops.Absent)
    assert "CLV_SHOPS names no folder" in nowhere.reason


def packed(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "shops"
    found.mkdir()
    packed(found / "donations.txt.gz", "760\t25\t2009-11-06\n860\t50\t2012-09-28\n")
    packed(found / "grocery_elog.csv.gz", "cust,date\n1,2006-01-01\n")
    packed(found / "adventureworks_sales.csv.gz", "ProductKey\n")
    packed(found / "online_retail_II.csv.gz", "Invoice\n")
    packed(found / "game_revenue.csv.gz", "player_id\n")
    packed(found / "game_sessions.csv.gz", "player_id\n")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "mature_seasonal_shape.csv").write_text("customer_id\n")
    return found


@pytest.mark.parametrize("name", shops.names())
def test_every_shop_has_settings_that_are_accepted_with_its_cutoffs(name: str, folder: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    shop = next(iter(shops.shops_of(name, folder, copies)))
    assert isinstance(shop, shops.Shop)
    settings = Settings.from_mapping(shop.configuration)

    assert settings.forecast.horizons_days == list(shops.HORIZONS)
    assert settings.backtest.cutoffs == list(shop.cutoffs)
    assert settings.cleaning.returns == "drop"
    assert all(
        Path(path).is_file() or path == "lifetimes:CDNOW_master.txt" for path in settings.source.transactions.path
    )
    assert set(shop.checksums) == {
        origin.file for origin in (shops.REAL_SHOPS[name].origins if name in shops.REAL_SHOPS else ())
    }


def test_what_a_file_lacks_is_added_to_a_copy(folder: Path, tmp_path: Path) -> None:
    for name in ("donations", "grocery"):
        list(shops.shops_of(name, folder, tmp_path))
    assert (tmp_path / "donations.txt").read_text() == "donor\tamount\tdate\n760\t25\t2009-11-06\n860\t50\t2012-09-28\n"
    assert (tmp_path / "grocery_elog.csv").read_text() == "cust,date,amount\n1,2006-01-01,1.00\n"


def test_a_checksum_is_of_the_content_however_it_is_packed(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("a,b\n")
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(b"a,b\n", compresslevel=1, mtime=7))
    assert shops.checksum(tmp_path / "plain.csv") == shops.checksum(tmp_path / "packed.csv.gz")


def test_a_seeded_shop_is_judged_on_the_days_that_were_simulated_after_its_cutoff(tmp_path: Path) -> None:
    (first, *others) = shops.shops_of("plain_fifth", None, tmp_path)
    assert isinstance(first, shops.Shop)
    assert (first.key, len(others)) == ("plain_fifth_1", 4)
    (cutoff,) = first.cutoffs
    assert first.configuration["forecast"]["as_of"] == cutoff + timedelta(days=180)


# History and rules


@pytest.fixture
def history() -> History:
    """a buys every 30 days and always for 10; b once, long ago; c a year ago and in the last window."""
    days = {
        "a": [CUTOFF - timedelta(days=30 * k) for k in range(-3, 14)],
        "b": [CUTOFF - timedelta(days=400)],
        "c": [CUTOFF - timedelta(days=340), CUTOFF - timedelta(days=5)],
    }
    rows = [(customer, day, 10.0 if customer == "a" else 50.0) for customer, of in days.items() for day in of]
    return History(pl.DataFrame(rows, schema=["customer_id", "day", "spend"], orient="row").sort("customer_id", "day"))


def test_customers_are_described_by_days_up_to_the_cutoff(history: History) -> None:
    a, b, c = history.customers(CUTOFF).to_dicts()
    assert (a["frequency"], a["recency_days"], a["tenure_days"], a["idle_days"]) == (13, 390, 390, 0)
    assert (a["monetary_value"], a["mean_gap_days"], a["purchases_90"], a["spend_90"]) == (10.0, 30.0, 3, 30.0)
    assert (b["frequency"], b["monetary_value"], b["mean_gap_days"], b["purchases_365"]) == (0, 0.0, None, 0)
    assert (c["revenue"], c["last_spend"], c["purchases_30"]) == (100.0, 50.0, 1)


def test_what_came_is_counted_after_the_cutoff_and_through_the_last_day(history: History) -> None:
    customers = history.customers(CUTOFF)
    came = history.came(customers, CUTOFF, CUTOFF + timedelta(days=60))
    assert came.purchases.tolist() == [2.0, 0.0, 0.0]
    assert came.spend.tolist() == [20.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("rule", "purchases", "spend"),
    [
        ("own_rate", [13 / 390 * 30, 0.0, 1 / 340 * 30], [13 / 390 * 300, 0.0, 1 / 340 * 1_500]),
        ("last_window", [1.0, 0.0, 1.0], [10.0, 0.0, 50.0]),
        ("same_window_last_year", [1.0, 0.0, 1.0], [10.0, 0.0, 50.0]),
    ],
)
def test_what_rules_repeat(history: History, rule: str, purchases: list[float], spend: list[float]) -> None:
    said = rules.RULES[rule](history, CUTOFF, 30)
    assert isinstance(said, rules.Forecast)
    assert said.purchases.tolist() == pytest.approx(purchases)
    assert said.spend.tolist() == pytest.approx(spend)


def test_hiatus_tells_the_idle_from_the_others(history: History) -> None:
    said = rules.hiatus(history, CUTOFF, 30)
    assert isinstance(said, rules.Forecast)
    # As of 30 days earlier a was idle for 0 days and bought, c for 310 and bought, b for 370 and did not.
    assert said.purchases.tolist() == [1.0, 0.0, 1.0]
    assert said.spend.tolist() == [30.0, 0.0, 30.0]


def test_everybody_is_like_the_mean_customer_of_their_age(history: History) -> None:
    said = rules.mean_of_age(history, CUTOFF, 30)
    assert isinstance(said, rules.Forecast)
    # 30 days earlier a and c were 91 to 365 days old and bought, b was older and did not; a is that old by now.
    assert said.purchases.tolist() == [0.0, 0.0, 1.0]
    assert said.spend.tolist() == [0.0, 0.0, 30.0]


@pytest.mark.parametrize(("rule", "horizon"), [("last_window", 500), ("same_window_last_year", 366), ("hiatus", 400)])
def test_a_rule_without_history_says_why(history: History, rule: str, horizon: int) -> None:
    assert isinstance(rules.RULES[rule](history, CUTOFF, horizon), str)


# Peers


@pytest.fixture(scope="module")
def shop() -> History:
    story = SEEDED_SHOPS["plain_constant"]
    lines = (
        story.transactions(1)
        .with_columns(day=pl.col("ordered_at").dt.date())
        .filter(pl.col("day") < story.start + timedelta(days=500), pl.col("customer_id").hash(1) % 4 == 0)
    )
    days = lines.group_by("customer_id", "day").agg(spend=pl.col("amount").sum())
    return History(days.sort("customer_id", "day"))


@pytest.mark.parametrize("peer", ["lifetimes", "boosted_hurdle"])
def test_peers_forecast_about_what_comes(shop: History, peer: str) -> None:
    cutoff = shop.first_day + timedelta(days=400)
    customers = shop.customers(cutoff)
    came = shop.came(customers, cutoff, cutoff + timedelta(days=90))
    said = peers.peers_with("")[peer](shop, {cutoff: [90]})[cutoff, 90]
    assert isinstance(said, rules.Forecast)
    assert said.spend.shape == (customers.height,)

    found = measure.score(said, came.purchases, came.spend)
    assert abs(found["spend bias"]) < 0.5
    assert found["spend normalized_gini"] > 0.5
    assert found["spend tweedie_skill"] > 0.2


def test_a_peer_that_has_nothing_to_learn_from_says_why(history: History) -> None:
    assert "no window is over" in str(peers.boosted_hurdle(history, {CUTOFF: [400]})[CUTOFF, 400])
    alone = History(history.days.filter(pl.col("customer_id") == "b"))
    assert "no fit" in str(peers.lifetimes(alone, {CUTOFF: [30]})[CUTOFF, 30])
    assert peers.peers_with("it cannot be had")["pymc_marketing"](history, {CUTOFF: [30]}) == {
        (CUTOFF, 30): "it cannot be had"
    }


def test_an_environment_that_cannot_be_made_is_told_with_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(command: list[Any], **_: object) -> subprocess.CompletedProcess[str]:
        assert "pymc-marketing" in str(command[-1])
        return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("benchmarks.accuracy.peers.venv.EnvBuilder.create", lambda *_: None)
    monkeypatch.setattr("benchmarks.accuracy.peers.subprocess.run", refused)
    told = peers.pymc_environment()
    assert str(told).endswith("ERROR: No matching distribution found")


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ready = tmp_path / "clv_pipeline" / peers.PYMC_MARKETING.replace("==", "-") / "ready"
    ready.parent.mkdir(parents=True)
    ready.touch()
    assert peers.pymc_environment() == ready.parent / "bin" / "python"


def test_what_pymc_marketing_answers_is_read_and_what_it_raises_is_the_reason(shop: History, tmp_path: Path) -> None:
    """A stand-in for its environment: it answers the first file, and fails on the second."""
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\nset -- "$2"/*.csv\n'
        'awk \'NR==1{print "value,purchases_0,purchases_1"} NR>1{print "2,1,3"}\' "$1" > "${1%.csv}.out.csv"\n'
        'echo "ValueError: flat" > "${2%.csv}.error"\n'
    )
    python.chmod(0o755)
    first, second = (shop.first_day + timedelta(days=days) for days in (300, 400))
    said = peers.pymc_marketing(shop, {first: [30, 90], second: [30]}, python)
    near, far = said[first, 30], said[first, 90]
    assert isinstance(near, rules.Forecast)
    assert isinstance(far, rules.Forecast)
    assert (set(near.spend), set(far.spend)) == ({2.0}, {6.0})
    assert said[second, 30] == "no fit: ValueError: flat"


# What is read of a publication

FORECAST = {
    "customer_id": "a",
    "horizon_days": 30,
    "model": "hybrid",
    "expected_purchases": 1.0,
    "expected_spend": 10.0,
    "spend_lower": 0.0,
    "spend_upper": 20.0,
    "p_purchase": 0.5,
    "p_alive": 0.8,
    "clv": 9.0,
}
LONGER = {
    **FORECAST,
    "horizon_days": 90,
    "expected_purchases": 2.0,
    "expected_spend": 15.0,
    "p_purchase": 0.7,
    "clv": 12.0,
}


def contradictions(*rows: dict[str, Any]) -> dict[str, int]:
    with duckdb.connect() as connection:
        connection.register("clv_forecasts", pl.DataFrame(rows).to_arrow())
        found = measure.contradictions_in(connection)
    assert set(map(type, found.values())) == {int}
    return {what: count for what, count in found.items() if count}


def test_a_coherent_path_has_no_contradiction() -> None:
    assert contradictions(FORECAST, LONGER) == {}
    without_p_alive = [{**row, "p_alive": None} for row in (FORECAST, LONGER)]
    assert contradictions(*without_p_alive, {**FORECAST, "customer_id": "b"}) == {}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"expected_purchases": 0.9}, "purchases fall over a longer horizon"),
        ({"expected_spend": 9.0}, "spend falls"),
        ({"p_purchase": 0.4}, "P(buy) falls"),
        ({"clv": 8.0}, "clv falls"),
        ({"p_purchase": 0.9}, "P(buy) above P(alive)"),
        ({"expected_spend": 25.0}, "spend outside its range"),
        ({"spend_lower": None}, "spend outside its range"),
        ({"p_alive": 0.75}, "P(alive) differs between horizons"),
        ({"model": "bg_nbd"}, "several models"),
    ],
)
def test_contradictions_are_counted_by_kind(change: dict[str, Any], what: str) -> None:
    assert contradictions(FORECAST, {**LONGER, **change})[what] == 1


def test_a_probability_above_the_expected_number_is_a_contradiction() -> None:
    assert "P(buy) above expected purchases" in contradictions({**FORECAST, "expected_purchases": 0.4})


def served_rows(model: str = "hybrid", cutoff: date = CUTOFF, horizon: int = 90) -> list[tuple[Any, ...]]:
    return [
        (cutoff, horizon, model, "spend", "bias", "all", "all", -0.1),
        (cutoff, horizon, model, "spend", "rmse", "all", "all", 7.0),
        (cutoff, horizon, "own_rate", "spend", "best_rule_mae", "all", "all", 3.0),
        (cutoff, horizon, model, "spend", "coverage", "decile", "1", 0.75),
        (cutoff, horizon, model, "purchase", "predicted_mean", "decile", "1", 0.6),
        (cutoff, horizon, model, "spend", "coverage", "segment", "Lost", 0.99),
    ]


def test_rules_are_asked_everywhere_and_peers_on_listed_cutoffs(shop: History) -> None:
    asked: list[Any] = []

    def peer(_: History, windows: Any) -> peers.Said:
        asked.append(windows)
        return {(day, days): "it has no opinion" for day, of in windows.items() for days in of}

    listed, monthly = (shop.first_day + timedelta(days=days) for days in (300, 330))
    windows = [(listed, 30), (listed, 90), (monthly, 30)]
    rows, silent = measure.others_say(shop, windows, {listed}, {"peer": peer}, print)
    assert asked == [{listed: [30, 90]}]
    assert silent == {"peer: it has no opinion": 2}
    assert {row[:4] for row in rows if row[3] == "own_rate"} == {(*window, "rule", "own_rate") for window in windows}


def test_figures_and_tenths_are_read_from_served_accuracy() -> None:
    columns = ["cutoff", "horizon_days", "model", "target", "metric", "group_kind", "group_name", "value"]
    with duckdb.connect() as connection:
        connection.register("served_accuracy", pl.DataFrame(served_rows(), schema=columns, orient="row").to_arrow())
        kept = [" ".join(names) for names in measure.METRICS]
        served = connection.sql(SERVED, params={"metrics": kept}).pl().cast(FIGURES_SCHEMA)
        cells = connection.sql(CELLS).pl()
    assert served.rows() == [(CUTOFF, 90, "served", "hybrid", "spend bias", -0.1)]
    assert cells.rows() == [(CUTOFF, 90, "1", 0.6, 0.75)]


# The tables


def measured(name: str = "cdnow", seed: int | None = None, bias: float = -0.1, has_money: bool = True) -> Measured:
    role = shops.REAL_SHOPS[name].cutoffs if name in shops.REAL_SHOPS else {CUTOFF: "held out"}
    figures = []
    for cutoff in (*role, CUTOFF + timedelta(days=30)):
        for by, model, skill in (("served", "hybrid", 0.4), ("rule", "own_rate", 0.1), ("rule", "hiatus", 0.2)):
            figures += [
                (cutoff, days, by, model, metric, value)
                for days in (30, 90)
                for metric, value in (
                    ("spend bias", bias),
                    ("spend mae", 12.0),
                    ("spend normalized_gini", 0.75),
                    ("spend decile_mape", 0.2),
                    ("spend tweedie_skill", skill),
                    ("purchases bias", bias / 2),
                    ("purchases poisson_skill", skill),
                )
            ]
        figures.append((cutoff, 90, "peer", "lifetimes", "spend bias", 0.3))
    cells = [(cutoff, 90, str(tenth), 0.9 / tenth, 0.8) for cutoff in role for tenth in range(1, 11)]
    return Measured(
        shop=name,
        seed=seed,
        has_money=has_money,
        made_by="this",
        seconds=1.5,
        customers=1_000,
        checksums={origin.file: "f00d" for origin in shops.REAL_SHOPS[name].origins}
        if name in shops.REAL_SHOPS
        else {},
        roles=role,
        contradictions={"clv falls": 0, "P(buy) falls": 0},
        silent={"boosted_hurdle: no window is over": 4},
        figures=pl.DataFrame(figures, schema=FIGURES_SCHEMA, orient="row"),
        cells=pl.DataFrame(cells, schema=measure.CELLS_SCHEMA, orient="row"),
    )


def test_what_was_measured_is_kept_as_it_was(tmp_path: Path) -> None:
    before = measured()
    before.save(tmp_path / "cdnow.json")
    after = Measured.load(tmp_path / "cdnow.json")
    assert after.figures.equals(before.figures)
    assert after.cells.equals(before.cells)
    assert (after.roles, after.seconds, after.contradictions) == (before.roles, 1.5, before.contradictions)


def is_rectangular(block: str) -> bool:
    tables = [part for part in block.split("\n\n") if part.startswith("|")]
    return bool(tables) and all(
        len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1 for table in tables
    )


@pytest.mark.parametrize("has_money", [True, False])
def test_a_shop_is_shown_with_its_listed_cutoffs_its_monthly_mean_and_everybody_else(has_money: bool) -> None:
    block = document.shop_block(measured(has_money=has_money))
    assert is_rectangular(block)
    assert "| 1998-01-01 (design) | 90 | hybrid |" in block
    assert "| 80% | hiatus |" in block
    assert "Mean over the 3 listed cutoffs, 90 days" in block
    assert "Mean over the 1 monthly cutoffs" in block
    assert "| **served** | 3 |" in block
    assert "| lifetimes | 3 |" in block
    assert "Without a forecast on 4 windows: boosted_hurdle: no window is over." in block
    assert ("MAE" in block) == has_money


def test_the_other_blocks_are_tables_of_all_shops() -> None:
    seeded = [measured("plain_fifth", seed, bias) for seed, bias in ((1, 0.04), (2, -0.3), (3, 0.08))]
    table = document.seeded_block(seeded)
    assert is_rectangular(table)
    assert "| plain_fifth (held out) | 90 | 3 | hybrid | 4% | 15% | 14% |" in table
    assert is_rectangular(document.coverage_block([measured()]))
    assert is_rectangular(document.cutoffs_block())
    files = document.files_block([measured()])
    assert "`CDNOW_master.txt`" in files
    assert "f00d" in files
    coherence = document.coherence_block([measured(), *seeded], [shops.Absent("game", "it is not here")])
    assert "| plain_fifth, seed 2 | 1,000 | 0 |" in coherence
    assert "Not measured: game, because it is not here." in coherence


def test_targets_are_looked_up_where_they_were_measured_and_missed_where_they_are() -> None:
    verdicts = targets.verdicts({"cdnow": [measured()], "plain_fifth": [measured("plain_fifth", 1, bias=0.3)]})
    by_target = {verdict.target: verdict for verdict in verdicts}
    assert not any("Online Retail" in target for target in by_target)
    bias = next(verdict for target, verdict in by_target.items() if "bias of spend ≤ 15 %" in target)
    assert (bias.found, bias.reached) == ("10.0%", True)
    worst = next(verdict for target, verdict in by_target.items() if "worst error ≤ 12%" in target)
    assert (worst.found, worst.reached) == ("15.0%", False)
    assert "| **no** |" in targets.block({"plain_fifth": [measured("plain_fifth", 1, bias=0.3)]})


def test_metrics_of_a_perfect_forecast() -> None:
    spend, purchases = np.array([0.0, 10.0, 30.0]), np.array([0.0, 1.0, 2.0])
    found = measure.score(rules.Forecast(purchases, spend), purchases, spend)
    assert found["spend bias"] == pytest.approx(0.0)
    assert found["spend normalized_gini"] == pytest.approx(1.0)
    # Less than 1, because who is forecast 0 is taken to be forecast 1 % of the mean.
    assert 0.9 < found["spend tweedie_skill"] < 1.0
