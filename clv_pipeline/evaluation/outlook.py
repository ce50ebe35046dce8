"""The revenue outlook held against what came: as it would have been made on past dates, with ranges from their errors.

A range says how far off past outlooks were so many months ahead. On a past date it is learned from the months that were
over by then, as `ranges.TotalRange` does for horizons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.evaluation.total_ranges import LEAST_TOTAL_ERROR, TOTAL_ERROR
from clv_pipeline.forecasting.acquisition import METHODS, YEAR
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.outlook import Outlook
from clv_pipeline.forecasting.protocol import require_columns

TARGETS = ("known_revenue", "new_revenue", "total_revenue", "new_customers")
"""What has a range: revenue of the known customers, of those yet to come, of both, and how many come."""

OUTCOME_COLUMNS = ("month", "known_revenue", "revenue", "new_customers")
"""What came in each month after a cutoff: revenue of the customers known then, of everybody, and how many were new."""

BACKTEST_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "month": pl.Date,
        "lead_months": pl.Int64,
        "days": pl.Int64,
        "target": pl.String,
        "method": pl.String,
        "expected": pl.Float64,
        "lower": pl.Float64,
        "upper": pl.Float64,
        "interval_level": pl.Float64,
        "came": pl.Float64,
        "error": pl.Float64,
        "is_inside": pl.Boolean,
        "seasonal_naive": pl.Float64,
        "seasonal_naive_error": pl.Float64,
    }
)

MONEY = pl.Decimal(28, 2)
"""Money of the outlook: every part is rounded to two places, and totals are sums of rounded parts."""

_TABLE_COLUMNS: dict[str, Any] = {
    "month": pl.Date,
    "as_of": pl.Date,
    "lead_months": pl.Int64,
    "revenue_so_far": MONEY,
    "known_revenue": MONEY,
    "known_lower": MONEY,
    "known_upper": MONEY,
    "expected_new_customers": pl.Float64,
    "expected_new_customers_lower": pl.Float64,
    "expected_new_customers_upper": pl.Float64,
    "new_revenue": MONEY,
    "new_lower": MONEY,
    "new_upper": MONEY,
    "total_revenue": MONEY,
    "total_lower": MONEY,
    "total_upper": MONEY,
    "total_margin": MONEY,
    "interval_level": pl.Float64,
    "last_year_revenue": MONEY,
    "model": pl.String,
    "acquisition_method": pl.String,
    "notes": pl.String,
    "notes_code": pl.String,
    "notes_facts": pl.String,
}
OUTLOOK_TABLE = pl.Schema(_TABLE_COLUMNS)

_ERRORS = {"known_revenue": TOTAL_ERROR, "total_revenue": TOTAL_ERROR, "new_revenue": 0.5, "new_customers": 0.5}
"""Standard deviation of a month's log error before any past month, with the weight of one past month."""

_LARGEST_ERROR, _LARGEST_LOG = 3.0, 300.0


@dataclass(frozen=True, eq=False)
class Past:
    """An outlook as it would have been made, and what came (OUTCOME_COLUMNS, months without sales left out)."""

    outlook: Outlook
    came: pl.DataFrame


@dataclass(frozen=True, eq=False)
class MonthRanges:
    """Ranges of one target, learned from past outlooks: their lead, what was expected and what came.

    Errors are logs of ratios after a unit is added to both, the worth of one order or one customer: so a month of
    nobody has an error, too.
    """

    target: str
    leads: tuple[int, ...]
    squares: Floats
    counts: Floats
    level: float

    @classmethod
    def learn(cls, past: pl.DataFrame, target: str, unit: float, level: float) -> MonthRanges:
        """Learn from rows of BACKTEST_SCHEMA (target, lead_months, expected, came)."""
        known = past.filter(pl.col("target") == target, pl.col("expected").is_not_null(), pl.col("came").is_not_null())
        unit = max(unit, 1e-9)
        ratio = (pl.col("came") + unit).log() - (pl.col("expected") + unit).log()
        found = (
            known.select("lead_months", square=ratio.clip(-_LARGEST_ERROR, _LARGEST_ERROR) ** 2)
            .group_by("lead_months")
            .agg(pl.col("square").mean(), n=pl.len())
            .sort("lead_months")
        )
        return cls(
            target,
            tuple(found["lead_months"].to_list()),
            floats(found, "square"),
            floats(found, "n"),
            level,
        )

    def factor(self, lead: int) -> float:
        """The factor from what is expected, with the unit, to the upper end, and from the lower end to it.

        The variance is the mean square of past errors together with a stated one as one more observation. Months so
        many ahead overlap with those of the next cutoffs in what was known, so they count less. A lead without past
        months takes the nearest shorter one's, else the nearest longer one's, growing with the square root of time.
        """
        from scipy.special import stdtrit

        stated, seen, square = _ERRORS[self.target] ** 2, 0.0, 0.0
        if self.leads:
            shorter = [place for place, known in enumerate(self.leads) if known <= lead]
            place = shorter[-1] if shorter else 0
            nearest = self.leads[place]
            ratio = max(lead, nearest, 1) / max(min(lead, nearest), 1)
            seen = max(1.0, float(self.counts[place]) / max(nearest, 1))
            square = ratio * float(self.squares[place])
        deviation = math.sqrt(max((stated + seen * square) / (1.0 + seen), LEAST_TOTAL_ERROR**2))
        return math.exp(min(float(stdtrit(1.0 + seen, 0.5 * (1.0 + self.level))) * deviation, _LARGEST_LOG))

    def around(self, expected: Floats, leads: Sequence[int], unit: float) -> tuple[Floats, Floats]:
        """Lower and upper ends, which hold what is expected and are not negative."""
        factors = np.array([self.factor(lead) for lead in leads])
        return np.clip((expected + unit) / factors - unit, 0.0, expected), (expected + unit) * factors - unit


def _expected(outlook: Outlook, target: str) -> pl.Series:
    """What an outlook expects of the days after its cutoff, by month."""
    months = outlook.months
    if target == "total_revenue":
        return (months["known_revenue"] + months["new_revenue"]).alias(target)
    return months[target]


def _unit(outlook: Outlook, target: str) -> float:
    return 1.0 if target == "new_customers" else outlook.unit


def outlook_backtest(past: Sequence[Past], level: float) -> pl.DataFrame:
    """Past outlooks against what came, one row per cutoff, month and target (BACKTEST_SCHEMA), oldest cutoff first."""
    rows = pl.DataFrame(schema=BACKTEST_SCHEMA)
    for one in sorted(past, key=lambda one: one.outlook.cutoff):
        require_columns(one.came, OUTCOME_COLUMNS, "outcomes")
        cutoff, months = one.outlook.cutoff, one.outlook.months
        over = rows.filter(pl.col("month").dt.month_end() <= cutoff)
        came = months.select("month").join(one.came, on="month", how="left", maintain_order="left").fill_null(0.0)
        outcomes = {
            "known_revenue": came["known_revenue"],
            "new_revenue": came["revenue"] - came["known_revenue"],
            "total_revenue": came["revenue"],
            "new_customers": came["new_customers"],
        }
        naive = {"total_revenue": months["naive_revenue"], "new_customers": months["naive_customers"]}
        for target in TARGETS:
            expected = _expected(one.outlook, target)
            if expected.null_count():
                continue
            unit = _unit(one.outlook, target)
            ranges = MonthRanges.learn(over, target, unit, level)
            lower, upper = ranges.around(expected.to_numpy(), months["lead_months"].to_list(), unit)
            method = one.outlook.model if target == "known_revenue" else one.outlook.method
            found = months.select(
                "month",
                "lead_months",
                "days",
                cutoff=pl.lit(cutoff),
                target=pl.lit(target),
                method=pl.lit(f"{one.outlook.model} + {method}" if target == "total_revenue" else method),
                expected=expected,
                lower=pl.Series(lower, dtype=pl.Float64),
                upper=pl.Series(upper, dtype=pl.Float64),
                interval_level=pl.lit(level),
                came=outcomes[target].cast(pl.Float64),
                seasonal_naive=naive.get(target, pl.Series([None] * months.height, dtype=pl.Float64)),
            ).with_columns(
                is_inside=pl.col("came").is_between("lower", "upper"),
                error=_relative("expected"),
                seasonal_naive_error=_relative("seasonal_naive"),
            )
            rows = pl.concat([rows, found.select(BACKTEST_SCHEMA.names()).cast(BACKTEST_SCHEMA)])
    return rows


def _relative(forecast: str) -> pl.Expr:
    """A forecast over what came, less 1; null where nothing came."""
    return pl.when(pl.col("came") > 0.0).then(pl.col(forecast) / pl.col("came") - 1.0)


def outlook_table(outlook: Outlook, backtest: pl.DataFrame, level: float, margin: float) -> pl.DataFrame:
    """The outlook in OUTLOOK_TABLE, with ranges from `backtest` (BACKTEST_SCHEMA), and what is said of both.

    Raises:
        ValueError: a month of `backtest` was not over by the cutoff.
    """
    late = backtest.filter(pl.col("month").dt.month_end() > outlook.cutoff)
    if not late.is_empty():
        raise ValueError(f"the backtest holds the month {late['month'][0]}, which was not over by {outlook.cutoff}")
    months = outlook.months
    leads = months["lead_months"].to_list()
    prefixes = dict(zip(TARGETS, ("known", "new", "total", "expected_new_customers"), strict=True))
    ends = {}
    for target, prefix in prefixes.items():
        expected = _expected(outlook, target)
        known = expected.null_count() == 0
        lower, upper = pl.Series([None] * months.height), pl.Series([None] * months.height)
        if known:
            unit = _unit(outlook, target)
            bounds = MonthRanges.learn(backtest, target, unit, level).around(expected.to_numpy(), leads, unit)
            lower, upper = (pl.Series(end, dtype=pl.Float64) for end in bounds)
        ends[f"{prefix}_lower"], ends[f"{prefix}_upper"] = lower, upper
    so_far = months["revenue_so_far"]
    ends["total_lower"], ends["total_upper"] = (ends[f"total_{end}"] + so_far for end in ("lower", "upper"))
    code, facts = outlook.code, {**outlook.facts, **past_errors(backtest)}
    parts = ("known_revenue", "new_revenue", "revenue_so_far")
    table = (
        months.with_columns(
            *(values.cast(pl.Float64).alias(name) for name, values in ends.items()),
        )
        .with_columns(
            pl.col(name).cast(MONEY)
            for name, kind in OUTLOOK_TABLE.items()
            if kind == MONEY and name in {*months.columns, *ends}
        )
        .with_columns(total_revenue=pl.sum_horizontal(parts, ignore_nulls=False).cast(MONEY))
        .with_columns(
            # Rounding takes no end to the other side of what is expected.
            *(
                function(f"{prefix}_{end}", f"{prefix}_revenue").cast(MONEY).alias(f"{prefix}_{end}")
                for prefix in ("known", "new", "total")
                for end, function in (("lower", pl.min_horizontal), ("upper", pl.max_horizontal))
            ),
            as_of=pl.lit(outlook.cutoff),
            expected_new_customers=pl.col("new_customers"),
            total_margin=(pl.col("total_revenue").cast(pl.Float64) * margin).cast(MONEY),
            interval_level=pl.lit(level),
            model=pl.lit(outlook.model),
            acquisition_method=pl.lit(outlook.method),
            notes=pl.lit(outlook_in_words(code, facts)),
            notes_code=pl.lit(code),
            notes_facts=pl.lit(json.dumps(facts)),
        )
    )
    return table.select(OUTLOOK_TABLE.names()).cast(OUTLOOK_TABLE)


def past_errors(backtest: pl.DataFrame) -> dict[str, Any]:
    """How far off past outlooks of whole months were in all, and the same months of the year before where known.

    `past_dates`, `past_months`: how many there are. `error`: the sum of the errors' sizes over the sum of what came;
    `compared_error` and `naive_error`: the same where the month of the year before is known. `inside`: months within
    their ranges.
    """
    whole = backtest.filter(pl.col("target") == "total_revenue", pl.col("lead_months") > 0)
    if whole.is_empty():
        whole = backtest.filter(pl.col("target") == "new_customers", pl.col("lead_months") > 0)
    compared = whole.filter(pl.col("seasonal_naive").is_not_null())
    return {
        "past_dates": whole["cutoff"].n_unique(),
        "past_months": whole.height,
        "inside": int(whole["is_inside"].sum()),
        "error": _off(whole, "expected"),
        "compared_months": compared.height,
        "compared_error": _off(compared, "expected"),
        "naive_error": _off(compared, "seasonal_naive"),
    }


def _off(rows: pl.DataFrame, forecast: str) -> float | None:
    came = float(rows["came"].sum())
    return round(float((rows[forecast] - rows["came"]).abs().sum()) / came, 4) if came > 0.0 else None


def outlook_in_words(code: str, facts: Mapping[str, Any], display: Display = ENGLISH) -> str:
    """The sentences of a code and its facts: how new customers are forecast, and how far off past outlooks were."""
    return f"{_method_in_words(code, facts, display)} {_past_in_words(facts, display)}"


def _method_in_words(code: str, facts: Mapping[str, Any], display: Display) -> str:
    method, months, origins = display.term(METHODS[facts["method"]]), facts["months"], facts["origins"]
    if code == "chosen_by_backtest":
        return display.say_many(
            origins,
            "New customers are forecast by {method}: tried from {number} past month, its loss was {ratio} times that"
            " of last year's months.",
            "New customers are forecast by {method}: tried from {number} past months, its loss was {ratio} times that"
            " of last year's months.",
            method=method,
            ratio=display.number(facts["ratios"].get(facts["method"], 1.0), 2),
        )
    if code == "yardstick_stands":
        return display.say_many(
            origins,
            "New customers are forecast by {method}: tried from {number} past month, nothing did better.",
            "New customers are forecast by {method}: tried from {number} past months, nothing did better.",
            method=method,
        )
    if code == "too_short_for_choice":
        return display.say_many(
            months,
            "New customers are forecast by {method}: {number} month is too few to know a season or to try methods.",
            "New customers are forecast by {method}: {number} months are too few to know a season or to try methods.",
            method=method,
        )
    if code == "too_short":
        return display.say_many(
            months,
            "New customers are forecast by {method}: {number} month is too few for more.",
            "New customers are forecast by {method}: {number} months are too few for more.",
            method=method,
        )
    return display.say_many(
        min(months, YEAR),
        "Nobody was new in the last {number} whole month: nobody new is expected.",
        "Nobody was new in the last {number} whole months: nobody new is expected.",
    )


def _past_in_words(facts: Mapping[str, Any], display: Display) -> str:
    dates = facts["past_dates"]
    if not facts["past_months"]:
        return display.say("No past month can be compared yet: ranges are a stated default.")
    held = {"inside": display.count(facts["inside"]), "months": display.count(facts["past_months"])}
    if facts["error"] is None:
        return display.say_many(
            dates,
            "Made on {number} past date, outlooks held {inside} of {months} months in their ranges.",
            "Made on {number} past dates, outlooks held {inside} of {months} months in their ranges.",
            **held,
        )
    off = {"error": display.percent(facts["error"])}
    if facts["naive_error"] is None:
        return display.say_many(
            dates,
            "Made on {number} past date, outlooks held {inside} of {months} months in their ranges and were off by"
            " {error} on average.",
            "Made on {number} past dates, outlooks held {inside} of {months} months in their ranges and were off by"
            " {error} on average.",
            **held,
            **off,
        )
    off |= {
        "compared": display.count(facts["compared_months"]),
        "compared_error": display.percent(facts["compared_error"]),
        "naive_error": display.percent(facts["naive_error"]),
    }
    if facts["naive_error"] < facts["compared_error"]:
        return display.say_many(
            dates,
            "Made on {number} past date, outlooks held {inside} of {months} months in their ranges and were off by"
            " {error} on average; over {compared} of them by {compared_error}, the same month of last year by"
            " {naive_error}; so far last year did better.",
            "Made on {number} past dates, outlooks held {inside} of {months} months in their ranges and were off by"
            " {error} on average; over {compared} of them by {compared_error}, the same month of last year by"
            " {naive_error}; so far last year did better.",
            **held,
            **off,
        )
    return display.say_many(
        dates,
        "Made on {number} past date, outlooks held {inside} of {months} months in their ranges and were off by"
        " {error} on average; over {compared} of them by {compared_error}, the same month of last year by"
        " {naive_error}.",
        "Made on {number} past dates, outlooks held {inside} of {months} months in their ranges and were off by"
        " {error} on average; over {compared} of them by {compared_error}, the same month of last year by"
        " {naive_error}.",
        **held,
        **off,
    )
