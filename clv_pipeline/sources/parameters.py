"""Named parameters of SQL that reads sources: which ones a query takes, and one query of many alike.

No value of a file or of the user is ever spliced into SQL; parameters carry them.
"""

import re
from collections.abc import Mapping, Sequence

_NAME = re.compile(r"\$(\w+)")


def used(parameters: Mapping[str, object], query: str) -> dict[str, object]:
    """The parameters that the query names. DuckDB refuses any other."""
    named = set(_NAME.findall(query))
    return {name: value for name, value in parameters.items() if name in named}


def side_by_side(queries: Sequence[tuple[str, Mapping[str, object]]]) -> tuple[str, dict[str, object]]:
    """(SQL, its parameters): the rows of all queries. A statement costs more than a hundred small scans in it."""
    parts = []
    parameters: dict[str, object] = {}
    for number, (query, own) in enumerate(queries):
        named = _NAME.sub(rf"$\1_of_{number}", query)
        parts.append(f"({named})")
        parameters |= {f"{name}_of_{number}": value for name, value in used(own, query).items()}
    return " UNION ALL ".join(parts), parameters
