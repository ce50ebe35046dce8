"""explore.html read back: what is packed in it, without a browser."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Packed:
    """What an element of the page holds."""

    head: dict[str, Any]
    columns: dict[str, list[Any]]
    """Values by column; None where one is missing."""


def packed_texts(page: str) -> list[bytes]:
    """The bytes of everything that is packed in a page."""
    found = re.findall(r'<script type="application/octet-stream" id="\w+">([^<]*)</script>', page)
    return [gzip.decompress(base64.b64decode(letters, validate=True)) for letters in found]


def unpacked(page: str, name: str) -> Packed:
    """What the element `name` of a page holds."""
    [letters] = re.findall(rf'<script type="application/octet-stream" id="{name}">([^<]*)</script>', page)
    whole = gzip.decompress(base64.b64decode(letters, validate=True))
    [length] = struct.unpack("<I", whole[:4])
    head = json.loads(whole[4 : 4 + length])
    start = 4 + length
    columns = {}
    for column in head["columns"]:
        width, rows = column.get("bytes", 0), column["rows"]
        columns[column["name"]] = _values(column, whole[start : start + width * rows])
        start += width * rows
    assert start == len(whole)
    return Packed(head, columns)


def _values(column: dict[str, Any], body: bytes) -> list[Any]:
    if "texts" in column:
        return list(column["texts"])
    if column["bytes"] == 8:
        return [None if np.isnan(value) else float(value) for value in np.frombuffer(body, "<f8")]
    planes = np.frombuffer(body, np.uint8).reshape(column["bytes"], column["rows"]).astype(np.int64)
    whole = sum((plane << (8 * place) for place, plane in enumerate(planes)), np.zeros(column["rows"], np.int64))
    missing = 2 ** (8 * column["bytes"]) - 1
    codes = [None if code == missing else int(code) + column["base"] for code in whole]
    if "names" in column:
        return [None if code is None else column["names"][code] for code in codes]
    return [None if code is None else code / 10 ** column["decimals"] for code in codes]
