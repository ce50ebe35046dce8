"""Reading what users have: files and databases become typed tables: transactions, demographics, events.

Here belongs everything between `source:` in `clv.yaml` and the raw table: which files there are
(`catalog`), how each is encoded and separated (`sniff`, `prepare`), what dates and numbers look like in
them (`conventions`), how a file becomes something SQL can scan (`tables`, `workbooks`, `databases`), and
the load itself (`load`). `inspect` guesses a mapping and reports on a source. Every record arrives,
readable or not: refusing rows is the business of the cleaning layer. Nothing here knows of Dagster or of
the warehouse's layout.
"""

from clv_pipeline.sources.catalog import SourceFile, list_files
from clv_pipeline.sources.errors import SourceError
from clv_pipeline.sources.load import LoadedFile, create_table, load_records
from clv_pipeline.sources.reach import readable_folders

__all__ = ["LoadedFile", "SourceError", "SourceFile", "create_table", "list_files", "load_records", "readable_folders"]
