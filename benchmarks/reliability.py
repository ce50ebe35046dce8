"""Count from the tests which faults and bad inputs the pipeline met and what it lost.

Writes the block `faults` of docs/explanation/reliability.md; the block `files` is that of `benchmarks.file_faults`.

Runs the fault and bad-input tests, the slow ones too. A fault test notes what it injects and how often (the fixture
`injected`), which pytest keeps in its XML report; a bad-input test injects one. A failed test is a loss. The table
stands in the document between `<!-- faults -->` and `<!-- end -->`.

Run: python -m benchmarks.reliability (`make reliability`); about a quarter of an hour
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

DOCUMENT = Path("docs/explanation/reliability.md")
TESTS = (
    "clv_pipeline_tests/faults",
    "clv_pipeline_tests/bad_input",
    "clv_pipeline_tests/acceptance/test_faults*.py",
    "clv_pipeline_tests/acceptance/test_bad_input.py",
)

FAULTS = {
    "kill -9": "the process ends by SIGKILL right before or in the middle of a seeded statement or file operation"
    " of load, build, audit, promote, publish, flip or close",
    "kill -9 of an erasure": "`clv forget` ends by SIGKILL right before or in the middle of a seeded statement or file"
    " operation after its request; then new orders of the person, and `clv run`: no byte of them is left, what is"
    " published is as after an erasure that nobody disturbed",
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
    "bad input": "a catalogue over encodings, delimiters, headers, dates, numbers, texts and structure, each with its"
    " expected outcome: right numbers, a named rejection or a clear error",
    "bad input in the second night": "the same after a good night: tables as after a full load, or the same error",
    "bad input for `clv init` and `clv check`": "the same for the commands: an answer or a clear error, no traceback",
    "damaged files": "a run of seeded damages to good files: loaded to the last row, or refused in words",
}
"""Every fault that a test may inject, in the order of the table, and how it is injected."""

BAD_INPUT = {
    "test_bad_input_ends_as_the_catalogue_says": "bad input",
    "test_what_changes_between_two_nights_ends_as_a_full_load_would": "bad input in the second night",
    "test_every_case_in_the_second_night_ends_as_a_full_load_would": "bad input in the second night",
    "test_init_and_check_survive_it": "bad input for `clv init` and `clv check`",
    "test_init_and_check_survive_every_case": "bad input for `clv init` and `clv check`",
    "test_damaged_files_are_loaded_to_the_last_row_or_refused_with_words": "damaged files",
    "test_the_catalogue_is_as_large_as_promised": None,
}
"""What the bad-input tests inject, each test once; None: nothing."""


@dataclass
class Tally:
    """What became of one kind of fault."""

    times: int = 0
    losses: int = 0
    skipped: int = 0


def count(report: ET.Element) -> dict[str, Tally]:
    """Tallies by fault, from pytest's XML report.

    Raises:
        ValueError: a test injects no fault that `FAULTS` explains, or failed before it could note one.
    """
    tallies = {fault: Tally() for fault in FAULTS}
    for case in report.iter("testcase"):
        noted = {found.attrib["name"]: found.attrib["value"] for found in case.iter("property")}
        test = case.attrib["name"].partition("[")[0]
        fault = BAD_INPUT[test] if test in BAD_INPUT else noted.get("fault", "nothing")
        if fault is None:
            continue
        if fault not in tallies:
            raise ValueError(f"{case.attrib['classname']}.{case.attrib['name']} injects {fault}: not one of FAULTS")
        if case.find("skipped") is not None:
            tallies[fault].skipped += 1
            continue
        tallies[fault].times += int(noted.get("times", 1))
        tallies[fault].losses += any(case.find(outcome) is not None for outcome in ("failure", "error"))
    return tallies


def table(tallies: dict[str, Tally]) -> str:
    """The tallies as Markdown."""
    lines = ["| fault | how it is injected | times | losses |", "|---|---|---:|---:|"]
    for fault, tally in tallies.items():
        skipped = f" ({tally.skipped} skipped)" if tally.skipped else ""
        lines.append(f"| {fault} | {FAULTS[fault]} | {tally.times:,}{skipped} | {tally.losses} |")
    return "\n".join(lines)


def _paths() -> Iterator[str]:
    for pattern in TESTS:
        yield from sorted(str(path) for path in Path().glob(pattern))


def main() -> None:
    """Run the fault and bad-input tests and write their counts into docs/explanation/reliability.md.

    Raises:
        SystemExit: a test failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # An empty -m takes the slow ones too; only this older form of the report keeps what a test notes.
        options = ["-m", "", "-o", "junit_family=xunit1", "--junitxml", str(report)]
        subprocess.run([sys.executable, "-m", "pytest", *options, *_paths()], check=False)
        tallies = count(ET.parse(report).getroot())  # noqa: S314  (we have just written it)
    block = table(tallies)
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(encoding="utf-8"), "faults", block), encoding="utf-8")
    print(block)
    if any(tally.losses for tally in tallies.values()):
        raise SystemExit("something was lost: see the failed tests above")


if __name__ == "__main__":
    main()
