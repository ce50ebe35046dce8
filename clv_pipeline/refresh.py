"""How much of the warehouse a run is asked to build again; without being asked, only what has changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Self


@dataclass(frozen=True)
class Refresh:
    """What the operator asks for on top of what has changed."""

    full: bool = False
    """Read every source file again and build every table whole."""
    days: tuple[date, date] | None = None
    """Read again what holds transactions of these days, first and last, and build the days again."""

    @classmethod
    def of(cls, full: bool, days: str | None) -> Self:
        """From what was typed; `days` as 2011-02-01..2011-02-28, or one day.

        Raises:
            ValueError: that is not a range of days.
        """
        if not days:
            return cls(full)
        first, _, last = days.partition("..")
        try:
            period = date.fromisoformat(first), date.fromisoformat(last or first)
        except ValueError as error:
            raise ValueError(f"days {days!r}: should be two days such as 2011-02-01..2011-02-28") from error
        if period[0] > period[1]:
            raise ValueError(f"days {days!r}: should be the earlier day first")
        return cls(full, period)
