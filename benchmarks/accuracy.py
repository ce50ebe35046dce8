"""How accurate the forecasts are on two real shops, measured by the pipeline itself, written into docs/ACCURACY.md.

Runs the whole graph with every model on Online Retail II (cutoffs 2011-03-09, 2011-06-09 and 2011-09-09, horizon 90
days) and on CDNOW (the three latest windows of 90 days), reads the published tables and replaces the generated blocks
of the document, which stand between `<!-- name -->` and `<!-- end -->`.

Run: ONLINE_RETAIL_II=path/to/online_retail_II.csv.gz python -m benchmarks.accuracy (`make accuracy`)
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import yaml

from clv_pipeline.refresh import Refresh
from clv_pipeline.runner import run_nightly
from clv_pipeline.settings import Settings
from clv_pipeline.warehouse.publication import CURRENT, DATABASE

DOCUMENT = Path("docs/ACCURACY.md")
HORIZON = 90
ONLINE_RETAIL_CUTOFFS = ["2011-03-09", "2011-06-09", "2011-09-09"]

AVERAGES = """
with averages as (
    select
        model,
        avg(value) filter (where target = 'spend' and metric = 'mae') as mae,
        avg(abs(value)) filter (where target = 'spend' and metric = 'bias') as absolute_bias,
        avg(value) filter (where target = 'spend' and metric = 'normalized_gini') as gini,
        avg(value) filter (where target = 'spend' and metric = 'decile_mape') as decile_mape,
        avg(value) filter (where target = 'spend' and metric = 'interval_coverage') as coverage,
        avg(value) filter (where target = 'purchases' and metric = 'bias') as purchases_bias,
        avg(value) filter (where target = 'purchase' and metric = 'auc') as auc,
        avg(value) filter (where target = 'purchase' and metric = 'brier') as brier,
        avg(value) filter (where target = 'spend' and metric = 'score') as score
    from evaluation_metrics
    where horizon_days = $horizon
    group by model
)

select averages.*, b.is_champion, b.serves_purchase, b.why
from averages
inner join model_leaderboard as b on averages.model = b.model and b.horizon_days = $horizon
order by averages.score nulls last, averages.brier, averages.model
"""

PER_CUTOFF = """
select cutoff, target, metric, value, lower, upper, customers
from evaluation_metrics
where horizon_days = $horizon and model = $model
order by cutoff, target, metric
"""


def measure(configuration: Mapping[str, Any], config_file: Path | None, home: Path) -> Path:
    """Run the whole graph of this configuration in `home` and return the published database."""
    storage = {"home": str(home), "keep_versions": 1}
    settings = Settings.from_mapping({**configuration, "storage": storage}, config_file=config_file)
    outcome = run_nightly(settings, select=None, refresh=Refresh(full=True), echo=print)
    if not outcome.published:
        raise SystemExit("the run failed; see above")
    return (settings.published_dir / CURRENT / DATABASE).resolve()


def report(database: Path) -> str:
    """Both tables of one shop as Markdown: all models averaged over the cutoffs, and the champion cutoff by cutoff."""
    with duckdb.connect(str(database), read_only=True) as published:
        averages = published.sql(AVERAGES, params={"horizon": HORIZON}).pl().to_dicts()
        champion = next(row["model"] for row in averages if row["is_champion"])
        metrics = published.sql(PER_CUTOFF, params={"horizon": HORIZON, "model": champion}).pl().to_dicts()
        missing = published.execute(
            "select model, why from model_leaderboard where horizon_days = ? and cutoffs = 0 order by model", [HORIZON]
        ).fetchall()
    cutoffs = sorted({row["cutoff"] for row in metrics})
    lines = [
        f"Means over the cutoffs {', '.join(map(str, cutoffs))}; horizon {HORIZON} days; best score first.",
        "",
        "| model | score | MAE | mean abs. bias | norm. Gini | decile MAPE | AUC | Brier | 80 % interval covers |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in averages:
        roles = [
            word for word, holds in (("champion", row["is_champion"]), ("p_purchase", row["serves_purchase"])) if holds
        ]
        name = f"**{row['model']}** ({', '.join(roles)})" if roles else row["model"]
        cells = (
            _number(row["score"], ".3f"),
            _number(row["mae"], ".1f"),
            _number(row["absolute_bias"], ".1%"),
            _number(row["gini"], ".3f"),
            _number(row["decile_mape"], ".3f"),
            _number(row["auc"], ".3f"),
            _number(row["brier"], ".4f"),
            _number(row["coverage"], ".1%"),
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [f"\nNot evaluated: {model}. {why}" for model, why in missing]
    lines += ["", f"The champion, {champion}, cutoff by cutoff (95 % bootstrap interval):", ""]
    shown = [
        ("spend", "mae", ".1f"),
        ("spend", "bias", "+.1%"),
        ("spend", "normalized_gini", ".3f"),
        ("spend", "decile_mape", ".3f"),
        ("purchases", "bias", "+.1%"),
        ("purchase", "auc", ".3f"),
        ("purchase", "brier", ".4f"),
    ]
    lines.append("| cutoff | customers | " + " | ".join(f"{target} {metric}" for target, metric, _ in shown) + " |")
    lines.append("|---|---:|" + "---:|" * len(shown))
    for cutoff in cutoffs:
        found = {(row["target"], row["metric"]): row for row in metrics if row["cutoff"] == cutoff}
        values = [_with_interval(found.get((target, metric)), style) for target, metric, style in shown]
        customers = next(iter(found.values()))["customers"]
        lines.append(f"| {cutoff} | {customers:,} | {' | '.join(values)} |")
    return "\n".join(lines)


def _number(value: float | None, style: str) -> str:
    return "" if value is None else format(value, style)


def _with_interval(row: Mapping[str, Any] | None, style: str) -> str:
    if row is None or row["value"] is None:
        return ""
    if row["lower"] is None:
        return format(row["value"], style)
    return f"{row['value']:{style}} ({row['lower']:{style}} to {row['upper']:{style}})"


def replace_block(text: str, name: str, block: str) -> str:
    """`text` with the generated block `name` replaced. ValueError when there is none."""
    pattern = re.compile(rf"(<!-- {name} -->\n)(?:(?!<!-- end -->).*\n)*(<!-- end -->)")
    if not pattern.search(text):
        raise ValueError(f"{DOCUMENT} has no block <!-- {name} --> … <!-- end -->")
    return pattern.sub(lambda match: f"{match[1]}{block}\n{match[2]}", text)


def main() -> None:
    """Measure accuracy on Online Retail II and CDNOW and write it into docs/ACCURACY.md."""
    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--only", choices=["online_retail_ii", "cdnow"])
    options = parser.parse_args()
    example = Path("examples/online_retail_ii.yaml")
    embedded = resources.files("clv_pipeline").joinpath("default_clv.yaml").read_text(encoding="utf-8")
    horizon = {"forecast": {"horizons_days": [HORIZON]}}
    shops: dict[str, tuple[dict[str, Any], Path | None]] = {
        "online_retail_ii": (
            {**yaml.safe_load(example.read_text()), **horizon, "backtest": {"cutoffs": ONLINE_RETAIL_CUTOFFS}},
            example,
        ),
        "cdnow": ({**yaml.safe_load(embedded), **horizon, "backtest": {"folds": 3}}, None),
    }
    for name, (configuration, config_file) in shops.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as home:
                block = report(measure(configuration, config_file, Path(home)))
            DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), name, block))
            print(block)


if __name__ == "__main__":
    main()
