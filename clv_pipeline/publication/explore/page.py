"""The page: the packed columns, the script and the style, put into the template under a content-security policy.

The policy lets nothing in but this very script and this very style, by their hashes, and no request out. Everything
from outside is in the packed columns, as letters of base64.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.display import Display, terms
from clv_pipeline.publication.explore import tables
from clv_pipeline.publication.explore.packing import packed
from clv_pipeline.publication.explore.words import script_numbers, script_words
from clv_pipeline.publication.export import AT_RISK_COLUMNS, DEFAULT_COLUMNS, GUARDS
from clv_pipeline.publication.templates import environment_of
from clv_pipeline.publication.told import told
from clv_pipeline.publication.write import DATABASE, EXPLORE, REPORT
from clv_pipeline.text import displayed

NAMES = (*terms.SEGMENTS, *terms.ACTIONS, *terms.CHANNELS, *terms.VALUE_TIERS, terms.NOT_KNOWN)
"""Names of the tables that the page shows, beside those of clusters."""

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
SCRIPTS = tuple(
    FOLDER / "script" / f"{name}.js"
    for name in ("data", "words", "selection", "elements", "facets", "list", "customer", "csv", "main")
)
"""The script, in the order of its parts."""

RATES, AMOUNTS = 4, 2
"""Decimals of probabilities and shares, and of what is counted in days and purchases."""

DECIMALS = {
    **dict.fromkeys(("p_purchase", "expected_purchases", "forecast_p_purchase", "forecast_purchases"), RATES),
    **dict.fromkeys(("p_alive", "p_purchase_30_days", "p_purchase_90_days", "p_purchase_365_days", "margin"), RATES),
    **dict.fromkeys(
        ("usual_gap_days", *(f"driver_{what}_{n}" for what in ("value", "median") for n in range(3))), AMOUNTS
    ),
}
MONEY = (
    *("revenue", "expected_spend", "clv", "value_at_stake", "average_order_value", "order_value", "month_revenue"),
    *("historic_value", "total_value", "lifetime_value"),
    *("forecast_spend", "forecast_lower", "forecast_upper", "forecast_clv"),
)
"""Columns with the decimals of the currency."""


def write_explore(version: Path, display: Display, limits: tables.Limits = tables.LIMITS) -> None:
    """Make the page of a published version from its database, in the same folder."""
    with open_read_only(version / DATABASE) as published:
        page = render(published, display, limits)
    (version / EXPLORE).write_text(page, encoding="utf-8")


def render(published: duckdb.DuckDBPyConnection, display: Display, limits: tables.Limits) -> str:
    """The whole page."""
    shop = tables.shop(published)
    display = display.in_currency(shop["currency"])
    best = limits.detailed(shop["customers"])
    tables.define_explored(published, limits.all_customers)
    script = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    environment = environment_of(TEMPLATES)
    environment.globals |= {"say": display.say, "say_many": display.say_many}
    accuracy = tables.accuracy(published)
    tested = _tested(display, shop["horizon_days"], accuracy)
    page = environment.get_template("page.html").render(
        display=display,
        shop=shop,
        best=best,
        listed=min(shop["customers"], limits.all_customers),
        report=REPORT,
        tested=tested,
        rule_was_better=_rule_was_better(accuracy),
        policy=_policy(script, style),
        customers=_packed_customers(published, {**shop, "tested": tested}, display, best),
        details=_packed_details(published, best, display),
        script=script,
        style=style,
    )
    return displayed(page)


def _policy(script: str, style: str) -> str:
    """The content-security policy of a page with this script and this style."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _packed_customers(
    published: duckdb.DuckDBPyConnection, shop: Mapping[str, Any], display: Display, best: int
) -> str:
    """What customers are filtered by, and everything that the page has to know beside it."""
    frame = tables.customers(published)
    about = {
        **shop,
        "as_of": shop["as_of"].isoformat(),
        "locale": display.locale,
        "language": display.language,
        "symbol": display.symbol,
        "written": script_numbers(display),
        "coins": display.decimals_for([]),
        "details": best,
        "attributes": {
            name: displayed(name.removeprefix(tables.ATTRIBUTE))
            for name in frame.columns
            if name.startswith(tables.ATTRIBUTE)
        },
        "words": {text: words for path in SCRIPTS for text, words in script_words(display, path).items()},
        "terms": _terms(published, display),
        "csv": {"columns": DEFAULT_COLUMNS, "at_risk": AT_RISK_COLUMNS, "guards": _guards()},
    }
    return packed(about, frame.get_columns(), _decimals(display))


def _terms(published: duckdb.DuckDBPyConnection, display: Display) -> dict[str, str]:
    """What names of the tables are in the language, where that is something else."""
    said = {name: display.words(name) for name in NAMES}
    for row in tables.clusters(published):
        said[displayed(row["cluster_name"])] = told(display, "customer_overview", "cluster_name", row)
    return {name: words for name, words in said.items() if words != name}


def _tested(display: Display, horizon_days: int | None, accuracy: Mapping[str, Any] | None) -> str:
    """How far totals over the days that the page shows were off on past dates; nothing without a forecast."""
    if horizon_days is None:
        return ""
    days = display.count(horizon_days)
    if accuracy is None:
        return display.say("Forecasts over {days} days were never tested: the history is too short.", days=days)
    if accuracy["off_by"] is None:
        return display.say("Forecasts over {days} days could not be tested: nothing was bought then.", days=days)
    values = {"days": days, "average": display.share(accuracy["off_by"]), "worst": display.share(accuracy["worst"])}
    if accuracy["rule_off_by"] is None:
        return display.say_many(
            accuracy["dates"],
            "On the one past date that was tested, the total over {days} days missed by {average}.",
            "On {number} past dates, the total over {days} days missed by {average} on average, at worst by {worst}.",
            **values,
        )
    sentence = display.say_many(
        accuracy["dates"],
        "On the one past date that was tested, the total over {days} days missed by {average}; the best simple rule"
        " missed by {rule}.",
        "On {number} past dates, the total over {days} days missed by {average} on average, at worst by {worst}; the"
        " best simple rule missed by {rule} on average.",
        rule=display.share(accuracy["rule_off_by"]),
        **values,
    )
    better = display.say("Over so many days, a simple rule forecast the total better.")
    return f"{sentence} {better}" if _rule_was_better(accuracy) else sentence


def _rule_was_better(accuracy: Mapping[str, Any] | None) -> bool:
    """Whether the best simple rule came closer to past totals."""
    errors = accuracy and (accuracy["rule_off_by"], accuracy["off_by"])
    return bool(errors and None not in errors and errors[0] < errors[1])


def _packed_details(published: duckdb.DuckDBPyConnection, best: int, display: Display) -> str:
    """What is told of customers who are opened."""
    frames = [read(published, best) for read in (tables.details, tables.forecasts, tables.months_each, tables.months)]
    return packed({}, [series for frame in frames for series in frame.get_columns()], _decimals(display))


def _decimals(display: Display) -> dict[str, int]:
    """How many decimals every column has."""
    return DECIMALS | dict.fromkeys(MONEY, display.decimals_for([]))


def _guards() -> list[tuple[str, str]]:
    """The guards of exported lists, as JavaScript writes what takes a place."""
    return [(pattern, re.sub(r"\\(\d)", r"$\1", replacement)) for pattern, replacement in GUARDS]
