"""What is told of a run on Spark, and what processes hold and compute."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks import processes
from benchmarks.on_spark import DOCUMENT, PARTS, per_line


def test_a_line_is_told_by_what_all_lines_took() -> None:
    one = {
        "rows": 2_000_000,
        "seconds": 1_234.5,
        "cpu_seconds": 50.0,
        "shuffled_bytes": 6e8,
        "written_bytes": 1e8,
        "spilled_bytes": 2.34e9,
        "used_seconds": {"run": 10.4, "java": 1_030.0},
        "peak_mb": dict(zip(PARTS, (1_500.0, 800.0, 4_000.0), strict=True)),
        "longest": [("raw_transactions", 61.2), ("customer_days", 30.0)],
    }
    told = per_line([one])
    assert "| 2 million | 1,234 | 25.0 | 300 | 50 | 2.3 |" in told
    assert "| 2 million | 10 | 1,030 | 1.5 | 0.8 | 4.0 |" in told
    assert "| 2 million | `raw_transactions` 61, `customer_days` 30 |" in told


def test_a_process_is_found_with_those_that_it_started() -> None:
    command = [sys.executable, "-c", "sum(range(10**7)); print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = processes.now()
        mine = processes.of(os.getpid(), found)
        [only] = processes.of(child.pid, found)
        assert only in processes.of_others(mine)
        assert not processes.of_java([only])
        assert processes.held_mb([only]) > 1
        assert processes.cpu_seconds([only]) > 0
        child.communicate(b"\n")
    assert child.pid not in processes.now()


def test_the_document_has_the_block() -> None:
    assert "<!-- per_line -->\n" in DOCUMENT.read_text(encoding="utf-8")
