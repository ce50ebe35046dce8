"""`clv export`: an audience list as CSV, Parquet or XLSX, from the published database alone.

Only export.sql says what a row holds. Parquet holds the published values; in CSV and XLSX, texts that a spreadsheet
might take for a formula are made harmless, and control characters are spelled out. CSV and Parquet are for machines:
numbers and days are the same in every locale. XLSX is for people.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.database.sql_text import quote_identifier, quote_literal
from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.errors import ExportError, did_you_mean
from clv_pipeline.text import UNSAFE

if TYPE_CHECKING:
    import duckdb

QUERY = Path(__file__).with_suffix(".sql")
"""One row per customer and horizon, with every column that can be exported."""

DEFAULT_COLUMNS = (
    *("customer_id", "segment", "value_tier", "recommended_action", "last_purchase_date", "orders", "revenue"),
    *("horizon_days", "p_purchase", "expected_spend", "clv", "clv_rank", "as_of"),
)

AT_RISK_COLUMNS = (
    *("customer_id", "segment", "value_at_stake", "recommended_action", "contact_channel", "last_purchase_date"),
    *("usual_gap_days", "overdue_since", "orders", "revenue", "horizon_days", "p_purchase", "expected_spend", "clv"),
    "as_of",
)
"""Default columns of a list of customers at risk."""

FORMATS = (".csv", ".parquet", ".xlsx")

BEST_FIRST = "coalesce(audience.clv, audience.expected_purchases) desc, audience.customer_id"
"""The order of a list. Without money it is by expected purchases."""

MOST_AT_STAKE_FIRST = (
    "coalesce(audience.value_at_stake, audience.horizon_days / audience.usual_gap_days - audience.expected_purchases)"
    " desc, audience.customer_id"
)
"""The order of a list of customers at risk."""

NO_TEXT = ("BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DECIMAL", "DATE", "TIMESTAMP")
"""Types that CSV holds as they are. Every other type is a text, and may come from outside."""

_BEGINS = r"=+\-@＝＋－＠"
"""Characters that begin a formula (OWASP, CSV injection), written for the inside of a character class."""

GUARDS = (
    # Not only at the beginning: a program that expects another separator, or trims spaces and quotes, begins a cell in
    # the middle. No cell begins within a word or a number, so ann-1001 and ann@example.com stay as they are.
    (rf"(^|[^\p{{L}}\p{{N}}{_BEGINS}])([{_BEGINS}]+)", r"\1'\2"),
    # Some programs skip these and take what follows for the beginning.
    (r"^([\t\n])", r"'\1"),
)
"""Patterns of where a cell could begin as a formula, each with what takes its place; RE2 and browsers read them."""


@dataclass(frozen=True)
class Audience:
    """The customers and columns to export, by published names."""

    columns: Sequence[str]
    horizon_days: int
    segment: str | None
    top: int | None
    at_risk: bool
    """Only customers at risk, those with the most at stake first."""


@dataclass(frozen=True)
class Exported:
    """A list that was written."""

    audience: Audience
    customers: int
    guarded: int
    """Customers with a text that was made harmless; 0 in Parquet."""
    pseudonyms: bool
    """Whether customer_id is a pseudonym, as published."""
    has_money: bool
    """Whether they are ordered by clv; without money it is by expected purchases."""
    currency: str | None
    """The currency of its money; None where the source says none."""


def export(
    settings: Settings,
    out: Path,
    *,
    segment: str | None = None,
    at_risk: bool = False,
    top: int | None = None,
    columns: Sequence[str] | None = None,
    horizon_days: int | None = None,
    force: bool = False,
) -> Exported:
    """Write the customers of `segment`, those at risk, the `top` ones, or what these have in common; best first.

    The best have the highest clv, or expected purchases in a shop without money. Customers at risk begin with the most
    at stake, without money with those who are furthest below their own rate. Equals are ordered by customer_id.

    The file is readable by its owner only, and has its name once it is whole.

    Args:
        settings: say where the publication is.
        out: the file; its ending, .csv, .parquet or .xlsx, says which format.
        segment: name of a segment; None for all customers.
        at_risk: only customers at risk.
        top: how many customers at most; None for all.
        columns: of export.sql, in the order of the file; None for DEFAULT_COLUMNS or AT_RISK_COLUMNS, and `currency`
            where it is known.
        horizon_days: of the forecasts; None for the longest one that is published.
        force: replace an existing file.

    Raises:
        ExportError: a name is unknown, or the file cannot be written.
        PublicationError: what is served cannot be read.
    """
    from clv_pipeline.publication.versions import open_served

    if out.suffix not in FORMATS:
        raise ExportError(
            f"{out}: the ending says which format to write; expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        )
    if out.exists() and not force:
        raise ExportError(f"{out} exists", to_do="--force overwrites it")
    try:
        # A folder for its owner alone, and the only one that the database may write to.
        with tempfile.TemporaryDirectory(prefix=".clv-export-", dir=out.resolve().parent) as folder:
            partial = Path(folder) / f"list{out.suffix}"
            with open_served(settings.published_dir, [Path(folder)]) as published:
                define_audience(published)
                named = default_columns(published, at_risk=at_risk) if columns is None else columns
                audience = _checked(published, named, horizon_days, segment, top, at_risk=at_risk)
                exported = _write(published, audience, partial, settings.display.writer())
            partial.chmod(0o600)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(out)
    except OSError as error:
        raise ExportError(
            f"{out} cannot be written: {error.strerror}", to_do="free some space, or name another place with --out"
        ) from error
    return exported


def guarded(text: str) -> str:
    """SQL for the value of the SQL expression `text`, with an apostrophe wherever a cell could begin as a formula.

    What is not safe to display is spelled out, as everywhere (clv_pipeline.text). Nothing else changes. The apostrophe
    is what OWASP recommends.
    """
    text = displayed_sql(f"cast({text} as varchar)")
    for pattern, replacement in GUARDS:
        text = f"regexp_replace({text}, {quote_literal(pattern)}, {quote_literal(replacement)}, 'g')"
    return text


def displayed_sql(text: str) -> str:
    """SQL that does to the SQL expression `text` what clv_pipeline.text does to a text."""
    unsafe = quote_literal(f"[{UNSAFE}]")
    spelled = f"if(regexp_matches(c, {unsafe}), printf('\\u%04x', ord(c)), c)"
    whole = f"array_to_string(list_transform(string_split({text}, ''), lambda c: {spelled}), '')"
    # Few texts have any, and taking a text apart is dear.
    return f"if(regexp_matches({text}, {unsafe}), {whole}, {text})"


def define_audience(published: duckdb.DuckDBPyConnection) -> None:
    """Make the rows of export.sql readable as `audience`."""
    published.execute(f"create temp view audience as {QUERY.read_text(encoding='utf-8')}")


def default_columns(published: duckdb.DuckDBPyConnection, *, at_risk: bool = False) -> Sequence[str]:
    """DEFAULT_COLUMNS or AT_RISK_COLUMNS, and `currency` where it is known. `define_audience` comes first."""
    columns = AT_RISK_COLUMNS if at_risk else DEFAULT_COLUMNS
    return (*columns, "currency") if _currency(published) is not None else columns


def _currency(published: duckdb.DuckDBPyConnection) -> str | None:
    found: list[str] = _distinct(published, "currency")
    return found[0] if found else None


def _checked(
    published: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    horizon_days: int | None,
    segment: str | None,
    top: int | None,
    *,
    at_risk: bool,
) -> Audience:
    types = _types(published)
    if at_risk and "value_at_stake" not in types:
        raise ExportError(
            "what is served is of an earlier version, which did not say what is at stake",
            to_do="`clv run` publishes anew",
        )
    for column in columns:
        _expect("column", column, types)
    if doubled := sorted({column for column in columns if columns.count(column) > 1}):
        raise ExportError(f"column named twice: {', '.join(doubled)}")
    require_segment(published, segment)
    horizons = published_horizons(published)
    if horizon_days is not None:
        require_horizon(horizon_days, horizons)
    return Audience(columns, horizons[-1] if horizon_days is None else horizon_days, segment, top, at_risk)


def require_segment(published: duckdb.DuckDBPyConnection, segment: str | None) -> None:
    """Refuse a segment without a published customer; None stands for all. `define_audience` comes first.

    Raises:
        ExportError: nobody is in it.
    """
    if segment is not None:
        _expect("segment", segment, _distinct(published, "segment"))


def published_horizons(published: duckdb.DuckDBPyConnection) -> list[int]:
    """The horizons of the published forecasts in days, the longest one last. `define_audience` comes first."""
    return _distinct(published, "horizon_days")


def require_horizon(horizon_days: int, horizons: Sequence[int]) -> None:
    """Refuse a horizon that is not published.

    Raises:
        ExportError: names the nearest one.
    """
    if horizon_days not in horizons:
        nearest = min(horizons, key=lambda days: abs(days - horizon_days))
        raise ExportError(
            f"no forecast over {horizon_days} days is published, the nearest is over {nearest};"
            f" horizons are {', '.join(map(str, horizons))} days"
        )


def _expect(kind: str, name: str, known: Iterable[str]) -> None:
    there = list(known)
    if name not in there:
        raise ExportError(
            f"no {kind} {name!r} is published{did_you_mean(name, there)}", to_do=f"there are: {', '.join(there)}"
        )


def _distinct(published: duckdb.DuckDBPyConnection, column: str) -> list[Any]:
    return [value for (value,) in published.execute(f"select distinct {column} from audience order by 1").fetchall()]  # noqa: S608


def _types(published: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return {name: str(type_) for name, type_, *_ in published.execute("from audience limit 0").description or []}


def _write(published: duckdb.DuckDBPyConnection, audience: Audience, file: Path, display: Display) -> Exported:
    """Write the file, in the format that its ending says."""
    who, order = ("and audience.at_risk", MOST_AT_STAKE_FIRST) if audience.at_risk else ("", BEST_FIRST)
    chosen = (
        "from audience where audience.horizon_days = $horizon_days"
        f" and ($segment is null or audience.segment = $segment) {who}"
        f" order by {order} limit $top"
    )
    named = {"horizon_days": audience.horizon_days, "segment": audience.segment, "top": audience.top}
    has_pseudonyms, currency = _has_pseudonyms(published), _currency(published)
    display = display.in_currency(currency)
    customers, guarded_customers = write_rows(published, audience.columns, chosen, named, file, display)
    [(has_money,)] = published.execute("select count(clv) > 0 from audience").fetchall()
    return Exported(audience, customers, guarded_customers, has_pseudonyms, has_money, currency)


def write_rows(
    published: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    chosen: str,
    named: Mapping[str, Any],
    file: Path,
    display: Display = ENGLISH,
) -> tuple[int, int]:
    """Write columns of `audience` into a file, CSV, Parquet or XLSX by its ending.

    Args:
        published: the publication, after `define_audience`.
        columns: names of columns.
        chosen: SQL that says which rows, from `from` on.
        named: the parameters in it.
        file: a file in a folder that `published` reaches.
        display: how XLSX shows numbers and money.

    Returns:
        How many customers it holds, and how many of them have a text that was made harmless.

    Raises:
        ExportError: the file cannot be written.
    """
    import duckdb

    types = _types(published)
    values = {name: f"audience.{quote_identifier(name)}" for name in columns}
    texts = [name for name in values if file.suffix != ".parquet" and not types[name].startswith(NO_TEXT)]
    safe = {name: guarded(values[name]) for name in texts}
    written = ", ".join(f"{safe.get(name, values[name])} as {quote_identifier(name)}" for name in values)
    try:
        if file.suffix == ".xlsx":
            from clv_pipeline.publication.workbook import write_workbook

            rows = published.sql(f"select {written} {chosen}", params=dict(named)).pl()
            write_workbook(rows, file, display)
        else:
            published.execute(f"copy (select {written} {chosen}) to $file", {**named, "file": str(file)})
    except duckdb.IOException as error:
        raise ExportError("the list cannot be written", quoted=str(error), to_do="free some space") from error
    changed = " or ".join(f"{safe[name]} <> {values[name]}" for name in safe) or "false"
    counts = f"select count(*), count(*) filter (where {changed}) from (select * {chosen}) as audience"  # noqa: S608
    [(customers, guarded_customers)] = published.execute(counts, dict(named)).fetchall()
    return int(customers), int(guarded_customers)


def _has_pseudonyms(published: duckdb.DuckDBPyConnection) -> bool:
    rows = published.execute("from publication")
    names = [name for name, *_ in rows.description or []]
    [row] = rows.fetchall()
    # Publications from before there were pseudonyms do not have the column.
    return dict(zip(names, row, strict=True)).get("pseudonym_key") is not None
