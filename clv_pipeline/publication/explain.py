"""`clv explain`: one customer's forecast over all horizons, taken apart, from the published database alone.

Nothing is computed anew: the factors are quotients of published numbers, so their product is the published clv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.config.settings import PSEUDONYM_KEY, Settings
from clv_pipeline.errors import ExplanationError
from clv_pipeline.privacy.keyed_hash import pseudonyms_of

if TYPE_CHECKING:
    import duckdb

Row = Mapping[str, Any]

DRIVERS_SHOWN = 6

MORE_LIKELY_THAN_NOT = 0.5
"""Below this P(buy), nothing is the most likely outcome, as in customer_overview.forecasts_in_words."""

IN_RFM = {
    "days_since_last": "days_since_last",
    "frequency": "frequency",
    "spend_per_purchase": "case when frequency > 0 then monetary_value else revenue end",
}
"""Drivers (FACTS in evaluation/facts.py) as columns of rfm; the others are in no published table."""


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
    """The last three are None where the shop has no money."""

    @classmethod
    def of(cls, forecast: Row, margin: float | None) -> Decomposition:
        """Take a row of clv_forecasts apart."""
        purchases, spend = forecast["expected_purchases"], forecast["expected_spend"]
        if spend is None:
            return cls(forecast["p_purchase"], _quotient(purchases, forecast["p_purchase"]), None, None, None)
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
    """Facts, the path, the forecast of one horizon and its drivers, as lines to print; the longest one by default.

    Raises:
        ExplanationError: nothing is published about this customer or horizon.
        PublicationError: what is served cannot be read.
    """
    from clv_pipeline.publication.versions import open_served

    with open_served(settings.published_dir) as published:
        [publication] = _rows(published, "from publication")
        pseudonym = _pseudonym(settings, customer_id, publication)
        if (returned := _who_returned_everything(published, customer_id, pseudonym)) is not None:
            return [*_about_returns(returned, publication)]
        customer = _customer(published, customer_id, pseudonym)
        path = _path(published, customer["customer_id"])
        forecast = _chosen(path, horizon_days)
        # Earlier versions published no margin; today's settings say it if they are those of the publication.
        same = publication["config_hash"] == settings.config_hash
        margin = customer.get("margin")
        if margin is None and same:
            margin = settings.forecast.margin
        return [
            *_about_customer(customer),
            "",
            *_about_path(path),
            *_about_outlook(customer, forecast["p_alive"]),
            "",
            *_about_forecast(forecast, Decomposition.of(forecast, margin)),
            "",
            *_about_drivers(published, customer, forecast["horizon_days"]),
        ]


def _rows(published: duckdb.DuckDBPyConnection, query: str, *parameters: Any) -> list[dict[str, Any]]:
    found = published.execute(query, list(parameters))
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _pseudonym(settings: Settings, customer_id: str, publication: Row) -> str | None:
    """The customer's pseudonym in the publication; None where it holds the ids themselves.

    Raises:
        ExplanationError: the key of the pseudonyms is not set, or it is another one.
    """
    # Publications from before there were pseudonyms do not have the column.
    if publication.get("pseudonym_key") is None:
        return None
    key = pseudonyms_of(settings)
    if key is None or key.fingerprint != publication["pseudonym_key"]:
        raise ExplanationError(
            "customers are published under pseudonyms", to_do=f"set {PSEUDONYM_KEY} to the key that they were made with"
        )
    return key.of(customer_id)


def _who_returned_everything(
    published: duckdb.DuckDBPyConnection, customer_id: str, pseudonym: str | None
) -> Row | None:
    """A customer who has kept nothing: only dim_customer knows them. None where an earlier version published."""
    if not _rows(published, "from duckdb_tables() where table_name = 'dim_customer'"):
        return None
    found = _rows(
        published,
        "from dim_customer where customer_id in (?, ?) and customer_id not in (select customer_id from rfm)",
        customer_id,
        pseudonym,
    )
    return found[0] if found else None


def _about_returns(customer: Row, publication: Row) -> Iterator[str]:
    """What was bought and returned, where nothing is left."""
    yield f"customer {customer['customer_id']}, as of {publication['as_of']}"
    yield "everything was returned: no purchase is left to forecast from, and no other table has the customer"
    yield ""
    yield _line("bought", f"{customer['gross_revenue']:,.2f}")
    yield _line("returned", f"{customer['returned_revenue']:,.2f}")
    yield _line("revenue", f"{customer['net_revenue']:,.2f}")


def _customer(published: duckdb.DuckDBPyConnection, customer_id: str, pseudonym: str | None) -> Row:
    known = _rows(published, "select * from customer_overview where customer_id in (?, ?)", customer_id, pseudonym)
    if known:
        return known[0]
    if pseudonym is not None:
        raise ExplanationError(
            "no such customer is published", quoted=f"{customer_id!r}, which is no pseudonym of one either"
        )
    nearest = _rows(
        published,
        "select customer_id from rfm"
        " order by damerau_levenshtein(lower(customer_id), lower(trim(?))), customer_id limit 3",
        customer_id,
    )
    ids = ", ".join(row["customer_id"] for row in nearest)
    raise ExplanationError("no such customer is published", quoted=f"{customer_id!r}; the nearest ids are {ids}")


def _path(published: duckdb.DuckDBPyConnection, customer_id: str) -> list[dict[str, Any]]:
    """The forecasts of a customer, one per horizon, the shortest first."""
    return _rows(
        published,
        # Quotients are taken of them.
        "select * replace (expected_spend::double as expected_spend, spend_lower::double as spend_lower,"
        " spend_upper::double as spend_upper, clv::double as clv), (select count(*) from rfm) as customers"
        " from clv_forecasts where customer_id = ?"
        " order by horizon_days",
        customer_id,
    )


def _chosen(path: Sequence[Row], horizon_days: int | None) -> Row:
    chosen = [row for row in path if horizon_days in (None, row["horizon_days"])]
    if not chosen:
        horizons = ", ".join(str(row["horizon_days"]) for row in path)
        raise ExplanationError(f"no forecast over {horizon_days} days is published; horizons are {horizons} days")
    return chosen[-1]


def _about_customer(customer: Row) -> Iterator[str]:
    tenure, since = customer["tenure_days"], customer["days_since_last"]
    days = customer["frequency"] + 1
    yield f"customer {customer['customer_id']}, as of {customer['as_of']}"
    yield _own_numbers(customer)
    yield ""
    yield _line("first purchase", f"{customer['first_purchase_date']}, {tenure:,} days ago")
    yield _line("last purchase", f"{customer['last_purchase_date']}, {since:,} days ago")
    orders = customer["orders"]
    yield _line("purchase days", f"{days:,} with {orders:,} {'order' if orders == 1 else 'orders'}")
    has_money = customer["revenue"] is not None
    if has_money:
        per_day = f", {customer['monetary_value']:,.2f} per repeat purchase day" if days > 1 else ""
        yield _line("revenue", f"{customer['revenue']:,.2f}{_less_returns(customer)}{per_day}{_per_order(customer)}")
    scores = " ".join(f"{name} {customer[f'{name.lower()}_score']}" for name in ("RFM" if has_money else "RF"))
    yield _line("scores", f"{scores} (5 best)")
    value = f"; value {customer['value_tier']}" if has_money else ""
    yield _line("segment", f"{customer['segment']}; cluster {customer['cluster_name']}{value}")
    yield from _about_rhythm(customer)
    by = customer.get("contact_channel")
    yield _line("to do", f"{customer['recommended_action']}{f'; by {by}' if by and by != 'no contact' else ''}")


def _about_rhythm(customer: Row) -> Iterator[str]:
    """Usual days between orders, since when overdue, what is at stake; nothing where an earlier version published."""
    if (usual := customer.get("usual_gap_days")) is None:
        return
    told = f"usually every {_days(usual)}"
    if (since := customer["overdue_since"]) is None:
        yield _line("rhythm", f"{told}; not overdue")
        return
    yield _line("rhythm", f"{told}; overdue since {since}")
    if customer["at_risk"] and customer["value_at_stake"] is not None:
        yield _line(
            "at risk",
            f"{customer['value_at_stake']:,.2f} at stake: margin at their own rate within"
            f" {customer['horizon_days']:,} days, beyond what is expected",
        )
    elif customer["at_risk"]:
        yield _line("at risk", "expected to buy less often than at their own rate")


def _own_numbers(customer: Row) -> str:
    """How often, how regularly and how long ago, in a sentence."""
    days, gap, since = customer["frequency"] + 1, customer.get("mean_gap_days"), customer["days_since_last"]
    if gap is None:
        return f"bought {'once' if days == 1 else f'{days:,} times'}, silent for {since:,} days"
    return f"bought {days:,} times, every {_days(gap)} on average, silent for {since:,}"


def _days(gap: float) -> str:
    return "day" if round(gap) == 1 else f"{gap:,.0f} days"


def _less_returns(customer: Row) -> str:
    """What was bought and what came back of it; nothing where nothing did, or an earlier version published."""
    if not (returned := customer.get("returned_revenue")):
        return ""
    return f" of {customer['gross_revenue']:,.2f} bought, {returned:,.2f} returned"


def _per_order(customer: Row) -> str:
    """What an order brought; nothing where an earlier version published."""
    value = customer.get("average_order_value")
    return "" if value is None else f", {value:,.2f} per order"


def _about_path(path: Sequence[Row]) -> Iterator[str]:
    yield f"the path, by {path[-1]['model']}; what is expected up to and including a day, a mean"
    has_money = path[-1]["expected_spend"] is not None
    of_money = f" {'spend':>14} {'CLV':>14}   range of spend" if has_money else ""
    yield f"  {'days':>5} {'purchases':>10} {'P(buy)':>8}{of_money}"
    for row in path:
        of_money = f" {row['expected_spend']:>14,.2f} {row['clv']:>14,.2f}   {_range(row)}" if has_money else ""
        yield (
            f"  {row['horizon_days']:>5,} {row['expected_purchases']:>10,.3f} {row['p_purchase']:>8.4f}{of_money}"
            + ("; most likely nothing" if row["p_purchase"] < MORE_LIKELY_THAN_NOT else "")
        )


def _about_outlook(customer: Row, p_alive: float | None) -> Iterator[str]:
    known = {days: customer.get(f"p_purchase_{days}_days") for days in (30, 90, 365)}
    if told := [f"{p:.4f} within {days} days" for days, p in known.items() if p is not None]:
        yield _line("buys again", ", ".join(told))
    if p_alive is not None:
        yield _line("still a customer", f"with a probability of {p_alive:.4f} (p_alive)")
    if (value := customer.get("order_value")) is not None:
        yield _line("order value", f"{value:,.2f} expected of a purchase day")
    if (due := customer.get("next_order_date")) is not None:
        yield _line("next order", f"as likely as not by {due}, {(due - customer['as_of']).days:,} days ahead")
    elif p_alive is not None:
        yield _line("next order", "more likely than not there is none")
    if (total := customer.get("total_value")) is not None:
        yield _line(
            "value",
            f"{customer['historic_value']:,.2f} so far + {customer['predicted_value']:,.2f} in"
            f" {customer['horizon_days']:,} days = {total:,.2f}, in margin",
        )
    if (lifetime := customer.get("lifetime_value")) is not None:
        yield _line("lifetime value", f"{lifetime:,.2f}, the CLV without a horizon")
    elif p_alive is not None and customer["revenue"] is not None:
        yield _line("lifetime value", "has no finite limit")


def _about_forecast(forecast: Row, parts: Decomposition) -> Iterator[str]:
    yield f"the next {forecast['horizon_days']} days, taken apart"
    yield _line("  P(buy)", f"{parts.p_purchase:14.4f}")
    yield _line("× purchases", f"{_number(parts.purchases_if_buying)}  purchase days if the customer buys")
    if forecast["expected_spend"] is None:
        yield _line("= purchases", f"{forecast['expected_purchases']:14,.4f}  expected; the source states no money")
        return
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
        yield _line(
            "range",
            f"spend of {_range(forecast)}, made to hold for {forecast['interval_level']:.0%}"
            " of customers as likely to buy",
        )


def _range(forecast: Row) -> str:
    # Publications of earlier versions have forecasts without one.
    if forecast["spend_lower"] is None:
        return "none"
    return f"{forecast['spend_lower']:,.2f} to {forecast['spend_upper']:,.2f}"


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
        told = "no number of it is published to compare"
        if fact in IN_RFM:
            told = f"{own[fact]:,.6g} against {median[fact]:,.6g}{_effect(own[fact] - median[fact], direction)}"
        yield f"  {_named(fact):<24}{driver['importance']:7.3f}  {direction:<6} {told}"


def _named(fact: str) -> str:
    """A fact by its name, and one of a source of attributes or events in words."""
    kind, _, name = fact.partition(":")
    return {"event": f"events: {name}", "attribute": f"attribute: {name}"}.get(kind, fact) if name else fact


def _effect(above: float, direction: str) -> str:
    """What being above or below the median does to the forecast, where the direction says it."""
    if above == 0.0 or direction not in ("up", "down"):
        return ""
    return ": raises the forecast" if (above > 0.0) == (direction == "up") else ": lowers the forecast"


def _line(label: str, text: str) -> str:
    return f"{label:<17}{text}"


def _number(value: float | None, digits: int = 4) -> str:
    return f"{'–':>14}" if value is None else f"{value:14,.{digits}f}"
