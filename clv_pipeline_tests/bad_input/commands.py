"""`clv init` and `clv check` on bad input: a configuration, a report or an error, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from clv_pipeline_tests.bad_input.bench import COLUMNS, write_files
from clv_pipeline_tests.bad_input.case import Case
from clv_pipeline_tests.helpers.commands import clv


def assert_init_and_check_survive(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init` ends well or with an error that names a file; `check` of the case's own mapping agrees with the load.

    Where the load is good, `check` may still say that a run would stop: too much of such a small file is rejected.
    """
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CLV_CONFIG", raising=False)
    write_files(folder / "in", case.files)
    made = clv("init", "in/**/*.*")
    assert made.exit_code == 0 or made.output.startswith("in/"), made.output
    if made.exit_code == 0:
        assert clv("check").exit_code in (0, 1)
    mapping = {"path": "in/**/*.*", "columns": dict(case.columns) or COLUMNS, "format": dict(case.format)}
    (folder / "clv.yaml").write_text(yaml.safe_dump({"source": {"transactions": mapping}}), encoding="utf-8")
    checked = clv("check")
    stops = "clv run would stop here" in checked.output
    assert (checked.exit_code, case.error in checked.output) == (1 if case.error or stops else 0, True), checked.output
