"""What suggestions for refining the model are made from, read from the tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Set
from typing import TYPE_CHECKING, Any

from clv_pipeline.warehouse.duckdb_engine import Session

if TYPE_CHECKING:
    from clv_pipeline.evaluation.refinement import Situation

TABLES = (
    "customer_attributes",
    "customer_channels",
    "customer_events",
    "customer_features",
    "fitted_models",
    "forecast_windows",
    "history_span",
    "model_leaderboard",
    "parameters",
    "row_ledger",
    "sales_by_month",
    "served_accuracy",
)
"""Source tables of a situation."""

MOST_GAPS = 20_000
"""Most customers whose gaps are looked at: those with the smallest md5 of their id."""

USUAL_DAYS = 90
"""Accuracy is told of the tested horizon nearest to this."""

_OPTIONAL = {
    "money": "select 1 as found from parameters where has_money",
    "cost": "select 1 as found from parameters where has_costs",
    "customers": "select 1 as found from customer_attributes limit 1",
    "events": "select 1 as found from customer_events limit 1",
    "channel": "select 1 as found from customer_channels where channel <> 'not known' limit 1",
    "country": "select 1 as found from customer_features where country is not null limit 1",
}
"""What finds a row where an optional input has something."""

_HORIZON = """
select a.horizon_days
from served_accuracy as a
inner join (select distinct horizon_days from forecast_windows where is_served) as w
    on a.horizon_days = w.horizon_days
group by a.horizon_days
order by abs(a.horizon_days - ?), a.horizon_days
limit 1
"""

_GROUPS = """
with totals as (
    select
        case when group_kind = 'segment' then group_name end as segment,
        cutoff,
        avg(cast(customers as double)) as customers,
        sum(case when metric = 'predicted_mean' then customers * value else 0 end) as forecast,
        sum(case when metric = 'actual_mean' then customers * value else 0 end) as actual
    from served_accuracy
    where horizon_days = ? and target = ? and group_kind in ('all', 'segment')
        and metric in ('predicted_mean', 'actual_mean')
    group by case when group_kind = 'segment' then group_name end, cutoff
)

select
    segment,
    cast(? as integer) as horizon_days,
    count(*) as past_dates,
    avg(customers) as customers,
    sum(forecast) as forecast,
    sum(actual) as actual,
    sum(abs(forecast - actual)) as missed,
    avg(case when actual > 0 then abs(forecast / actual - 1) end) as off_by
from totals
group by segment
order by 1
"""

_MEANS = """
select metric, avg(value) as value
from served_accuracy
where horizon_days = ? and group_kind = 'all' and metric in ('normalized_gini', 'auc')
group by metric
"""

_GAPS = """
select f.mean_gap_days, f.gap_deviation_days, cast(f.frequency as double) as frequency
from customer_features as f
inner join history_span as s on f.cutoff = s.as_of
where f.frequency > 1
order by md5(f.customer_id), f.customer_id
limit ?
"""

_MONTHS = "select calendar_month from sales_by_month where orders > 0"

_CHAMPION = "select model, why_code, why_facts from model_leaderboard where is_champion order by horizon_days limit 1"


def situation(session: Session, *, models: Collection[str], has_order_ids: bool) -> Situation:
    """What there is to say of a shop.

    `models`: the names of the configured models; `has_order_ids`: whether order ids are mapped, which no small table
    tells.
    """
    import polars as pl

    from clv_pipeline.evaluation.refinement import Situation
    from clv_pipeline.forecasting.regular_nbd import estimate_k

    mapped = {name for name, query in _OPTIONAL.items() if session.read(query).height > 0}
    mapped |= {"order_id"} if has_order_ids else set()
    [(first_day, as_of)] = session.read("select first_day, as_of from history_span").rows()
    [(champion, why_code, why_facts)] = session.read(_CHAMPION).rows()
    found = session.read(_HORIZON, [USUAL_DAYS])
    horizon = found.item() if found.height else USUAL_DAYS
    means = dict(session.read(_MEANS, [horizon]).iter_rows())
    gaps = session.read(_GAPS, [MOST_GAPS])
    months = session.read(_MONTHS)["calendar_month"].dt.month().value_counts()
    return Situation(
        mapped=mapped,
        first_day=first_day,
        as_of=as_of,
        months_seen_twice=months.filter(pl.col("count") > 1).height,
        horizons_days=_days(session, "select distinct horizon_days from forecast_windows where is_served"),
        tested_days=_days(session, "select distinct horizon_days from served_accuracy"),
        models=set(models),
        champion=champion,
        why_code=why_code,
        why_facts=json.loads(why_facts),
        gini=means.get("normalized_gini"),
        auc=means.get("auc"),
        regularity=estimate_k(*(gaps[column].to_numpy() for column in gaps.columns)),
        elasticity=_elasticity(session),
        segments=session.read(_GROUPS, [horizon, "spend" if "money" in mapped else "purchases", horizon]),
        outcomes=dict(
            session.read(
                'select outcome, cast(sum("rows") as bigint) as n from row_ledger group by outcome order by 1'
            ).iter_rows()
        ),
    )


def _days(session: Session, query: str) -> Set[int]:
    return set(session.read(query)["horizon_days"])


def _elasticity(session: Session) -> float | None:
    """How spend per purchase goes with the number of purchases, where the model that serves has fitted it."""
    texts = session.read("select parameters from fitted_models order by as_of desc, model limit 1")["parameters"]
    parameters: dict[str, Any] = json.loads(texts[0]) if len(texts) else {}
    value = parameters.get("value")
    return value.get("log_spend_by_log_purchases") if isinstance(value, dict) else None
