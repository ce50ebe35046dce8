-- One wide row per customer and forecast horizon, of the published tables.
select
    rfm.*,
    segments.* exclude (customer_id),
    clv_forecasts.* exclude (customer_id, as_of)
from rfm
inner join segments on rfm.customer_id = segments.customer_id
inner join clv_forecasts on rfm.customer_id = clv_forecasts.customer_id
