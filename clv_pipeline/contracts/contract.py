"""The contract of one table and how it is read from its YAML file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from clv_pipeline.config.config_file import explain
from clv_pipeline.config.strict_yaml import parse_yaml
from clv_pipeline.contracts.expectations import mistakes
from clv_pipeline.errors import ConfigError, ContractError

SCHEMA_CHECK = "columns_match_contract"
"""Every table has this check beside its expectations: names, order and types of its columns."""


UNITS = {
    "currency": "money in the currency that is reported in (publication.currency), else in that of the source",
    "days": "length of time in days",
    "hours": "hours after midnight",
    "bytes": "size of a file",
    "count": "how many; of what, says the description",
    "share": "part of a whole, 0 to 1",
    "percent": "part of a whole, 0 to 100",
    "probability": "0 to 1",
    "ratio": "one quantity over another, or a difference of such; 0.1 is 10 %",
    "score": "a rating or an error without a unit; the description says what is better",
    "rank": "place in an order, 1 first",
    "label": "a number that names something; not to be added or averaged",
    "mixed": "depends on the row",
}
"""Units of number columns."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """A column: DuckDB's own spelling of its type, the unit of a number (a key of UNITS), and what it means.

    Where values may be missing the description says when, with the word NULL. What `names_persons` is NULL in a
    publication with pseudonyms.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: str
    unit: str | None = None
    description: str = Field(min_length=1)
    names_persons: bool = False

    @field_validator("unit")
    @classmethod
    def _is_known(cls, unit: str | None) -> str | None:
        if unit is not None and unit not in UNITS:
            raise ValueError(f"no unit {unit!r}; units are {', '.join(UNITS)}")
        return unit

    @property
    def nullable(self) -> bool:
        """Whether values may be missing."""
        return "NULL" in self.description


class Expectation(_Strict):
    """One Great Expectations expectation, in its own vocabulary, under a name of ours.

    `shows` adds detail where a count is not enough: a query on `{batch}` that runs when the expectation failed and
    returns one text, which everybody may read (no customer in it).
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: str
    kwargs: dict[str, Any] = {}
    severity: Literal["error", "warning"] = "error"
    shows: str | None = None
    description: str = Field(min_length=1)

    @model_validator(mode="after")
    def _can_be_run(self) -> Expectation:
        if wrong := mistakes(self.type, self.kwargs):
            raise ValueError(f"{self.name}: {'; '.join(wrong)}")
        return self


class Contract(_Strict):
    """The promise of one table to its readers.

    `key` identifies a row and orders exports. BI tools read the `published` tables. A `view` is audited like a table
    and costs no storage; it suits a selection of an audited table.

    A table with a `day_column` is built day by day: the rows of a day depend on the rows of that day only, in
    every table it reads that has a `day_column` too. When some days change, only those are built again. A table that is
    `compared_by` columns of days is built whole; the days of the rows that differ from before are those that changed.

    A table `waits_for` others that it does not read, if their failed audit must hold it back. One that is
    `staged_with` another has SQL, but is built in the step of that other table and admitted with it or not at all.
    """

    table: str
    layer: str
    description: str = Field(min_length=1)
    grain: str = Field(min_length=1)
    key: list[str] = Field(min_length=1)
    published: bool = False
    materialized: Literal["table", "view"] = "table"
    day_column: str | None = None
    compared_by: list[str] = []
    waits_for: list[str] = []
    staged_with: str | None = None
    columns: list[Column] = Field(min_length=1)
    expectations: list[Expectation] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_fit_together(self) -> Contract:
        names = [column.name for column in self.columns]
        checks = [expectation.name for expectation in self.expectations]
        for what, values in (("column", names), ("expectation", checks)):
            if doubled := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{what} named twice: {', '.join(doubled)}")
        if SCHEMA_CHECK in checks:
            raise ValueError(f"{SCHEMA_CHECK} is made from `columns`; give the expectation another name")
        for what, stated in (
            ("key", self.key),
            ("day", [*([self.day_column] if self.day_column else []), *self.compared_by]),
        ):
            if unknown := [name for name in stated if name not in names]:
                raise ValueError(f"{what} column not among the columns: {', '.join(unknown)}")
        return self

    @property
    def primary_key(self) -> list[str]:
        """The key, where an ERROR expectation holds it to be unique; else no column."""
        uniques = {
            "expect_compound_columns_to_be_unique": "column_list",
            "expect_column_values_to_be_unique": "column",
        }
        promised = [
            [stated] if isinstance(stated := expectation.kwargs[uniques[expectation.type]], str) else list(stated)
            for expectation in self.expectations
            if expectation.type in uniques and expectation.severity == "error"
        ]
        return self.key if any(sorted(columns) == sorted(self.key) for columns in promised) else []

    @property
    def not_null(self) -> list[str]:
        """The columns without missing values: those of the primary key, and those that an ERROR expectation holds."""
        held = {
            expectation.kwargs["column"]
            for expectation in self.expectations
            if expectation.type == "expect_column_values_to_not_be_null" and expectation.severity == "error"
        }
        return [column.name for column in self.columns if column.name in held or column.name in self.primary_key]

    @property
    def hash(self) -> str:
        """A hash of everything that an audit checks the table against."""
        promised = self.model_dump_json(
            include={"table", "key", "columns", "expectations"},
            exclude={"expectations": {"__all__": {"shows"}}},
        )
        return hashlib.sha256(promised.encode()).hexdigest()[:16]


def text_of(path: Path) -> str:
    """The text of a contract or a query.

    Raises:
        ContractError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: should be UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error


def load_contract(path: Path) -> Contract:
    """Read `<layer>/<table>.yml`; table and layer are taken from the path.

    Raises:
        ContractError: names the file and every key that is wrong.
    """
    try:
        stated = parse_yaml(text_of(path), str(path))
        return Contract(table=path.stem, layer=path.parent.name, **stated)
    except ConfigError as error:
        raise ContractError(str(error)) from error
    except ValidationError as error:
        raise ContractError("\n".join([f"{path}:", *explain(Contract, error)])) from error
    except TypeError as error:
        raise ContractError(f"{path}: table and layer are taken from the path, and not written in it") from error
