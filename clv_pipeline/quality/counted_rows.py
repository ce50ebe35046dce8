"""`unexpected_rows_expectation` as the audit runs it: it asks only for the number of unexpected rows.

Great Expectations runs each such query twice, for the rows and for their number. It reports rows only in a result
format that the audit never uses, because a row may be a person's data.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

TYPE = "unexpected_rows_expectation"

_ROWS, _COUNT = "unexpected_rows_query.table", "unexpected_rows_query.row_count"


@cache
def count_unexpected_rows() -> Any:
    """The class of the expectation. It has the same arguments and the same verdict at half the cost."""
    from great_expectations.expectations.registry import get_expectation_impl

    # Its type is not known before Great Expectations is imported, which only an audit may do.
    kind: Any = get_expectation_impl(TYPE)

    class CountUnexpectedRows(kind):
        metric_dependencies: ClassVar[tuple[str, ...]] = (_COUNT,)

        def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            return super()._validate({**metrics, _ROWS: []}, *args, **kwargs)

    return CountUnexpectedRows
