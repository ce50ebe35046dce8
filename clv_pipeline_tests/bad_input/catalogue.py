"""What people and systems deliver instead of clean files, and what must come of each.

One entry per case: the bytes as they arrive, and one of three outcomes. Right numbers (`kept`), rows refused with their
reason (`rejected`, by line), or an error that says what to do (`error`, a part of its text). Nothing else may happen.
"""

from __future__ import annotations

from clv_pipeline_tests.bad_input.other_formats import JSON_LINES, PARQUET, WORKBOOKS
from clv_pipeline_tests.bad_input.text_files import DELIMITERS, DRIFT, ENCODINGS, HEADERS, STRUCTURE
from clv_pipeline_tests.bad_input.values import DATES, NUMBERS, TEXT

CATALOGUE = {
    "encodings": ENCODINGS,
    "delimiters": DELIMITERS,
    "headers": HEADERS,
    "dates": DATES,
    "numbers": NUMBERS,
    "text": TEXT,
    "structure": STRUCTURE,
    "drift": DRIFT,
    "JSON lines": JSON_LINES,
    "Parquet": PARQUET,
    "workbooks": WORKBOOKS,
}
