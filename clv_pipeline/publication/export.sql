-- One wide row per customer and forecast horizon: customer_overview, which knows the longest horizon only, with the
-- forecast columns of every horizon instead.
select
    customer_overview.* exclude (
        horizon_days, model, purchase_model, expected_purchases, expected_spend,
        spend_lower, spend_upper, interval_level, p_purchase, p_alive, clv, clv_rank
    ),
    clv_forecasts.* exclude (customer_id, as_of),
    -- A publication of an earlier version has no column currency; the name then stands for NULL.
    (select currency from publication) as currency
from customer_overview
cross join (select cast(null as varchar) as currency) as earlier
inner join clv_forecasts on customer_overview.customer_id = clv_forecasts.customer_id
