"""`clv campaign`: customers as published, left out by lot, remembered by the warehouse, never contacted unrecorded."""

from __future__ import annotations

import csv
import re
import stat
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import CampaignError, ExportError, WarehouseBusyError
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.privacy.keyed_hash import KeyedHash
from clv_pipeline.privacy.register import Register
from clv_pipeline.publication import campaign as module
from clv_pipeline.publication.campaign import TABLES, Listed, Overlap, Started, listed, remove, start
from clv_pipeline.publication.campaign_draw import LISTS
from clv_pipeline.publication.campaign_request import Request
from clv_pipeline.publication.export import AT_RISK_COLUMNS, DEFAULT_COLUMNS
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.published_customers import serve_customers
from clv_pipeline_tests.helpers.sql_bench import Bench

TODAY = date(2024, 6, 30)
CUSTOMERS = 100
KEY = "k" * 40

Go = Callable[..., Started]


def names() -> list[str]:
    """The best one first; the first 60 are Champions."""
    return [f"c{number:03}" for number in range(CUSTOMERS)]


@pytest.fixture
def settings(shop_settings: Callable[..., Settings]) -> Settings:
    """A shop with 100 customers in its warehouse, as published."""
    settings = shop_settings(forecast={"horizons_days": [30, 90, 365]})
    fill(settings)
    publish(settings)
    return settings


def publish(settings: Settings, ids: Sequence[str] | None = None, pseudonym_key: str | None = None) -> None:
    serve_customers(settings, ids or names(), TODAY, champions=60, pseudonym_key=pseudonym_key)


def fill(settings: Settings, ids: Sequence[str] | None = None) -> None:
    """What the warehouse has to know: the customers, and settings of a campaign, none of which are configured."""
    warehouse = Pipeline.of(settings).warehouse
    bench = Bench(warehouse.open("test"))
    bench.given("rfm", [{"customer_id": name} for name in ids or names()])
    bench.given("campaign_settings", [])
    warehouse.close()


@pytest.fixture
def go(settings: Settings, tmp_path: Path) -> Go:
    """Starts campaigns; keywords change what is asked."""

    def start_(name: str = "spring", using: Settings = settings, **asked: Any) -> Started:
        pipeline = Pipeline.of(using)
        contracts = [pipeline.contract(table) for table in TABLES]
        usual: dict[str, Any] = {"started_on": TODAY, "folder": tmp_path / name, "top": 50}
        request = Request(name, **(usual | asked))
        return start(using, pipeline.warehouse, contracts, "test", request)

    return start_


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def records(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ids_in(folder: Path) -> tuple[list[str], list[str]]:
    """Who is to be contacted, and who is not."""
    audience, control = ([row["customer_id"] for row in records(folder / name)] for name in LISTS)
    return audience, control


def test_the_lists_hold_everybody_once_and_the_warehouse_remembers_who_is_where(
    settings: Settings, go: Go, tmp_path: Path
) -> None:
    started = go(holdout=0.2)
    audience, control = ids_in(tmp_path / "spring")
    assert sorted(audience + control) == names()[:50]
    assert (started.contacts, started.controls) == (len(audience), len(control)) == (40, 10)
    kept = rows(settings, "select customer_id, is_control, segment, expected_margin from campaign_members order by all")
    assert [name for name, *_ in kept] == names()[:50]
    assert {name for name, is_control, *_ in kept if is_control} == set(control)
    assert kept[3][2:] == ("Champions", 97 * 90.0)
    told = "select campaign, started_on, horizon_days, holdout, asked_top, drawn_from, drawn_contacts from campaigns"
    assert rows(settings, told) == [("spring", TODAY, 90, 0.2, 50, "v1", 40)]


def test_the_lists_are_private_and_like_those_of_an_export(go: Go, tmp_path: Path) -> None:
    go()
    folder = tmp_path / "spring"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["audience.csv", "control.csv"]
    best, *_ = records(folder / "audience.csv")
    assert tuple(best) == DEFAULT_COLUMNS
    assert best["horizon_days"] == "90"


def test_a_formula_is_made_harmless_in_the_lists_and_kept_as_it_is_in_the_warehouse(
    settings: Settings, go: Go, tmp_path: Path
) -> None:
    ids = [f"=c{number:03}" for number in range(CUSTOMERS)]
    publish(settings, ids)
    fill(settings, ids)
    started = go()
    assert started.guarded == 50
    assert {name[:3] for group in ids_in(tmp_path / "spring") for name in group} == {"'=c"}
    assert rows(settings, "select distinct customer_id[:2] from campaign_members") == [("=c",)]


def test_the_same_request_draws_the_same_customers_and_another_seed_others(
    settings: Settings, go: Go, tmp_path: Path
) -> None:
    go(folder=tmp_path / "a")
    first = ids_in(tmp_path / "a")
    drop(settings, "spring")
    go(folder=tmp_path / "b")
    drop(settings, "spring")
    go(folder=tmp_path / "c", seed=1)
    assert ids_in(tmp_path / "b") == first != ids_in(tmp_path / "c")


def drop(settings: Settings, name: str) -> int:
    pipeline = Pipeline.of(settings)
    return remove(pipeline.warehouse, settings, [pipeline.contract(table) for table in TABLES], "test", name)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({"segment": "Lost", "top": None}, names()[60:]),
        ({"segment": "Champions", "top": 30}, names()[:30]),
        # 45 contacts are paid; of 50 customers a tenth is left out.
        ({"top": None, "budget": Decimal("90.5"), "cost_per_contact": Decimal(2)}, names()[:50]),
        ({"top": 20, "budget": Decimal(90), "cost_per_contact": Decimal(2)}, names()[:20]),
    ],
)
def test_a_segment_the_best_and_what_a_budget_pays_may_be_asked_for(
    go: Go, tmp_path: Path, asked: dict[str, Any], chosen: list[str]
) -> None:
    started = go(**asked)
    audience, control = ids_in(tmp_path / "spring")
    assert sorted(audience + control) == chosen
    if (budget := asked.get("budget")) is not None:
        assert started.cost is not None
        assert started.cost <= budget


def drawn_in(folder: Path) -> list[str]:
    """Who is in the campaign, in either group."""
    audience, control = ids_in(folder)
    return audience + control


def at_risk(settings: Settings) -> dict[str, int]:
    """Publish 30 customers at risk. Of two neighbours the one with the lower clv has more at stake."""
    at_stake = {f"c{number:03}": 100 + number for number in range(40, 70)}
    serve_customers(settings, names(), TODAY, champions=60, at_stake=at_stake)
    return at_stake


def test_those_at_risk_are_taken_and_listed_by_what_is_at_stake(settings: Settings, go: Go, tmp_path: Path) -> None:
    at_stake = at_risk(settings)
    go(top=None, at_risk=True)
    audience, control = ids_in(tmp_path / "spring")
    assert sorted(audience + control) == sorted(at_stake)
    assert audience == sorted(audience, reverse=True)
    assert tuple(records(tmp_path / "spring" / "audience.csv")[0]) == AT_RISK_COLUMNS
    go("summer", top=22, at_risk=True)
    assert sorted(drawn_in(tmp_path / "summer")) == [f"c{number:03}" for number in range(48, 70)]
    go("autumn", top=None, at_risk=True, segment="Champions")
    assert sorted(drawn_in(tmp_path / "autumn")) == [f"c{number:03}" for number in range(40, 60)]
    asked = "select campaign, asked_at_risk, asked_top, asked_segment from campaigns order by started_on, 1"
    assert rows(settings, asked) == [
        ("autumn", True, None, "Champions"),
        ("spring", True, None, None),
        ("summer", True, 22, None),
    ]


def test_what_a_budget_pays_of_those_at_risk_are_those_with_the_most_at_stake(
    settings: Settings, go: Go, tmp_path: Path
) -> None:
    at_risk(settings)
    go(top=None, at_risk=True, budget=Decimal(20), cost_per_contact=Decimal(1))
    assert sorted(drawn_in(tmp_path / "spring")) == [f"c{number:03}" for number in range(48, 70)]


def test_an_earlier_publication_that_knows_nobody_at_risk_says_so(settings: Settings, go: Go) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as published:
        published.execute("alter table customer_overview drop column value_at_stake")
    with pytest.raises(ExportError, match="did not say what is at stake"):
        go(top=None, at_risk=True)


def test_costs_and_hopes_come_from_the_settings_unless_they_are_told(
    settings: Settings, shop_settings: Callable[..., Settings], go: Go
) -> None:
    planned = shop_settings(campaign={"budget": 9, "cost_per_contact": 1.5, "assumed_uplift": 0.2})
    started = go(using=planned)
    assert (started.cost, started.assumed_uplift) == (Decimal("67.5"), 0.2)
    told = go("summer", using=planned, cost_per_contact=Decimal(1), assumed_uplift=0.05)
    assert (told.cost, told.assumed_uplift) == (Decimal(45), 0.05)
    assert (free := go("autumn")).cost is None
    assert free.assumed_uplift == module.ASSUMED_UPLIFT
    kept = "select campaign, cost_per_contact, assumed_uplift from campaigns order by 1"
    assert rows(settings, kept) == [
        ("autumn", None, Decimal("0.1")),
        ("spring", Decimal("1.5"), Decimal("0.2")),
        ("summer", Decimal(1), Decimal("0.05")),
    ]


def test_what_it_can_find_is_told_before_anybody_is_contacted(go: Go) -> None:
    started = go(holdout=0.5, assumed_uplift=0.01)
    # 25 customers each, who are expected to bring 90 × 75.5 ± 180 on average: an error of √(2 / 25) × 180 / 6795.
    error = (2 / 25) ** 0.5 * 180 / 6795
    assert started.detectable_uplift is not None
    assert started.detectable_uplift == pytest.approx((1.96 + 0.8416) * error, rel=1e-3)
    assert started.customers_needed == pytest.approx(50 * (started.detectable_uplift / 0.01) ** 2, abs=1)


def test_customers_of_a_running_campaign_are_told_and_those_of_one_that_is_over_are_not(
    settings: Settings, go: Go
) -> None:
    first = go(holdout=0.2)
    assert first.overlaps == ()
    second = go("summer", top=30, started_on=TODAY + timedelta(days=90))
    [overlap] = second.overlaps
    of_both = "select count(*) filter (where is_control) from campaign_members where campaign = 'spring'"
    [(controls,)] = rows(settings, f"{of_both} and customer_id <= 'c029'")
    assert overlap == Overlap("spring", TODAY + timedelta(days=90), 30, controls)
    later = go("autumn", top=30, started_on=TODAY + timedelta(days=91))
    assert [overlap.campaign for overlap in later.overlaps] == ["summer"]


def test_pseudonyms_are_in_the_lists_and_source_ids_in_the_warehouse(
    settings: Settings, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop_settings: Callable[..., Settings]
) -> None:
    hashed = KeyedHash(KEY.encode(), 32)
    publish(settings, [hashed.of(name) for name in names()], hashed.fingerprint)
    with pytest.raises(CampaignError, match=r"pseudonyms of another key.*CLV_PSEUDONYM_KEY"):
        go()
    monkeypatch.setenv("CLV_PSEUDONYM_KEY", KEY)
    started = go(using=shop_settings(privacy={"pseudonyms": True}))
    assert started.pseudonyms
    audience, control = ids_in(tmp_path / "spring")
    assert set(audience + control) == {hashed.of(name) for name in names()[:50]}
    kept = rows(settings, "select customer_id, is_control from campaign_members order by 1")
    assert [name for name, _ in kept] == names()[:50]
    assert {hashed.of(name) for name, is_control in kept if is_control} == set(control)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "a b"}, "'a b': a campaign's name should be of letters"),
        ({"name": "../x"}, "'../x': a campaign's name"),
        ({"top": None}, "whom to contact is missing; name a --segment, say --at-risk, or say how many"),
        ({"top": 0}, "--top 0: should be a number of customers from 1 to"),
        ({"top": 10**12}, "--top 1000000000000: should be a number of customers from 1 to"),
        ({"budget": Decimal(-5)}, "--budget -5: should be an amount from 0.0001 to"),
        ({"budget": Decimal(0)}, "--budget 0: should be an amount"),
        ({"budget": Decimal("NaN")}, "--budget NaN: should be an amount"),
        ({"budget": Decimal("Infinity")}, "--budget Infinity: should be an amount"),
        ({"cost_per_contact": Decimal(-1)}, "--cost-per-contact -1: should be an amount"),
        ({"cost_per_contact": Decimal("0.00001")}, "--cost-per-contact 0.00001: should be an amount"),
        ({"cost_per_contact": Decimal("1e20")}, "--cost-per-contact 1E+20: should be an amount"),
        ({"holdout": 0.0}, "--holdout 0.0: should be a share above 0"),
        ({"holdout": float("nan")}, "--holdout nan: should be a share above 0"),
        ({"holdout": 0.6}, "--holdout 0.6: should be a share above 0 and at most 0.5"),
        ({"top": 19}, "19 customers are too few: with --holdout 0.1 it takes 20"),
        ({"assumed_uplift": 2.0}, "--assumed-uplift 2.0: should be from"),
        ({"budget": Decimal(5)}, "--budget: how many contacts it pays is unknown; say what one costs"),
        ({"started_on": TODAY - timedelta(days=1)}, f"has seen what was bought until {TODAY}"),
    ],
)
def test_a_campaign_that_cannot_be_is_refused_and_leaves_nothing(
    settings: Settings, go: Go, tmp_path: Path, asked: dict[str, Any], told: str
) -> None:
    name = asked.pop("name", "spring")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CampaignError, match=re.escape(told)):
        go(name, **{"folder": tmp_path / "lists"} | asked)
    assert sorted(tmp_path.iterdir()) == before
    assert module.CAMPAIGNS not in {table for (table,) in rows(settings, "select table_name from duckdb_tables()")}


def test_unknown_names_are_answered_as_by_an_export(go: Go) -> None:
    with pytest.raises(ExportError, match="no segment 'Champion' is published; did you mean 'Champions'"):
        go(segment="Champion")
    with pytest.raises(ExportError, match="no forecast over 60 days is published, the nearest is over 30"):
        go(horizon_days=60)


def test_a_name_is_given_once_and_a_folder_that_exists_stays_as_it_is(
    settings: Settings, go: Go, tmp_path: Path
) -> None:
    go()
    with pytest.raises(CampaignError, match="'spring' has started already; choose another name"):
        go(folder=tmp_path / "again")
    (tmp_path / "summer").mkdir()
    with pytest.raises(ExportError, match="summer exists; name another folder with --out"):
        go("summer")
    assert list((tmp_path / "summer").iterdir()) == []
    assert rows(settings, "select campaign from campaigns") == [("spring",)]


def test_lists_that_cannot_be_written_record_nothing(settings: Settings, go: Go, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written: No such file or directory"):
        go(folder=tmp_path / "absent" / "lists")
    go("summer")
    assert rows(settings, "select campaign from campaigns") == [("summer",)]


def test_lists_that_cannot_have_their_name_say_that_the_campaign_is_recorded(
    settings: Settings, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit = module._admit

    def admit_while_somebody_takes_the_name(*arguments: Any) -> Any:
        (tmp_path / "spring").mkdir(exist_ok=True)
        (tmp_path / "spring" / "theirs").touch()
        return admit(*arguments)

    monkeypatch.setattr(module, "_admit", admit_while_somebody_takes_the_name)
    with pytest.raises(ExportError, match=r"and the campaign is recorded; `clv campaign remove spring`, then start it"):
        go()
    assert drop(settings, "spring") == 50


def test_what_the_audit_refuses_is_not_recorded_and_nobody_is_listed(
    settings: Settings, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_strata(_: object, drawn: Any) -> pl.DataFrame:
        customers: pl.DataFrame = drawn.customers.with_columns(stratum=None, margin=None)
        return customers

    go()
    monkeypatch.setattr(module, "_under_source_ids", without_strata)
    with pytest.raises(CampaignError, match=r"not recorded, because its tables did not pass.*everybody_is_in_a_group"):
        go("summer")
    assert not (tmp_path / "summer").exists()
    assert rows(settings, "select distinct campaign from campaign_members") == [("spring",)]


def test_nobody_is_drawn_while_a_run_is_at_work_or_an_erasure_is_unfinished(
    settings: Settings, go: Go, tmp_path: Path
) -> None:
    with Warehouse(settings.warehouse_path).keep_out("a night"), pytest.raises(WarehouseBusyError, match="a night"):
        go()
    Register(settings.privacy_dir).request("r1", ["c001"])
    with pytest.raises(CampaignError, match="an erasure is unfinished"):
        go()
    assert not (tmp_path / "spring").exists()


def test_customers_whom_the_warehouse_does_not_know_are_told(settings: Settings, go: Go) -> None:
    fill(settings, names()[5:])
    with pytest.raises(CampaignError, match="5 of the published customers are not in the warehouse any more"):
        go()


def test_a_campaign_that_is_removed_leaves_the_others(settings: Settings, go: Go) -> None:
    go()
    go("summer", top=30)
    with pytest.raises(CampaignError, match="no campaign 'sumer' has started; did you mean 'summer'"):
        drop(settings, "sumer")
    assert drop(settings, "spring") == 50
    assert rows(settings, "select campaign, count(*) from campaign_members group by 1") == [("summer", 30)]
    assert listed(settings, Pipeline.of(settings).warehouse) == [Listed("summer", TODAY, 90, 27, 3, None)]


def test_a_shop_without_money_is_contacted_by_expected_purchases(
    settings: Settings, shop_settings: Callable[..., Settings], go: Go
) -> None:
    columns = {"customer_id": "Customer", "order_id": "Order", "ordered_at": "Date"}
    poor = shop_settings(source={"transactions": {"path": "orders/*.csv", "columns": columns}})
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        database.execute("update clv_forecasts set clv = null, spend_deviation = null")
    started = go(using=poor)
    assert started.detectable_uplift is not None
    assert rows(
        settings, "select distinct expected_margin, round(expected_deviation ** 2, 6) from campaign_members"
    ) == [(None, 1.9)]


def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(Settings, "load", lambda _: settings)
    done = CliRunner().invoke(main, ["campaign", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_tells_what_was_drawn_what_it_can_find_and_names_nobody(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start_ = ("start", "spring", "--top", "50", "--on", "2024-07-01", "--cost-per-contact", "0.5")
    code, said, wrong = command(settings, monkeypatch, *start_)
    assert (code, wrong) == (0, "")
    assert said.splitlines() == [
        "45 customers to contact, which costs 22.50",
        "5 customers left out by lot: contact none of them",
        "what both buy after 2024-07-01 counts, until 2024-09-29 (90 days)",
        "an uplift of 3.5% or more is found with a probability of 80 %",
        "customer_id is the id of the source, as published",
        "wrote spring/audience.csv and spring/control.csv, which only you can read",
    ]
    _, again, _ = command(
        settings,
        monkeypatch,
        "start",
        "summer",
        "--segment",
        "Champions",
        "--on",
        "2024-07-02",
        "--assumed-uplift",
        "0.001",
    )
    assert re.search(r"; to find 0\.1% it takes [\d,]+ customers, or a larger share left out", again)
    assert "note: 50 of them are in the campaign spring, too, until 2024-09-29; it leaves out 5 of these" in again
    code, _, wrong = command(settings, monkeypatch, "start", "spring", "--top", "50", "--out", "other")
    assert code == 1
    assert "a campaign 'spring' has started already" in wrong


def test_the_command_takes_customers_at_risk_and_names_a_budget_that_cannot_be(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    at_stake = at_risk(settings)
    start_ = ("start", "spring", "--at-risk", "--top", "25", "--on", "2024-07-01")
    code, _, wrong = command(settings, monkeypatch, *start_)
    assert (code, wrong) == (0, "")
    assert set(drawn_in(tmp_path / "spring")) == set(sorted(at_stake)[-25:])
    code, _, wrong = command(settings, monkeypatch, "start", "summer", "--budget", "-5", "--cost-per-contact", "1")
    assert code == 1
    assert "--budget -5.0: should be an amount from 0.0001" in wrong


def test_the_command_lists_campaigns_and_removes_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(settings, monkeypatch, "list")[1] == "no campaign has started; `clv campaign start` starts one\n"
    command(settings, monkeypatch, "start", "spring", "--top", "50", "--on", "2024-07-01")
    assert command(settings, monkeypatch, "list")[1].splitlines() == [
        "campaign  started      days    contacts    left out",
        "spring    2024-07-01     90          45           5",
        "  not measured yet; the next `clv run` measures",
    ]
    assert command(settings, monkeypatch, "remove", "spring")[1] == (
        "removed spring with its 50 customers; the next run measures without it\n"
    )
    assert (
        "no campaign 'spring' has started; campaigns are none yet"
        in command(settings, monkeypatch, "remove", "spring")[2]
    )


def test_a_home_without_a_warehouse_says_what_to_do(shop_settings: Callable[..., Settings]) -> None:
    empty = shop_settings(storage={"home": "/nonexistent/home"})
    with pytest.raises(CampaignError, match="does not exist: nothing was loaded yet; `clv run` loads"):
        listed(empty, Pipeline.of(empty).warehouse)


def test_forgetting_names_the_lists_of_campaigns_that_still_hold_the_customer(
    settings: Settings, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("spring", top=50)
    go("summer", top=20)
    go("autumn", top=None, segment="Lost")
    with duckdb.connect(str(settings.warehouse_path)) as warehouse:
        warehouse.execute("update campaigns set lists_folder = null where campaign = 'summer'")
    monkeypatch.setattr(Settings, "load", lambda _: settings)
    done = CliRunner().invoke(main, ["forget", "c005"])
    assert done.exit_code == 0, done.output
    told = [line for line in done.stdout.splitlines() if "campaign's lists" in line]
    assert told == [
        f"their campaign's lists still hold them: take them out of {folder}/audience.csv and control.csv"
        for folder in (tmp_path / "spring", "summer")
    ]
    # Nobody else's lists are named, and no id is printed.
    assert "c005" not in done.stdout
    assert CliRunner().invoke(main, ["forget", "c060"]).stdout.count("campaign's lists") == 1


def test_campaigns_of_an_earlier_version_are_named_by_their_name(
    settings: Settings, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    go("spring", top=50)
    with duckdb.connect(str(settings.warehouse_path)) as warehouse:
        warehouse.execute("alter table campaigns drop lists_folder")
    monkeypatch.setattr(Settings, "load", lambda _: settings)
    assert "take them out of spring/audience.csv" in CliRunner().invoke(main, ["forget", "c005"]).stdout
