"""The generated tables of docs/ACCURACY.md, from what was measured of shops.

Every function gives the Markdown of one block. Biases are forecast over actual, less 1; a mean bias is the mean of
their absolute values, so that errors of different signs do not cancel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import polars as pl

from benchmarks.accuracy.measure import FIGURES_SCHEMA, Measured
from benchmarks.accuracy.shops import HORIZONS, REAL_SHOPS, Absent

HEADLINE_DAYS = 90
BEST = "1"
"""The group of the tenth that is expected to spend most."""
LIKELY = 0.2
"""From this probability of buying on, the range of a group of customers is held against its level."""

_STYLES = {
    "spend bias": "+.0%",
    "purchases bias": "+.0%",
    "spend absolute_bias": ".0%",
    "purchases absolute_bias": ".0%",
    "spend mae": ",.1f",
    "spend normalized_gini": ".2f",
    "spend decile_mape": ".2f",
    "spend tweedie_skill": ".2f",
    "purchases poisson_skill": ".2f",
    "purchase auc": ".2f",
    "purchase brier": ".3f",
    "coverage": ".0%",
}


def wide(measured: Measured) -> pl.DataFrame:
    """The figures of a shop with a column per metric, absolute biases added; by cutoff, horizon, by and name."""
    figures = measured.figures
    sizes = figures.filter(pl.col("metric").str.ends_with(" bias")).with_columns(
        pl.col("metric").str.replace(" bias", " absolute_bias"), pl.col("value").abs()
    )
    index = ["cutoff", "horizon_days", "by", "name"]
    found = pl.concat([figures.select(FIGURES_SCHEMA.names()), sizes]).pivot("metric", index=index, values="value")
    missing = [pl.lit(None, pl.Float64).alias(metric) for metric in _STYLES if metric not in found.columns]
    return found.with_columns(missing).sort(index)


def served_table(measured: Measured) -> str:
    """Every listed cutoff and horizon of one shop: what was served, and the simple rule that did best afterwards."""
    shown = (
        [
            "spend bias",
            "purchases bias",
            "spend mae",
            "spend normalized_gini",
            "spend decile_mape",
            "spend tweedie_skill",
        ]
        if measured.has_money
        else ["purchases bias", "purchases poisson_skill", "purchase auc", "purchase brier"]
    )
    skill = _skill(measured)
    beside = ["purchases absolute_bias" if not measured.has_money else "spend absolute_bias", skill]
    frame = wide(measured)
    best_tenth = {
        (cutoff, days): coverage
        for cutoff, days, coverage in measured.cells.filter(pl.col("group") == BEST)
        .select("cutoff", "horizon_days", "coverage")
        .iter_rows()
    }
    rows = []
    for row in frame.filter(pl.col("by") == "served", pl.col("cutoff").is_in(list(measured.roles))).to_dicts():
        window = row["cutoff"], row["horizon_days"]
        rule = best_rule(frame, *window, skill)
        rows.append(
            [
                f"{row['cutoff']} ({measured.roles[row['cutoff']]})",
                str(row["horizon_days"]),
                row["name"],
                *(_number(row[metric], metric) for metric in shown),
                _number(best_tenth.get(window), "coverage"),
                rule.get("name", ""),
                *(_number(rule.get(metric), metric) for metric in beside),
            ]
        )
    heads = [
        "cutoff",
        "days",
        "served by",
        *map(_head, shown),
        "best tenth in range",
        "best rule",
        "its abs. bias",
        "its skill",
    ]
    return _table(heads, rows, left=3)


def monthly_line(measured: Measured) -> str:
    """The listed cutoffs beside all others at the headline horizon, in one sentence each."""
    served = wide(measured).filter(pl.col("by") == "served", pl.col("horizon_days") == HEADLINE_DAYS)
    lines = []
    for what, within in (
        ("listed", pl.col("cutoff").is_in(list(measured.roles))),
        ("monthly", ~pl.col("cutoff").is_in(list(measured.roles))),
    ):
        found = served.filter(within)
        if found.height == 0:
            lines.append(f"Of the {what} cutoffs none has a window of {HEADLINE_DAYS} days.")
            continue
        means = [
            f"{_head(metric)} {_number(_mean(found, metric), metric)}"
            for metric in ("spend absolute_bias", "purchases absolute_bias", "spend normalized_gini", _skill(measured))
            if measured.has_money or not metric.startswith("spend")
        ]
        lines.append(f"Mean over the {found.height} {what} cutoffs, {HEADLINE_DAYS} days: {', '.join(means)}.")
    return "\n".join(lines)


def peers_table(measured: Measured) -> str:
    """Who else said what on the listed cutoffs: means over windows, of the headline horizon and of all horizons."""
    frame = wide(measured).filter(pl.col("cutoff").is_in(list(measured.roles)))
    skill = _skill(measured)
    money = (
        ["spend absolute_bias", "spend mae", "spend normalized_gini", "spend decile_mape"] if measured.has_money else []
    )
    near = ["purchases absolute_bias", *money, skill]
    far = ["purchases absolute_bias", *(["spend absolute_bias", "spend normalized_gini"] if money else []), skill]
    rows = []
    for by, name in (
        ("served", None),
        *(("peer", name) for name in _names(frame, "peer")),
        *(("rule", name) for name in _names(frame, "rule")),
    ):
        of_one = frame.filter(pl.col("by") == by) if name is None else frame.filter(pl.col("name") == name, by=by)
        at_headline = of_one.filter(pl.col("horizon_days") == HEADLINE_DAYS)
        rows.append(
            [
                "**served**" if name is None else name,
                str(at_headline.height),
                *(_number(_mean(at_headline, metric), metric) for metric in near),
                str(of_one.height),
                *(_number(_mean(of_one, metric), metric) for metric in far),
            ]
        )
    heads = ["who", f"windows of {HEADLINE_DAYS} days", *map(_head, near), "all windows", *map(_head, far)]
    silent = [
        f"Without a forecast on {windows} windows: {why.rstrip('.')}." for why, windows in measured.silent.items()
    ]
    return "\n\n".join([_table(heads, rows, left=1), *silent])


def shop_block(measured: Measured) -> str:
    """All tables of one real shop."""
    return "\n\n".join([served_table(measured), monthly_line(measured), peers_table(measured)])


def seeded_block(found: Sequence[Measured]) -> str:
    """All seeded shops: of each kind the errors over its seeds, by horizon."""
    rows = []
    for name in dict.fromkeys(measured.shop for measured in found):
        shops = [measured for measured in found if measured.shop == name]
        role = next(iter(shops[0].roles.values()))
        served = pl.concat(
            wide(measured).filter(pl.col("by") == "served", pl.col("cutoff").is_in(list(measured.roles)))
            for measured in shops
        )
        rules = pl.concat([_best_rules(measured) for measured in shops], how="vertical")
        for days in HORIZONS:
            window, rule = (frame.filter(pl.col("horizon_days") == days) for frame in (served, rules))
            if window.height:
                errors = window["purchases absolute_bias"]
                rows.append(
                    [
                        f"{name} ({role})",
                        str(days),
                        str(window.height),
                        " ".join(dict.fromkeys(window["name"].to_list())),
                        _number(_float(errors.median()), "coverage"),
                        _number(_float(errors.max()), "coverage"),
                        _number(_mean(window, "spend absolute_bias"), "coverage"),
                        _number(_mean(window, "spend tweedie_skill"), "spend tweedie_skill"),
                        _number(_mean(rule, "spend absolute_bias"), "coverage"),
                        _number(_mean(rule, "spend tweedie_skill"), "spend tweedie_skill"),
                    ]
                )
    heads = [
        *(
            "shop",
            "days",
            "seeds",
            "served by",
            "purchases: median error",
            "worst",
            "spend: mean error",
            "Tweedie skill",
        ),
        *("best rule: mean error", "its Tweedie skill"),
    ]
    return _table(heads, rows, left=1)


def coherence_block(found: Sequence[Measured], absent: Iterable[Absent]) -> str:
    """Contradictions counted in the published forecasts of every shop, which should be none."""
    rows = []
    for measured in found:
        wrong = [f"{count:,} × {what}" for what, count in measured.contradictions.items() if count]
        key = measured.shop if measured.seed is None else f"{measured.shop}, seed {measured.seed}"
        rows.append([key, f"{measured.customers:,}", "; ".join(wrong) or "0"])
    table = _table(["shop", "customers", "contradictions"], rows, left=1)
    missing = [f"Not measured: {shop.name}, because {shop.reason}." for shop in absent]
    return "\n".join([table, *(["", *missing] if missing else [])])


def coverage_block(found: Sequence[Measured]) -> str:
    """How many ranges held what came, by tenth of the customers, over the listed windows of each real shop."""
    rows = []
    for measured in found:
        cells = measured.cells.filter(pl.col("cutoff").is_in(list(measured.roles)), pl.col("coverage").is_not_null())
        for days in HORIZONS:
            of_days = cells.filter(pl.col("horizon_days") == days)
            if of_days.is_empty():
                continue
            means = dict(of_days.group_by("group").agg(pl.col("coverage").mean()).iter_rows())
            likely = of_days.filter(pl.col("p_purchase") >= LIKELY, pl.col("group") != "best 1 %")["coverage"]
            inside = likely.is_between(0.7, 0.9).mean()
            rows.append(
                [
                    measured.shop,
                    str(days),
                    *(_number(means.get(group), "coverage") for group in ("best 1 %", *map(str, range(1, 11)))),
                    str(likely.len()),
                    _number(_float(inside), "coverage"),
                ]
            )
    heads = ["shop", "days", "best 1 %", *map(str, range(1, 11)), f"cells with P(buy) ≥ {LIKELY}", "in 70 to 90 %"]
    return _table(heads, rows, left=1)


def files_block(found: Sequence[Measured]) -> str:
    """Every file of the real shops: where it comes from, its licence and checksum."""
    rows = [
        [measured.shop, f"`{origin.file}`", origin.source, origin.licence, f"`{measured.checksums[origin.file]}`"]
        for measured in found
        for origin in REAL_SHOPS[measured.shop].origins
    ]
    return _table(["shop", "file", "origin", "licence", "sha256 of the content, unpacked"], rows, left=5)


def cutoffs_block() -> str:
    """Which cutoffs of which real shop are design, and which are held out."""
    rows = [
        [
            name,
            *(", ".join(str(day) for day, role in shop.cutoffs.items() if role == which) or "none" for which in _ROLES),
        ]
        for name, shop in REAL_SHOPS.items()
    ]
    return _table(["shop", *_ROLES], rows, left=3)


_ROLES = ("design", "held out")


def best_rule(frame: pl.DataFrame, cutoff: date, horizon_days: int, skill: str) -> Mapping[str, float]:
    """The simple rule with the best skill on a window, known only afterwards; empty when no rule could say anything."""
    of_window = frame.filter(
        pl.col("by") == "rule", pl.col("cutoff") == cutoff, pl.col("horizon_days") == horizon_days
    ).drop_nulls(skill)
    return of_window.sort(skill, descending=True).row(0, named=True) if of_window.height else {}


def _best_rules(measured: Measured) -> pl.DataFrame:
    """The rows of the best rule of every listed window."""
    skill = _skill(measured)
    rules = wide(measured).filter(pl.col("by") == "rule", pl.col("cutoff").is_in(list(measured.roles)))
    best = rules.drop_nulls(skill).sort(skill, descending=True).unique(["cutoff", "horizon_days"], keep="first")
    return best.select("cutoff", "horizon_days", "name", *sorted(_STYLES.keys() - {"coverage"}))


def _skill(measured: Measured) -> str:
    return "spend tweedie_skill" if measured.has_money else "purchases poisson_skill"


def _names(frame: pl.DataFrame, by: str) -> list[str]:
    return frame.filter(pl.col("by") == by)["name"].unique(maintain_order=True).to_list()


def _mean(frame: pl.DataFrame, metric: str) -> float | None:
    return _float(frame[metric].mean())


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _head(metric: str) -> str:
    words = {
        "spend bias": "bias of spend",
        "purchases bias": "of purchases",
        "spend absolute_bias": "mean abs. bias of spend",
        "purchases absolute_bias": "mean abs. bias of purchases",
        "spend mae": "MAE",
        "spend normalized_gini": "norm. Gini",
        "spend decile_mape": "decile MAPE",
        "spend tweedie_skill": "Tweedie skill",
        "purchases poisson_skill": "Poisson skill",
        "purchase auc": "AUC",
        "purchase brier": "Brier",
    }
    return words[metric]


def _number(value: float | None, metric: str) -> str:
    return "" if value is None else format(value, _STYLES[metric])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A Markdown table whose first columns are text."""
    lines = [f"| {' | '.join(line)} |" for line in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * left + "---:|" * (len(heads) - left), *lines[1:]])
