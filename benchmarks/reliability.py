"""Which faults and bad inputs the pipeline met and what it lost, counted from tests, written into docs/RELIABILITY.md.

Runs the fault and bad-input tests, the slow ones too. A fault test notes what it injects and how often (the fixture
`injected`), which pytest keeps in its XML report; a bad-input test counts once. A failed test is a loss. The table
stands in the document between `<!-- faults -->` and `<!-- end -->`.

Run: python -m benchmarks.reliability (`make reliability`); about ten minutes
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generated_blocks import replace_block

DOCUMENT = Path("docs/RELIABILITY.md")
TESTS = ("clv_pipeline_tests/faults", "clv_pipeline_tests/bad_input", "clv_pipeline_tests/acceptance/test_faults*.py")

FAULTS = {
    "kill -9": "the process ends by SIGKILL right before or in the middle of a seeded statement or file operation"
    " of load, build, audit, promote, publish, flip or close",
    "disk full": "a limit on file sizes from a statement of load, build, promote or publish on; a small tmpfs",
    "damaged block of the warehouse": "bytes of the file are flipped, in its head and anywhere else",
    "damaged block of a publication": "bytes of the served file are flipped",
    "stray log beside the warehouse": "the .wal of another database, an outdated one, one of a killed writer",
    "stray log beside a publication": "the .wal of another database is put beside the served file",
    "warehouse restored from a backup": "the file of the night before is put back after a publication",
    "truncated .gz": "the file is cut at 2, 50 and 99.9 % of its size",
    "truncated .parquet": "the file is cut at 2, 50 and 99.9 % of its size",
    "truncated .xlsx": "the file is cut at 2, 50 and 99.9 % of its size",
    "truncated .zip": "the file is cut at 2, 50 and 99.9 % of its size",
    "truncated .csv": "the file is cut within a line, and at the end of one",
    "truncated .jsonl": "the file is cut within a line",
    "a file that changes while it is read": "it is appended to, rewritten and removed during the INSERT of the load",
    "missing permission": "file, folder, warehouse and published folder lose their modes, and root its capabilities",
    "clock going backwards": "audits, publications and a whole night after others that bear later times",
    "publications read through": "by three other processes: a connection per read, one connection, Parquet",
}
"""Every fault that a test may note, in the order of the table, and how it is injected."""


@dataclass
class Tally:
    """What became of one kind of fault."""

    times: int = 0
    losses: int = 0
    skipped: int = 0


def count(report: ET.Element) -> dict[str, Tally]:
    """Tallies by fault, and by module of bad input, from pytest's XML report.

    Raises:
        ValueError: a test notes a fault that `FAULTS` does not explain, or fails before it has noted one.
    """
    tallies = {fault: Tally() for fault in FAULTS}
    for case in report.iter("testcase"):
        noted = {found.attrib["name"]: found.attrib["value"] for found in case.iter("property")}
        failed = any(case.find(outcome) is not None for outcome in ("failure", "error"))
        module = case.attrib["classname"]
        if ".bad_input." in module:
            fault = f"bad input: {module.rpartition('test_')[2].replace('_', ' ')}"
            tally = tallies.setdefault(fault, Tally())
        elif noted.get("fault") in tallies:
            tally = tallies[noted["fault"]]
        else:
            raise ValueError(f"{module}.{case.attrib['name']}: notes no fault of FAULTS ({noted.get('fault')})")
        if case.find("skipped") is not None:
            tally.skipped += 1
            continue
        tally.times += int(noted.get("times", 1))
        tally.losses += failed
    return tallies


def table(tallies: dict[str, Tally]) -> str:
    """The tallies as Markdown."""
    lines = ["| fault | how it is injected | times | losses |", "|---|---|---:|---:|"]
    for fault, tally in tallies.items():
        how = FAULTS.get(fault, "see `clv_pipeline_tests/bad_input/`")
        skipped = f" ({tally.skipped} skipped)" if tally.skipped else ""
        lines.append(f"| {fault} | {how} | {tally.times:,}{skipped} | {tally.losses} |")
    return "\n".join(lines)


def _paths() -> Iterator[str]:
    for pattern in TESTS:
        yield from sorted(str(path) for path in Path().glob(pattern))


def main() -> None:
    """Run the fault and bad-input tests and write their counts into docs/RELIABILITY.md."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # An empty -m takes the slow ones too.
        subprocess.run([sys.executable, "-m", "pytest", "-m", "", "--junitxml", str(report), *_paths()], check=False)
        tallies = count(ET.parse(report).getroot())  # noqa: S314  (we have just written it)
    block = table(tallies)
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(encoding="utf-8"), "faults", block), encoding="utf-8")
    print(block)
    if any(tally.losses for tally in tallies.values()):
        raise SystemExit("something was lost: see the failed tests above")


if __name__ == "__main__":
    main()
