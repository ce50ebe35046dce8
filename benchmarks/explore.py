"""How large explore.html is, how long it takes to write, and how soon somebody can filter in it.

Publications of 20,000 and 100,000 customers are generated, every value by itself, which compresses worse than what
customers do. Ids are pseudonyms, the longest and least regular ones there are; customers have countries, channels and
three attributes, and have bought in twelve months on average. Headless Chromium opens the page from the disk and clicks
on a segment: what counts is the time from the beginning of navigation to the list of that segment.

Run: python -m benchmarks.explore (`make bench`)
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import duckdb

from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import DOCUMENT, WORK
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.display import Display
from clv_pipeline.publication.explore import write_explore
from clv_pipeline.publication.write import DATABASE, EXPLORE

CUSTOMERS = (20_000, 100_000)
TRIES = 5
LARGEST_MB = {20_000: 6.0, 100_000: 12.0}
SLOWEST_SECONDS = 1.0
"""What is promised of a page: its size, and the first filter that works."""

_BUYERS = """
create temp table buyers as
select
    md5('customer ' || n) as customer_id,
    ['Champions', 'Loyal', 'At Risk', 'Hibernating', 'Lost', 'New Customers', 'Promising'][1 + n % 7] as segment,
    cast(exp(3 + 1.2 * sqrt(-2 * ln(1 - random())) * cos(6.2832 * random())) as decimal(28, 4)) as spend,
    random() as p,
    cast(700 * random() as integer) as silence,
    1 + cast(22 * random() as integer) as bought_in
from range({customers}) as numbers(n)"""
"""Spend is lognormal."""

_TABLES = {
    "publication": "select date '2024-12-31' as as_of, 'EUR' as currency",
    "customer_overview": """
select
    customer_id, segment, date '2024-12-31' as as_of, 'Country ' || cast(floor(30 * random()) as int) as country,
    date '2024-12-31' - silence as last_purchase_date, silence as days_since_last, silence + 100 as tenure_days,
    bought_in as frequency, bought_in + 1 as orders, spend * bought_in as revenue, spend as average_order_value,
    90 * random() as usual_gap_days, if(p < 0.2, date '2024-12-31' - silence // 2, null) as overdue_since,
    1 + cast(4 * random() as int) as r_score, 1 + cast(4 * random() as int) as f_score,
    1 + cast(4 * random() as int) as m_score, 'High value, recent' as cluster_name,
    ['high', 'middle', 'low'][1 + cast(2 * random() as int)] as value_tier, p < 0.2 as at_risk,
    spend * random() as value_at_stake, 'Bring about the second purchase' as recommended_action,
    'e-mail' as contact_channel, 365 as horizon_days, 4 * random() as expected_purchases,
    spend * random() as expected_spend, 0.8 as interval_level, p as p_purchase, sqrt(p) as p_alive,
    spend * random() as clv, row_number() over (order by spend desc) as clv_rank, spend * random() as order_value,
    date '2025-01-01' + cast(400 * random() as int) as next_order_date, p / 8 as p_purchase_30_days,
    p / 3 as p_purchase_90_days, p as p_purchase_365_days, spend * bought_in as historic_value, 1.0 as margin,
    spend * random() as total_value, spend * random() as lifetime_value,
    '[["frequency", "more", ' || bought_in || ', 2.00], ["days_since_last", "less", ' || silence || ', 95.00]]'
        as drivers_facts
from buyers""",
    "dim_customer": """
select
    customer_id, date '2023-01-01' + to_months(cast(23 * random() as int)) as cohort_month,
    ['search', 'shop', 'newsletter'][1 + cast(2 * random() as int)] as channel,
    '{"age": "' || 18 + cast(40 * random() as int) || '", "plan": "' || ['a', 'b', 'c'][1 + cast(2 * random() as int)]
    || '", "region": "r' || cast(15 * random() as int) || '"}' as attributes
from buyers""",
    "clv_forecasts": """
select
    customer_id, horizon_days, 4 * random() as expected_purchases, spend * random() as expected_spend,
    spend * random() as spend_lower, spend * random() as spend_upper, p * random() as p_purchase,
    spend * random() as clv
from buyers
cross join (values (30), (90), (180), (365)) as horizons(horizon_days)""",
    "fact_customer_month": """
select
    customer_id, date '2023-01-01' + to_months(cast(m as int)) as calendar_month,
    1 + cast(3 * random() as int) as orders, spend * random() as net_revenue
from buyers
cross join range(24) as months(m)
where m < bought_in""",
    "rfm": "select customer_id, spend as revenue from buyers",
    "forecast_totals": "select date '2024-12-31' as as_of, horizon_days from (values (30), (365)) as h(horizon_days)",
    "served_accuracy": """
select
    date '2023-12-31' as cutoff, 365 as horizon_days, 'hybrid' as model, 'spend' as target, metric, 'all' as group_kind,
    'all' as group_name, 0.2 as value
from (values ('absolute_bias'), ('best_rule_absolute_bias')) as metrics(metric)""",
}
"""What the page reads; every other column is NULL."""


def generate(folder: Path, customers: int) -> None:
    """Write the tables that the page reads into `folder`/clv.duckdb."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATABASE).unlink(missing_ok=True)
    models = load_models()
    with duckdb.connect(str(folder / DATABASE)) as connection:
        connection.execute("select setseed(0.5)")
        connection.execute(_BUYERS.format(customers=customers))
        for table, query in _TABLES.items():
            columns = models[table].contract.columns
            connection.execute(
                f"create table {table} ({', '.join(f'{quote_identifier(c.name)} {c.type}' for c in columns)})"
            )
            connection.execute(f"insert into {table} by name {query}")


def measure(folder: Path, customers: int) -> dict[str, float]:
    """MB of the page of so many customers, seconds to write it, and seconds to the first filter; medians."""
    generate(folder, customers)
    write_explore(folder, Display())  # the libraries are loaded
    writing, filtering = [], []
    for _ in range(TRIES):
        begin = time.perf_counter()
        write_explore(folder, Display())
        writing.append(time.perf_counter() - begin)
    page = folder / EXPLORE
    filtering = [seconds_to_filter(page) for _ in range(TRIES)]
    return {
        "MB": page.stat().st_size / 1e6,
        "writing": statistics.median(writing),
        "filtering": statistics.median(filtering),
    }


def seconds_to_filter(page: Path) -> float:
    """From the beginning of navigation to the list of a segment that was clicked on, in a browser of its own."""
    from playwright.sync_api import sync_playwright

    from clv_pipeline_tests.acceptance.browser import find_chromium

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=find_chromium()) as chromium:
        tab = chromium.new_page(viewport={"width": 1280, "height": 900})
        tab.add_init_script("""
            new MutationObserver((_, observer) => {
                const bar = document.querySelector('#facets button')
                if (!bar || document.getElementById('page').hidden || !document.querySelector('#rows tr')) return
                observer.disconnect()
                setTimeout(() => {
                    bar.click()
                    requestAnimationFrame(() => setTimeout(() => { window.filteredAfter = performance.now() }))
                })
            }).observe(document, { childList: true, subtree: true, attributes: true })""")
        tab.goto(page.resolve().as_uri())
        # The policy of the page forbids Playwright's own waiting for a condition.
        while not (milliseconds := tab.evaluate("window.filteredAfter ?? null")):
            tab.wait_for_timeout(50)
        return float(milliseconds) / 1000


def main() -> None:
    """Measure both sizes and write the block of the document."""
    rows = []
    for customers in CUSTOMERS:
        found = measure(WORK / f"explore_{customers}", customers)
        kept = found["MB"] < LARGEST_MB[customers] and found["filtering"] < SLOWEST_SECONDS
        rows.append(
            f"| {customers:,} | {found['MB']:.1f} | {found['writing']:.2f} | {found['filtering']:.2f}"
            f" | {LARGEST_MB[customers]:.0f} MB, {SLOWEST_SECONDS:.0f} s: {'yes' if kept else 'no'} |"
        )
    head = (
        "| customers | MB | seconds to write | seconds to the first filter | within what is promised |\n"
        "|---:|---:|---:|---:|---|"
    )
    block = "\n".join([head, *rows])
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(encoding="utf-8"), "explore", block), encoding="utf-8")
    print(block)


if __name__ == "__main__":
    main()
