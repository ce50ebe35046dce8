"""The lines that `clv explain` prints of a customer: facts, the path, the forecast taken apart, and its drivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clv_pipeline.display import Display
from clv_pipeline.display.locales import NOTHING
from clv_pipeline.publication.decomposition import Decomposition, Row

if TYPE_CHECKING:
    from decimal import Decimal

MORE_LIKELY_THAN_NOT = 0.5
"""Below this P(buy), nothing is the most likely outcome, as in customer_overview.forecasts_in_words."""


@dataclass(frozen=True)
class Driver:
    """A fact that moves the forecasts (a row of clv_drivers), and what is published of it."""

    feature: str
    model: str
    direction: str
    importance: float
    own: float | None
    """What the customer has of it; None where no published table has it."""
    median: float | None
    """What the median customer has of it."""


def explained_lines(
    customer: Row, path: Sequence[Row], forecast: Row, parts: Decomposition, drivers: Sequence[Driver], display: Display
) -> Iterator[str]:
    """Everything that is told of a customer.

    Args:
        customer: the row of customer_overview.
        path: the forecasts, one per horizon, the shortest first.
        forecast: the one of them that is taken apart.
        parts: its factors.
        drivers: what moves forecasts over its horizon.
        display: how numbers are written.
    """
    yield from _about_customer(customer, display)
    yield ""
    yield from _about_path(path, display)
    yield from _about_outlook(customer, forecast["p_alive"], display)
    yield ""
    yield from _about_forecast(forecast, parts, display)
    yield ""
    yield from _about_drivers(drivers, forecast["horizon_days"], display)


def returned_lines(customer: Row, publication: Row, display: Display) -> Iterator[str]:
    """What was bought and returned, where nothing is left."""
    yield f"customer {customer['customer_id']}, as of {display.day(publication['as_of'])}"
    yield "everything was returned: no purchase is left to forecast from, and no other table has the customer"
    yield ""
    yield _line("bought", _money(customer["gross_revenue"], display))
    yield _line("returned", _money(customer["returned_revenue"], display))
    yield _line("revenue", _money(customer["net_revenue"], display))


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


def _about_drivers(drivers: Sequence[Driver], horizon_days: int, display: Display) -> Iterator[str]:
    if not drivers:
        days = display.count(horizon_days)
        yield f"what moves the forecasts over {days} days is not known: clv_drivers has nothing on them"
        return
    yield f"what moves the forecasts of {drivers[0].model} most (clv_drivers), this customer beside the median one"
    for driver in drivers:
        told = "no number of it is published to compare"
        if driver.own is not None and driver.median is not None:
            effect = _effect(driver.own - driver.median, driver.direction)
            told = f"{_fact(driver.own, display)} against {_fact(driver.median, display)}{effect}"
        yield f"  {_named(driver.feature):<24}{display.score(driver.importance):>7}  {driver.direction:<6} {told}"


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
