"""A kept version is served again, after it has proven that it reads back; a damaged one never is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from clv_pipeline.cli.commands import main
from clv_pipeline.errors import PublicationError
from clv_pipeline.publication.versions import ROLLBACKS, current_version, kept_versions, point_back
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.publications import fill, put_out, read


@pytest.fixture(scope="module")
def three_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage home with three versions that hold the ids 1, 2 and 3; the last one is served."""
    home = tmp_path_factory.mktemp("home")
    warehouse = Warehouse(home / "warehouse" / "clv.duckdb", [home / "published"])
    session = warehouse.open("test")
    for number, run in enumerate(("first", "second", "third"), start=1):
        put_out(session, fill(session, number, run=run), home / "published", run)
    warehouse.close()
    return home


@pytest.fixture
def home(three_versions: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(three_versions, tmp_path / "home", symlinks=True))


@pytest.fixture
def published(home: Path) -> Path:
    return home / "published"


def damage(path: Path, at: float) -> None:
    """Overwrite 64 bytes of a file, `at` being where, as a share of its length."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * at)
    content[start : start + 64] = bytes(255 - byte for byte in content[start : start + 64])
    path.write_bytes(content)


def test_versions_are_listed_newest_first_with_what_they_say_of_themselves(published: Path) -> None:
    versions = kept_versions(published)
    assert list(versions) == ["third", "second", "first"]
    second = versions["second"]
    assert second is not None
    assert (second.run_id, second.as_of, second.tables["things"][0]) == ("second", date(2020, 1, 31), 1)
    assert current_version(published) == "third"


def test_pointing_back_serves_the_old_version_and_leaves_a_line_about_it(published: Path) -> None:
    point_back(published, "first")
    assert read(published, "select id from things") == [(1,)]
    [line] = (published / ROLLBACKS).read_text().splitlines()
    assert line.endswith("current was third, is now first")


def test_the_next_publication_is_a_new_version_as_usual(published: Path, home: Path) -> None:
    point_back(published, "first")
    warehouse = Warehouse(home / "warehouse" / "clv.duckdb", [home / "published"])
    session = warehouse.open("test")
    put_out(session, fill(session, 4, run="fourth"), published, "fourth")
    warehouse.close()
    assert current_version(published) == "fourth"
    assert read(published, "select id from things") == [(4,)]


def test_a_reader_keeps_its_version_during_a_rollback(published: Path) -> None:
    with duckdb.connect(str(published / "current" / "clv.duckdb"), read_only=True) as reader:
        point_back(published, "first")
        assert reader.execute("select id from things").fetchall() == [(3,)]
    assert read(published, "select id from things") == [(1,)]


def test_an_unknown_version_is_refused_with_the_known_ones(published: Path) -> None:
    for name in ("fourth", "../versions/first", ""):
        with pytest.raises(PublicationError, match="known are third, second, first"):
            point_back(published, name)
    assert current_version(published) == "third"


def test_before_the_first_publication_there_is_nothing_to_point_at(tmp_path: Path) -> None:
    assert kept_versions(tmp_path) == {}
    assert current_version(tmp_path) is None
    with pytest.raises(PublicationError, match="known are none yet"):
        point_back(tmp_path, "first")


def change_a_row(directory: Path) -> None:
    with duckdb.connect(str(directory / "clv.duckdb")) as file:
        file.execute("update things set id = 7")


def damage_the_header(directory: Path) -> None:
    damage(directory / "clv.duckdb", at=0.0)


def damage_the_last_block(directory: Path) -> None:
    damage(directory / "clv.duckdb", at=0.9)


def damage_the_parquet(directory: Path) -> None:
    damage(directory / "parquet" / "things.parquet", at=0.9)


def lose_the_parquet(directory: Path) -> None:
    (directory / "parquet" / "things.parquet").unlink()


def lose_the_database(directory: Path) -> None:
    (directory / "clv.duckdb").unlink()


@pytest.mark.parametrize(
    "harm",
    [change_a_row, damage_the_header, damage_the_last_block, damage_the_parquet, lose_the_parquet, lose_the_database],
)
def test_a_damaged_version_is_refused_and_the_served_one_stays(published: Path, harm: Callable[[Path], None]) -> None:
    harm(published / "versions" / "first")
    with pytest.raises(PublicationError, match=r"reads? back|cannot be read"):
        point_back(published, "first")
    assert current_version(published) == "third"
    assert read(published, "select id from things") == [(3,)]
    assert not (published / ROLLBACKS).exists()


def test_a_version_that_cannot_be_read_is_listed_as_such(published: Path) -> None:
    lose_the_database(published / "versions" / "third")
    versions = kept_versions(published)
    assert list(versions) == ["third", "second", "first"]
    assert versions["third"] is None


@pytest.fixture
def clv(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`clv publish` on that home."""
    monkeypatch.setenv("CLV_HOME", str(home))
    monkeypatch.delenv("CLV_CONFIG", raising=False)
    monkeypatch.chdir(home.parent)
    return lambda *words: CliRunner().invoke(main, ["publish", *words])


def stars(output: str) -> list[str]:
    return [line.split()[1] for line in output.splitlines() if line.startswith("* ") and "served" not in line]


def test_the_command_lists_versions_and_stars_the_served_one(clv: Callable[..., Result]) -> None:
    listed = clv()
    assert listed.exit_code == 0
    assert [line.split()[-1] for line in listed.stdout.splitlines()[1:4]] == ["1", "1", "1"]
    assert stars(listed.stdout) == ["third"]
    assert stars(clv("--to", "second").stdout) == ["second"]
    assert stars(clv().stdout) == ["second"]


def test_the_command_refuses_in_one_sentence(clv: Callable[..., Result]) -> None:
    refused = clv("--to", "fourth")
    assert (refused.exit_code, refused.stderr) == (1, "no version fourth; known are third, second, first\n")


def test_beside_a_run_the_command_is_refused_and_told_who_works(clv: Callable[..., Result], home: Path) -> None:
    with Warehouse(home / "warehouse" / "clv.duckdb").keep_out("run 4711"):
        refused = clv("--to", "first")
        assert refused.exit_code == 1
        assert "run 4711" in refused.stderr
        assert stars(clv().stdout) == ["third"]


def test_a_damaged_warehouse_does_not_stand_in_the_way_of_a_rollback(clv: Callable[..., Result], home: Path) -> None:
    damage(home / "warehouse" / "clv.duckdb", at=0.0)
    assert stars(clv("--to", "first").stdout) == ["first"]


def test_the_runbook_s_backup_keeps_runs_out_and_brings_everything_back(
    clv: Callable[..., Result], home: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "clv-backup.tar.gz"
    tar = ["tar", "--create", "--gzip", "--file", str(archive), "--directory", str(tmp_path), "home"]
    backup = ["flock", "--nonblock", str(home / "warehouse" / "clv.lock"), *tar]
    with Warehouse(home / "warehouse" / "clv.duckdb").keep_out("run 4711"):
        assert subprocess.run(backup, check=False).returncode == 1
    assert not archive.exists()
    subprocess.run(backup, check=True)
    shutil.rmtree(home)
    subprocess.run(["tar", "--extract", "--gzip", "--file", str(archive), "--directory", str(tmp_path)], check=True)
    assert stars(clv().stdout) == ["third"]
    assert stars(clv("--to", "first").stdout) == ["first"]
    with duckdb.connect(str(home / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        assert warehouse.execute("select id from things").fetchall() == [(3,)]
