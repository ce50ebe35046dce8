"""A warehouse file that was damaged or has a foreign log beside it: the error says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline.errors import StorageError
from clv_pipeline.publication.write import publish
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.faults.damage import flip_bytes, killed_writer
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.helpers.publications import fill, read


@pytest.fixture
def closed(warehouse: Warehouse) -> Warehouse:
    """A warehouse with a table in it, closed."""
    warehouse.open("first night").execute("create table things as select range as id from range(100000)")
    warehouse.close()
    return warehouse


@pytest.mark.parametrize("offset", [0, 20, 4_100, 8_200])
def test_a_damaged_head_is_told_with_what_to_do(closed: Warehouse, injected: Injected, offset: int) -> None:
    injected("damaged block of the warehouse")
    flip_bytes(closed.path, offset)
    with pytest.raises(StorageError, match=r"is damaged .*move it away and run `clv run --full-refresh`"):
        closed.open("second night")
    closed.path.rename(closed.path.with_suffix(".damaged"))
    closed.open("third night")  # the lock was let go of


def test_the_log_of_another_file_is_told_with_what_to_do(closed: Warehouse, tmp_path: Path, injected: Injected) -> None:
    injected("stray log beside the warehouse")
    killed_writer(tmp_path / "other.duckdb").rename(f"{closed.path}.wal")
    with pytest.raises(StorageError, match=r"clv\.duckdb\.wal is not the log of clv\.duckdb .*move the \.wal away"):
        closed.open("second night")
    Path(f"{closed.path}.wal").unlink()
    assert closed.open("third night").count("things") == 100_000


def test_an_outdated_log_of_its_own_is_told_with_what_to_do(closed: Warehouse, injected: Injected) -> None:
    injected("stray log beside the warehouse")
    log = killed_writer(closed.path)
    outdated = log.read_bytes()
    closed.open("second night")  # takes over what the log holds
    closed.close()
    log.write_bytes(outdated)
    with pytest.raises(StorageError, match="is not the log of"):
        closed.open("third night")
    log.unlink()
    assert closed.open("fourth night").has_table("of_another_file")


def test_its_own_log_after_a_kill_is_taken_over(closed: Warehouse, injected: Injected) -> None:
    injected("stray log beside the warehouse")
    assert killed_writer(closed.path).exists()
    assert closed.open("second night").has_table("of_another_file")


def test_a_restored_backup_is_not_taken_for_what_was_published_after_it(
    warehouse: Warehouse, tmp_path: Path, injected: Injected
) -> None:
    injected("warehouse restored from a backup")

    def night(number: int) -> object:
        session = warehouse.open(f"night {number}")
        contracts = fill(session, number, run=f"night {number}")
        publish(session, contracts, tmp_path, run_id=f"night {number}", config_hash="", keep=3)
        warehouse.close()
        return read(tmp_path, "select id from things")

    assert night(1) == [(1,)]
    backup = warehouse.path.read_bytes()
    assert night(2) == [(2,)]
    warehouse.path.write_bytes(backup)
    assert night(3) == [(3,)]
