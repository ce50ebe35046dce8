"""`clv explain`: one customer's forecast over all horizons, taken apart, from the published database alone.

Nothing is computed anew: the factors are quotients of published numbers, so their product is the published clv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.config.settings import PSEUDONYM_KEY, Settings
from clv_pipeline.display import Display
from clv_pipeline.display.locales import NOTHING
from clv_pipeline.errors import ExplanationError
from clv_pipeline.privacy.keyed_hash import pseudonyms_of

if TYPE_CHECKING:
    from decimal import Decimal

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
        display = settings.display.writer(publication.get("currency"))
        pseudonym = _pseudonym(settings, customer_id, publication)
        if (returned := _who_returned_everything(published, customer_id, pseudonym)) is not None:
            return [*_about_returns(returned, publication, display)]
        customer = _customer(published, customer_id, pseudonym)
        path = _path(published, customer["customer_id"])
        forecast = _chosen(path, horizon_days)
        # Earlier versions published no margin; today's settings say it if they are those of the publication.
        same = publication["config_hash"] == settings.config_hash
        margin = customer.get("margin")
        if margin is None and same:
            margin = settings.forecast.margin
        return [
            *_about_customer(customer, display),
            "",
            *_about_path(path, display),
            *_about_outlook(customer, forecast["p_alive"], display),
            "",
            *_about_forecast(forecast, Decomposition.of(forecast, margin), display),
            "",
            *_about_drivers(published, customer, forecast["horizon_days"], display),
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


def _about_returns(customer: Row, publication: Row, display: Display) -> Iterator[str]:
    """What was bought and returned, where nothing is left."""
    yield f"customer {customer['customer_id']}, as of {display.day(publication['as_of'])}"
    yield "everything was returned: no purchase is left to forecast from, and no other table has the customer"
    yield ""
    yield _line("bought", _money(customer["gross_revenue"], display))
    yield _line("returned", _money(customer["returned_revenue"], display))
    yield _line("revenue", _money(customer["net_revenue"], display))


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


def _about_customer(customer: Row, display: Display) -> Iterator[str]:
    tenure, since = display.count(customer["tenure_days"]), display.count(customer["days_since_last"])
    days, orders = customer["frequency"] + 1, customer["orders"]
    yield f"customer {customer['customer_id']}, as of {display.day(customer['as_of'])}"
    yield _own_numbers(customer, display)
    yield ""
    yield _line("first purchase", f"{display.day(customer['first_purchase_date'])}, {tenure} days ago")
    yield _line("last purchase", f"{display.day(customer['last_purchase_date'])}, {since} days ago")
    ordered = f"{display.count(orders)} {'order' if orders == 1 else 'orders'}"
    yield _line("purchase days", f"{display.count(days)} with {ordered}")
    has_money = customer["revenue"] is not None
    if has_money:
        per_day = f", {_money(customer['monetary_value'], display)} per repeat purchase day" if days > 1 else ""
        returned = _less_returns(customer, display)
        yield _line(
            "revenue", f"{_money(customer['revenue'], display)}{returned}{per_day}{_per_order(customer, display)}"
        )
    scores = " ".join(f"{name} {customer[f'{name.lower()}_score']}" for name in ("RFM" if has_money else "RF"))
    yield _line("scores", f"{scores} (5 best)")
    value = f"; value {customer['value_tier']}" if has_money else ""
    yield _line("segment", f"{customer['segment']}; cluster {customer['cluster_name']}{value}")
    yield from _about_rhythm(customer, display)
    by = customer.get("contact_channel")
    yield _line("to do", f"{customer['recommended_action']}{f'; by {by}' if by and by != 'no contact' else ''}")


def _about_rhythm(customer: Row, display: Display) -> Iterator[str]:
    """Usual days between orders, since when overdue, what is at stake; nothing where an earlier version published."""
    if (usual := customer.get("usual_gap_days")) is None:
        return
    told = f"usually every {_days(usual, display)}"
    if (since := customer["overdue_since"]) is None:
        yield _line("rhythm", f"{told}; not overdue")
        return
    yield _line("rhythm", f"{told}; overdue since {display.day(since)}")
    if customer["at_risk"] and customer["value_at_stake"] is not None:
        yield _line(
            "at risk",
            f"{_money(customer['value_at_stake'], display)} at stake: margin at their own rate within"
            f" {display.count(customer['horizon_days'])} days, beyond what is expected",
        )
    elif customer["at_risk"]:
        yield _line("at risk", "expected to buy less often than at their own rate")


def _own_numbers(customer: Row, display: Display) -> str:
    """How often, how regularly and how long ago, in a sentence."""
    days, gap = customer["frequency"] + 1, customer.get("mean_gap_days")
    since = display.count(customer["days_since_last"])
    if gap is None:
        return f"bought {'once' if days == 1 else f'{display.count(days)} times'}, silent for {since} days"
    return f"bought {display.count(days)} times, every {_days(gap, display)} on average, silent for {since}"


def _days(gap: float, display: Display) -> str:
    return "day" if round(gap) == 1 else f"{display.count(gap)} days"


def _less_returns(customer: Row, display: Display) -> str:
    """What was bought and what came back of it; nothing where nothing did, or an earlier version published."""
    if not (returned := customer.get("returned_revenue")):
        return ""
    return f" of {_money(customer['gross_revenue'], display)} bought, {_money(returned, display)} returned"


def _per_order(customer: Row, display: Display) -> str:
    """What an order brought; nothing where an earlier version published."""
    value = customer.get("average_order_value")
    return "" if value is None else f", {_money(value, display)} per order"


def _about_path(path: Sequence[Row], display: Display) -> Iterator[str]:
    has_money = path[-1]["expected_spend"] is not None
    unit = f"; money in {display.currency}" if has_money and display.currency else ""
    yield f"the path, by {path[-1]['model']}; what is expected up to and including a day, a mean{unit}"
    of_money = f" {'spend':>14} {'CLV':>14}   range of spend" if has_money else ""
    yield f"  {'days':>5} {'purchases':>10} {'P(buy)':>8}{of_money}"
    for row in path:
        numbers = (
            f"{display.count(row['horizon_days']):>5} {display.number(row['expected_purchases'], 3):>10}"
            f" {display.number(row['p_purchase'], 4):>8}"
        )
        if has_money:
            spend, clv = _amount(row["expected_spend"], display), _amount(row["clv"], display)
            numbers += f" {spend:>14} {clv:>14}   {_range(row, display)}"
        yield f"  {numbers}" + ("; most likely nothing" if row["p_purchase"] < MORE_LIKELY_THAN_NOT else "")


def _about_outlook(customer: Row, p_alive: float | None, display: Display) -> Iterator[str]:
    known = {days: customer.get(f"p_purchase_{days}_days") for days in (30, 90, 365)}
    if told := [f"{display.number(p, 4)} within {days} days" for days, p in known.items() if p is not None]:
        yield _line("buys again", "; ".join(told))
    if p_alive is not None:
        yield _line("still a customer", f"with a probability of {display.number(p_alive, 4)} (p_alive)")
    if (value := customer.get("order_value")) is not None:
        yield _line("order value", f"{_money(value, display)} expected of a purchase day")
    if (due := customer.get("next_order_date")) is not None:
        ahead = display.count((due - customer["as_of"]).days)
        yield _line("next order", f"as likely as not by {display.day(due)}, {ahead} days ahead")
    elif p_alive is not None:
        yield _line("next order", "more likely than not there is none")
    if (total := customer.get("total_value")) is not None:
        yield _line(
            "value",
            f"{_money(customer['historic_value'], display)} so far + {_money(customer['predicted_value'], display)} in"
            f" {display.count(customer['horizon_days'])} days = {_money(total, display)}, in margin",
        )
    if (lifetime := customer.get("lifetime_value")) is not None:
        yield _line("lifetime value", f"{_money(lifetime, display)}, the CLV without a horizon")
    elif p_alive is not None and customer["revenue"] is not None:
        yield _line("lifetime value", "has no finite limit")


def _about_forecast(forecast: Row, parts: Decomposition, display: Display) -> Iterator[str]:
    yield f"the next {display.count(forecast['horizon_days'])} days, taken apart"
    yield _line("  P(buy)", _factor(parts.p_purchase, display))
    yield _line("× purchases", f"{_factor(parts.purchases_if_buying, display)}  purchase days if the customer buys")
    purchases = forecast["expected_purchases"]
    if forecast["expected_spend"] is None:
        yield _line("= purchases", f"{_factor(purchases, display)}  expected; the source states no money")
        return
    per_day = NOTHING if parts.spend_per_purchase is None else _amount(parts.spend_per_purchase, display)
    yield _line("× spend", f"{per_day:>14}  per purchase day")
    spend = _amount(forecast["expected_spend"], display)
    yield _line("= expected spend", f"{spend:>14}  on {display.number(purchases, 3)} days")
    discount = _factor(parts.discount, display)
    if parts.margin is None:
        yield _line("× discount", f"{discount}  and margin: the settings have changed since")
    else:
        yield _line("× discount", f"{discount}  to {display.day(forecast['as_of'])}")
        yield _line("× margin", _factor(parts.margin, display))
    rank = f"rank {display.count(forecast['clv_rank'])} of {display.count(forecast['customers'])}"
    yield _line("= CLV", f"{_amount(forecast['clv'], display):>14}  {rank}")
    if forecast["interval_level"] is not None:
        yield _line(
            "range",
            f"spend of {_range(forecast, display)}, made to hold for {display.percent(forecast['interval_level'])}"
            " of customers as likely to buy",
        )


def _range(forecast: Row, display: Display) -> str:
    # Publications of earlier versions have forecasts without one.
    if forecast["spend_lower"] is None:
        return "none"
    return f"{_amount(forecast['spend_lower'], display)} to {_amount(forecast['spend_upper'], display)}"


def _about_drivers(
    published: duckdb.DuckDBPyConnection, customer: Row, horizon_days: int, display: Display
) -> Iterator[str]:
    drivers = _rows(
        published,
        "select feature, model, direction, importance from clv_drivers where horizon_days = ? and importance > 0"
        " order by importance desc, feature limit ?",
        horizon_days,
        DRIVERS_SHOWN,
    )
    if not drivers:
        days = display.count(horizon_days)
        yield f"what moves the forecasts over {days} days is not known: clv_drivers has nothing on them"
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
            effect = _effect(own[fact] - median[fact], direction)
            told = f"{_fact(own[fact], display)} against {_fact(median[fact], display)}{effect}"
        yield f"  {_named(fact):<24}{display.score(driver['importance']):>7}  {direction:<6} {told}"


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


def _money(amount: Decimal | float, display: Display) -> str:
    """An amount to the smallest coin, with its currency."""
    return display.amount(float(amount), display.decimals_for([]), with_currency=True)


def _amount(amount: float, display: Display) -> str:
    """An amount to the smallest coin for a column, whose heading names the currency."""
    return display.amount(amount, display.decimals_for([]))


def _factor(value: float | None, display: Display) -> str:
    return f"{NOTHING if value is None else display.number(value, 4):>14}"


def _fact(value: float, display: Display) -> str:
    return display.number(value, 0 if value == round(value) else 2)
