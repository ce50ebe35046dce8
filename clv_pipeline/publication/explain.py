"""`clv explain`: what is published of one customer, the forecasts over all horizons, and what moves them.

All of it is read from the published database alone; `explain_text` says it in lines to print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clv_pipeline.config.settings import PSEUDONYM_KEY, Settings
from clv_pipeline.errors import ExplanationError
from clv_pipeline.privacy.keyed_hash import pseudonyms_of
from clv_pipeline.publication.decomposition import Decomposition, Row
from clv_pipeline.publication.explain_text import Driver, explained_lines, returned_lines

if TYPE_CHECKING:
    import duckdb

DRIVERS_SHOWN = 6

IN_RFM = {
    "days_since_last": "days_since_last",
    "frequency": "frequency",
    "spend_per_purchase": "case when frequency > 0 then monetary_value else revenue end",
}
"""Drivers (FACTS in evaluation/facts.py) as columns of rfm; the others are in no published table."""


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
            return [*returned_lines(returned, publication, display)]
        customer = _customer(published, customer_id, pseudonym)
        path = _path(published, customer["customer_id"])
        forecast = _chosen(path, horizon_days)
        # Earlier versions published no margin; today's settings say it if they are those of the publication.
        same = publication["config_hash"] == settings.config_hash
        margin = customer.get("margin")
        if margin is None and same:
            margin = settings.forecast.margin
        parts = Decomposition.of(forecast, margin)
        drivers = _drivers(published, customer["customer_id"], forecast["horizon_days"])
        return [*explained_lines(customer, path, forecast, parts, drivers, display)]


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


def _drivers(published: duckdb.DuckDBPyConnection, customer_id: str, horizon_days: int) -> list[Driver]:
    """What moves the forecasts most, beside what the customer and the median one have of it."""
    drivers = _rows(
        published,
        "select feature, model, direction, importance from clv_drivers where horizon_days = ? and importance > 0"
        " order by importance desc, feature limit ?",
        horizon_days,
        DRIVERS_SHOWN,
    )
    if not drivers:
        return []
    compared = ", ".join(f"cast({column} as double) as {fact}" for fact, column in IN_RFM.items())
    [own] = _rows(published, f"select {compared} from rfm where customer_id = ?", customer_id)  # noqa: S608
    medians = ", ".join(f"median({fact}) as {fact}" for fact in IN_RFM)
    [median] = _rows(published, f"select {medians} from (select {compared} from rfm) as facts")  # noqa: S608
    return [Driver(**row, own=own.get(row["feature"]), median=median.get(row["feature"])) for row in drivers]
