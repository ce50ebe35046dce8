"""What a load remembers about every file, zip member, sheet or query: a row of `source_files`.

Here belongs reading such a row, including rows that an earlier version wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self


@dataclass(frozen=True)
class KnownName:
    """One name of bytes that were loaded, and the facts about the file of that name."""

    label: str
    """Label of the file or of the archive member."""
    path: str
    """The file on disk, as configured."""
    stamp: str
    """Size and times of the file; '' if it had just been written to."""
    sha256: str | None
    """Hash of the file as it is on disk."""


@dataclass(frozen=True)
class LoadedFile:
    """What one file, zip member, sheet or query gave."""

    source_id: int
    """Number from 1, never used again. Rows carry it instead of the name, which is long and the same for all rows."""
    source_file: str
    rows: int
    """Number of rows in the table, including the unreadable ones."""
    unreadable_rows: int
    bytes: int | None
    """Size of the whole file, also for a single member or sheet; None for a query."""
    sha256: str | None
    """Hash of the same whole file; None for a query."""
    format: str
    """Kind, delimiter, encoding, dates and decimals, in words for people."""
    path: str
    """The file on disk, as configured: the archive of a member, the workbook of a sheet, the label of a query."""
    stamp: str
    """Size and times of the file when it was loaded; '' for a query, and if the file had just been written to."""
    conventions: str
    """How dates and numbers were read, as JSON (`Conventions`)."""
    present: bool = True
    """Whether the file is still there. False: the file is gone and its rows are kept."""
    content: str | None = None
    """sha256 of the unpacked bytes, which identifies the file. None for a query, and for a packed file that an earlier
    version loaded and that is gone."""
    copies: str | None = None
    """Further names of the same bytes, which are not loaded; None if there are none."""
    copies_known: str = "[]"
    """The same names as JSON, with what the next load must know about them (`KnownName`)."""
    read_with: str | None = None
    """Mapping and format in `clv.yaml` when the rows were read, as JSON; None if an earlier version read them."""
    lines: int | None = None
    """Number of lines of a text file below its header, without blank ones; None for other kinds."""
    joined_lines: int | None = None
    """Number of these lines that continue a record of several lines."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table. A row of an earlier version has fewer columns."""
        return cls(**{field.name: row[field.name] for field in fields(cls) if field.name in row})

    @property
    def currency(self) -> str | None:
        """The sign or code beside its amounts; None if they have none."""
        found: str | None = json.loads(self.conventions).get("currency")
        return found

    @property
    def is_query(self) -> bool:
        """Whether it came from a database and not from a file."""
        return self.bytes is None

    @property
    def is_packed(self) -> bool:
        """Whether the bytes on disk differ from the bytes that are read."""
        return self.path.lower().endswith((".gz", ".zip"))

    @property
    def sheet(self) -> str:
        """The part of a sheet's label after that of its workbook; '' for other sources."""
        if not self.format.startswith("XLSX"):
            return ""
        rest = self.source_file.removeprefix(self.path)
        inside = re.match(r".*?\.xlsx(?=#)", rest, re.IGNORECASE | re.DOTALL) if self.is_packed else None
        return rest[inside.end() :] if inside is not None else rest

    @property
    def name(self) -> str:
        """Label of the file or of the archive member; for a sheet, the label of its workbook."""
        return self.source_file.removesuffix(self.sheet)

    def other_names(self) -> list[KnownName]:
        """The names in `copies_known`."""
        return [KnownName(**entry) for entry in json.loads(self.copies_known)]

    def with_copies(self, names: Sequence[KnownName]) -> Self:
        """The same bytes under these further names."""
        return replace(
            self,
            copies=", ".join(name.label for name in names) or None,
            copies_known=json.dumps([asdict(name) for name in names], ensure_ascii=False),
        )
