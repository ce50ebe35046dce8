"""Whatever a writer of CSV can quote, the loader reads back."""

from __future__ import annotations

import csv
import io
import json
import sys
import tempfile
import unicodedata
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.shop_files import load

# Carriage returns are left out: inside a file of mixed line ends a quoted one becomes a line feed, as documented.
LETTERS = st.one_of(
    st.sampled_from([*" \"',;\t|\n\\{}[]$%#", "é", "€", "𝄞", "\u200d", "\u202e", "\ufeff"]),
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"),
)
SPACES = "".join(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Zs")
"""What trim() takes off: the space and its relatives, such as the no-break space."""

TEXT = st.one_of(st.text(LETTERS, max_size=20), st.sampled_from(["👩\u200d👧", "nan", "NULL", '"', '""', "\n"]))


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_quoted_text_makes_the_round_trip(rows: list[tuple[str, str]], delimiter: str, line_end: str) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(["product", "customer", "date", "amount", "note"])
    for number, (product, note) in enumerate(rows):
        writer.writerow([product, f"C{number}", "2010-05-01", "1.50", note])
    columns = {
        "customer_id": "customer",
        "product_id": "product",
        "ordered_at": "date",
        "amount": "amount",
        "note": "note",
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.csv").write_bytes(buffer.getvalue().encode())
        loaded = load(Path(folder), columns, path="a.csv")
    assert loaded.column("customer_id") == [f"C{number}" for number in range(len(rows))]
    assert loaded.column("product_id") == [product.strip(SPACES) or None for product, _ in rows]
    notes = [json.loads(text)["note"] for text in loaded.column("attributes")]
    assert notes == [note.strip(SPACES) or None for _, note in rows]
    assert loaded.column("source_line") == list(range(2, len(rows) + 2))
    assert loaded.column("source_text") == [None] * len(rows)
