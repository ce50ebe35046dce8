"""`clv explain`: what is forecast of one customer, taken apart, from the published database alone.

Nothing is computed anew: the factors are quotients of published numbers, so their product is the published clv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.settings import PSEUDONYM_KEY, Settings

if TYPE_CHECKING:
    import duckdb

Row = Mapping[str, Any]

DRIVERS_SHOWN = 6

IN_RFM = {
    "days_since_last": "days_since_last",
    "frequency": "frequency",
    "spend_per_purchase": "case when frequency > 0 then monetary_value else revenue end",
}
"""Drivers (FACTS in evaluation/drivers.py) as columns of rfm; the others are in no published table."""


class ExplanationError(ValueError):
    """A customer or a horizon that nothing is published about; the text says what there is instead."""


@dataclass(frozen=True)
class Decomposition:
    """A forecast as a product; a factor is None where it is 0 / 0.

    expected_purchases = p_purchase × purchases_if_buying, expected_spend = expected_purchases × spend_per_purchase,
    clv = expected_spend × discount × margin. `margin` is None when it is not known which one was applied; `discount`
    then holds the product of both.
    """

    p_purchase: float
    purchases_if_buying: float | None
    spend_per_purchase: float | None
    discount: float | None
    margin: float | None

    @classmethod
    def of(cls, forecast: Row, margin: float | None) -> Decomposition:
        """Take a row of clv_forecasts apart."""
        purchases, spend = forecast["expected_purchases"], forecast["expected_spend"]
        return cls(
            p_purchase=forecast["p_purchase"],
            purchases_if_buying=_quotient(purchases, forecast["p_purchase"]),
            spend_per_purchase=_quotient(spend, purchases),
            discount=_quotient(forecast["clv"], spend * (1.0 if margin is None else margin)),
            margin=margin,
        )


def _quotient(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0.0 else None


def explain(settings: Settings, customer_id: str, horizon_days: int | None = None) -> list[str]:
    """Facts, forecast and drivers of one customer, as lines to print; over the longest horizon by default.

    Raises:
        ExplanationError: nothing is published, or nothing about this customer or horizon.
    """
    from clv_pipeline.connections import open_read_only
    from clv_pipeline.warehouse.publication import CURRENT, DATABASE

    database = settings.published_dir / CURRENT / DATABASE
    if not database.exists():
        raise ExplanationError(f"{database} does not exist: nothing is published yet; `clv run` publishes")
    with open_read_only(database) as published:
        [publication] = _rows(published, "from publication")
        customer = _customer(published, customer_id, _pseudonym(settings, customer_id, publication))
        forecast = _forecast(published, customer["customer_id"], horizon_days)
        # The margin is not in the published tables; today's settings say it if they are those of the publication.
        known = publication["config_hash"] == settings.config_hash
        return [
            *_about_customer(customer),
            "",
            *_about_forecast(forecast, Decomposition.of(forecast, settings.forecast.margin if known else None)),
            "",
            *_about_drivers(published, customer, forecast["horizon_days"]),
        ]


def _rows(published: duckdb.DuckDBPyConnection, query: str, *parameters: Any) -> list[dict[str, Any]]:
    found = published.execute(query, list(parameters))
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _pseudonym(settings: Settings, customer_id: str, publication: Row) -> str | None:
    """What stands for the customer in the publication; None where the ids themselves do."""
    # Publications from before there were pseudonyms do not have the column.
    if publication.get("pseudonym_key") is None:
        return None
    key = settings.pseudonym_key
    if key is None or key.fingerprint != publication["pseudonym_key"]:
        raise ExplanationError(
            f"customers are published under pseudonyms; set {PSEUDONYM_KEY} to the key that they were made with"
        )
    return key.of(customer_id)


def _customer(published: duckdb.DuckDBPyConnection, customer_id: str, pseudonym: str | None) -> Row:
    known = _rows(
        published,
        "select * from rfm inner join segments using (customer_id) where customer_id in (?, ?)",
        customer_id,
        pseudonym,
    )
    if known:
        return known[0]
    if pseudonym is not None:
        raise ExplanationError(f"no customer {customer_id!r} is published, nor is it a pseudonym of one")
    nearest = _rows(
        published,
        "select customer_id from rfm"
        " order by damerau_levenshtein(lower(customer_id), lower(trim(?))), customer_id limit 3",
        customer_id,
    )
    ids = ", ".join(row["customer_id"] for row in nearest)
    raise ExplanationError(f"no customer {customer_id!r} is published; the nearest ids are {ids}")


def _forecast(published: duckdb.DuckDBPyConnection, customer_id: str, horizon_days: int | None) -> Row:
    forecasts = _rows(
        published,
        "select *, (select count(*) from rfm) as customers from clv_forecasts where customer_id = ?"
        " order by horizon_days",
        customer_id,
    )
    chosen = [row for row in forecasts if horizon_days in (None, row["horizon_days"])]
    if not chosen:
        horizons = ", ".join(str(row["horizon_days"]) for row in forecasts)
        raise ExplanationError(f"no forecast over {horizon_days} days is published; horizons are {horizons} days")
    return chosen[-1]


def _about_customer(customer: Row) -> Iterator[str]:
    tenure, since = customer["tenure_days"], customer["days_since_last"]
    days = customer["frequency"] + 1
    per_day = f", {customer['monetary_value']:,.2f} per repeat purchase day" if days > 1 else ""
    yield f"customer {customer['customer_id']}, as of {customer['as_of']}"
    yield ""
    yield _line("first purchase", f"{customer['first_purchase_date']}, {tenure:,} days ago")
    yield _line("last purchase", f"{customer['last_purchase_date']}, {since:,} days ago")
    yield _line("purchase days", f"{days:,} with {customer['orders']:,} orders")
    yield _line("revenue", f"{customer['revenue']:,.2f}{per_day}")
    scores = " ".join(f"{name} {customer[f'{name.lower()}_score']}" for name in "RFM")
    yield _line("scores", f"{scores} (5 best)")
    yield _line("segment", f"{customer['segment']}; cluster {customer['cluster_name']}; value {customer['value_tier']}")
    yield _line("to do", customer["recommended_action"])


def _about_forecast(forecast: Row, parts: Decomposition) -> Iterator[str]:
    yield f"the next {forecast['horizon_days']} days, by {forecast['model']}, P(buy) by {forecast['purchase_model']}"
    yield _line("  P(buy)", f"{parts.p_purchase:14.4f}")
    yield _line("× purchases", f"{_number(parts.purchases_if_buying)}  purchase days if the customer buys")
    yield _line("× spend", f"{_number(parts.spend_per_purchase, 2)}  per purchase day")
    yield _line(
        "= expected spend", f"{forecast['expected_spend']:14,.2f}  on {forecast['expected_purchases']:,.3f} days"
    )
    if parts.margin is None:
        yield _line("× discount", f"{_number(parts.discount)}  and margin: the settings have changed since")
    else:
        yield _line("× discount", f"{_number(parts.discount)}  to {forecast['as_of']}")
        yield _line("× margin", f"{parts.margin:14.4f}")
    rank = f"rank {forecast['clv_rank']:,} of {forecast['customers']:,}"
    yield _line("= CLV", f"{forecast['clv']:14,.2f}  {rank}")
    if forecast["interval_level"] is not None:
        ends = f"{forecast['spend_lower']:,.2f} to {forecast['spend_upper']:,.2f}"
        yield _line("interval", f"spend of {ends}, made to hold for {forecast['interval_level']:.0%} of all customers")
    else:
        yield _line("interval", "none: no past forecasts to learn one from")
    if parts.purchases_if_buying is not None and parts.purchases_if_buying < 1.0:
        yield "Below one purchase if the customer buys: the models of purchases and of P(buy) disagree here."


def _about_drivers(published: duckdb.DuckDBPyConnection, customer: Row, horizon_days: int) -> Iterator[str]:
    drivers = _rows(
        published,
        "select feature, model, direction, importance from clv_drivers where horizon_days = ? and importance > 0"
        " order by importance desc, feature limit ?",
        horizon_days,
        DRIVERS_SHOWN,
    )
    if not drivers:
        yield f"what moves the forecasts over {horizon_days} days is not known: clv_drivers has nothing on them"
        return
    compared = ", ".join(f"cast({column} as double) as {fact}" for fact, column in IN_RFM.items())
    [own] = _rows(published, f"select {compared} from rfm where customer_id = ?", customer["customer_id"])  # noqa: S608
    medians = ", ".join(f"median({fact}) as {fact}" for fact in IN_RFM)
    [median] = _rows(published, f"select {medians} from (select {compared} from rfm) as facts")  # noqa: S608
    yield f"what moves the forecasts of {drivers[0]['model']} most (clv_drivers), this customer beside the median one"
    for driver in drivers:
        fact, direction = driver["feature"], driver["direction"]
        told = "in no published table"
        if fact in IN_RFM:
            told = f"{own[fact]:,.6g} against {median[fact]:,.6g}{_effect(own[fact] - median[fact], direction)}"
        yield f"  {fact:<24}{driver['importance']:7.3f}  {direction:<6} {told}"


def _effect(above: float, direction: str) -> str:
    """What being above or below the median does to the forecast, where the direction says it."""
    if above == 0.0 or direction not in ("up", "down"):
        return ""
    return ": raises the forecast" if (above > 0.0) == (direction == "up") else ": lowers the forecast"


def _line(label: str, text: str) -> str:
    return f"{label:<17}{text}"


def _number(value: float | None, digits: int = 4) -> str:
    return f"{'–':>14}" if value is None else f"{value:14,.{digits}f}"
