"""Hand-made frames for every chart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from clv_pipeline.publication import charts

if TYPE_CHECKING:
    from altair.typing import ChartType

HORIZONS = (30, 90, 180, 365)
SEGMENTS = ["Champions", "Loyal", "At Risk", "Lost"]
CLUSTERS = ["High value, recent", "Low value, lapsed", "Medium value, cooling"]


def rows_of(columns: str, *rows: tuple[Any, ...]) -> pl.DataFrame:
    """A frame of rows, with the names of its columns separated by blanks."""
    return pl.DataFrame(rows, schema=columns.split(), orient="row", infer_schema_length=None)


def steps(**counts: int) -> pl.DataFrame:
    """Customers by step, as step_3=7; each brings 2."""
    rows = [(90, int(name.removeprefix("step_")), count, 2.0 * count) for name, count in counts.items()]
    return pl.DataFrame(rows, schema=["horizon_days", "step", "customers", "value"], orient="row")


def calibration() -> pl.DataFrame:
    rows = [(h, d, 1.5 ** (11 - d) * h, 1.6 ** (11 - d) * h) for h in HORIZONS for d in range(1, 11)]
    return rows_of("horizon_days decile predicted_mean actual_mean", *rows)


def skills() -> pl.DataFrame:
    models = ["hybrid", "hybrid_neural", "regular_nbd", "same_window_last_year"]
    values = (0.4, 0.31, 0.3, -2.9)
    rows = [(h, m, value, m == "hybrid") for h in HORIZONS for m, value in zip(models, values, strict=True)]
    return rows_of("horizon_days model skill is_champion", *rows)


def weeks(past: int = 100, ahead: int = 52) -> pl.DataFrame:
    rows = [(date(2024, 1, 7) + timedelta(7 * n), 10 if n < past else None, 9.0, 8.0) for n in range(past + ahead)]
    columns = ["week_ends", "purchases", "expected", "expected_process"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        cumulative_purchases=pl.when(pl.col("purchases").is_not_null()).then(pl.col("purchases").cum_sum()),
        cumulative_expected=pl.col("expected").cum_sum(),
        cumulative_process=pl.col("expected_process").cum_sum(),
    )


def months_ahead(ahead: int = 12) -> pl.DataFrame:
    rows = [
        (date(2024 + n // 12, n % 12 + 1, 1), 0, 80, 20, 100, 70, 140, 90 if n < 10 else None) for n in range(ahead)
    ]
    columns = "month revenue_so_far known_revenue new_revenue total_revenue total_lower total_upper last_year_revenue"
    return rows_of(columns, *rows)


def p_classes() -> pl.DataFrame:
    rows = [(90, f"0.{n}-0.{n + 1}", 100, n / 10 + 0.05, n / 10 + 0.06, n / 10 + 0.1) for n in range(9)]
    return rows_of("horizon_days p_class customers p_purchase bought p_alive", *rows)


def repeats() -> pl.DataFrame:
    names = ["0", "1", "2", "3", "4", "5", "6", "7+"]
    rows = [(h, name, 50, 10.0 * n + 1, 11.0 * n) for h in HORIZONS for n, name in enumerate(names)]
    return rows_of("horizon_days repeats customers expected_purchases actual_purchases", *rows)


def segments() -> pl.DataFrame:
    return pl.DataFrame({"segment": SEGMENTS, "customers": [100, 200, 50, 650], "revenue": [5e5, 3e5, 9e4, 1e3]})


def grid() -> pl.DataFrame:
    rows = [(5, 5, 2_500, 5e6, "Champions"), (1, 1, 10, 70.5, "Lost"), (3, 3, 0, None, None)]
    return rows_of("r_score f_score customers revenue segment", *rows)


def revenue(days: int, first: date = date(2024, 1, 3)) -> pl.DataFrame:
    return pl.DataFrame({"day": [first + timedelta(n) for n in range(days)], "revenue": [100.0] * days})


def month_starts(number: int) -> list[date]:
    return [date(2023 + n // 12, n % 12 + 1, 1) for n in range(number)]


def buyers() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "calendar_month": month_starts(12),
            "new_customers": [30] * 12,
            "returning_customers": [70] * 12,
            "is_left_censored": [True] * 2 + [False] * 10,
        }
    )


def revenue_months() -> pl.DataFrame:
    """Two years, a running month, and a year ahead."""
    rows = []
    for n, start in enumerate(month_starts(36)):
        actual = 1e6 + 1e4 * n if n < 24 else 4e5 if n == 24 else None
        forecast = (1.2e6, 9e5, 1.5e6) if n >= 24 else (None, None, None)
        rows.append((start, actual, 1e6 if n >= 12 else None, *forecast, n >= 24))
    return rows_of("calendar_month revenue last_year_revenue forecast lower upper is_partial", *rows)


def tenths() -> pl.DataFrame:
    return pl.DataFrame({"decile": range(1, 11), "revenue_share": [0.46] + [0.06] * 9})


def best() -> pl.DataFrame:
    return rows_of("top_percent revenue_share", *[(p, (p / 100) ** 0.3) for p in (1, 5, 10, 20, 30, 50, 70, 100)])


def horizons() -> pl.DataFrame:
    columns = "horizon_days expected_purchases expected_spend spend_lower spend_upper last_year_spend"
    return rows_of(columns, (30, 4e2, 1e6, 8e5, 1.3e6, 9e5), (365, 4e3, 1e7, None, None, 8e6))


def cohorts() -> pl.DataFrame:
    rows = [
        (start, age, 1 / (age + 2), 20 if n == 11 else 100)
        for n, start in enumerate(month_starts(12))
        for age in range(1, 14 - n)
    ]
    return rows_of("cohort_month age_months retention customers", *rows)


def outcomes() -> pl.DataFrame:
    return pl.DataFrame({"outcome": ["no customer", "kept", "exact duplicate"], "rows": [200, 700, 100]})


def past() -> pl.DataFrame:
    rows = [(h, date(2024, m, 1), 90.0 * h, 100.0 * h) for h in (30, 90) for m in (1, 2, 3)]
    return rows_of("horizon_days forecast_on forecast_spend actual_spend", *rows)


def countries() -> pl.DataFrame:
    return pl.DataFrame({"name": ["United Kingdom", "EIRE"], "amount": [0.9, 0.001]})


def cluster_cells() -> pl.DataFrame:
    cells = enumerate(product(CLUSTERS, (0, 10, 100), (50.0, 2_000.0)))
    return rows_of(
        "cluster_name days_since_last revenue purchases customers",
        *[(*cell, 3, 40 + n) for n, cell in cells],
    )


def profiles() -> pl.DataFrame:
    shop = (60.0, 2.0, 400.0)
    return rows_of(
        "cluster_name customers median_days_since_last median_frequency median_revenue"
        " shop_days_since_last shop_frequency shop_revenue",
        (CLUSTERS[0], 100, 8.0, 17.0, 8_500.0, *shop),
        (CLUSTERS[1], 300, 430.0, 0.0, 200.0, *shop),
        (CLUSTERS[2], 20, 90.0, 2.0, 500.0, *shop),
    )


def clustered() -> pl.DataFrame:
    cells = [(segment, cluster, 40 + n) for n, (segment, cluster) in enumerate(product(SEGMENTS, CLUSTERS))]
    return rows_of("segment cluster_name customers", *cells, ("Promising", CLUSTERS[0], 4))


def alive() -> pl.DataFrame:
    often, ago = [(1, 1), (2, 4), (5, None)], [(0, 30), (30, 180), (180, None)]
    rows = [(*f, *d, 0.9 - 0.2 * n, 0.5, 10 + 40 * n) for f in often for n, d in enumerate(ago)]
    columns = "frequency_lower frequency_upper days_lower days_upper p_alive p_purchase customers"
    return rows_of(columns, *rows)


def scatter_cells() -> pl.DataFrame:
    edges = (0.0, 1.0, 10.0, 100.0, 1_000.0)
    return rows_of("forecast_lower actual_lower customers", *[(f, a, 1 + int(f)) for f, a in product(edges, edges)])


def gains() -> pl.DataFrame:
    rows = [(d, (11 - d) / 55, 0.5 if d == 1 else 0.5 / 9) for d in range(1, 11)]
    return rows_of("decile actual_share perfect_share", *rows)


def error_groups() -> pl.DataFrame:
    return rows_of(
        "group_kind group_name forecast_on customers forecast actual",
        *(
            (kind, name, date(2024, month, 1), customers, forecast, 100.0)
            for kind, name, customers, forecasts in (
                ("segment", "Champions", 100, (120.0, 80.0)),
                ("segment", "Lost", 300, (300.0, 300.0)),
                ("segment", "Promising", 12, (10.0, 10.0)),
                ("segment", "other", 20, (30.0, 30.0)),
                ("country", "United Kingdom", 400, (101.0, 100.0)),
                ("country", "EIRE", 50, (20.0, 40.0)),
            )
            for month, forecast in enumerate(forecasts, start=1)
        ),
    )


def channels() -> pl.DataFrame:
    realised = [f"margin_{months}_months" for months in (1, 3, 6, 12, 24)]
    projected = [f"projected_{months}_months{end}" for months in (12, 24, 36) for end in ("", "_lower", "_upper")]
    columns = " ".join(["name customers cac", *realised, *projected])
    ahead = (40.0, 35.0, 45.0, 60.0, 50.0, 70.0, 80.0, 60.0, 99.0)
    return rows_of(
        columns,
        ("search", 900, 25.0, 10.0, 15.0, 20.0, 30.0, None, *ahead),
        ("letters", 300, None, 12.0, 18.0, 24.0, None, None, *ahead),
        ("fair", 7, 5.0, 12.0, 18.0, 24.0, None, None, *ahead),
    )


def paid_back() -> pl.DataFrame:
    return rows_of(
        "name customers payback payback_month",
        ("search", 900, "realised", 4),
        ("letters", 300, "projected", 17),
        ("fair", 50, "none", None),
        ("friends", 80, None, None),
        ("poster", 8, "realised", 1),
    )


def flows() -> pl.DataFrame:
    moves = [
        (date(2024, month, 1), begun, now, 100 if begun == now else 20)
        for month, begun, now in product((4, 5), SEGMENTS, SEGMENTS)
    ]
    return rows_of("calendar_month from_segment to_segment customers", *moves)


def history() -> pl.DataFrame:
    rows = [(start, segment, 50 + 10 * n) for start in month_starts(12) for n, segment in enumerate(SEGMENTS)]
    return rows_of("calendar_month segment customers", *rows)


def campaigns() -> pl.DataFrame:
    return rows_of(
        "campaign contacts uplift uplift_lower uplift_upper verdict_code",
        ("Spring letter", 1_000, 0.12, 0.02, 0.25, "uplift_found"),
        ("Mug for everybody", 500, -0.05, None, 0.3, "not_found"),
        ("Next one", 200, None, None, None, "not_started"),
    )


def bins(count: str) -> pl.DataFrame:
    return rows_of(f"bin_lower bin_upper {count}", (None, 10.0, 50), (10.0, 1e3, 100), (1e3, 2e6, 3), (2e6, None, 1))


def hours() -> pl.DataFrame:
    return rows_of("weekday hour orders", (1, 9, 10), (4, 12, 90), (7, 23, 1))


class Case(NamedTuple):
    """A chart, rows to draw, and which of their columns may be missing."""

    draw: Callable[..., ChartType]
    rows: pl.DataFrame
    optional: tuple[str, ...] = ()


# The titles of rankings are said by those who ask for them.
_ranking = partial(charts.ranking, title="…", unit="…", as_percent=True)

CASES: dict[str, Case] = {
    "acquisition_value": Case(charts.acquisition_value, channels()),
    "calibration_by_decile": Case(charts.calibration_by_decile, calibration()),
    "campaign_results": Case(charts.campaign_results, campaigns()),
    "cluster_profiles": Case(charts.cluster_profiles, profiles()),
    "cluster_scatter": Case(charts.cluster_scatter, cluster_cells(), ("purchases",)),
    "clusters_by_segment": Case(charts.clusters_by_segment, clustered()),
    "cohort_heatmap": Case(charts.cohort_heatmap, cohorts(), ("customers",)),
    "customers_by_month": Case(charts.customers_by_month, buyers(), ("is_left_censored",)),
    "daily_revenue": Case(charts.daily_revenue, revenue(730)),
    "error_by_group": Case(charts.error_by_group, error_groups()),
    "fit_by_frequency": Case(charts.fit_by_frequency, repeats()),
    "forecast_against_actual": Case(charts.forecast_against_actual, past()),
    "forecast_distribution": Case(charts.forecast_distribution, steps(step_0=5, step_2=9, step_3=4)),
    "forecast_scatter": Case(charts.forecast_scatter, scatter_cells()),
    "gain_curve": Case(charts.gain_curve, gains(), ("perfect_share",)),
    "leaderboard": Case(charts.leaderboard, skills()),
    "ledger_flow": Case(charts.ledger_flow, outcomes()),
    "order_gaps": Case(charts.order_gaps, bins("gaps")),
    "order_hours": Case(charts.order_hours, hours()),
    "order_sizes": Case(charts.order_sizes, bins("orders")),
    "order_values": Case(charts.order_values, bins("orders")),
    "p_alive_by_recency_and_frequency": Case(charts.p_alive_by_recency_and_frequency, alive()),
    "payback": Case(charts.payback, paid_back()),
    "ranking": Case(_ranking, countries()),
    "reliability": Case(charts.reliability, p_classes(), ("p_class", "p_alive")),
    "retention_curves": Case(charts.retention_curves, cohorts()),
    "revenue_ahead": Case(charts.revenue_ahead, months_ahead()),
    "revenue_by_month": Case(charts.revenue_by_month, revenue_months()),
    "revenue_by_tenth": Case(charts.revenue_by_tenth, tenths()),
    "revenue_concentration": Case(charts.revenue_concentration, best()),
    "revenue_fan": Case(charts.revenue_fan, horizons(), ("last_year_spend", "expected_purchases")),
    "rfm_heatmap": Case(charts.rfm_heatmap, grid(), ("revenue", "segment")),
    "segment_flows": Case(charts.segment_flows, flows()),
    "segment_map": Case(charts.segment_map, segments()),
    "segment_sizes": Case(charts.segment_sizes, history()),
    "tracking": Case(charts.tracking, weeks()),
}
"""Every chart by the name of its function."""
