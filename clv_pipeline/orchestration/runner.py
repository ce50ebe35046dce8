"""The nightly job in this process, told line by line; and the summary of what is published.

Nothing here is part of the graph: it executes the same job that the schedule and the UI do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.pipeline import Refresh

if TYPE_CHECKING:
    import dagster as dg

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run_id: str
    success: bool
    published: bool


def notices(settings: Settings) -> list[str]:
    """What to tell of `clv.yaml`: what is read as something else, and which defaults are not what they were.

    Of defaults it is told for as long as a version is kept that was published before they changed, so that whoever
    comes from there is told in time, and whoever starts now is not.
    """
    from clv_pipeline.config.earlier import NEW_SINCE, changed_defaults
    from clv_pipeline.publication.versions import kept_versions

    changed = changed_defaults(settings) if settings.config_file is not None else []
    if changed:
        kept = kept_versions(settings.published_dir).values()
        if all(version is None or NEW_SINCE in version.tables for version in kept):
            changed = []
    return [*settings.notices, *changed]


def run_nightly(
    settings: Settings, *, select: str | None, refresh: Refresh, wait_minutes: float = 0, echo: Echo
) -> Outcome:
    """Materialize what is due, with one line per table.

    Args:
        settings: what to run.
        select: a Dagster asset selection such as `rfm+`; None for what is due.
        refresh: what to build although nothing has changed; a full one includes the model review.
        wait_minutes: how long to wait while another process works on the warehouse; 0 to be refused at once.
        echo: prints a line.

    Raises:
        WarehouseBusyError: another process works on the warehouse; no run was made.
        ValueError: the selection is not one, or selects nothing.
    """
    import dagster as dg
    from dagster._core.utils import make_new_run_id

    from clv_pipeline.orchestration.assets import all_assets
    from clv_pipeline.orchestration.gated_step import REFRESH
    from clv_pipeline.orchestration.instance import prepare_instance
    from clv_pipeline.orchestration.jobs import due_tonight, nightly_refresh
    from clv_pipeline.orchestration.resources import RefreshOptions
    from clv_pipeline.orchestration.sensors import WAREHOUSE_TAG
    from clv_pipeline.pipeline import Pipeline

    pipeline = Pipeline.of(settings)
    assets = all_assets(pipeline)
    selection = _selection(select) if select else dg.AssetSelection.all() if refresh.full else due_tonight(settings)
    keys = sorted(selection.resolve(assets))
    if not keys:
        raise ValueError(f"--select {select}: selects no table")
    definitions = dg.Definitions(
        assets=assets,
        jobs=[nightly_refresh],
        resources={REFRESH: RefreshOptions.asking(refresh)},
        executor=dg.in_process_executor,
    )
    prepare_instance(settings)
    run_id = make_new_run_id()
    # Before there is a run: a refusal is no failed run, and alerts nobody.
    pipeline.warehouse.reserve(f"clv run {run_id}", wait_minutes=wait_minutes, tell=echo)
    try:
        with dg.DagsterInstance.get() as instance:
            instance.add_event_listener(run_id, _Progress(len(keys), echo))
            result = definitions.resolve_job_def("nightly_refresh").execute_in_process(
                instance=instance,
                run_id=run_id,
                asset_selection=keys,
                raise_on_error=False,
                tags={WAREHOUSE_TAG: str(settings.warehouse_path)},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
    finally:
        pipeline.warehouse.close()
    return Outcome(run_id, result.success, published=result.success and dg.AssetKey("published_marts") in keys)


def _selection(text: str) -> dg.AssetSelection:
    import dagster as dg

    try:
        # Tables that one step builds come together.
        return dg.AssetSelection.from_string(text).required_multi_asset_neighbors()
    except dg.DagsterError as error:
        raise ValueError(f"--select {text}: not an asset selection: {error}") from error


class _Progress:
    """Turns Dagster's events into a line per table."""

    def __init__(self, tables: int, echo: Echo) -> None:
        self._tables = tables
        self._done = 0
        self._echo = echo
        self._materialized: dict[str | None, list[tuple[str, int | None, bool]]] = {}
        self._lock = threading.Lock()

    def __call__(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            # What a long step says of itself.
            if entry.level == logging.INFO:
                self._echo(f"        … {entry.user_message}")
            return
        with self._lock:
            match event.event_type_value:
                case "ASSET_CHECK_EVALUATION":
                    self._tell_check(event.event_specific_data)
                case "ASSET_MATERIALIZATION":
                    self._note_materialization(event.step_key, event.event_specific_data)
                case "STEP_SUCCESS":
                    self._tell_success(event.step_key, event.event_specific_data)
                case "STEP_FAILURE":
                    self._echo(f"[ !! ] {event.step_key} failed: {_cause(event.event_specific_data)}")

    def _tell_check(self, check: Any) -> None:
        if not check.passed:
            word = "FAILED " if check.severity.value == "ERROR" else "warning"
            table = check.asset_key.to_user_string()
            self._echo(f"        {word} {table}.{check.check_name}: {check.description}")

    def _note_materialization(self, step: str | None, data: Any) -> None:
        from clv_pipeline.orchestration.gated_step import KEPT

        metadata = data.materialization.metadata
        rows = metadata.get("dagster/row_count")
        table = data.materialization.asset_key.to_user_string()
        self._materialized.setdefault(step, []).append((table, rows.value if rows else None, KEPT in metadata))

    def _tell_success(self, step: str | None, data: Any) -> None:
        for table, rows, kept in self._materialized.get(step, []):
            self._done += 1
            told = f"{rows:>12,} rows" if rows is not None else " " * 17
            seconds = "    unchanged" if kept else f"  {data.duration_ms / 1000:6.1f} s"
            self._echo(f"[{self._done:>2}/{self._tables}] {table:<24}{told}{seconds}")


def _cause(failure: object) -> str:
    """The user's part of a step failure: what the code raised, not Dagster's wrapping."""
    error = getattr(failure, "error", None)
    stated = getattr(getattr(failure, "user_failure_data", None), "description", None)
    if stated:
        return str(stated)
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else "no message"


def audit_live_tables(settings: Settings, *, wait_minutes: float = 0, echo: Echo) -> int:
    """Audit every promoted table where it stands, print a line per check that failed and one per table.

    Returns the number of failed ERROR checks. Raises WarehouseBusyError when another process works on the
    warehouse, and still does after `wait_minutes`.
    """
    from clv_pipeline.pipeline import Pipeline

    pipeline = Pipeline.of(settings)
    failed = 0
    try:
        session = pipeline.warehouse.open("clv audit", wait_minutes=wait_minutes, tell=echo)
        for table, model in pipeline.models.items():
            # The table `publication` exists in publications only.
            if not session.has_table(table):
                continue
            results = session.auditor.audit(model.contract, table)
            broken = [result for result in results if not result.passed]
            failed += sum(result.blocks for result in broken)
            echo(f"{table:<24}{len(results) - len(broken):>3} of {len(results)} checks passed")
            for result in broken:
                word = "FAILED " if result.blocks else "warning"
                echo(f"        {word} {result.check}: {result.description} Seen: {result.observed}.")
    finally:
        pipeline.warehouse.close()
    return failed


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
