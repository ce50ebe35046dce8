"""explore.html holds what the published tables hold, of every shop, and nothing in it can become markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Settings
from clv_pipeline.database.connections import open_read_only
from clv_pipeline.display import Display
from clv_pipeline.publication.explore import write_explore
from clv_pipeline.publication.explore.page import SCRIPTS, render
from clv_pipeline.publication.explore.tables import LIMITS, Limits
from clv_pipeline.publication.explore.words import script_words
from clv_pipeline.publication.export import AT_RISK_COLUMNS, DEFAULT_COLUMNS, MOST_AT_STAKE_FIRST, define_audience
from clv_pipeline.publication.pages import rewrite_pages
from clv_pipeline.text import displayed
from clv_pipeline_tests.helpers.explore_page import Packed, packed_texts, unpacked
from clv_pipeline_tests.helpers.explored_shop import AS_OF, customer, publish_explored, without_money
from clv_pipeline_tests.helpers.odd_texts import arbitrary_texts

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\u202e'\"&顧客" + "x" * 300


def page_of(folder: Path, locale: str = "en-US", limits: Limits = LIMITS) -> str:
    with open_read_only(folder / "clv.duckdb") as published:
        return render(published, Display(locale), limits)


def customers_of(page: str) -> Packed:
    return unpacked(page, "customers")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A publication of twenty customers."""
    publish_explored(tmp_path, [customer(place) for place in range(20)])
    return tmp_path


def test_every_customer_is_there_with_what_the_tables_say_best_first(folder: Path) -> None:
    page = page_of(folder)
    held = customers_of(page)
    with duckdb.connect(str(folder / "clv.duckdb"), read_only=True) as tables:
        rows = tables.sql("select * from customer_overview order by clv desc").pl()
    assert held.columns["id"] == rows["customer_id"].to_list()
    for name in ("segment", "value_tier", "country", "cluster_name", "recommended_action", "contact_channel"):
        assert held.columns[name] == rows[name].to_list()
    for name in ("days_since_last", "orders", "clv_rank"):
        assert held.columns[name] == rows[name].to_list()
    for name, decimals in {"revenue": 2, "clv": 2, "expected_spend": 2, "p_purchase": 4, "usual_gap_days": 2}.items():
        assert held.columns[name] == pytest.approx([float(v) for v in rows[name]], abs=0.5 * 10**-decimals + 1e-9)
    at_risk = [float(v) if risk else None for v, risk in zip(rows["value_at_stake"], rows["at_risk"], strict=True)]
    assert held.columns["value_at_stake"] == at_risk
    overdue = [None if day is None else (AS_OF - day).days for day in rows["overdue_since"]]
    assert held.columns["overdue_days"] == overdue
    assert held.columns["next_order_days"][0] == 40
    assert held.head["customers"] == 20
    assert held.head["revenue"] == pytest.approx(sum(held.columns["revenue"]))


def test_details_are_those_of_the_tables(folder: Path) -> None:
    held = unpacked(page_of(folder), "details").columns
    with duckdb.connect(str(folder / "clv.duckdb"), read_only=True) as tables:
        path = tables.sql("select * from clv_forecasts where customer_id = 'c-000' order by horizon_days").pl()
    assert [held["forecast_clv"][0], held["forecast_clv"][20]] == pytest.approx(
        [float(clv) for clv in path["clv"]], abs=0.005
    )
    assert (held["driver_0"][0], held["driver_effect_0"][0], held["driver_median_1"][0]) == ("frequency", "more", 95.5)
    assert held["months"] == [2] * 20
    assert (held["month"][:2], held["month_revenue"][:2]) == ([53 * 12 + 10, 54 * 12 + 1], [12.5, 12.5])


def test_no_text_from_outside_is_markup_and_the_policy_lets_in_this_script_only(tmp_path: Path) -> None:
    odd = customer(1) | {"customer_id": HOSTILE, "country": HOSTILE, "segment": HOSTILE, "recommended_action": HOSTILE}
    publish_explored(
        tmp_path, [customer(0), odd, customer(2)], attributes={HOSTILE: {HOSTILE: HOSTILE}, "c-000": {HOSTILE: "b"}}
    )
    page = page_of(tmp_path)
    assert "onerror" not in page
    assert page.count("</script>") == 3
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", page)
    held = customers_of(page)
    assert held.columns["id"][1] == displayed(HOSTILE)
    assert displayed(HOSTILE) in held.columns["country"]
    assert list(held.head["attributes"].values()) == [displayed(HOSTILE)]
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#39;none&#39;" in policy
    for tag, source in (("script", "script-src"), ("style", "style-src")):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{source} &#39;sha256-{digest}&#39;" in policy
    assert not re.findall(r"""(?:src|href)=["'](?!data:,|report\.html|#)""", page)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arbitrary_texts(4))
def test_whatever_customers_are_called_the_page_holds_it_as_it_is_displayed(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    names = [text.replace("\0", "") + str(place) for place, text in enumerate(texts)]
    pages: list[str] = []
    for called in (names, ["a", "b", "c", "d"]):
        rows = [customer(place) | {"customer_id": name, "country": name} for place, name in enumerate(called)]
        publish_explored(folder / str(len(pages)), rows)
        pages.append(page_of(folder / str(len(pages))))
    assert customers_of(pages[0]).columns["id"] == [displayed(name) for name in names]
    assert pages[0].count("<") == pages[1].count("<")


def test_the_same_tables_give_the_same_bytes(folder: Path) -> None:
    write_explore(folder, Display())
    first = (folder / "explore.html").read_bytes()
    write_explore(folder, Display())
    assert (folder / "explore.html").read_bytes() == first


def test_of_more_customers_the_best_have_details_and_of_still_more_the_best_are_there_and_the_page_says_so(
    folder: Path,
) -> None:
    full = page_of(folder)
    assert "best" not in re.sub(r"<script.*?</script>", "", full, flags=re.DOTALL)
    some = page_of(folder, limits=Limits(all_details=10, all_customers=30, best_details=4))
    assert "are here for the best 4 customers." in some
    assert "The page holds" not in some
    assert len(customers_of(some).columns["id"]) == 20
    assert len(unpacked(some, "details").columns["tenure_days"]) == 4
    few = page_of(folder, limits=Limits(all_details=5, all_customers=8, best_details=4))
    assert "The page holds the best 8 of 20 customers; totals of the shop are those of all." in few
    assert customers_of(few).columns["id"] == customers_of(full).columns["id"][:8]
    assert customers_of(few).head["clv"] == customers_of(full).head["clv"]
    assert b"c-015" not in b"".join(packed_texts(few))


@pytest.mark.parametrize("number", [0, 1])
def test_a_shop_with_hardly_a_customer_has_a_page(tmp_path: Path, number: int) -> None:
    publish_explored(tmp_path, [customer(place) for place in range(number)])
    assert len(customers_of(page_of(tmp_path)).columns["id"]) == number


def test_a_shop_without_money_countries_and_attributes_has_a_page(tmp_path: Path) -> None:
    publish_explored(
        tmp_path, [without_money(customer(place)) | {"country": None} for place in range(3)], currency=None
    )
    page = page_of(tmp_path)
    held = customers_of(page)
    assert "The source states no money" in page
    assert held.head["revenue"] is None
    assert held.columns["clv"] == held.columns["country"] == [None] * 3
    assert held.columns["id"] == ["c-000", "c-001", "c-002"]
    assert held.head["attributes"] == {}


def test_an_attribute_with_few_values_can_be_filtered_by_and_one_of_names_cannot(tmp_path: Path) -> None:
    people = {f"c-{n:03}": {"plan / now": "ab"[n % 2], "name": f"person {n}", "same": "x"} for n in range(60)}
    people.pop("c-007")
    publish_explored(tmp_path, [customer(place) for place in range(60)], attributes=people)
    held = customers_of(page_of(tmp_path))
    assert held.head["attributes"] == {"attribute:plan / now": "plan / now"}
    assert held.columns["attribute:plan / now"][6:9] == ["a", None, "a"]
    assert b"person 5" not in b"".join(packed_texts(page_of(tmp_path)))


@pytest.mark.parametrize(("currency", "expected"), [("JPY", 1_001), ("EUR", 1_000.75), (None, 1_000.75)])
def test_money_has_the_decimals_of_its_currency(tmp_path: Path, currency: str | None, expected: float) -> None:
    publish_explored(tmp_path, [customer(0) | {"revenue": 1_000.75}, customer(1)], currency=currency)
    assert customers_of(page_of(tmp_path)).columns["revenue"][0] == expected


@pytest.mark.parametrize("largest", [250, 60_000, 4_000_000_000, 9e15])
def test_numbers_of_every_size_survive(tmp_path: Path, largest: float) -> None:
    rows = [customer(0) | {"revenue": largest}, customer(1) | {"revenue": -3}, customer(2) | {"revenue": None}]
    publish_explored(tmp_path, rows)
    assert customers_of(page_of(tmp_path)).columns["revenue"] == [largest, -3, None]


def test_it_says_that_customers_have_pseudonyms(tmp_path: Path) -> None:
    publish_explored(tmp_path, [customer(0)], pseudonym_key="k")
    assert "Customers have pseudonyms." in page_of(tmp_path)


def test_numbers_and_days_are_those_of_the_locale(folder: Path) -> None:
    page = page_of(folder, "de-DE")
    assert '<html lang="de" dir="ltr">' in page
    assert "30. Juni 2024" in page
    assert customers_of(page).head["locale"] == "de-DE"


def test_a_page_in_another_language_knows_every_text_of_its_script() -> None:
    said = {text: words for path in SCRIPTS for text, words in script_words(Display("de-DE"), path).items()}
    assert len(said) > 80
    assert set(said["{number} day ago"]) == {"one", "other"}
    literals = {
        text.replace("\\'", "'")
        for path in SCRIPTS
        for text in re.findall(r"\bsay\('((?:[^'\\]|\\.)+)'", path.read_text(encoding="utf-8"))
    }
    assert "Recommended action" in literals <= set(said)
    assert script_words(Display(), SCRIPTS[-1]) == {}


def test_clusters_are_named_in_the_language_from_what_their_names_are_made_of(tmp_path: Path) -> None:
    alike = {
        "cluster_name": "High value, lapsed (1 of 2 by spend)",
        "cluster_name_code": "high_value_lapsed",
        "cluster_name_facts": '{"value": "high", "recency": "lapsed", "number": 1, "alike": 2}',
    }
    publish_explored(tmp_path, [customer(0) | alike, customer(1), customer(2) | {"cluster_name": None}])
    terms = customers_of(page_of(tmp_path, "de-DE")).head["terms"]
    assert terms[alike["cluster_name"]].endswith(" (1 von 2 nach Umsatz)")
    assert alike["cluster_name"] not in customers_of(page_of(tmp_path)).head["terms"]


def test_customers_at_risk_have_their_place_in_the_exported_list(folder: Path) -> None:
    held = customers_of(page_of(folder)).columns
    with open_read_only(folder / "clv.duckdb") as published:
        define_audience(published)
        rows = published.sql(
            f"select customer_id from audience where at_risk and horizon_days = 365 order by {MOST_AT_STAKE_FIRST}"
        ).fetchall()
    place = dict(zip(held["id"], held["stake_rank"], strict=True))
    assert [place[name] for (name,) in rows] == [*range(1, len(rows) + 1)]
    assert {place[name] for name in held["id"]} == {None, *range(1, len(rows) + 1)}


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("en-US", {"group": ",", "decimal": ".", "sizes": [3, 3], "money": ["€{}", "−€{}"], "padded": False}),
        ("en-IN", {"group": ",", "decimal": ".", "sizes": [3, 2]}),
        ("de-DE", {"group": ".", "decimal": ",", "number": ["{}", "−{}"], "money": ["{}\xa0€", "−{}\xa0€"]}),
        ("tr-TR", {"percent": ["%{}", "−%{}"]}),
        ("de-AT", {"padded": True}),
    ],
)
def test_the_page_brings_along_how_numbers_and_days_are_written(
    folder: Path, locale: str, expected: dict[str, Any]
) -> None:
    written = customers_of(page_of(folder, locale)).head["written"]
    assert written | expected == written
    day = date(2024, 9, 8)
    filled = written["days"][8].format(year=2024, day="08" if written["padded"] else "8")
    assert filled == Display(locale).short_day(day)
    assert written["months"][8].format(year=2024) == Display(locale).short_month(day)


@pytest.mark.parametrize(
    ("missed_by", "expected"),
    [
        ([], "Forecasts over 365 days were never tested: the history is too short."),
        ([(None, None)], "Forecasts over 365 days could not be tested: nothing was bought then."),
        ([(0.1, None)], "On the one past date that was tested, the total over 365 days missed by 10.0%.</p>"),
        ([(0.1, 0.2)], "missed by 10.0%; the best simple rule missed by 20.0%.</p>"),
        ([(0.3, 0.2), (0.1, 0.1)], "by 15.0% on average. Over so many days, a simple rule forecast the total better."),
    ],
)
def test_it_says_how_far_past_totals_were_off_and_when_a_simple_rule_came_closer(
    tmp_path: Path, missed_by: list[tuple[float | None, float | None]], expected: str
) -> None:
    publish_explored(tmp_path, [customer(0), customer(1)], missed_by=missed_by)
    page = page_of(tmp_path)
    assert expected in page
    assert ('class="assumption">On' in page) == ("better" in expected)
    assert customers_of(page).head["tested"] in page


def test_an_erasure_writes_the_page_anew_and_removes_one_that_cannot_be_made(folder: Path) -> None:
    rewrite_pages(folder, Display())
    assert not (folder / "explore.html").exists()
    write_explore(folder, Display())
    with duckdb.connect(str(folder / "clv.duckdb")) as tables:
        for table in ("customer_overview", "dim_customer", "clv_forecasts", "fact_customer_month"):
            tables.execute(f"delete from {table} where customer_id = 'c-003'")
    assert any(b"c-003" in text for text in packed_texts((folder / "explore.html").read_text()))
    rewrite_pages(folder, Display())
    page = (folder / "explore.html").read_text()
    assert len(customers_of(page).columns["id"]) == 19
    assert not any(b"c-003" in text for text in packed_texts(page))
    with duckdb.connect(str(folder / "clv.duckdb")) as tables:
        tables.execute("drop table fact_customer_month")
    rewrite_pages(folder, Display())
    assert not (folder / "explore.html").exists()


def test_clv_open_opens_the_served_page(
    shop_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def note(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", note)
    monkeypatch.setattr(Settings, "load", lambda _: shop_settings())
    nothing = CliRunner().invoke(main, ["open", "explore"])
    assert nothing.exit_code == 1
    assert "nothing is published yet" in nothing.stderr
    published = shop_settings().published_dir
    (published / "versions" / "v1").mkdir(parents=True)
    (published / "current").symlink_to(Path("versions") / "v1", target_is_directory=True)
    earlier = CliRunner().invoke(main, ["open", "explore"])
    assert "earlier version" in earlier.stderr
    page = published / "versions" / "v1" / "explore.html"
    page.write_text("")
    done = CliRunner().invoke(main, ["open", "explore"])
    assert (done.exit_code, done.stdout.strip(), opened) == (0, str(page), [page.as_uri()])
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    assert CliRunner().invoke(main, ["open", "explore"]).exit_code == 1


def test_the_page_has_every_column_of_an_exported_list(folder: Path) -> None:
    """The saved list has the columns of `clv export`: the script finds each among those of the page."""
    made_of = {
        "customer_id": "id",
        "last_purchase_date": "days_since_last",
        "next_order_date": "next_order_days",
        "overdue_since": "overdue_days",
    }
    fixed = {"as_of", "horizon_days"}
    columns = {made_of.get(name, name) for name in (*DEFAULT_COLUMNS, *AT_RISK_COLUMNS) if name not in fixed}
    assert columns <= set(customers_of(page_of(folder)).columns)
