"""What is published, in a few lines: the numbers that matter, the kept versions, and which of them is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.errors import PublicationError


def serve_version(settings: Settings, version: str) -> None:
    """Point what BI tools read at a kept version, while no run is at work.

    Raises:
        PublicationError: there is no such version, it does not read back, or it may hold somebody who is to be
            forgotten: an erasure is unfinished.
        WarehouseBusyError: a run is at work; it would publish over it.
    """
    from clv_pipeline.privacy.register import Register
    from clv_pipeline.publication.versions import point_back
    from clv_pipeline.warehouse import Warehouse

    with Warehouse(settings.warehouse_path).keep_out("clv publish"):
        if Register(settings.privacy_dir).unfinished():
            raise PublicationError(
                "an erasure is unfinished: kept versions may hold who is to be forgotten",
                to_do="`clv run` finishes it, and says what hinders it",
            )
        point_back(settings.published_dir, version)


def version_lines(settings: Settings, versions: Sequence[ListedVersion]) -> list[str]:
    """The kept versions as lines to print, the served one starred."""
    if not versions:
        return [f"nothing is published in {_relative(settings.published_dir)} yet; `clv run` publishes"]
    display = settings.display.writer()
    cells = [("version", "published", "as of", "rows"), *(_cells(version, display) for version in versions)]
    widths = [max(len(row[place]) for row in cells) for place in range(4)]
    lines = []
    for star, (version, published, as_of, rows) in zip(
        [" ", *("*" if version.served else " " for version in versions)], cells, strict=True
    ):
        told = f"{published:<{widths[1]}}  {as_of:<{widths[2]}}  {rows:>{widths[3]}}"
        lines.append(f"{star} {version:<{widths[0]}}  {told}".rstrip())
    return [*lines, "", "* is served; `clv publish --to VERSION` serves another one"]


def _cells(version: ListedVersion, display: Display) -> tuple[str, str, str, str]:
    if version.published_at is None or version.as_of is None or version.rows is None:
        return version.version, "cannot be read", "", ""
    return (
        version.version,
        display.moment(version.published_at),
        display.short_day(version.as_of),
        display.count(version.rows),
    )


@dataclass(frozen=True)
class ListedVersion:
    """A kept version, as it is listed; what it says of itself is missing where it cannot be read."""

    version: str
    served: bool
    readable: bool
    run_id: str | None = None
    published_at: datetime | None = None
    """UTC."""
    as_of: date | None = None
    rows: int | None = None
    """Sum over all tables."""


def listed_versions(settings: Settings) -> list[ListedVersion]:
    """The kept versions, newest first."""
    from clv_pipeline.publication.versions import current_version, kept_versions

    current = current_version(settings.published_dir)
    return [
        ListedVersion(
            name,
            served=name == current,
            readable=True,
            run_id=version.run_id,
            published_at=version.published_at.replace(tzinfo=UTC),
            as_of=version.as_of,
            rows=sum(rows for rows, _ in version.tables.values()),
        )
        if version
        else ListedVersion(name, served=name == current, readable=False)
        for name, version in kept_versions(settings.published_dir).items()
    ]


@dataclass(frozen=True)
class Facts:
    """The numbers of a publication that matter, as the report has them, and where it is."""

    as_of: date
    rows: int
    rows_kept: int
    customers: int
    revenue: float | None
    """None where the shop has no money, like every other number of money."""
    purchases: int
    """Purchase days so far."""
    horizon_days: int
    expected_spend: float | None
    """In the next `horizon_days`, like `expected_buyers` and `expected_purchases`."""
    expected_buyers: float
    expected_purchases: float
    at_risk_customers: int
    at_risk_revenue: float | None
    at_stake_value: float | None
    """What those at risk would bring at their own rate, beyond what is expected, within `at_stake_days`."""
    at_stake_days: int
    model: str
    past_dates: int | None
    """On how many the forecasts were tested, like the next two; None where the history is too short."""
    off_by: float | None
    """By which share the forecast total was wrong."""
    normalized_gini: float | None
    caveat: str | None
    database: Path
    report: Path
    explore: Path
    currency: str | None = None
    """The currency of all money; None where the source says none."""


def publication_summary(facts: Facts, display: Display = ENGLISH) -> list[str]:
    """The facts as lines to print: English words, numbers of the locale."""
    display = display.in_currency(facts.currency)
    kept, rows = display.count(facts.rows_kept), display.count(facts.rows)
    at_risk = _counted(facts.at_risk_customers, "customer", display)
    return [
        f"as of            {display.day(facts.as_of)}",
        f"rows kept        {kept} of {rows} (why not: row_ledger)",
        f"customers        {display.count(facts.customers)} with {_so_far(facts, display)}",
        f"expected         {_expected(facts, display)} from {_counted(facts.expected_buyers, 'buyer', display)}"
        f" in the next {display.count(facts.horizon_days)} days",
        f"at risk          {at_risk}, overdue by their own rhythm{_at_stake(facts, display)}",
        f"forecasts by     {facts.model}: {_judged(facts, display)}",
        *([f"caveat           {facts.caveat}"] if facts.caveat else []),
        "",
        f"published        {_relative(facts.database)}",
        f"report           {_relative(facts.report)}",
        f"explore          {_relative(facts.explore)}",
    ]


def publication_facts(settings: Settings) -> Facts:
    """What the publication that is served says."""
    from clv_pipeline.database.connections import open_read_only
    from clv_pipeline.publication.report.queries import read
    from clv_pipeline.publication.write import CURRENT, DATABASE, EXPLORE, REPORT

    current = settings.published_dir / CURRENT
    with open_read_only(current / DATABASE) as published:

        def rows(query: str) -> list[dict[str, Any]]:
            return read(published, query).to_dicts()

        [shop], [ledger], [at_risk], [champion] = map(rows, ("shop", "ledger", "at_risk", "champion"))
        [about] = rows("publication")
        expected = next(row for row in rows("outlook") if row["is_headline"])
        tested = next((row for row in rows("accuracy") if row["is_headline"]), None)
    return Facts(
        as_of=shop["as_of"],
        rows=ledger["all_rows"],
        rows_kept=ledger["kept_rows"],
        customers=shop["customers"],
        revenue=_float(shop["revenue"]),
        purchases=int(shop["purchases"]),
        horizon_days=expected["horizon_days"],
        expected_spend=expected["expected_spend"],
        expected_buyers=expected["expected_buyers"],
        expected_purchases=expected["expected_purchases"],
        at_risk_customers=at_risk["customers"],
        at_risk_revenue=_float(at_risk["revenue"]),
        at_stake_value=_float(at_risk["value_at_stake"]),
        at_stake_days=at_risk["horizon_days"],
        model=expected["model"],
        past_dates=tested["dates"] if tested else None,
        off_by=tested["off_by"] if tested else None,
        normalized_gini=tested["normalized_gini"] if tested else None,
        caveat=f"{champion['model']}: {champion['why']}" if champion["has_caveat"] else None,
        database=current / DATABASE,
        report=current / REPORT,
        explore=current / EXPLORE,
        currency=about["currency"],
    )


def _judged(facts: Facts, display: Display) -> str:
    """How good the forecasts were that would have been served on past dates."""
    if facts.past_dates is None:
        return "not yet tested, the history is too short"
    has_money = facts.revenue is not None
    if facts.off_by is None or (has_money and facts.normalized_gini is None):
        return f"nothing was {'spent' if has_money else 'bought'} after the past dates of the test"
    dates = _counted(facts.past_dates, "past date", display)
    order = "" if facts.normalized_gini is None else f", normalized Gini {display.number(facts.normalized_gini, 2)}"
    return f"total off by {display.share(facts.off_by)}{order if has_money else ''} over {dates}"


def _so_far(facts: Facts, display: Display) -> str:
    """What the customers brought."""
    if facts.revenue is None:
        return f"{_counted(facts.purchases, 'purchase', display)}; no money is mapped"
    return f"revenue of {display.money(facts.revenue)}"


def _expected(facts: Facts, display: Display) -> str:
    if facts.expected_spend is None:
        return _counted(facts.expected_purchases, "purchase", display)
    return display.money(facts.expected_spend)


def _at_stake(facts: Facts, display: Display) -> str:
    """What could be won back."""
    if facts.at_stake_value is None or not facts.at_risk_customers:
        return ""
    return f"; {display.money(facts.at_stake_value)} at stake at most, within {display.count(facts.at_stake_days)} days"


def _counted(number: float, what: str, display: Display) -> str:
    """One customer, two customers; of an expected number that rounds to none, less than one."""
    if 0 < number < 0.5:
        return f"less than 1 {what}"
    return f"{display.count(number)} {what}{'' if round(number) == 1 else 's'}"


def _float(amount: Any) -> float | None:
    """An amount of money; None where there is none."""
    return None if amount is None else float(amount)


def _relative(path: Path) -> Path:
    """As the user would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
