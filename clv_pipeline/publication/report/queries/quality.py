"""What became of the rows, what was checked, and what the tables mean."""

# Only text of this package enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

from clv_pipeline.publication.report.queries.parts import TOP

QUERIES: dict[str, str] = {
    "outcomes": """
select
    outcome,
    cast(sum("rows") as bigint) as "rows",
    sum("rows") / sum(sum("rows")) over () as share_of_rows,
    sum(amount) as amount
from row_ledger
group by outcome
order by outcome = 'kept' desc, "rows" desc, outcome""",
    "files": f"""
select
    source_file,
    cast(sum("rows") as bigint) as all_rows,
    cast(coalesce(sum("rows") filter (where outcome = 'kept'), 0) as bigint) as kept_rows
from row_ledger
group by source_file
order by all_rows - kept_rows desc, source_file
limit {TOP}""",
    "accepted": """
select kind, file_or_day, string_agg(finding, '; ' order by measure) as findings
from accepted_findings
group by kind, file_or_day
order by kind, file_or_day desc""",
    "ledger": """
select
    count(distinct source_file) as files,
    cast(sum("rows") as bigint) as all_rows,
    cast(coalesce(sum("rows") filter (where outcome = 'kept'), 0) as bigint) as kept_rows,
    coalesce(sum("rows") filter (where outcome = 'kept'), 0) / nullif(sum("rows"), 0) as kept_share
from row_ledger""",
    "checks": """
select
    count(*) as tables,
    sum(passed) as passed,
    sum(len(warnings)) as warned
from (
    select unnest(from_json(checks, '[{"table": "VARCHAR", "passed": "INTEGER", "warnings": ["VARCHAR"]}]'),
        recursive := true)
    from publication
)""",
    # A publication of an earlier version has the names of the checks alone.
    "warnings": """
select "table" as name, unnest(coalesce(told, warnings)) as warning
from (
    select unnest(
        from_json(checks, '[{"table": "VARCHAR", "warnings": ["VARCHAR"], "told": ["VARCHAR"]}]'), recursive := true
    )
    from publication
)
order by all""",
    "dictionary": """
select
    tables.table_name as name,
    tables.comment as description,
    columns.column_name,
    columns.data_type,
    columns.comment as meaning
from duckdb_tables() as tables
inner join duckdb_columns() as columns using (schema_name, table_name)
where tables.database_name = current_database() and columns.database_name = current_database()
order by tables.table_name, columns.column_index""",
}
