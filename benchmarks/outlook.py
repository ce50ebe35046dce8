"""The revenue outlook of past dates against what came, on real and made-up shops, beside last year's same month.

The graph is run up to the outlook, with one family of forecasts; what came is in its table `revenue_outlook_backtest`.
CDNOW comes with a package; other real shops are in the folder that CLV_SHOPS names, and one that is absent is left out
with the reason. Writes the block `outlook` of docs/explanation/revenue-outlook.md.

Run: CLV_SHOPS=folder python -m benchmarks.outlook [--only SHOP …] (`make outlook`); a quarter of an hour
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from benchmarks.accuracy.shops import Absent, Shop, shops_of
from benchmarks.generated_blocks import replace_block
from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.runner import run_nightly
from clv_pipeline.pipeline import Refresh

DOCUMENT = Path("docs/explanation/revenue-outlook.md")
MODEL = "hybrid"
SHOPS = ("cdnow", "online_retail_ii", "donations", "adventureworks", "game", "seasonal_constant")
LEADS = ((1, 3), (4, 12))
"""First and last months ahead of the rows of a shop."""


class RunFailedError(RuntimeError):
    """The graph of a shop could not be run."""


@dataclass(frozen=True)
class Seen:
    """What past outlooks of a shop said and what came: the rows of revenue_outlook_backtest."""

    shop: str
    backtest: pl.DataFrame


def look(shop: Shop, home: Path, tell: Callable[[str], None]) -> Seen:
    """Run the graph of this shop up to the outlook, and read its backtest.

    Raises:
        RunFailedError: a table did not pass its audit.
    """
    settings = Settings.from_mapping(
        {**shop.configuration, "models": [MODEL], "backtest": {}, "storage": {"home": str(home)}}
    )
    lines: list[str] = []
    outcome = run_nightly(settings, select="+revenue_outlook", refresh=Refresh(), echo=lines.append)
    if not outcome.success:
        raise RunFailedError("\n".join([f"the run of {shop.key} failed", *lines[-20:]]))
    tell(f"{shop.key}: the outlook is there")
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as warehouse:
        return Seen(shop.name, warehouse.sql("from revenue_outlook_backtest order by all").pl())


def off(rows: pl.DataFrame, forecast: str = "expected") -> float | None:
    """The sum of the errors' sizes over the sum of what came; None where nothing came."""
    came = float(rows["came"].sum())
    return float((rows[forecast] - rows["came"]).abs().sum()) / came if came > 0.0 else None


def block(seen: Sequence[Seen]) -> str:
    """A row per shop and leads."""
    lines = [
        "| shop | months ahead | past dates | months | known | new customers | total | where last year is known: total"
        " | last year's month | in the range |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in seen:
        for first, last in LEADS:
            rows = one.backtest.filter(pl.col("lead_months").is_between(first, last))
            of = {str(target): part for (target,), part in rows.group_by("target")}
            if "total_revenue" not in of:
                continue
            total = of["total_revenue"]
            compared = total.filter(pl.col("seasonal_naive").is_not_null())
            errors = [off(of["known_revenue"]), off(of["new_customers"]), off(total), off(compared)]
            told = " | ".join(_percent(error) for error in [*errors, off(compared, "seasonal_naive")])
            lines.append(
                f"| {one.shop} | {first} to {last} | {total['cutoff'].n_unique()} | {total.height} | {told}"
                f" | {total['is_inside'].sum()} of {total.height} |"
            )
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    """A share in percent; above ten times what came its size alone."""
    return "–" if share is None else "> 1,000 %" if share > 10.0 else f"{100 * share:,.0f} %"


def main() -> None:
    """Look at every shop that is there and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SHOPS, default=SHOPS, help="shops; default all")
    options = parser.parse_args()
    folder = os.environ.get("CLV_SHOPS")
    seen: list[Seen] = []
    absent = []
    for name in options.only:
        with tempfile.TemporaryDirectory() as place:
            shop = next(iter(shops_of(name, Path(folder).resolve() if folder else None, Path(place))))
            if isinstance(shop, Absent):
                absent.append(f"\nLeft out: {name}, because {shop.reason}.")
                continue
            seen.append(look(shop, Path(place) / "home", print))
    written = "\n".join([block(seen), *absent])
    print(written)
    if set(options.only) == set(SHOPS):
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replace_block(text, "outlook", written), encoding="utf-8")


if __name__ == "__main__":
    main()
