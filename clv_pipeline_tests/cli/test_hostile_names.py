"""Names of files reach the terminal as they are displayed: no escape sequence, no half of a character."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clv_pipeline.cli import main

RED = "orders-\x1b[31m\x9b2J.csv"
DISPLAYED = r"orders-\u001b[31m\u009b2J.csv"
ORDERS = "Customer,Date,Amount\nann,2024-01-05,3.50\nbob,2024-01-06,2.00\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop whose only file is named like a command of a terminal."""
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / RED).write_text(ORDERS)
    columns = {"customer_id": "Customer", "ordered_at": "Date", "amount": "Amount"}
    transactions = {"path": "orders/*", "columns": columns}
    (tmp_path / "clv.yaml").write_text(json.dumps({"source": {"transactions": transactions}}))
    monkeypatch.chdir(tmp_path)
    for name in ("CLV_CONFIG", "CLV_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def printed(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert not set("\x1b\x9b\r") & set(done.output)
    return done


def test_check_prints_the_name_of_a_file_spelled_out(folder: Path) -> None:
    done = printed("check")
    assert done.exit_code == 0, done.output
    assert f"orders/{DISPLAYED}: 2 rows" in done.output


def test_a_document_holds_the_name_as_it_is(folder: Path) -> None:
    done = printed("check", "--json")
    [file] = json.loads(done.output)["transactions"]["files"]
    assert file["source_file"] == f"orders/{RED}"


@pytest.mark.parametrize("as_json", [False, True])
def test_an_error_names_the_file_spelled_out(folder: Path, as_json: bool) -> None:
    (folder / "orders" / RED).write_text("")
    done = printed("check", *(["--json"] if as_json else []))
    assert done.exit_code == 1
    told = json.loads(done.output)["error"]["message"] if as_json else done.output
    assert DISPLAYED in told


@pytest.mark.parametrize("as_json", [False, True])
def test_a_name_that_is_no_utf_8_ends_in_an_error_and_no_traceback(folder: Path, as_json: bool) -> None:
    (folder / "orders" / RED).unlink()
    Path(os.fsdecode(os.fsencode(folder / "orders") + b"/orders-\xe9.csv")).write_text(ORDERS)
    done = printed("check", *(["--json"] if as_json else []))
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert r"orders-\udce9.csv" in (json.loads(done.output)["error"]["message"] if as_json else done.output)
