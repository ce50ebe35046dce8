"""The report says what the published tables say, of every shop, in one file that asks nobody for anything."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import dataclass, replace
from datetime import date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.display import Display
from clv_pipeline.errors import PictureError
from clv_pipeline.publication.charts.look import DARK
from clv_pipeline.publication.charts.renderer import RENDERER
from clv_pipeline.publication.report import page, summary_lines
from clv_pipeline.publication.report.figures import figures
from clv_pipeline.publication.report.page import render
from clv_pipeline.publication.report.queries import QUERIES, read
from clv_pipeline.publication.summary import publication_facts, publication_summary
from clv_pipeline.text import displayed
from clv_pipeline_tests.helpers.graph_shop import erased
from clv_pipeline_tests.helpers.odd_texts import arbitrary_texts, with_texts
from clv_pipeline_tests.publication.report.conftest import CUSTOMER, FILE, PRODUCT, Published

LARGEST = 5_000_000
OUR_WORDS = ("kept",)
"""Texts that the page looks for."""
SECTIONS = [
    *("summary", "forecast", "segments", "campaigns", "value", "sales", "orders", "retention", "products"),
    *("accuracy", "models", "suggestions", "quality", "sources"),
]
"""All but clusters, of which there is one, and what needs channels and countries, which the source does not map."""
ENGLISH = Display()


@dataclass
class Number:
    """A number of the report: what it says, and where it says that it stands."""

    attributes: dict[str, str]
    text: str = ""


class Numbers(HTMLParser):
    """Collects the <data> elements of a page, and the queries it lists."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Number] = []
        self.queries: dict[str, str] = {}
        self._open: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "data":
            self.found.append(Number(attributes))
            self._open = "data"
        elif attributes.get("id", "").startswith("query-"):
            self._open = attributes["id"].removeprefix("query-")
            self.queries[self._open] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("data", "pre"):
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open == "data":
            self.found[-1].text += data
        elif self._open is not None:
            self.queries[self._open] += data


def says(text: str, value: Any) -> bool:
    """Whether what is written is the value, to the digits that are written."""
    if isinstance(value, datetime):
        return text == ENGLISH.moment(value)
    if isinstance(value, date):
        return text in {getattr(ENGLISH, kind)(value) for kind in ("day", "short_day", "month", "short_month")}
    if text == "<0.1%":
        return bool(0 < value < 0.0005)
    digits = text.replace(",", "").replace("−", "-").rstrip("%")
    unit = 100 if text.endswith("%") else 1
    decimals = len(digits.partition(".")[2])
    return bool(abs(float(digits) - float(value) * unit) <= 0.5 * 10**-decimals * (1 + 1e-9))


def test_every_number_is_that_of_the_published_tables(published: Published) -> None:
    page = Numbers(published.page)
    with duckdb.connect(str(published.database), read_only=True) as client:
        rows = {}
        for name, query in page.queries.items():
            found = client.execute(query)
            columns = [column[0] for column in found.description]
            rows[name] = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    assert len(page.found) > 250
    wrong = [
        number
        for number in page.found
        for value in [
            rows[number.attributes["data-from"]][int(number.attributes["data-row"])][number.attributes["data-column"]]
        ]
        if not says(number.text, value) or number.attributes["value"] != str(value)
    ]
    assert wrong == []


def test_no_number_stands_outside_of_what_can_be_checked(published: Published) -> None:
    """What is left when marked numbers, names and fixed words are taken out holds no figure."""
    main = published.page.partition("<main>")[2].partition('<section id="sources">')[0]
    # Sentences that tables hold are marked as such; charts write their own numbers.
    told = r'<span (?:data-sentence|lang)="[^"]*">[^<]*</span>|<p class="unit">[^<]*</p>'
    unmarked = re.sub(rf"<data [^>]*>[^<]*</data>|{told}|<svg.*?</svg>|<[^>]+>", "", main, flags=re.DOTALL)
    assert re.findall(r"\d{1,3},\d{3}|\d+\.\d+%", unmarked) == []


def test_what_clv_run_prints_is_what_the_report_says(published: Published) -> None:
    printed = "\n".join(publication_summary(publication_facts(published.shop.settings())))
    told = " ".join(summary_lines(published.database, ENGLISH))
    with duckdb.connect(str(published.database), read_only=True) as client:
        [(spend, buyers)] = client.execute(
            "select sum(expected_spend), sum(p_purchase) from clv_forecasts where horizon_days = 90"
        ).fetchall()
        [(off_by,)] = client.execute(
            "select avg(value) from served_accuracy where horizon_days = 90 and group_kind = 'all'"
            " and target = 'spend' and metric = 'absolute_bias'"
        ).fetchall()
    assert f"{spend:,.0f} from {buyers:,.0f} buyers in the next 90 days" in printed
    assert f"total off by {off_by:.1%}, " in printed
    assert f"missed by {off_by:.1%}" in told


def test_spend_that_is_expected_comes_from_somebody(published: Published) -> None:
    facts = replace(publication_facts(published.shop.settings()), expected_spend=0.3, expected_buyers=0.04)
    assert any("0.30 from less than 1 buyer in the next 90 days" in line for line in publication_summary(facts))


def test_sections_stand_in_their_order_and_every_link_leads_to_one(published: Published) -> None:
    assert re.findall(r'<section id="(\w+)">', published.page) == SECTIONS
    assert re.findall(r'<a href="#(\w+)">', published.page) == SECTIONS[1:-1]


def test_sections_with_nothing_to_show_are_named_in_one_line_at_the_end(published: Published) -> None:
    footer = published.page.partition("<footer>")[2]
    assert (
        "Left out, because there is nothing to show: Clusters, What new customers are worth, and Countries." in footer
    )


def test_everything_from_outside_is_escaped(published: Published) -> None:
    for name in (PRODUCT, CUSTOMER, FILE):
        assert name not in published.page
        assert html.escape(displayed(name))[:20] in published.page
    assert "<script" not in published.page
    assert displayed(published.page) == published.page


def test_products_with_a_control_character_are_kept_as_they_came_and_drawn(published: Published) -> None:
    with open_read_only(published.database) as tables:
        products = [name for (name,) in tables.execute("select product_id from product_performance").fetchall()]
    assert PRODUCT in products
    assert all("\x0b" in name for name in products)
    figure = published.page.partition('<figure id="figure-products">')[2].partition("</figure>")[0]
    assert figure.count("<svg ") == 2
    assert r"\u000b" in figure
    assert "could not be drawn" not in published.page


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=arbitrary_texts(30))
def test_whatever_text_there_is_the_page_is_whole(
    published: Published, monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> None:
    monkeypatch.setattr(page, "read", lambda tables, name: with_texts(read(tables, name), texts, keep=OUR_WORDS))
    missing: list[str] = []
    with open_read_only(published.database) as tables:
        written = render(tables, ENGLISH, warn=missing.append)
    assert missing == []
    assert displayed(written) == written
    assert re.findall(r'<section id="(\w+)">', written) == SECTIONS
    assert written.count("<svg ") == 2 * len(re.findall(r'<figure id="figure-', written))


def test_a_picture_that_cannot_be_drawn_is_missing_and_named(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(spec: dict[str, Any], **_: Any) -> bytes:
        if "\\u000b" in json.dumps(spec["datasets"]).replace("\\\\", "\\"):
            raise PictureError("the process that draws was ended by SIGABRT")
        return b"<svg />"

    monkeypatch.setattr(RENDERER, "draw", draw)
    told: list[str] = []
    with open_read_only(published.database) as tables:
        written = render(tables, ENGLISH, warn=told.append)
    assert told == [
        "report: the chart 'Products that brought most' is not drawn: the process that draws was ended by SIGABRT"
    ]
    assert written.count("This picture could not be drawn") == 1


def test_the_page_is_one_small_file_that_asks_nobody_for_anything(published: Published) -> None:
    assert len(published.page.encode()) < LARGEST
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", published.page)
    assert re.findall(r"(?:src|href|url|@import)\W{1,2}(?!#|data:,|explore\.html)[^\s\"')]+", without_namespaces) == []
    assert "http" not in without_namespaces.partition('<section id="sources">')[0]


def test_the_same_tables_give_the_same_bytes(published: Published) -> None:
    with open_read_only(published.database) as tables:
        assert render(tables, ENGLISH) == published.page


def test_every_figure_is_drawn_for_both_widths_with_a_text_alternative(published: Published) -> None:
    drawn = re.findall(r'<figure id="figure-(\w+)">(.*?)</figure>', published.page, flags=re.DOTALL)
    of_clusters = {"clusters", "cluster_profiles", "cluster_segments"}
    of_others = {"acquisition", "payback", "campaigns", "countries"}
    assert {name for name, _ in drawn} == set(figures()) - of_clusters - of_others
    for _, figure in drawn:
        assert len(re.findall(r'<svg role="img" aria-label="[^"]{20,}"', figure)) == 2
        assert re.search(r'<p class="unit">.{10,}</p>', figure)


def test_every_colour_of_the_drawings_has_one_for_dark_pages(published: Published) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", published.page, flags=re.DOTALL))
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawings)) - {"none", "transparent"} <= set(DARK)
    # Ids of several drawings in one page would have to be told apart.
    assert " id=" not in drawings


def test_the_dictionary_describes_every_published_table(published: Published) -> None:
    with duckdb.connect(str(published.database), read_only=True) as client:
        tables = client.execute("select table_name, comment from duckdb_tables()").fetchall()
    text = html.unescape(published.page)
    assert all(f"<summary>{name}</summary>" in text and comment in text for name, comment in tables)


EMPTY = [
    *("served_accuracy", "tracking", "tracking_by_frequency", "clv_drivers", "product_performance"),
    *("country_performance", "campaign_plan", "segment_migrations", "forecast_tracking"),
]


def test_a_shop_without_products_backtest_drivers_and_campaign_has_a_report(copy: duckdb.DuckDBPyConnection) -> None:
    for table in EMPTY:
        copy.execute(f"delete from {table}")
    copy.execute(
        "update model_leaderboard set rank = null, cutoffs = 0, log_ratio = null, log_ratio_error = null, mae = null,"
        " normalized_gini = null, tweedie_skill = null, poisson_skill = null, auc = null, bias = null,"
        " why_code = 'preferred_no_evidence'"
    )
    copy.execute("update forecast_totals set spend_lower = null, spend_upper = null, interval_level = null")
    copy.execute("update customer_overview set next_order_date = null, lifetime_value = null")
    page = render(copy, ENGLISH)
    assert "could not be tested yet" in page
    assert re.findall(r'<section id="(\w+)">', page) == [
        name for name in SECTIONS if name not in ("campaigns", "products", "accuracy")
    ]
    assert "nothing to show: Campaigns, Clusters, What new customers are worth, Products, Countries, and Where" in page
    for figure in ("deciles", "backtests", "probabilities", "tracking", "frequency", "leaderboard"):
        assert f"figure-{figure}" not in page
    assert "Without a horizon" not in page
    assert "None" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)


def test_revenue_by_month_is_told_with_its_notes_and_left_out_where_there_is_none(
    copy: duckdb.DuckDBPyConnection,
) -> None:
    page = render(copy, ENGLISH)
    [(notes, known)] = copy.execute("select any_value(notes), max(known_revenue) from revenue_outlook").fetchall()
    assert notes in html.unescape(page)
    told = re.search(r"<caption>Revenue by month.*?</table>", page, flags=re.DOTALL)
    assert told is not None
    assert f'value="{known}"' in told[0]
    copy.execute("update revenue_outlook set total_revenue = null")
    assert "<caption>Revenue by month" not in render(copy, ENGLISH)


def test_an_assumed_uplift_is_told_as_such_and_a_measured_one_with_its_campaigns(
    copy: duckdb.DuckDBPyConnection,
) -> None:
    page = render(copy, ENGLISH)
    assert "An assumption, not a measurement" in page
    assert "Campaigns so far" not in page
    copy.execute(
        "update campaign_plan set basis_code = 'measured_uplift', basis_facts = null,"
        " basis = 'measured in 1 campaign', uplift = 0.2"
    )
    copy.execute(
        "insert into campaign_results by name select 'spring' as campaign, unnest([30, 90]) as horizon_days,"
        " date '2024-07-01' as started_on, horizon_days = 90 as is_stated, 412 as contacts, 177 as controls,"
        " 0.25 as uplift, 99.5 as profit, 'an uplift was found' as verdict"
    )
    page = render(copy, ENGLISH)
    assert "An assumption, not a measurement" not in page
    assert "measured in 1 campaign</span>" in page
    told = re.search(r"<caption>Campaigns so far.*?</table>", page, flags=re.DOTALL)
    assert told is not None
    assert told[0].count("spring") == 1
    for shown in ("Jul 1, 2024", "412", "177", "+25.0%", "99.50"):
        assert shown in told[0]
    assert "an uplift was found" in page


def test_a_single_customer_of_a_single_day_has_a_report(copy: duckdb.DuckDBPyConnection) -> None:
    [(only,)] = copy.execute("select min(customer_id) from rfm").fetchall()
    for table in ("rfm", "segments", "clv_forecasts", "customer_overview", "campaign_plan"):
        copy.execute(f"delete from {table} where customer_id <> ?", [only])
    [(segment, day)] = copy.execute(
        "select segment, last_purchase_date from segments join rfm using (customer_id)"
    ).fetchall()
    for table in ("segment_profiles", "segment_actions"):
        copy.execute(f"delete from {table} where segment <> ?", [segment])
    copy.execute("delete from cluster_profiles where cluster > 1")
    copy.execute("delete from cohorts where age_months > 0")
    copy.execute("delete from sales_by_day where calendar_day <> ?", [day])
    copy.execute("delete from sales_by_month")
    page = render(copy, ENGLISH)
    assert "There is no whole month of sales yet." in page
    assert 'id="retention"' not in page


def test_asset_pages_show_the_charts_numbers_over_runs_and_the_summary(published: Published) -> None:
    def shown(table: str, name: str) -> Any:
        value = published.night.shown[table][name]
        return value.value if isinstance(value, dg.MetadataValue) else value

    insights = ("sales_by_month", "revenue_deciles", "cohorts", "product_performance", "campaign_plan", "order_values")
    forecasts = ("clv_forecasts", "forecast_totals", "served_accuracy", "model_leaderboard", "tracking_by_frequency")
    others = ("row_ledger", "customer_overview", "clv_drivers", "revenue_outlook", "segment_history")
    for table in (*insights, *forecasts, *others):
        assert "data:image/svg+xml;base64," in shown(table, "plot")
    assert "data:image/svg+xml;base64," in shown("clv_forecasts", "tracking plot")
    assert shown("sales_by_month", "customers of the last complete month") > 0
    assert 0 < shown("revenue_deciles", "share of revenue of the best decile") <= 1
    assert shown("published_marts", "report").endswith("/report.html")
    assert shown("published_marts", "report bytes") == len(published.page.encode())
    summary = shown("published_marts", "summary").splitlines()
    assert summary == [f"- {line}" for line in summary_lines(published.database, ENGLISH)]


def test_nobody_who_was_forgotten_is_left_in_the_report(published: Published, tmp_path: Path) -> None:
    shutil.copytree(published.shop.folder, tmp_path / "shop", symlinks=True)
    shop = replace(published.shop, folder=tmp_path / "shop")
    assert html.escape(displayed(CUSTOMER)) in (shop.served.parent / "report.html").read_text()
    erased(shop.settings(), [CUSTOMER])
    page = (shop.served.parent / "report.html").read_text()
    assert html.escape(displayed(CUSTOMER)) not in page
    with open_read_only(shop.served) as tables:
        assert page == render(tables, ENGLISH)


def test_a_shop_that_has_forgotten_everybody_has_a_report(copy: duckdb.DuckDBPyConnection) -> None:
    """Else the last customer could not be erased from the versions that are kept."""
    for table in ("rfm", "segments", "clv_forecasts", "customer_overview", "campaign_plan"):
        copy.execute(f"delete from {table}")
    assert "<dt>At stake with customers at risk, at most</dt>" in render(copy, ENGLISH)


def test_clusters_are_those_of_cluster_profiles(copy: duckdb.DuckDBPyConnection) -> None:
    listed = (
        "cluster, cluster_name, customers, customer_share, median_days_since_last, median_frequency, median_revenue"
    )
    shown = copy.execute(f"select {listed} from ({QUERIES['clusters']}) order by cluster").fetchall()
    assert shown
    assert shown == copy.execute(f"select {listed} from cluster_profiles order by cluster").fetchall()


def test_queries_have_an_order_that_no_tie_decides(copy: duckdb.DuckDBPyConnection) -> None:
    """The same rows in another order in the file give the same answers."""
    before = {name: copy.execute(query).fetchall() for name, query in QUERIES.items() if name != "dictionary"}
    for (table,) in copy.execute("select table_name from duckdb_tables()").fetchall():
        copy.execute(f"create or replace table {table} as select * from {table} order by hash({table}) desc")
    assert {name: copy.execute(query).fetchall() for name, query in QUERIES.items() if name != "dictionary"} == before
