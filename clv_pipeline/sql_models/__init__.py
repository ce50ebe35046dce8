"""The SQL of `dbt_like_sql/`, read as text and understood by parsing: dependencies and column lineage.

A model is one SELECT whose tables are named by their asset name. Nothing is templated, so a file can be
pasted into a DuckDB shell as it is. From the parsed query comes the same one for Spark; other queries are translated
there, too. Nothing here runs a query.
"""

from clv_pipeline.sql_models.lineage import column_lineage
from clv_pipeline.sql_models.loader import SqlModel, TableModel, load_models
from clv_pipeline.sql_models.spark import translate

__all__ = ["SqlModel", "TableModel", "column_lineage", "load_models", "translate"]
