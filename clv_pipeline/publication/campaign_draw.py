"""Whom a campaign contacts and whom it leaves out: drawn from the publication, and written into its lists.

It is taken from the publication, because that is what people look at when they decide. Nothing here reads or writes the
warehouse.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from clv_pipeline.config.settings import PSEUDONYM_KEY, Settings
from clv_pipeline.errors import CampaignError
from clv_pipeline.privacy.keyed_hash import KeyedHash, pseudonyms_of
from clv_pipeline.publication.campaign_request import Request
from clv_pipeline.publication.export import (
    default_columns,
    define_audience,
    published_horizons,
    require_at_stake,
    require_horizon,
    require_segment,
    write_rows,
)
from clv_pipeline.publication.versions import open_served

if TYPE_CHECKING:
    import duckdb
    import polars as pl

USUAL_HORIZON = 90
"""Days that count unless others are asked for, or the published horizon that is nearest to it."""

LISTS = {"audience.csv": False, "control.csv": True}
"""Names of the lists, and whether the control group is in it."""


@dataclass(frozen=True)
class Drawn:
    """Who was drawn: published customers with group and stratum, and what is said of the publication."""

    customers: pl.DataFrame
    version: str
    as_of: date
    pseudonyms: KeyedHash | None
    guarded: int

    @property
    def controls(self) -> int:
        """How many are left out."""
        return int(self.customers["is_control"].sum())

    @property
    def contacts(self) -> int:
        """How many are contacted."""
        return self.customers.height - self.controls

    @property
    def horizon_days(self) -> int:
        """The days after the start that count."""
        return int(self.customers["horizon_days"][0])


def draw_from_publication(settings: Settings, request: Request, cost: Decimal | None, lists: Path) -> Drawn:
    """Draw the customers from the publication, and write their lists into a folder.

    Raises:
        CampaignError: the day of the start is before what is published.
    """
    with open_served(settings.published_dir, [lists.parent]) as published:
        [(version, as_of)] = published.execute("select run_id, as_of from publication").fetchall()
        if request.started_on < as_of:
            raise CampaignError(
                f"--on {request.started_on}: what is published has seen what was bought until {as_of}, so the start"
                " should be that day or later"
            )
        pseudonyms = _pseudonyms(published, settings)
        define_audience(published)
        customers = _chosen(published, request, cost)
        guarded = _write_lists(published, customers, request, lists)
    return Drawn(customers, version, as_of, pseudonyms, guarded)


def _chosen(published: duckdb.DuckDBPyConnection, request: Request, cost: Decimal | None) -> pl.DataFrame:
    """The customers of the campaign with what is published of them, the group and the stratum.

    Raises:
        CampaignError: they are too few.
    """
    import polars as pl

    from clv_pipeline.campaigns.draw import draw, least_customers

    if request.at_risk:
        require_at_stake(published)
    require_segment(published, request.segment)
    horizons = published_horizons(published)
    horizon = request.horizon_days
    if horizon is None:
        horizon = min(horizons, key=lambda days: (abs(days - USUAL_HORIZON), days))
    require_horizon(horizon, horizons)
    limits = [request.top] if request.top is not None else []
    if request.budget is not None and cost is not None:
        limits.append(affordable(int(request.budget // cost), request.holdout))
    query = (
        "select customer_id, segment, horizon_days, expected_purchases, clv::double as expected_margin,"  # noqa: S608
        " spend_deviation from audience where horizon_days = $horizon and ($segment is null or segment = $segment)"
        f"{' and at_risk' if request.at_risk else ''} order by {request.order} limit $most"
    )
    asked = {"horizon": horizon, "segment": request.segment, "most": min(limits, default=None)}
    chosen: pl.DataFrame = published.sql(query, params=asked).pl()
    least = least_customers(request.holdout)
    if chosen.height < least:
        raise CampaignError(
            f"{chosen.height:,} customers are too few: with --holdout {request.holdout:g} it takes {least}",
            to_do="choose more customers, or leave out a larger share",
        )
    expected = chosen.with_columns(expected=pl.coalesce("expected_margin", "expected_purchases"))
    return chosen.join(draw(expected, request.holdout, request.name, request.seed), on="customer_id")


def affordable(contacts: int, holdout: float) -> int:
    """The most customers of whom, without those left out, no more than so many are contacted."""
    customers = int(contacts / (1.0 - holdout)) + 2
    while customers - int(customers * holdout) > contacts:
        customers -= 1
    return customers


def _write_lists(published: duckdb.DuckDBPyConnection, drawn: pl.DataFrame, request: Request, folder: Path) -> int:
    """Write LISTS. Returns how many customers have a text that was made harmless."""
    columns, guarded = default_columns(published, at_risk=request.at_risk), 0
    published.register("drawn", drawn.select("customer_id", "horizon_days", "is_control"))
    try:
        for name, is_control in LISTS.items():
            chosen = (
                "from audience inner join drawn on audience.customer_id = drawn.customer_id"
                " and audience.horizon_days = drawn.horizon_days where drawn.is_control = $is_control"
                f" order by {request.order}"
            )
            path = folder / name
            guarded += write_rows(published, columns, chosen, {"is_control": is_control}, path)[1]
            path.chmod(0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
    finally:
        published.unregister("drawn")
    return guarded


def _pseudonyms(published: duckdb.DuckDBPyConnection, settings: Settings) -> KeyedHash | None:
    """The hash that made the published ids; None where they are those of the source.

    Raises:
        CampaignError: the key is another one, or not set.
    """
    [(made_by,)] = published.execute("select pseudonym_key from publication").fetchall()
    if made_by is None:
        return None
    pseudonyms = pseudonyms_of(settings)
    if pseudonyms is None or pseudonyms.fingerprint != made_by:
        raise CampaignError(
            "customers are published under pseudonyms of another key, so nobody can be recognised",
            to_do=f"set {PSEUDONYM_KEY} to that key, or publish anew with `clv run`",
        )
    return pseudonyms
