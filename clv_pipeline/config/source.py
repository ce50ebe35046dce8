"""The sources of records in `clv.yaml`: files or a query, the mapping, the format.

The `source:` block has its own module, because the loader needs it without the rest of the settings. `sources/` opens
what it names.
"""

import codecs
import difflib
import glob
import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PlainValidator, field_validator, model_validator

from clv_pipeline.config.block import Block
from clv_pipeline.errors import did_you_mean

RESERVED_COLUMNS = frozenset({"source_file", "source_line", "attributes", "source_text"})
"""Columns of the raw tables that the loader fills itself; a mapping cannot use them."""

OBJECT_SCHEMES = ("s3", "gs", "az", "https")
"""How a `path` begins that names files in an object store or on a web server. Other URLs are those of databases."""

_WRITTEN_OTHERWISE = {
    "http": "https",
    **dict.fromkeys(("s3a", "s3n"), "s3"),
    "gcs": "gs",
    **dict.fromkeys(("abfs", "abfss", "wasb", "wasbs"), "az"),
}
_FILES_ELSEWHERE = {*OBJECT_SCHEMES, *_WRITTEN_OTHERWISE}


def is_object_url(path: str) -> bool:
    """Whether a path names files in an object store or on a web server."""
    scheme, separator, _ = path.strip().partition("://")
    return bool(separator) and scheme in OBJECT_SCHEMES


def refuse_odd_url(url: str) -> None:
    """Refuse a URL of an object store that cannot be read, or that holds credentials: labels would show them.

    Raises:
        ValueError: the URL is one.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in OBJECT_SCHEMES:
        better = _WRITTEN_OTHERWISE.get(scheme)
        known = ", ".join(f"{name}://" for name in OBJECT_SCHEMES)
        raise ValueError(f"should begin with {better}://" if better else f"should begin with one of {known}")
    bucket, _, key = rest.partition("/")
    is_page = scheme == "https"
    if "@" in bucket or (is_page and re.search("[?#]", rest)):
        raise ValueError("should hold no user, password or query string: credentials belong in the environment")
    if not bucket or glob.has_magic(bucket) or (is_page and not key):
        raise ValueError(f"should name its bucket or host, as in {scheme}://name/orders.csv")
    if is_page and glob.has_magic(key):
        raise ValueError("should name one file: a web server does not list its files")


class Expression(str):
    """An expression over the columns of a file, which a mapping names in place of one of them.

    As text it is `{sql: …}`, the name of its column in messages and in the loader's tables.
    """

    def __new__(cls, sql: str) -> Self:
        """Name the column of the expression `sql`."""
        return super().__new__(cls, f"{{sql: {sql}}}")

    def __getnewargs__(self) -> tuple[str]:
        """What `__new__` is given when it is unpickled."""
        return (self.sql,)

    @property
    def sql(self) -> str:
        """The expression as it was written."""
        return self.removeprefix("{sql: ").removesuffix("}")


class _Computed(Block):
    """A value that is computed from columns of the file."""

    # The reference finds no block within a mapping, so that this field is described here.
    sql: str = Field(min_length=1, description='Scalar SQL over the file\'s own columns, such as `"Amount" / 100`.')


def _theirs(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and set(value) == set(_Computed.model_fields):
        return Expression(_Computed.model_validate(value).sql)
    quotes = (
        "" if isinstance(value, dict | list | None) else "; a name that YAML takes for something else goes in quotes"
    )
    raise ValueError(f"should be the name of a column, or {{sql: …}} with an expression over columns{quotes}")


Theirs = Annotated[str, PlainValidator(_theirs, json_schema_input_type=str | _Computed)]
"""What a mapping names: a column of the source, or an expression over its columns."""


class FillDown(Block):
    """Values that a file states on the first of several lines only, such as the e-mail of an order."""

    by: str = Field(min_length=1)
    """The column that says which lines belong together, such as the number of the order."""
    columns: list[str] = Field(min_length=1)
    """The columns whose blank fields take the value of the nearest line above with the same `by` in the same file."""


class FileFormat(Block):
    """How the files are written. Everything not stated is detected in each file."""

    delimiter: str | None = None
    """One character, or `tab`, or `whitespace` for columns aligned by runs of spaces."""
    encoding: str | None = None
    """Such as utf-8, latin-1, windows-1252 or utf-16."""
    decimal: Literal[".", ","] | None = None
    """The character before the fraction of a number."""
    thousands: Literal[".", ",", "'", " "] | None = None
    """What separates thousands."""
    date_formats: list[str] | None = Field(default=None, min_length=1)
    """strptime formats, tried in this order after ISO 8601."""
    sheets: list[str] | None = Field(default=None, min_length=1)
    """Sheets of a workbook to read; without it, all visible ones."""
    header: bool | None = None
    """false: the first line of the CSV files is a record, and `names` names their columns. true: it is a header,
    although it looks like a record."""
    names: list[str] | None = Field(default=None, min_length=1)
    """With `header: false`: a name of your choice for every column, in their order."""

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        named = {"tab": "\t", "\\t": "\t", "space": "whitespace"}
        value = named.get(value, value) if value is not None else None
        if value is not None and value != "whitespace" and (len(value) != 1 or value in '"\r\n'):
            raise ValueError("should be one character, tab or whitespace")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")  # refuses codecs that do not encode text, such as rot13
            return codecs.lookup(value).name if value is not None else None
        except LookupError as error:
            raise ValueError("should be an encoding such as utf-8, latin-1, windows-1252 or utf-16") from error

    @field_validator("date_formats")
    @classmethod
    def _strptime_formats(cls, value: list[str] | None) -> list[str] | None:
        for text in value or []:
            if "%" not in text:
                raise ValueError("should be strptime formats such as '%d/%m/%Y %H:%M'")
        return value

    @model_validator(mode="after")
    def _names_replace_the_header(self) -> Self:
        if (self.header is False) != (self.names is not None):
            raise ValueError("header: false and names, a name for every column, go together")
        if self.names is not None and (len(set(self.names)) < len(self.names) or "" in map(str.strip, self.names)):
            raise ValueError("names should differ, and none should be empty")
        return self

    @model_validator(mode="after")
    def _separators_differ(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError("decimal and thousands should be different characters")
        return self


class LakeTable(Block):
    """A table of a lakehouse. Without a version or snapshot it is read as it is on the day of the run."""

    format: Literal["delta", "iceberg"]
    """Delta tables are named by `path`, Iceberg tables by `catalog` and `name`."""
    path: str = ""
    """Of a Delta table: its folder, relative to the folder of `clv.yaml` or in an object store."""
    version: int | None = Field(default=None, ge=0)
    """Of a Delta table: the version to read. By default the newest."""
    catalog: str = ""
    """Of an Iceberg table: name of its catalog, whose address and credentials the environment holds
    (`PYICEBERG_CATALOG__NAME__URI`)."""
    name: str = ""
    """Of an Iceberg table: its name in the catalog, such as `shop.orders`."""
    snapshot: int | None = None
    """Of an Iceberg table: id of the snapshot to read. By default the newest."""

    @property
    def label(self) -> str:
        """The table, for people."""
        return self.path if self.format == "delta" else f"{self.catalog}:{self.name}"

    @model_validator(mode="after")
    def _named_by_its_format(self) -> Self:
        keys = {"delta": ("path", "version"), "iceberg": ("catalog", "name", "snapshot")}
        needed = [key for key in keys[self.format] if key not in ("version", "snapshot")]
        missing = [key for key in needed if not getattr(self, key).strip()]
        spare = [key for name in keys if name != self.format for key in keys[name] if key in self.model_fields_set]
        if missing or spare:
            raise ValueError(
                f"format {self.format} takes {', '.join(keys[self.format])}; needed are {', '.join(needed)}"
            )
        if "://" in self.path:
            refuse_odd_url(self.path)
        return self


class TableSource(Block):
    """Where the records of one kind are, and the meaning of their columns.

    Either `path` (a file, a folder, a glob, or a list of them), or `url` with `query`, or `table`. `columns` maps our
    names to the source's.
    Subclasses define the kind of records.
    """

    path: list[str] = Field(default=[])
    """Files, folders and globs, relative to the folder of `clv.yaml` or in an object store (`s3://bucket/orders/`,
    `gs://`, `az://`, or one file at `https://`); one may be written without the list. Either this, or `url` with
    `query`, or `table`."""
    url: str | None = Field(default=None, repr=False)
    """A database in place of files, such as `sqlite:///shop.db`; write a password as `${VARIABLE}`."""
    query: str | None = None
    """The SELECT to run in the database."""
    table: LakeTable | None = None
    """A table of a lakehouse (Delta, Iceberg) in place of files."""
    columns: dict[str, Theirs]
    """The mapping: our names of columns to the names in the source, or to `{sql: …}`, an expression over its columns;
    see docs/how-to/prepare-rows.md."""
    where: str | None = Field(default=None, min_length=1)
    """A condition over the columns of the source, such as `"Status" in ('paid', 'shipped')`. Rows for which it is not
    true are rejected as `not selected`."""
    fill_down: FillDown | None = None
    """Values that a file states once for several lines."""
    format: FileFormat = FileFormat()
    """How the files are written, where detection is wrong."""
    removed_files: Literal["keep", "remove"] = "keep"
    """What happens to the rows of a file that is no longer there: they stay as they were read, whatever is changed or
    refreshed, or they are removed, too."""
    lookback_days: int | None = Field(default=None, ge=0)
    """For a query: how many days before the newest known record are read again. By default everything is read."""

    key: ClassVar[str]
    """Place in `clv.yaml`, for errors."""
    known: ClassVar[tuple[str, ...]]
    """Our columns, in the order of the raw table."""
    required: ClassVar[tuple[str, ...]]
    numbers: ClassVar[tuple[str, ...]] = ()
    optional_numbers: ClassVar[tuple[str, ...]] = ()
    """Those of the numbers that a record can do without."""
    money: ClassVar[tuple[str, ...]] = ()
    """Our number columns that may be written with a currency."""
    time: ClassVar[str | None] = None
    """Our column that holds dates."""
    takes_attributes: ClassVar[bool] = True
    """Whether a mapped column that is not one of ours becomes an attribute of the record."""
    needed: ClassVar[str]
    """What a mapping has to name, in words."""

    @property
    def attributes(self) -> dict[str, str]:
        """The mapped columns that are not ours, ours to theirs."""
        return {ours: theirs for ours, theirs in self.columns.items() if ours not in self.known}

    @property
    def prepares_rows(self) -> bool:
        """Whether rows are filled, computed or selected before they are read."""
        computes = any(isinstance(theirs, Expression) for theirs in self.columns.values())
        return computes or self.where is not None or self.fill_down is not None

    @property
    def required_columns(self) -> set[str]:
        """Their names of the mapped columns without which no record can be used. Others may be empty."""
        needed = {*self.required, *self.numbers} - {*self.optional_numbers}
        return {theirs for ours, theirs in self.columns.items() if ours in needed}

    @classmethod
    def missing_from(cls, columns: Iterable[str]) -> list[str]:
        """The columns that a mapping lacks."""
        return [name for name in cls.required if name not in columns]

    @model_validator(mode="before")
    @classmethod
    def _path_may_be_a_url(cls, data: Any) -> Any:
        path = data.get("path") if isinstance(data, dict) else None
        if not isinstance(path, str) or "://" not in path or path.partition("://")[0].strip() in _FILES_ELSEWHERE:
            return data
        if "url" in data:
            raise ValueError("should have either path or url; found both")
        return {**{key: value for key, value in data.items() if key != "path"}, "url": data["path"]}

    @field_validator("path", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("path")
    @classmethod
    def _objects_are_named_plainly(cls, paths: list[str]) -> list[str]:
        for path in filter(lambda path: "://" in path, paths):
            refuse_odd_url(path.strip())
        return paths

    @field_validator("url")
    @classmethod
    def _has_a_scheme(cls, value: str | None) -> str | None:
        # Labels and errors may show only the part before :// and the host: without ://, the text may be a secret.
        if value is not None and "://" not in value:
            raise ValueError("should be a database URL such as postgresql://host/shop")
        return value

    @field_validator("columns")
    @classmethod
    def _columns_suffice(cls, columns: dict[str, str]) -> dict[str, str]:
        problems = [
            f"`{name}` is filled by the loader; choose another name" for name in sorted(RESERVED_COLUMNS & set(columns))
        ]
        problems += [f"`{ours}` maps to an empty name" for ours, theirs in columns.items() if not theirs.strip()]
        spare = [name for name in columns if name not in cls.known]
        for name in cls.missing_from(columns):
            problems.append(f"`{name}` is missing{did_you_mean(name, spare)}")
        if not cls.takes_attributes:
            problems += [f"`{name}` is not one of {', '.join(cls.known)}" for name in spare]
        if problems:
            raise ValueError(f"should map {cls.needed}: {'; '.join(problems)}")
        return columns

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = {"path": bool(self.path), "url": self.url is not None, "table": self.table is not None}
        if (count := sum(origins.values())) != 1:
            found = " and ".join(name for name, is_there in origins.items() if is_there) if count > 2 else "both"
            raise ValueError(
                f"should have either path, or url with query, or table; found {found if count else 'neither'}"
            )
        if (self.url is None) != (self.query is None):
            raise ValueError("url and query go together")
        if self.lookback_days is not None and (self.url is None or self.time is None):
            raise ValueError("lookback_days goes with url and query, and with records that have a date")
        if self.fill_down is not None and self.url is not None:
            raise ValueError("fill_down goes with files: rows of a query have no order; fill them in the query")
        if self.lookback_days is not None and isinstance(self.columns.get(self.time or ""), Expression):
            raise ValueError(f"with lookback_days, {self.time} should be a column of the query, not an expression")
        if not all(text.strip() for text in self.path):
            raise ValueError("path should name a file or a glob; found an empty one")
        return self


class TransactionSource(TableSource):
    """Transaction lines. A mapped column that is not one of ours becomes an attribute of the transaction.

    `cost` is what the whole line cost the shop, in the currency of the line; a cost per unit is
    `{sql: '"Unit Cost" * "Quantity"'}`. The attribute `channel` of a customer's first purchase says where the customer
    came from, unless `source.customers` says it.
    """

    key = "source.transactions"
    known = (
        "customer_id",
        "order_id",
        "ordered_at",
        "product_id",
        "quantity",
        "unit_price",
        "amount",
        "cost",
        "country",
        "currency",
    )
    required = ("customer_id", "ordered_at")
    numbers = ("quantity", "unit_price", "amount", "cost")
    optional_numbers = ("cost",)
    money = ("unit_price", "amount", "cost")
    time = "ordered_at"
    needed = "customer_id, ordered_at and, unless the shop has no money, either amount or both quantity and unit_price"

    @property
    def has_money(self) -> bool:
        """Whether money is mapped. Without it purchases are forecast, and every amount is NULL."""
        return "amount" in self.columns or {"quantity", "unit_price"} <= self.columns.keys()

    @classmethod
    def missing_from(cls, columns: Iterable[str]) -> list[str]:
        """The columns that a mapping lacks. Money can be mapped in one of two ways, or not at all, but not by half."""
        given = set(columns)
        factors = [name for name in ("quantity", "unit_price") if name not in given]
        if "amount" in given:
            return super().missing_from(given)
        if len(factors) == 1:
            return [*super().missing_from(given), *factors]
        # A name that is only misspelt is no shop without money.
        if "cost" in given and not {"quantity", "unit_price"} <= given:
            return [*super().missing_from(given), "amount"]
        misspelt = difflib.get_close_matches("amount", given - set(cls.known), n=1, cutoff=0.75)
        return [*super().missing_from(given), *(["amount"] if misspelt else [])]

    @property
    def has_costs(self) -> bool:
        """Whether lines state what they cost the shop."""
        return "cost" in self.columns

    @property
    def states_currency(self) -> bool:
        """Whether a column says in which currency a row is."""
        return "currency" in self.columns


class CustomerSource(TableSource):
    """Demographics per customer. Mapped columns of other names become attributes; with customer_id alone, all do."""

    key = "source.customers"
    known = ("customer_id",)
    required = ("customer_id",)
    needed = "customer_id"


class EventSource(TableSource):
    """Engagement: who did what and when (visits, clicks, opened newsletters). `event` is the type of event."""

    key = "source.events"
    known = ("customer_id", "occurred_at", "event")
    required = ("customer_id", "occurred_at")
    time = "occurred_at"
    takes_attributes = False
    needed = "customer_id, occurred_at and, where there are several types, event"


class CostSource(TableSource):
    """What was spent to acquire customers: an amount per day or month, and per channel where it is known.

    Channels are named as the attribute `channel` of transactions or customers names them; amounts are in the currency
    that is reported in. Any day of a month stands for the month; without days, state `format.date_formats: ['%Y-%m']`.
    """

    key = "source.costs"
    known = ("date", "channel", "amount")
    required = ("date", "amount")
    numbers = ("amount",)
    money = ("amount",)
    time = "date"
    takes_attributes = False
    needed = "date, amount and, where there are several channels, channel"


class Source(Block):
    """What is read."""

    transactions: TransactionSource
    """Who bought what, when and for how much, a record per line."""
    customers: CustomerSource | None = None
    """Demographics, one record per customer. None by default."""
    events: EventSource | None = None
    """Engagement, such as visits and clicks. None by default."""
    costs: CostSource | None = None
    """What acquiring customers cost; see docs/how-to/what-a-customer-may-cost.md. None by default."""
