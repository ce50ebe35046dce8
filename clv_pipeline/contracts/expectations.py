"""The expectations that a contract may use, with their arguments: checked when the graph loads, without the library.

`expectation_types.json` lists the expectations of Great Expectations. Running this module writes it: python -m
clv_pipeline.contracts.expectations. A test compares it with the installed version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clv_pipeline.errors import did_you_mean

FILE = Path(__file__).with_name("expectation_types.json")

# Arguments of all expectations that we set ourselves: severity and description stand beside `kwargs` in a contract.
_COMMON = frozenset(
    {
        *("id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content"),
        *("severity", "windows", "batch_id"),
    }
)


@cache
def known() -> Mapping[str, Mapping[str, bool]]:
    """The arguments of each expectation by name, and whether they are required."""
    found: Mapping[str, Mapping[str, bool]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def mistakes(type_: str, kwargs: Mapping[str, Any]) -> list[str]:
    """Mistakes in an expectation as stated; none if it can run."""
    arguments = known().get(type_)
    if arguments is None:
        return [f"no expectation {type_!r}{did_you_mean(type_, known())}"]
    takes = f" (it takes {', '.join(arguments)})"
    unknown = [
        f"{type_} takes no {name!r}{did_you_mean(name, arguments) or takes}" for name in kwargs if name not in arguments
    ]
    missing = [f"{type_} needs {name!r}" for name, needed in arguments.items() if needed and name not in kwargs]
    return [*unknown, *missing]


def installed() -> dict[str, dict[str, bool]]:
    """The same as `known`, from the installed library."""
    import great_expectations  # noqa: F401  (registers its expectations)
    from great_expectations.expectations import registry

    names = sorted(registry.list_registered_expectation_implementations())
    kinds = {name: registry.get_expectation_impl(name) for name in names}
    # Ours are registered, too, once an audit has run.
    theirs = {name: kind for name, kind in kinds.items() if kind.__module__.startswith("great_expectations.")}
    fields: dict[str, Any] = {name: kind.__fields__ for name, kind in theirs.items()}
    return {
        name: {argument: bool(field.required) for argument, field in of.items() if argument not in _COMMON}
        for name, of in fields.items()
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(installed(), indent=1) + "\n", encoding="utf-8")
