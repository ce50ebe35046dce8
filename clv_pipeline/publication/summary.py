"""What is published, in a few lines: the numbers that matter, the kept versions, and which of them is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clv_pipeline.config.settings import Settings


def serve_version(settings: Settings, version: str) -> None:
    """Point what BI tools read at a kept version, while no run is at work.

    Raises:
        PublicationError: there is no such version, or it does not read back.
        WarehouseBusyError: a run is at work; it would publish over it.
    """
    from clv_pipeline.publication.versions import point_back
    from clv_pipeline.warehouse import Warehouse

    with Warehouse(settings.warehouse_path).keep_out("clv publish"):
        point_back(settings.published_dir, version)


def version_lines(settings: Settings) -> list[str]:
    """The kept versions as lines to print, newest first, the served one starred."""
    from clv_pipeline.publication.versions import current_version, kept_versions

    versions = kept_versions(settings.published_dir)
    if not versions:
        return [f"nothing is published in {_relative(settings.published_dir)} yet; `clv run` publishes"]
    current = current_version(settings.published_dir)
    lines = [f"  {'version':<36}  {'published (UTC)':<16}  {'as of':<10}  {'rows':>12}"]
    for name, version in versions.items():
        told = (
            f"{version.published_at:%Y-%m-%d %H:%M}  {version.as_of}  {sum(n for n, _ in version.tables.values()):>12,}"
            if version
            else "cannot be read"
        )
        lines.append(f"{'*' if name == current else ' '} {name:<36}  {told}")
    return [*lines, "", "* is served; `clv publish --to VERSION` serves another one"]


def publication_summary(settings: Settings) -> list[str]:
    """Where the publication is and the numbers that matter, as lines to print: those of the report."""
    from clv_pipeline.database.connections import open_read_only
    from clv_pipeline.publication.report.queries import read
    from clv_pipeline.publication.write import CURRENT, DATABASE, REPORT

    current = settings.published_dir / CURRENT
    with open_read_only(current / DATABASE) as published:

        def rows(query: str) -> list[dict[str, Any]]:
            return read(published, query).to_dicts()

        [shop], [ledger], [at_risk], [champion] = map(rows, ("shop", "ledger", "at_risk", "champion"))
        expected = next(row for row in rows("outlook") if row["is_headline"])
        tested = next((row for row in rows("accuracy") if row["is_headline"]), None)
    spend, buyers, days = (expected[name] for name in ("expected_spend", "expected_buyers", "horizon_days"))
    return [
        f"as of            {shop['as_of']}",
        f"rows kept        {ledger['kept_rows']:,} of {ledger['all_rows']:,} (why not: row_ledger)",
        f"customers        {shop['customers']:,} with revenue of {shop['revenue']:,.2f}",
        f"expected         {spend:,.0f} from {buyers:,.0f} buyers in the next {days} days",
        f"at risk          {at_risk['customers']:,} customers who spent {at_risk['revenue']:,.2f}"
        " (segments At Risk, Can't Lose)",
        f"forecasts by     {expected['model']}: {_judged(tested)}",
        *([f"caveat           {champion['model']}: {champion['why']}"] if champion["has_caveat"] else []),
        "",
        f"published        {_relative(current / DATABASE)}",
        f"report           {_relative(current / REPORT)}",
    ]


def _judged(tested: dict[str, Any] | None) -> str:
    """How good the forecasts were that would have been served on past dates."""
    if tested is None:
        return "not yet tested, the history is too short"
    if tested["off_by"] is None or tested["normalized_gini"] is None:
        return "nothing was spent after the past dates of the test"
    dates = f"{tested['dates']} past {'date' if tested['dates'] == 1 else 'dates'}"
    return f"total off by {tested['off_by']:.1%}, normalized Gini {tested['normalized_gini']:.2f} over {dates}"


def _relative(path: Path) -> Path:
    """As the user would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
