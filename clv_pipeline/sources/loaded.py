"""What a load remembers of every file, zip member, sheet or query: a row of `source_files`.

Here belongs reading such a row, also one that an earlier version wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self


@dataclass(frozen=True)
class KnownName:
    """One name of bytes that were loaded, and what the file of that name was."""

    label: str
    """Of the file, or of the member of an archive."""
    path: str
    """The file on disk, as configured."""
    stamp: str
    """Size and times of the file; '' where it was written to just then."""
    sha256: str | None
    """Of the file as it lies on disk."""


@dataclass(frozen=True)
class LoadedFile:
    """What one file, zip member, sheet or query gave."""

    source_id: int
    """Its number, from 1: what the rows carry instead of the name, which is long and the same. Never used again."""
    source_file: str
    rows: int
    """Rows in the table, the unreadable ones included."""
    unreadable_rows: int
    bytes: int | None
    """Of the whole file, also for one member or sheet of it; None for a query."""
    sha256: str | None
    """Of the same bytes."""
    format: str
    """For people: kind, delimiter, encoding, dates, decimals."""
    path: str
    """The file on disk, as configured: of members and sheets the archive or workbook; of a query its label."""
    stamp: str
    """Size and times of the file when it was loaded; '' where it was written to just then, and for a query."""
    conventions: str
    """How dates and numbers were read, as JSON (`Conventions`)."""
    present: bool = True
    """False: the file is gone, its rows are kept."""
    content: str | None = None
    """sha256 of the bytes, unpacked: what the file is known by. None for a query, and where an earlier version loaded
    a packed file that is gone."""
    copies: str | None = None
    """Further names of the same bytes, which are not loaded; None: there are none."""
    copies_known: str = "[]"
    """The same names as JSON, with what the next load has to know of them (`KnownName`)."""
    read_with: str | None = None
    """Mapping and format of `clv.yaml` under which the rows were read, as JSON; None: an earlier version did."""
    lines: int | None = None
    """Lines of a text file that are not blank, below its header; None for other kinds."""
    joined_lines: int | None = None
    """Those of them that are inside a record of several lines, and not its first one."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """From a row of the table; of an earlier version it has fewer columns."""
        return cls(**{field.name: row[field.name] for field in fields(cls) if field.name in row})

    @property
    def is_query(self) -> bool:
        """Whether a database gave it, and no file."""
        return self.bytes is None

    @property
    def is_packed(self) -> bool:
        """Whether the bytes on disk are not those that are read."""
        return self.path.lower().endswith((".gz", ".zip"))

    @property
    def sheet(self) -> str:
        """What the label of a sheet adds to that of its workbook; '' for what is no sheet."""
        if not self.format.startswith("XLSX"):
            return ""
        rest = self.source_file.removeprefix(self.path)
        inside = re.match(r".*?\.xlsx(?=#)", rest, re.IGNORECASE | re.DOTALL) if self.is_packed else None
        return rest[inside.end() :] if inside is not None else rest

    @property
    def name(self) -> str:
        """Label of the file or of the member of an archive; of a sheet, that of its workbook."""
        return self.source_file.removesuffix(self.sheet)

    def other_names(self) -> list[KnownName]:
        """`copies_known`, read."""
        return [KnownName(**entry) for entry in json.loads(self.copies_known)]

    def with_copies(self, names: Sequence[KnownName]) -> Self:
        """The same bytes under these further names."""
        return replace(
            self,
            copies=", ".join(name.label for name in names) or None,
            copies_known=json.dumps([asdict(name) for name in names], ensure_ascii=False),
        )
