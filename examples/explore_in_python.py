"""Go on in Python: pick a segment and see its customers and their revenue by month, from the published tables.

    pip install marimo duckdb polars pyarrow altair
    marimo edit examples/explore_in_python.py    (or `marimo run`, which hides the code)

It opens data/published/current/clv.duckdb, or the file that CLV_DATABASE names. marimo is not part of the pipeline.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Customers of a segment")


@app.cell
def _():
    import os
    from pathlib import Path

    import altair as alt
    import duckdb
    import marimo as mo

    database = Path(os.environ.get("CLV_DATABASE", "data/published/current/clv.duckdb")).resolve()
    if not database.exists():
        raise FileNotFoundError(f"{database}: run `clv run` first, or name the file in CLV_DATABASE")
    # Resolved, so that all cells read one version even if another one is published meanwhile.
    published = duckdb.connect(str(database), read_only=True)
    return alt, mo, published


@app.cell
def _(mo, published):
    sizes = published.sql("select segment, count(*) as customers from customer_overview group by all order by all").pl()
    segment = mo.ui.dropdown(sizes["segment"].to_list(), value=sizes["segment"][0], label="Segment")
    segment
    return (segment,)


@app.cell
def _(mo, published, segment):
    customers = published.sql(
        """
        select o.customer_id, o.country, d.channel, o.value_tier, o.at_risk, o.last_purchase_date, o.net_revenue,
            o.horizon_days, o.p_purchase, o.expected_spend, o.clv, o.recommended_action
        from customer_overview as o
        inner join dim_customer as d on o.customer_id = d.customer_id
        where o.segment = ?
        order by o.clv desc, o.customer_id
        """,
        params=[segment.value],
    ).pl()
    mo.vstack([mo.md(f"**{customers.height:,} customers**, the highest CLV first"), mo.ui.table(customers)])
    return (customers,)


@app.cell
def _(alt, published, segment):
    by_month = published.sql(
        """
        select f.calendar_month, sum(f.net_revenue)::double as revenue
        from fact_customer_month as f
        inner join dim_customer as d on f.customer_id = d.customer_id
        where d.segment = ?
        group by all
        order by all
        """,
        params=[segment.value],
    ).pl()
    title = f"Revenue by month of who is in {segment.value} today"
    alt.Chart(by_month, title=title, width=700).mark_bar().encode(
        x=alt.X("yearmonth(calendar_month):T", title=None),
        y=alt.Y("revenue:Q", title="revenue, less returns"),
        tooltip=[alt.Tooltip("yearmonth(calendar_month):T", title="month"), alt.Tooltip("revenue:Q", format=",.0f")],
    )
    return (by_month,)


if __name__ == "__main__":
    app.run()
