"""The report: one self-contained HTML file per publication, made from the published tables of that very version.

`queries` reads, `figures` draws, the templates hold every word, `page` puts them together. The same tables give the
same bytes. No Dagster; nothing is written but the page.
"""

from clv_pipeline.publication.report.page import summary_lines, write_report

__all__ = ["summary_lines", "write_report"]
