"""The page to explore: one self-contained HTML file per publication, to filter, sort, search and open customers.

`tables` reads the published tables of that very version, `packing` makes bytes of their columns, `words` gathers what
the script says, `page` puts all of it together with the template, the style and the script. The same tables give the
same bytes. No Dagster; nothing is written but the page.
"""

from clv_pipeline.publication.explore.page import write_explore

__all__ = ["write_explore"]
