"""Objects of a store: what is listed, what is fetched, and what is said when it fails."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ConfigError, SourceError
from clv_pipeline.sources import Load, LoadedFile, copies, load_changes, objects
from clv_pipeline.sources.errors import without_secrets
from clv_pipeline.sources.guess import propose
from clv_pipeline_tests.helpers.object_server import ObjectServer, self_signed
from clv_pipeline_tests.helpers.shop_files import load, transactions

pytest.importorskip("obstore", reason="the extra `lake` is not installed")
ORDERS = "s3://shop/orders/*.csv"


def day(number: int, amount: float = 5) -> bytes:
    return f"customer,date,amount\n1,2024-01-{number:02d},{amount}\n".encode()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """The bucket `shop`, with the environment that leads to it."""
    server = ObjectServer(bucket="shop")
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "only-in-the-environment",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        objects, "RETRIES", {**objects.RETRIES, "max_retries": 2, "retry_timeout": timedelta(seconds=9)}
    )
    monkeypatch.setattr(objects, "SECONDS_BETWEEN_TRIES", (0, 0))
    objects._store.cache_clear()
    yield server
    objects._store.cache_clear()
    server.close()


def night(
    con: duckdb.DuckDBPyConnection, folder: Path, known: Sequence[LoadedFile] = (), **source: Any
) -> tuple[Load, list[str]]:
    """A load of what is new; the names of its new files."""
    block = transactions(**{"path": ORDERS, **source})
    found = load_changes(con, "new", block, folder, folder / "work", live="live", known=known)
    assert list((folder / "work").iterdir()) == []
    return found, found.read


def test_a_listing_has_pages_and_only_what_is_new_is_fetched(bucket: ObjectServer, tmp_path: Path) -> None:
    bucket.page = 4
    bucket.objects = {f"orders/{number:02d}.csv": day(number) for number in range(1, 12)}
    bucket.objects |= {"orders/old/x.csv": b"other", "orders/readme.txt": b"other", "elsewhere/a.csv": b"other"}
    with duckdb.connect() as con:
        first, read = night(con, tmp_path)
        assert read == [f"s3://shop/orders/{number:02d}.csv" for number in range(1, 12)]
        assert sorted(bucket.fetched()) == [f"orders/{number:02d}.csv" for number in range(1, 12)]
        con.execute("alter table new rename to live")
        bucket.objects["orders/12.csv"] = day(12)
        bucket.objects["orders/03.csv"] = day(3, amount=9)
        second, read = night(con, tmp_path, first.files)
        assert read == ["s3://shop/orders/03.csv", "s3://shop/orders/12.csv"]
        assert sorted(bucket.fetched()) == ["orders/03.csv", "orders/12.csv"]
        assert [part.source_id for part in second.replaced] == [3]


def test_an_object_that_moved_keeps_its_rows_and_one_that_is_gone_too(bucket: ObjectServer, tmp_path: Path) -> None:
    bucket.objects = {f"orders/{number}.csv": day(number) for number in (1, 2)}
    with duckdb.connect() as con:
        first, _ = night(con, tmp_path)
        con.execute("alter table new rename to live")
        bucket.objects = {"orders/moved.csv": day(1), "orders/3.csv": day(3)}
        second, read = night(con, tmp_path, first.files)
        assert read == ["s3://shop/orders/3.csv"]
        assert {file.source_file: file.present for file in second.files} == {
            "s3://shop/orders/2.csv": False,
            "s3://shop/orders/3.csv": True,
            "s3://shop/orders/moved.csv": True,
        }
        removed, _ = night(con, tmp_path, first.files, removed_files="remove")
        assert removed.gone == ["s3://shop/orders/2.csv"]


def test_a_listing_that_fails_is_an_error_and_never_a_source_whose_files_are_gone(
    bucket: ObjectServer, tmp_path: Path
) -> None:
    bucket.page = 1
    bucket.objects = {f"orders/{number}.csv": day(number) for number in (1, 2)}
    with duckdb.connect() as con:
        first, _ = night(con, tmp_path)
        con.execute("alter table new rename to live")
        bucket.failures[""] = [200, 503, 503, 503]
        with pytest.raises(SourceError, match="status 503, after several tries"):
            night(con, tmp_path, first.files, removed_files="remove")
        bucket.failures[""] = [403]
        with pytest.raises(SourceError, match=r"s3://shop/orders: access is denied \(403\)"):
            night(con, tmp_path, first.files, removed_files="remove")
        bucket.objects.clear()
        with pytest.raises(SourceError, match=r"s3://shop/orders/\*\.csv: no object matches it"):
            night(con, tmp_path, first.files, removed_files="remove")


def test_a_store_that_answers_late_is_asked_again(bucket: ObjectServer, tmp_path: Path) -> None:
    bucket.objects = {"orders/1.csv": day(1)}
    bucket.failures = {"": [503], "orders/1.csv": [503, 500]}
    assert load(tmp_path, path=ORDERS).column("amount") == [5]


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_body_that_is_cut_is_fetched_again_and_else_an_error(
    bucket: ObjectServer, tmp_path: Path, has_ranges: bool
) -> None:
    bucket.has_ranges = has_ranges
    bucket.objects = {"orders/1.csv": day(1) + b"2,2024-01-05,7\n" * 10_000}
    bucket.cut["orders/1.csv"] = 2
    assert len(load(tmp_path, path=ORDERS).rows) == 10_001
    bucket.cut["orders/1.csv"] = 99
    with pytest.raises(SourceError, match=r"s3://shop/orders/1\.csv: cannot be fetched, after several tries"):
        load(tmp_path, path=ORDERS)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "access is denied (403)"),
        (404, "there is no such object or bucket (404)"),
        (401, "the credentials in the environment are wrong (401)"),
        (503, "the server answers with status 503, after several tries"),
    ],
)
def test_errors_name_the_object_and_hold_no_credential(
    bucket: ObjectServer, tmp_path: Path, status: int, told: str
) -> None:
    bucket.objects = {"orders/1.csv": day(1)}
    bucket.failures["orders/1.csv"] = [status] * 3
    with pytest.raises(SourceError) as caught:
        load(tmp_path, path=ORDERS)
    assert caught.value.what == f"s3://shop/orders/1.csv: {told}"
    assert caught.value.to_do
    assert "only-in-the-environment" not in str(caught.value)


def test_an_object_that_is_written_to_meanwhile_is_not_mixed(
    bucket: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.objects = {"orders/1.csv": day(1)}
    listed = objects._listed

    def list_and_write(*arguments: Any) -> Any:
        found = listed(*arguments)
        bucket.objects["orders/1.csv"] = day(2)
        return found

    monkeypatch.setattr(objects, "_listed", list_and_write)
    with pytest.raises(SourceError, match="was written to while it was read; run again"):
        load(tmp_path, path=ORDERS)


def test_copies_stay_within_their_limit(bucket: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.objects = {f"orders/{number:02d}.csv": day(number) for number in range(1, 13)}
    monkeypatch.setattr(copies, "MOST_BYTES", 3 * len(day(1)))
    kept = []
    forget = copies.Copies._has_room

    def count(self: copies.Copies, path: Path, size: int) -> bool:
        kept.append(len(list(self.folder.iterdir())) if self.folder.exists() else 0)
        return forget(self, path, size)

    monkeypatch.setattr(copies.Copies, "_has_room", count)
    assert len(load(tmp_path, path=ORDERS).rows) == 12
    assert max(kept) == 3
    assert len(bucket.fetched()) > 12


def test_a_folder_of_a_bucket_is_read_with_its_partitions(bucket: ObjectServer, tmp_path: Path) -> None:
    bucket.objects = {
        "orders/dt=2024-01-03/part 0+ü.csv.gz": gzip.compress(b"customer,amount\n1,5\n"),
        "orders/dt=2024-01-04/part-0.jsonl": b'{"customer": 2, "amount": 7}\n',
        "orders/_SUCCESS": b"",
    }
    columns = {"customer_id": "customer", "ordered_at": "dt", "amount": "amount"}
    for path in ("s3://shop/orders", "s3://shop/orders/", "s3://shop/**/dt=*/part*"):
        loaded = load(tmp_path, columns, path=path)
        assert [str(at)[:10] for at in loaded.column("ordered_at")] == ["2024-01-03", "2024-01-04"]
        assert loaded.column("source_file")[0] == "s3://shop/orders/dt=2024-01-03/part 0+ü.csv.gz"


def test_init_looks_at_objects_and_at_the_names_of_folders(bucket: ObjectServer, tmp_path: Path) -> None:
    bucket.objects = {f"orders/dt=2024-01-{number:02d}/a.csv": b"customer,amount\n1,5\n" for number in (3, 4)}
    proposed = propose(["s3://shop/orders/"], tmp_path).sources["transactions"]
    assert proposed.mapping == {"customer_id": "customer", "ordered_at": "dt", "amount": "amount"}


def test_every_look_at_an_object_has_its_copy_even_if_only_one_has_room(
    bucket: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MOST_BYTES", 1)
    bucket.objects = {f"orders/{number}.csv": day(number) for number in (3, 4)}
    proposed = propose([ORDERS], tmp_path).sources["transactions"]
    assert proposed.mapping == {"customer_id": "customer", "ordered_at": "date", "amount": "amount"}
    computed: dict[str, Any] = {"customer_id": "customer", "ordered_at": "date", "amount": {"sql": '"amount" / 2'}}
    assert [float(row["amount"]) for row in load(tmp_path, computed, path=ORDERS).rows] == [2.5, 2.5]
    with pytest.raises(SourceError, match="no money is mapped, and columns look like money"):
        load(tmp_path, {"customer_id": "customer", "ordered_at": "date"}, path=ORDERS)


def test_what_a_library_says_is_shown_without_the_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", "postgresql://ann:hunter2@host/catalog")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2022&sig=abcdef")
    said = "no answer of postgresql://ann:hunter2@host/catalog for https://host/x?sv=2022&sig=abcdef"
    assert not {"hunter2", "abcdef"} & set(re.split(r"\W", without_secrets(said, "az://shop/x")))


@pytest.mark.parametrize("has_etags", [True, False])
def test_a_file_of_a_web_server_is_fetched_when_it_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_etags: bool
) -> None:
    certificate = self_signed(tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    objects._store.cache_clear()
    server = ObjectServer(certificate=certificate)
    server.has_etags = has_etags
    server.objects["exports/orders.csv"] = day(1)
    with duckdb.connect() as con:
        url = f"https://127.0.0.1:{server.port}/exports/orders.csv"
        first, read = night(con, tmp_path, path=url)
        assert read == [url]
        con.execute("alter table new rename to live")
        server.fetched()
        assert night(con, tmp_path, first.files, path=url)[1] == []
        assert server.fetched() == []
        server.objects["exports/orders.csv"] = day(1) + b"2,2024-01-05,7\n"
        assert night(con, tmp_path, first.files, path=url)[1] == [url]
    server.close()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("https://ann:hunter2@host/orders.csv", "holds a secret as text"),
        ("https://host/orders.csv?sig=hunter2", "holds a secret as text"),
        ("https://ann@host/orders.csv", "should hold no user, password or query string"),
        ("s3://${KEY}:${PASSWORD}@bucket/orders.csv", "should hold no user, password or query string"),
        ("https://host/orders.csv?${SIGNATURE}", "should hold no user, password or query string"),
        ("https://host/*.csv", "should name one file: a web server does not list its files"),
        ("s3://*/orders.csv", "should name its bucket or host"),
        ("s3a://bucket/orders.csv", "should begin with s3://"),
        ("http://host/orders.csv", "should begin with https://"),
        (["orders.csv", "ftp://host/orders.csv"], "should begin with one of s3://, gs://, az://, https://"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused(
    path: str | list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KEY", "PASSWORD", "SIGNATURE"):
        monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ConfigError) as caught:
        transactions(path=path)
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_url_of_a_database_is_still_one(tmp_path: Path) -> None:
    columns = {"customer_id": "a", "ordered_at": "b", "amount": "c"}
    block = {"path": "sqlite:///shop.db", "query": "select 1", "columns": columns}
    assert Settings.from_mapping({"source": {"transactions": block}}).source.transactions.url == "sqlite:///shop.db"


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects._store.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(SourceError, match=r"not installed; `pip install 'clv_pipeline\[lake\]'`"):
        load(tmp_path, path=ORDERS)


def test_files_on_disk_need_no_client_of_stores() -> None:
    script = "import sys, clv_pipeline.sources.inspect, clv_pipeline.sources; print('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
