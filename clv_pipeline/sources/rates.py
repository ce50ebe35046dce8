"""Rates of currencies: those in `clv.yaml`, or those of a CSV with the columns day, currency and rate.

Here belongs reading and checking the file. Which rate a row gets is SQL (`daily_rates`).
"""

from __future__ import annotations

import glob
import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from clv_pipeline.config.currency import LEAST, MOST, Currency
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError, did_you_mean
from clv_pipeline.sources.errors import first_line, listed, one_error

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("day", "currency", "rate")
"""What the header of the file has to hold."""

ALWAYS = date(1900, 1, 1)
"""Day of a rate that holds on all days. No transaction is older."""

SHOWN = 5
"""Most mistakes that an error lists."""


def rates_folders(currency: Currency, base_dir: Path) -> list[Path]:
    """The resolved folders that the file of rates is read from; none without a file."""
    if currency.path is None:
        return []
    written = base_dir / Path(currency.path).expanduser()
    return sorted({written.parent.resolve(), written.resolve().parent})


def read_rates(con: duckdb.DuckDBPyConnection, currency: Currency, base_dir: Path) -> pl.DataFrame:
    """The stated rates: columns currency, day, rate.

    Raises:
        SourceError: the file cannot be read, or a line holds no rate; the text names the lines.
    """  # noqa: DOC501  (`one_error` makes one of the errors)
    import polars as pl

    if currency.path is None:
        stated = currency.stated
        return pl.DataFrame(
            {"currency": list(stated), "day": [ALWAYS] * len(stated), "rate": list(map(str, stated.values()))},
            schema={"currency": pl.String, "day": pl.Date, "rate": pl.String},
        )
    path = base_dir / Path(currency.path).expanduser()
    lines = _lines(con, currency.path, path, currency.report_in or "")
    mistakes = lines.filter(pl.col("mistake").is_not_null()).sort("line").head(SHOWN)
    if mistakes.height:
        raise one_error(
            [
                SourceError(f"{currency.path}: line {line}: {mistake}", quoted=quoted, to_do="correct the file")
                for line, mistake, quoted in mistakes.select("line", "mistake", "quoted").iter_rows()
            ]
        )
    if not lines.height:
        raise SourceError(f"{currency.path}: holds no rate", to_do="write lines of day, currency and rate below it")
    return lines.filter(pl.col("code") != currency.report_in).select(pl.col("code").alias("currency"), "day", "rate")


def _lines(con: duckdb.DuckDBPyConnection, label: str, path: Path, report_in: str) -> pl.DataFrame:
    """Every line of the file with what is wrong with it.

    Raises:
        SourceError: the file cannot be read, or its header lacks a column.
    """
    # Path.is_file raises if access to the folder is denied.
    if not os.path.isfile(path):  # noqa: PTH113
        raise SourceError(f"{label}: there is no such file", to_do="correct currency.rates.path")
    scan = "read_csv($path, header = true, all_varchar = true, parallel = false, strict_mode = true)"
    parameters = {"path": glob.escape(str(path))}
    try:
        found = [name for name, *_ in con.execute(f"from {scan} limit 0", parameters).description or []]
        names = {name.strip().lower(): name for name in found}
        if missing := [name for name in COLUMNS if name not in names]:
            raise SourceError(
                f"{label}: its header has no column {' and no column '.join(missing)}",
                quoted=f"columns found: {listed(found)}{did_you_mean(missing[0], found)}",
                to_do="the first line should be day,currency,rate",
            )
        query = _CHECKED.format(scan=scan, **{name: quote_identifier(names[name]) for name in COLUMNS})
        limits = {"least": str(LEAST), "most": str(MOST), "report_in": report_in}
        frame: pl.DataFrame = con.sql(query, params={**parameters, **limits}).pl()
    except duckdb.Error as error:
        raise SourceError(
            f"{label}: cannot be read as CSV with the columns {', '.join(COLUMNS)}",
            quoted=first_line(error),
            to_do="correct the file",
        ) from error
    return frame


_CHECKED = """
with lines as (
    select row_number() over () + 1 as line, trim({day}) as written_day, upper(trim({currency})) as code,
        trim({rate}) as written_rate
    from {scan}
),
typed as (
    select *, try_cast(written_day as date) as day, try_cast(written_rate as decimal(38, 16)) as number from lines
)
select line, code, day, cast(try_cast(number as decimal(19, 12)) as varchar) as rate,
    case
        when day is null then 'its day should be like 2024-01-31'
        when coalesce(code, '') = '' then 'its currency is empty'
        when number is null or number < cast($least as decimal(38, 16)) or number >= cast($most as decimal(38, 16))
            then 'its rate should be a number above 0, with a decimal point'
        when code = $report_in and number <> 1 then 'the rate of the currency that is reported in should be 1'
        when count(*) over (partition by code, day) > 1 then 'its currency has two rates on that day'
    end as mistake,
    concat_ws(', ', written_day, code, written_rate) as quoted
from typed
"""
