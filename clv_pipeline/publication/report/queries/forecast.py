"""What is expected: totals, months, ranges, and how past weeks were tracked."""

# Only text of this package enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

from clv_pipeline.publication.report.queries.parts import LONGEST_JUDGED, SHOWN, TARGET, TOP, mean

QUERIES: dict[str, str] = {
    "ranges": f"""
select
    horizon_days,
    {mean("coverage")} as held,
    {mean("coverage", group="group_kind = 'decile' and group_name = '1'")} as held_of_best_tenth
from served_accuracy
where horizon_days = {LONGEST_JUDGED}
group by horizon_days""",
    # Without money there is nothing to show.
    "months_ahead": """
select *, cast(total_revenue as double) / nullif(cast(last_year_revenue as double), 0) - 1 as change
from revenue_outlook
where total_revenue is not null
order by month""",
    "weeks": """
select *
from tracking
order by week_ends""",
    "backtests": f"""
select
    horizon_days,
    cutoff as forecast_on,
    any_value(value) filter (where metric = 'predicted_mean') * any_value(customers) as forecast_spend,
    any_value(value) filter (where metric = 'actual_mean') * any_value(customers) as actual_spend,
    any_value(target) as target
from served_accuracy
where target = {TARGET} and group_kind = 'all' and metric in ('predicted_mean', 'actual_mean') and {SHOWN}
group by all
order by all""",
    "earlier": f"""
select
    as_of,
    horizon_days,
    model,
    status,
    horizon_ends,
    elapsed_share,
    forecast_spend,
    actual_spend,
    bias,
    interval_coverage,
    interval_level,
    forecast_buyers_share,
    actual_buyers_share
from forecast_tracking
order by status = 'passed' desc, as_of desc, horizon_days
limit {TOP}""",
    "campaign": """
select
    contact_order as contacts,
    cumulative_cost,
    cumulative_return,
    assumed_uplift,
    cumulative_break_even_uplift,
    horizon_days,
    cost_per_contact,
    basis,
    basis_code,
    basis_facts,
    basis_code = 'measured_uplift' as is_measured
from campaign_plan
order by contact_order desc
limit 1""",
    "campaign_segments": """
select
    segment,
    count(*) as contacts,
    sum(cost_per_contact) as cost,
    max(uplift) as uplift,
    sum(expected_return) as expected_return
from campaign_plan
group by segment
order by expected_return desc, segment""",
    "campaigns": f"""
select
    campaign,
    started_on,
    ends_on,
    is_over,
    contacts,
    controls,
    uplift,
    uplift_lower,
    uplift_upper,
    cost,
    profit,
    verdict,
    verdict_code,
    verdict_facts
from campaign_results
where is_stated
order by started_on desc, campaign
limit {TOP}""",
}
