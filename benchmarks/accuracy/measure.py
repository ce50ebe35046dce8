"""One shop, measured: the whole graph is run once, and what it publishes about its own accuracy is read.

`served_accuracy` is the walk through past dates with every decision made by what was known then. Rules and peers are
asked about the same customers on the same dates, from the purchase days in that run's warehouse, and scored by the same
definitions. What is found is kept as a file per shop, so that a document of all shops can be written from runs of some.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from benchmarks.accuracy.code_version import version
from benchmarks.accuracy.history import Floats, History
from benchmarks.accuracy.peers import Peer, peers_with
from benchmarks.accuracy.rules import RULES, Forecast
from benchmarks.accuracy.shops import Shop
from clv_pipeline.config.settings import Settings
from clv_pipeline.evaluation.scores import SCORERS, Outcome
from clv_pipeline.orchestration.runner import run_nightly
from clv_pipeline.pipeline import Refresh
from clv_pipeline.publication.write import CURRENT, DATABASE
from clv_pipeline.simulation.seeded import SEEDED_SHOPS

METRICS = (
    ("spend", "bias"),
    ("spend", "mae"),
    ("spend", "normalized_gini"),
    ("spend", "decile_mape"),
    ("spend", "tweedie_skill"),
    ("spend", "total_covered"),
    ("purchases", "bias"),
    ("purchases", "poisson_skill"),
    ("purchase", "auc"),
    ("purchase", "brier"),
)
"""Target and metric of what is kept."""

FIGURES_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "by": pl.String,
        "name": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
    }
)
"""One figure: `by` is served, rule, peer or truth; `name` the model, rule or peer; `metric` as `spend bias`.

By the truth of a seeded shop is said what somebody expects who knows every customer's rates and who is still there.
"""

CELLS_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "group": pl.String,
        "p_purchase": pl.Float64,
        "coverage": pl.Float64,
    }
)
"""One tenth of the customers of a window, by what was expected of them (1 most), or the best 1 %."""

SERVED = """
select cutoff, horizon_days, 'served' as "by", model as name, target || ' ' || metric as metric, value
from served_accuracy
where group_kind = 'all' and list_contains($metrics, target || ' ' || metric)
order by all
"""
CELLS = """
select
    cutoff, horizon_days, group_name as "group",
    any_value(value) filter (where target = 'purchase' and metric = 'predicted_mean') as p_purchase,
    any_value(value) filter (where target = 'spend' and metric = 'coverage') as coverage
from served_accuracy
where group_kind = 'decile'
group by cutoff, horizon_days, group_name
order by all
"""

# Rounding of the last digit is no contradiction.
CONTRADICTIONS = """
with paths as (
    select
        *,
        lag(columns(['expected_purchases', 'expected_spend', 'p_purchase', 'clv'])) over (
            partition by customer_id order by horizon_days
        ) as 'shorter_\\0'
    from clv_forecasts
),

customers as (
    select customer_id, max(p_alive) - min(p_alive) as alive_apart, count(distinct model) as models
    from clv_forecasts
    group by customer_id
)

select
    count_if(expected_purchases < shorter_expected_purchases * (1 - 1e-9)) as "purchases fall over a longer horizon",
    count_if(expected_spend < shorter_expected_spend * (1 - 1e-9)) as "spend falls",
    count_if(p_purchase < shorter_p_purchase * (1 - 1e-9)) as "P(buy) falls",
    count_if(clv < shorter_clv * (1 - 1e-9)) as "clv falls",
    count_if(p_purchase > expected_purchases * (1 + 1e-9)) as "P(buy) above expected purchases",
    count_if(p_purchase > p_alive * (1 + 1e-9)) as "P(buy) above P(alive)",
    count_if(not coalesce(expected_spend between spend_lower and spend_upper, false)) as "spend outside its range",
    (select count_if(alive_apart > 1e-9) from customers) as "P(alive) differs between horizons",
    (select count_if(models > 1) from customers) as "several models",
    count_if(not isfinite(expected_purchases + expected_spend + p_purchase + clv + spend_upper)) as "not finite"
from paths
"""


class RunFailedError(RuntimeError):
    """The graph did not publish; its lines say why."""


@dataclass(frozen=True)
class Measured:
    """What was found of one shop: `made_by` which code; `silent`: why peers gave no forecast, on how many windows."""

    shop: str
    seed: int | None
    has_money: bool
    made_by: str
    seconds: float
    customers: int
    checksums: Mapping[str, str]
    roles: Mapping[date, str]
    contradictions: Mapping[str, int]
    silent: Mapping[str, int]
    figures: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FIGURES_SCHEMA))
    cells: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CELLS_SCHEMA))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        plain = {**vars(self), "roles": {str(day): role for day, role in self.roles.items()}}
        plain |= {"figures": self.figures.to_dicts(), "cells": self.cells.to_dicts()}
        path.write_text(json.dumps(plain, indent=1, default=date.isoformat), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Measured:
        """Read what `save` wrote."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        plain["roles"] = {date.fromisoformat(day): role for day, role in plain["roles"].items()}
        for name, schema in (("figures", FIGURES_SCHEMA), ("cells", CELLS_SCHEMA)):
            found = pl.DataFrame(plain[name], schema=schema.names(), schema_overrides={"cutoff": pl.String})
            plain[name] = found.with_columns(pl.col("cutoff").str.to_date()).cast(schema)
        return cls(**plain)


def measure(shop: Shop, home: Path, *, with_peers: bool, pymc: Path | str, tell: Callable[[str], None]) -> Measured:
    """Run the whole graph of this shop in `home`, and ask everybody else about the same customers.

    `pymc`: the Python of the environment that has pymc-marketing, or why there is none.

    Raises:
        RunFailedError: the run published nothing.
    """
    storage = {"home": str(home), "keep_versions": 1}
    settings = Settings.from_mapping({**shop.configuration, "storage": storage})
    started = time.perf_counter()
    outcome = run_nightly(settings, select=None, refresh=Refresh(full=True), echo=tell)
    seconds = time.perf_counter() - started
    if not outcome.published:
        raise RunFailedError(f"the run of {shop.key} failed")
    with duckdb.connect(str((settings.published_dir / CURRENT / DATABASE).resolve()), read_only=True) as published:
        kept = [" ".join(names) for names in METRICS]
        served = published.sql(SERVED, params={"metrics": kept}).pl().cast(FIGURES_SCHEMA)
        cells = published.sql(CELLS).pl().cast(CELLS_SCHEMA)
        contradictions = contradictions_in(published)
        (customers,) = published.execute("select count(distinct customer_id) from clv_forecasts").fetchone() or (0,)
    windows = served.select("cutoff", "horizon_days").unique().sort("cutoff", "horizon_days").rows()
    asked = peers_with(pymc) if with_peers else {}
    history = History.read(settings.warehouse_path)
    others, silent = others_say(history, windows, set(shop.cutoffs), asked, tell)
    others += truth_says(shop, history, windows)
    return Measured(
        shop=shop.name,
        seed=shop.seed,
        has_money=shop.has_money,
        made_by=version(),
        seconds=seconds,
        customers=customers,
        checksums=shop.checksums,
        roles=shop.cutoffs,
        contradictions=contradictions,
        silent=silent,
        figures=pl.concat([served, pl.DataFrame(others, schema=FIGURES_SCHEMA, orient="row")]),
        cells=cells,
    )


def contradictions_in(published: duckdb.DuckDBPyConnection) -> Mapping[str, int]:
    """How often forecasts contradict each other, by kind."""
    counts = published.sql(CONTRADICTIONS).pl().row(0, named=True)
    return {what: int(count or 0) for what, count in counts.items()}


def others_say(
    history: History,
    windows: Sequence[tuple[date, int]],
    listed: set[date],
    asked: Mapping[str, Peer],
    tell: Callable[[str], None],
) -> tuple[list[tuple[Any, ...]], Mapping[str, int]]:
    """The figures of rules on all windows, and of peers on those from listed cutoffs; who was silent on how many."""
    of_listed = {day: [days for of, days in windows if of == day] for day, _ in windows if day in listed}
    said = [("rule", name, {w: rule(history, *w) for w in windows}) for name, rule in RULES.items()]
    for name, peer in asked.items():
        tell(f"        … {name}")
        said.append(("peer", name, peer(history, of_listed)))
    rows: list[tuple[Any, ...]] = []
    silent: Counter[str] = Counter()
    for cutoff, horizon in windows:
        came = history.came(history.customers(cutoff), cutoff, cutoff + timedelta(days=horizon))
        for by, name, forecasts in said:
            forecast = forecasts.get((cutoff, horizon))
            if isinstance(forecast, Forecast):
                scored = score(forecast, came.purchases, came.spend)
                rows += [(cutoff, horizon, by, name, metric, value) for metric, value in scored.items()]
            elif by == "peer" and forecast is not None:
                silent[f"{name}: {forecast}"] += 1
    return rows, dict(silent)


def truth_says(shop: Shop, history: History, windows: Sequence[tuple[date, int]]) -> list[tuple[Any, ...]]:
    """By how much what came in a seeded shop without rhythm differs from what was to be expected, by chance alone."""
    if shop.seed is None or not SEEDED_SHOPS[shop.name].is_foreseeable:
        return []
    rows: list[tuple[Any, ...]] = []
    for cutoff, horizon in windows:
        if cutoff in shop.cutoffs:
            came = history.came(history.customers(cutoff), cutoff, cutoff + timedelta(days=horizon))
            expected = SEEDED_SHOPS[shop.name].foreseeable(shop.seed, horizon)
            bias = expected / float(came.purchases.sum()) - 1.0
            rows.append((cutoff, horizon, "truth", "truth", "purchases bias", bias))
    return rows


def score(forecast: Forecast, purchases: Floats, spend: Floats) -> dict[str, float]:
    """The kept metrics of a forecast, by the pipeline's definitions; undefined ones are left out."""
    outcomes = {
        "spend": (forecast.spend, spend),
        "purchases": (forecast.purchases, purchases),
        "purchase": (forecast.p_purchase, (purchases > 0).astype(np.float64)),
    }
    found: dict[str, float] = {}
    for target, (said, came) in outcomes.items():
        if said is not None:
            values = SCORERS[target](said, Outcome(came)).values()
            found |= {f"{target} {metric}": value for metric, value in values.items()}
    kept = (" ".join(names) for names in METRICS)
    return {name: float(found[name]) for name in kept if name in found and np.isfinite(found[name])}
