"""Reading the user's files and databases into typed tables of transactions, demographics and events.

Here belongs everything between `source:` in `clv.yaml` and the raw table: which files there are
(`catalog`), how each is encoded and separated (`sniff`, `prepare`), what dates and numbers look like in
them (`conventions`), how a file becomes something SQL can scan (`tables`, `workbooks`, `databases`), the
load itself (`load`), and which files must be loaded (`changes`, `incremental`). `inspect` guesses a mapping and
reports on a source. Every record arrives, readable or not; the cleaning layer rejects rows. Nothing here
knows Dagster or the warehouse's layout.
"""

from clv_pipeline.sources.catalog import list_files
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.incremental import Load, load_changes
from clv_pipeline.sources.load import create_table, load_records
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.reach import readable_folders

__all__ = [
    "Load",
    "LoadedFile",
    "SourceFile",
    "create_table",
    "list_files",
    "load_changes",
    "load_records",
    "readable_folders",
]
