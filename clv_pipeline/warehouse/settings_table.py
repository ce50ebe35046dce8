"""Settings as a table that SQL can read. A column is the setting of the same name.

Only the columns of its contract say which settings a table holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clv_pipeline.contracts import Contract
from clv_pipeline.errors import ContractError

if TYPE_CHECKING:
    import polars as pl


def settings_frame(contract: Contract, *rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The rows of a table of settings.

    Args:
        contract: names the columns. Each is a key of exactly one of the blocks of a row.
        rows: the blocks of settings for each row, such as `[dict(settings.cleaning)]`; no row for an empty table.

    Raises:
        ContractError: a column is a key of none of the blocks, or of several.
    """
    import polars as pl

    names = [column.name for column in contract.columns]
    return pl.DataFrame({name: [_value(contract, name, blocks) for blocks in rows] for name in names})


def _value(contract: Contract, name: str, blocks: Sequence[Mapping[str, Any]]) -> Any:
    values = [block[name] for block in blocks if name in block]
    if len(values) != 1:
        found = "several have it" if values else "none has it"
        raise ContractError(f"{contract.table}: the column {name} should be a key of one block of settings; {found}")
    return values[0]
