"""Order files of Parquet as many programs write them: numbers, decimals, times of all kinds, text, nested columns."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_AT = [dt.datetime(2024, 3, day, 23, 30, 15, 123_456) for day in (1, 2, 3)]


def write_parquet_files(folder: Path) -> None:
    """Write them, with the columns of `order_folder`, and `details`."""
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    _write(folder / "a_typed.parquet")
    _write(folder / "b_zoned.parquet", date=pa.array(_AT, pa.timestamp("us", tz="America/New_York")))
    _write(folder / "c_days.parquet", date=pa.array([at.date() for at in _AT]), price=pa.array([1, 2, 3], pa.int8()))
    _write(folder / "d_ns.parquet", date=pa.array(_AT, pa.timestamp("ns")), customer=pa.array([1.0, 2.5, None]))
    many = [Decimal("12345678.123456"), Decimal("-0.000001"), None]
    _write(folder / "e_decimal.parquet", price=pa.array(many, pa.decimal128(38, 6)), order=pa.array([7, 8, 9]))
    odd = pa.array([float("inf"), float("nan"), 1.5])
    _write(folder / "f_odd.parquet", price=odd, quantity=pa.array([1e30, 2.0, None]))
    numbers = pa.array([20240301, 20240302, None], pa.int64())
    _write(folder / "g_numbers.parquet", date=numbers, customer=pa.array(["a"] * 3).dictionary_encode())
    # Two row groups; of the second, nothing is in any sample.
    rows = 1_500
    _write(
        folder / "h_long.parquet",
        rows_per_group=1_000,
        customer=pa.array([f"c{n % 7}" for n in range(rows)]),
        order=pa.array(range(rows)),
        date=pa.array([f"2024-03-{1 + n % 28:02} 10:00:00" for n in range(rows)]),
        product=pa.array(["mug"] * rows),
        quantity=pa.array([1] * rows, pa.uint16()),
        price=pa.array([f"{n}.25" for n in range(rows)]),
        details=pa.array([{"colour": "red", "sizes": [n]} for n in range(rows)]),
    )
    _write(folder / "i_empty.parquet", empty=True)
    _write(folder / "deep" / "a.parquet", product=pa.array(["", " two words ", "Ünïcode"]))


def _write(path: Path, *, rows_per_group: int = 10, empty: bool = False, **columns: Any) -> None:
    typed = {
        "customer": pa.array([1, 2, 3], pa.int32()),
        "order": pa.array(["x", "y", "z"]),
        "date": pa.array(_AT, pa.timestamp("ms")),
        "product": pa.array(["mug", None, "hat"]),
        "quantity": pa.array([1, 2, 3], pa.int64()),
        "price": pa.array([1.25, 2.5, 3.75], pa.float32()),
        "details": pa.array([{"colour": "red", "sizes": [1, 2]}, None, {"colour": None, "sizes": []}]),
    }
    table = pa.table({**typed, **columns})
    pq.write_table(table.slice(0, 0) if empty else table, path, row_group_size=rows_per_group)
