"""Order files as many programs write them: encodings, line ends, broken lines, values of several lines, none at all."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from clv_pipeline_tests.helpers.order_folder import HEADER, line


def write_odd_files(folder: Path) -> None:
    """Write them, with the columns of `order_folder`."""
    head = f"{HEADER}\n"
    folder.mkdir(exist_ok=True)
    (folder / "a_plain.csv").write_text(head + "".join(f"{line(f'c{n}', n % 90)}\n" for n in range(200)))
    (folder / "b_utf16.csv").write_text(head + f"{line('Zoë', 3)}\n{line('顧客', 4)}\n", encoding="utf-16")
    western = f"{HEADER}\n{line('Müller', 5)}\n{line('Öztürk', 6)}\n".replace(",", ";")
    (folder / "c_western.csv").write_text(western, encoding="cp1252")
    (folder / "d_packed.csv.gz").write_bytes(gzip.compress((head + line("packed", 7) + "\n").encode()))
    broken = [line("ann", 8), line("bob", 8) + ",one,too,many", "", line("cat", 8), "half a line", line("dan", 9)]
    (folder / "e_broken.csv").write_text(head + "\n".join(broken) + "\n")
    quoted = f'"two\nlines",1,2024-03-11 10:00:00,"mug ""big""",1,2.00\n{line("below", 10)}\n'
    (folder / "f_quoted.csv").write_text(head + quoted)
    (folder / "g_empty.csv").write_text(head)
    (folder / "h_odd_ends.csv").write_bytes((head + line("x", 11) + "\r\n" + line("y", 11) + "\n").encode())
    unread = f"ann,1,someday,mug,1,2.00\nann,2,2024-03-12 10:00:00,mug,many,2.00\n{line('', 12)}\n"
    (folder / "i_unread.csv").write_text(head + unread)
    # Only the last row says that the day comes first; it is beyond every sample.
    days = [f"late,{n},{1 + n % 12:02}/03/2024,mug,1,2.50" for n in range(1_500)]
    (folder / "j_days.csv").write_text(head + "\n".join([*days, "late,9,28/03/2024,mug,1,2.50"]) + "\n")
    record = {"customer": "json", "order": "7", "date": "2024-03-13 08:00:00", "product": "mug", "price": "3.25"}
    lines = [json.dumps({**record, "quantity": n}) for n in range(1, 5)]
    (folder / "k_lines.jsonl").write_text("\n".join([*lines[:2], '{"broken', *lines[2:]]) + "\n")
