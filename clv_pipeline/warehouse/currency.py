"""What SQL is told about currencies: the one that money is reported in, and the stated rates of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import TableModel
from clv_pipeline.warehouse.duckdb_engine import Session, staged_name
from clv_pipeline.warehouse.settings_table import settings_frame

if TYPE_CHECKING:
    import polars as pl

SETTINGS, RATES, CONVERTED = "currency_settings", "currency_rates", "daily_rates"


def stage_currency(session: Session, models: Mapping[str, TableModel], settings: Settings) -> int:
    """Stage `currency_settings` and `currency_rates`; returns the number of rates.

    If only rates differ, the changed days are those on which a currency of the source has another rate now.

    Raises:
        SourceError: the file of rates cannot be used.
    """
    from clv_pipeline.sources.rates import read_rates

    stated = {"is_mapped": settings.source.transactions.states_currency}
    frame = settings_frame(models[SETTINGS].contract, [stated, dict(settings.currency)])
    rates = read_rates(session.connection, settings.currency, settings.base_dir)
    session.stage_frame(models[SETTINGS].contract, frame)
    session.stage_frame(models[RATES].contract, rates)
    if {SETTINGS, RATES, CONVERTED} <= session.kinds().keys() and _same(session, frame):
        session.changed_days = _DAYS.format(live=RATES, staged=staged_name(RATES), days=CONVERTED)
    return rates.height


def _same(session: Session, frame: pl.DataFrame) -> bool:
    live = session.read(f"select * from {SETTINGS}")  # noqa: S608  (a constant)
    return live.select(frame.columns).rows() == frame.rows()


# A rate that is new, gone or changed matters until the next one of its currency, before and after.
_DAYS = """
with changed as (
    (select currency, day, rate from {live} except select currency, day, rate from {staged})
    union all
    (select currency, day, rate from {staged} except select currency, day, rate from {live})
),
either as (
    select 'live' as origin, currency, day from {live} union all select 'staged' as origin, currency, day from {staged}
),
spans as (
    select origin, currency, day, lead(day) over (partition by origin, currency order by day) as until from either
),
affected as (
    select spans.currency, spans.day, max(coalesce(spans.until, date '9999-12-31')) as until
    from spans inner join changed on spans.currency = changed.currency and spans.day = changed.day
    group by spans.currency, spans.day
)
select distinct days.ordered_on as day
from {days} as days
inner join affected
    on days.currency = affected.currency and days.ordered_on >= affected.day and days.ordered_on < affected.until
"""
