"""`clv export`: lists that hold what is published, in a file that is whole, private, and no formula to anybody."""

from __future__ import annotations

import csv
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.errors import ExportError, PublicationError
from clv_pipeline.publication.export import AT_RISK_COLUMNS, DEFAULT_COLUMNS, export, guarded
from clv_pipeline.text import displayed
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench

TODAY = date(2024, 6, 30)
CUSTOMERS = {
    # customer: segment, clv over 90 days, clv over 365 days
    "ann": ("Champions", 10.0, 900.0),
    "cid": ("Champions", 30.0, 300.0),
    "bob": ("Champions", 20.0, 300.0),
    "dee": ("Can't Lose", 40.0, 500.0),
    "eve": ("Lost", 0.0, 0.0),
}
AT_STAKE: dict[str, dict[str, Any]] = {
    "ann": {"at_risk": False, "value_at_stake": 99},
    "cid": {"at_risk": True, "value_at_stake": 5, "overdue_since": TODAY},
    "bob": {"at_risk": True, "value_at_stake": 5, "overdue_since": TODAY},
    "dee": {"at_risk": True, "value_at_stake": 70, "overdue_since": TODAY},
}
FORMULA = "=+-@＝＋－＠"


@pytest.fixture
def settings(shop_settings: Callable[..., Settings]) -> Settings:
    """Settings of a shop that has published five customers with forecasts over 90 and 365 days."""
    settings = shop_settings()
    folder = settings.published_dir / "current"
    folder.mkdir(parents=True)
    session = Session(duckdb.connect(str(folder / "clv.duckdb")))
    bench = Bench(session)
    bench.given(
        "customer_overview",
        [
            {
                "customer_id": name,
                "as_of": TODAY,
                "segment": segment,
                "revenue": "-12.50",
                "horizon_days": 365,
                "clv": longest,
                "drivers_in_words": f"why {name}",
            }
            | AT_STAKE.get(name, {})
            for name, (segment, _, longest) in CUSTOMERS.items()
        ],
    )
    bench.given(
        "clv_forecasts",
        [
            {"customer_id": name, "as_of": TODAY, "horizon_days": horizon, "clv": clv, "p_purchase": 0.5}
            for name, (_, *values) in CUSTOMERS.items()
            for horizon, clv in zip((90, 365), values, strict=True)
        ],
    )
    bench.given("publication", [{"config_hash": "x"}])
    session.close()
    return settings


def rename(settings: Settings, customers: Sequence[str]) -> None:
    """Publish champions of these names, and nobody else."""
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        for table, values in (
            ("customer_overview", ", 'Champions' as segment"),
            ("clv_forecasts", ", 90 as horizon_days, 1.0 as clv"),
        ):
            database.execute(f"delete from {table}")
            database.execute(f"insert into {table} by name select unnest($1) as customer_id{values}", [list(customers)])


def records(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_segment_is_listed_from_the_highest_clv_and_equals_by_id(settings: Settings, tmp_path: Path) -> None:
    done = export(settings, tmp_path / "list.csv", segment="Champions")
    assert [row["customer_id"] for row in records(tmp_path / "list.csv")] == ["ann", "bob", "cid"]
    assert (done.customers, done.audience.horizon_days) == (3, 365)


def test_customers_at_risk_are_listed_from_the_most_at_stake_and_equals_by_id(
    settings: Settings, tmp_path: Path
) -> None:
    done = export(settings, tmp_path / "list.csv", at_risk=True)
    rows = records(tmp_path / "list.csv")
    assert [(row["customer_id"], row["value_at_stake"]) for row in rows] == [
        ("dee", "70.0000"),
        ("bob", "5.0000"),
        ("cid", "5.0000"),
    ]
    assert tuple(rows[0]) == AT_RISK_COLUMNS
    assert done.customers == 3
    export(settings, tmp_path / "of_a_segment.csv", at_risk=True, segment="Champions", top=1)
    assert [row["customer_id"] for row in records(tmp_path / "of_a_segment.csv")] == ["bob"]


def test_without_money_those_furthest_below_their_own_rate_come_first(settings: Settings, tmp_path: Path) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        database.execute("update customer_overview set value_at_stake = null, usual_gap_days = 36.5")
        database.execute("update clv_forecasts set clv = null, expected_purchases = 9")
        database.execute("update clv_forecasts set expected_purchases = 1 where customer_id = 'cid'")
    export(settings, tmp_path / "list.csv", at_risk=True)
    assert [row["customer_id"] for row in records(tmp_path / "list.csv")] == ["cid", "bob", "dee"]


def test_a_publication_from_before_there_was_anything_at_stake_says_what_to_do(
    settings: Settings, tmp_path: Path
) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        database.execute("alter table customer_overview drop column value_at_stake")
    with pytest.raises(ExportError, match=r"earlier version.*`clv run` publishes anew"):
        export(settings, tmp_path / "list.csv", at_risk=True)
    assert export(settings, tmp_path / "list.csv", top=1).customers == 1


def test_the_horizon_decides_who_is_best(settings: Settings, tmp_path: Path) -> None:
    export(settings, tmp_path / "list.csv", top=2, horizon_days=90)
    assert [(row["customer_id"], row["horizon_days"]) for row in records(tmp_path / "list.csv")] == [
        ("dee", "90"),
        ("cid", "90"),
    ]


def test_every_column_of_the_overview_can_be_chosen_and_forecasts_are_those_of_the_horizon(
    settings: Settings, tmp_path: Path
) -> None:
    overview = [column.name for column in load_models()["customer_overview"].contract.columns]
    export(settings, tmp_path / "list.csv", segment="Can't Lose", columns=overview, horizon_days=90)
    [dee] = records(tmp_path / "list.csv")
    assert list(dee) == overview
    assert (dee["horizon_days"], dee["clv"], dee["drivers_in_words"]) == ("90", "40.0000", "why dee")


def test_a_publication_from_before_the_overview_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        database.execute("drop table customer_overview")
    with pytest.raises(PublicationError, match=r"earlier version.*customer_overview.*`clv run` publishes anew"):
        export(settings, tmp_path / "list.csv", top=1)


def test_the_best_of_a_segment_and_of_a_tie_are_so_many_as_asked_for(settings: Settings, tmp_path: Path) -> None:
    export(settings, tmp_path / "list.csv", segment="Champions", top=2)
    assert [row["customer_id"] for row in records(tmp_path / "list.csv")] == ["ann", "bob"]


def test_columns_are_written_as_chosen_and_by_default_as_stated(settings: Settings, tmp_path: Path) -> None:
    export(settings, tmp_path / "list.csv", top=1, columns=["clv", "customer_id", "revenue", "at_risk"])
    assert (tmp_path / "list.csv").read_text(
        encoding="utf-8"
    ) == "clv,customer_id,revenue,at_risk\n900.0000,ann,-12.5000,false\n"
    export(settings, tmp_path / "default.csv", top=1)
    assert tuple(records(tmp_path / "default.csv")[0]) == DEFAULT_COLUMNS


def test_parquet_holds_what_is_published_with_its_types(settings: Settings, tmp_path: Path) -> None:
    rename(settings, ["=1+1", "bob"])
    done = export(settings, tmp_path / "list.parquet", segment="Champions")
    frame = pl.read_parquet(tmp_path / "list.parquet")
    assert frame["customer_id"].to_list() == ["=1+1", "bob"]
    assert frame.schema["revenue"] == pl.Decimal(28, 4)
    assert frame.schema["as_of"] == pl.Date
    assert done.guarded == 0


def test_a_workbook_holds_the_same_customers_with_harmless_texts(settings: Settings, tmp_path: Path) -> None:
    rename(settings, ["=1+1", "ann"])
    done = export(settings, tmp_path / "list.xlsx", top=5, columns=["customer_id", "clv", "horizon_days"])
    read = pl.read_excel(tmp_path / "list.xlsx")
    assert read.rows() == [("'=1+1", 1, 90), ("ann", 1, 90)]
    assert (done.customers, done.guarded) == (2, 1)


def test_only_its_owner_can_read_a_list_and_nothing_else_is_left(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    for name in ("list.csv", "list.parquet", "list.xlsx"):
        export(settings, folder / name, top=1)
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["list.csv", "list.parquet", "list.xlsx"]


def test_an_existing_file_is_replaced_only_when_asked(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ExportError, match=r"list\.csv exists; --force overwrites it"):
        export(settings, path, top=1)
    assert path.read_text(encoding="utf-8") == "mine"
    export(settings, path, top=1, force=True)
    assert len(records(path)) == 1


def test_a_list_that_fails_leaves_the_old_file_and_nothing_beside_it(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "list.csv").write_text("old", encoding="utf-8")
    with pytest.raises(ExportError, match="no segment"):
        export(settings, folder / "list.csv", segment="Nobody", force=True)
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {"list.csv": "old"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"segment": "champion"},
            "no segment 'champion' is published; did you mean 'Champions'?; there are: Can't Lose, Champions, Lost",
        ),
        ({"segment": "' or true --"}, 'no segment "\' or true --" is published; there are: '),
        (
            {"columns": ["customer_id", "CLV"]},
            "no column 'CLV' is published; did you mean 'clv'?; there are: customer_id, ",
        ),
        ({"columns": ["clv", "clv"]}, "column named twice: clv"),
        (
            {"horizon_days": 100},
            "no forecast over 100 days is published, the nearest is over 90; horizons are 90, 365 days",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_the_list(
    settings: Settings, tmp_path: Path, asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(ExportError, match=re.escape(told)):
        export(settings, tmp_path / "list.csv", **asked)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("list.ods", "expected .csv, .parquet or .xlsx"),
        ("absent/list.csv", "absent/list.csv cannot be written: No such file"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_as_such(
    settings: Settings, tmp_path: Path, name: str, told: str
) -> None:
    with pytest.raises(ExportError, match=re.escape(told)):
        export(settings, tmp_path / name, top=1)


def test_nothing_published_is_said_so(shop_settings: Callable[..., Settings], tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match="nothing is published yet; `clv run` publishes"):
        export(shop_settings(), tmp_path / "list.csv", top=1)


@pytest.fixture(scope="module")
def evaluate() -> Iterator[Callable[[list[str]], list[str]]]:
    """What is written for texts."""
    with duckdb.connect() as database:
        query = f"select {guarded('x')} from unnest($1) as t (x)"
        yield lambda texts: [text for (text,) in database.execute(query, [texts]).fetchall()]


def cells(text: str) -> list[str]:
    """What a program may take for a cell, whatever its separator is and whatever it trims."""
    return [piece.strip(' \t\r\n\v\f\0"\u00a0\ufeff') for piece in re.split(r"[,;|\t\r\n\"' :]", text)]


anything = st.text(max_size=12)
hostile = st.text(alphabet=FORMULA + "a1 ,;|\t\r\n\"'\0\x1b\ufffe:\u00a0", max_size=12)


@given(st.lists(anything | hostile, max_size=60))
@example(["=1+1", "+1", "-1", "@x", "\t=1", "\r\n=1", "a;=1", 'a"",=1', "＝1", " =1", "==1", "'=1"])
def test_no_cell_begins_as_a_formula_and_only_apostrophes_are_added_to_what_is_displayed(
    evaluate: Callable[[list[str]], list[str]], texts: list[str]
) -> None:
    for text, safe in zip(texts, evaluate(texts), strict=True):
        assert safe.replace("'", "") == displayed(text).replace("'", "")
        assert not safe.startswith((*FORMULA, "\t", "\r", "\n"))
        begins = [cell[:1] for cell in cells(safe.replace("'", "A")) if cell]
        assert not set(begins) & set(FORMULA)


@given(st.lists(st.from_regex(r"[A-Za-z0-9]+(([ ,.:/]|[-@+=])[A-Za-z0-9]+){0,3}", fullmatch=True), max_size=20))
@example(["ann-1001", "ann@example.com", "12583", "Reward: early access, referral"])
def test_ordinary_ids_and_texts_stay_as_they_are(evaluate: Callable[[list[str]], list[str]], texts: list[str]) -> None:
    assert evaluate(texts) == texts


names = st.lists(hostile.map(lambda text: f"{text}."), min_size=1, max_size=20, unique=True)


@hypothesis_settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names)
def test_ids_come_back_from_the_file_with_apostrophes_and_nothing_else(
    settings: Settings, tmp_path: Path, evaluate: Callable[[list[str]], list[str]], customers: list[str]
) -> None:
    rename(settings, customers)
    done = export(settings, tmp_path / "list.csv", segment="Champions", columns=["customer_id", "clv"], force=True)
    written = [row["customer_id"] for row in records(tmp_path / "list.csv")]
    assert written == evaluate(sorted(customers, key=lambda name: name.encode()))
    assert done.guarded == sum(safe != name for safe, name in zip(evaluate(customers), customers, strict=True))
    assert {row["clv"] for row in records(tmp_path / "list.csv")} == {"1.0000"}


def test_the_command_tells_how_many_and_where_and_names_no_customer(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "load", lambda _: settings)
    path = tmp_path / "list.csv"
    good = CliRunner().invoke(main, ["export", "Champions", "--columns", "customer_id, clv", "--out", str(path)])
    assert (good.exit_code, good.stderr) == (0, "")
    assert good.stdout.splitlines() == [
        "3 customers of Champions, highest CLV (365 days) first",
        "customer_id is the id of the source, as published",
        f"wrote {path}, which only you can read",
    ]
    assert list(records(path)[0]) == ["customer_id", "clv"]
    again = CliRunner().invoke(main, ["export", "--top", "3", "--out", str(path)])
    assert (again.exit_code, again.stdout) == (1, "")
    assert "exists; --force overwrites it" in again.stderr
    nobody = CliRunner().invoke(main, ["export", "--out", str(path), "--force"])
    assert nobody.exit_code == 1
    assert "name a segment, or say --at-risk, or how many customers with --top" in nobody.stderr
    at_risk = CliRunner().invoke(main, ["export", "Champions", "--at-risk", "--out", str(path), "--force"])
    assert at_risk.stdout.splitlines()[0] == "2 customers of Champions at risk, most at stake (365 days) first"


def test_the_command_tells_of_pseudonyms_and_of_changed_texts(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "load", lambda _: settings)
    rename(settings, ["=1+1", "bob"])
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        database.execute("update publication set pseudonym_key = 'abc'")
    told = CliRunner().invoke(main, ["export", "--top", "5", "--out", str(tmp_path / "list.csv")]).stdout
    assert "2 customers of all segments" in told
    assert "customer_id is a pseudonym, as published" in told
    assert "1 of them have a text that could be taken for a formula" in told


def test_a_publication_from_before_pseudonyms_is_exported_too(settings: Settings, tmp_path: Path) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        database.execute("alter table publication drop pseudonym_key")
    assert not export(settings, tmp_path / "list.csv", top=1).pseudonyms
