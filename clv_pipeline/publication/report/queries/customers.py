"""Who the customers are: scores, segments, clusters, their value."""

# Only text of this package enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

from clv_pipeline.publication.report.queries.parts import LONGEST, TOP

QUERIES: dict[str, str] = {
    "rfm_grid": """
select
    rfm.r_score,
    rfm.f_score,
    count(*) as customers,
    cast(sum(rfm.revenue) as double) as revenue,
    mode(segments.segment order by segments.segment) as segment
from rfm
inner join segments using (customer_id)
group by all
order by all""",
    "rfm_corners": """
select
    count(*) filter (where rfm.r_score >= 4 and rfm.f_score >= 4) as good,
    count(*) filter (where rfm.r_score >= 4 and rfm.f_score >= 4 and profiles.claim = 'fading') as good_overdue,
    count(*) filter (where rfm.r_score <= 2 and rfm.f_score >= 4) as slipping
from rfm
inner join segments using (customer_id)
inner join segment_profiles as profiles using (segment)""",
    "segments": """
select
    segment_profiles.segment,
    segment_profiles.customers,
    segment_profiles.customers / sum(segment_profiles.customers) over () as customer_share,
    segment_profiles.revenue,
    segment_profiles.revenue_share,
    segment_profiles.expected_spend,
    segment_profiles.p_purchase,
    segment_profiles.horizon_days,
    segment_profiles.at_risk_customers,
    segment_profiles.value_at_stake,
    segment_profiles.median_days_since_last,
    segment_actions.recommended_action,
    segment_actions.channel,
    segment_actions.cost_per_contact,
    segment_actions.max_spend_per_customer,
    segment_actions.margin,
    segment_actions.margin_source
from segment_profiles
inner join segment_actions using (segment)
order by coalesce(segment_profiles.revenue, segment_profiles.customers) desc, segment_profiles.segment""",
    "odd_segments": """
select
    fading.segment as fading,
    fading.p_purchase as fading_p_purchase,
    active.segment as active,
    active.p_purchase as active_p_purchase
from segment_profiles as fading
inner join segment_profiles as active on fading.p_purchase > active.p_purchase
where fading.claim = 'fading' and active.claim = 'active'
    and least(fading.customers, active.customers) >= 0.01 * (select sum(customers) from segment_profiles)
order by fading.p_purchase desc, active.p_purchase, fading.segment, active.segment
limit 1""",
    "most_at_stake": f"""
select
    customer_id,
    segment,
    days_since_last,
    usual_gap_days,
    overdue_since,
    value_at_stake,
    expected_spend,
    p_purchase,
    recommended_action,
    contact_channel,
    horizon_days
from customer_overview
where at_risk
order by coalesce(value_at_stake, horizon_days / usual_gap_days - expected_purchases) desc, customer_id
limit {TOP}""",
    "moves": """
select from_segment, to_segment, previous_as_of, customers, share_of_segment
from segment_migrations
where has_changed
order by customers desc, from_segment, to_segment
limit 8""",
    "segment_sizes": """
select calendar_month, segment, customers, customer_share, is_partial
from segment_history
order by calendar_month, segment""",
    "segment_flows": """
select calendar_month, from_segment, to_segment, customers
from segment_flows
where not is_partial
order by calendar_month, from_segment, to_segment""",
    # What cluster_profiles says, from the table that has what the names are made of.
    "clusters": """
select
    cluster,
    cluster_name,
    cluster_name_code,
    cluster_name_facts,
    count(*) as customers,
    count(*) / sum(count(*)) over () as customer_share,
    median(cast(customers.days_since_last as double)) as median_days_since_last,
    median(cast(customers.frequency as double)) as median_frequency,
    median(cast(customers.revenue as double)) as median_revenue,
    any_value(shop.days_since_last) as shop_days_since_last,
    any_value(shop.frequency) as shop_frequency,
    any_value(shop.revenue) as shop_revenue
from customer_overview as customers
cross join (
    select
        median(cast(days_since_last as double)) as days_since_last,
        median(cast(frequency as double)) as frequency,
        median(cast(revenue as double)) as revenue
    from customer_overview
) as shop
group by cluster, cluster_name, cluster_name_code, cluster_name_facts
order by cluster""",
    # Powers of two of days and of money make about a dozen classes of each.
    "cluster_cells": """
select
    cluster_name,
    cluster_name_code,
    cluster_name_facts,
    pow(2, days_class) as days_since_last,
    pow(2, revenue_class) as revenue,
    pow(2, purchases_class) as purchases,
    count(*) as customers
from (
    select
        cluster_name,
        cluster_name_code,
        cluster_name_facts,
        floor(ln(greatest(days_since_last, 1)) / ln(2) + 1e-9) + 0.5 as days_class,
        floor(ln(greatest(cast(revenue as double), 1)) / ln(2) + 1e-9) + 0.5 as revenue_class,
        case when revenue is null then floor(ln(frequency + 1) / ln(2) + 1e-9) + 0.5 end as purchases_class
    from customer_overview
)
group by all
order by all""",
    # What most customers of a cluster are, and what most of them are to be told.
    "cluster_readings": """
select
    cluster,
    any_value(cluster_name) as cluster_name,
    any_value(cluster_name_code) as cluster_name_code,
    any_value(cluster_name_facts) as cluster_name_facts,
    count(*) / sum(count(*)) over () as customer_share,
    mode(segment order by segment) as segment,
    cast(max(of_segment) as double) / count(*) as segment_share,
    mode(recommended_action order by recommended_action) as recommended_action,
    cast(max(of_action) as double) / count(*) as action_share
from (
    select
        *,
        count(*) over (partition by cluster, segment) as of_segment,
        count(*) over (partition by cluster, recommended_action) as of_action
    from customer_overview
)
group by cluster
order by cluster""",
    "cluster_segments": """
select cluster, cluster_name, cluster_name_code, cluster_name_facts, segment, count(*) as customers
from customer_overview
group by all
order by all""",
    "alive_cells": """
select
    frequency.lower as frequency_lower,
    frequency.upper as frequency_upper,
    days.lower as days_lower,
    days.upper as days_upper,
    cast(avg(cast(p_alive as decimal(18, 12))) as double) as p_alive,
    cast(avg(cast(p_purchase as decimal(18, 12))) as double) as p_purchase,
    count(*) as customers
from customer_overview as customers
inner join (values (1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, null)) as frequency (lower, upper)
    on customers.frequency + 1 >= frequency.lower
    and (frequency.upper is null or customers.frequency + 1 <= frequency.upper)
inner join (values (0, 30), (30, 90), (90, 180), (180, 365), (365, 730), (730, null)) as days (lower, upper)
    on customers.days_since_last >= days.lower and (days.upper is null or customers.days_since_last < days.upper)
group by all
order by frequency.lower, days.lower""",
    "clv": f"""
select
    horizon_days,
    -- The edges 1, 2, 5, 10, 20 and so on that are not above the amount: those of its power of ten, and of lower ones.
    case
        when clv < 1 then 0
        else cast(3 * exponent + 1 + (clv / pow(10, exponent) >= 2)::int + (clv / pow(10, exponent) >= 5)::int as int)
    end as step,
    count(*) as customers,
    sum(clv) as value
from (
    select
        horizon_days,
        cast(clv as decimal(28, 4)) as clv,
        length(cast(floor(greatest(clv, 1)) as varchar)) - 1 as exponent
    from clv_forecasts
    where clv is not null
)
where horizon_days = {LONGEST}
group by all
order by step""",
    "clv_best_tenth": f"""
select
    any_value(horizon_days) as horizon_days,
    count(*) as customers,
    sum(clv) as clv,
    cast(sum(clv) filter (where place <= customers_in_all / 10) as double)
    / nullif(cast(sum(clv) as double), 0) as best_tenth_share,
    median(clv) as median_clv
from (
    select
        horizon_days,
        cast(clv as decimal(28, 4)) as clv,
        row_number() over (order by clv desc, customer_id) as place,
        count(*) over () as customers_in_all
    from clv_forecasts
    where horizon_days = {LONGEST} and clv is not null
)""",
    "most_likely_nothing": """
select
    any_value(horizon_days) as horizon_days,
    count(*) as customers,
    count(*) filter (where p_purchase < 0.5) as nothing,
    count(lifetime_value) as with_lifetime_value,
    sum(lifetime_value) as lifetime_value
from customer_overview""",
    "top_customers": f"""
select
    customer_id,
    segment,
    revenue,
    p_purchase,
    expected_spend,
    spend_lower,
    spend_upper,
    interval_level,
    next_order_date,
    clv,
    clv_rank,
    expected_purchases,
    frequency,
    horizon_days
from customer_overview
order by clv_rank, case when clv_rank is null then -expected_purchases end, customer_id
limit {TOP}""",
}
