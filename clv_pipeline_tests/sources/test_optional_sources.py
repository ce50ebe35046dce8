"""Demographics and events are read by the same readers as transactions, in columns of their own."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.config.source import CustomerSource, EventSource, TableSource
from clv_pipeline.errors import SourceError
from clv_pipeline.sources import LoadedFile, create_table, load_records
from clv_pipeline_tests.helpers.shop_files import ExcelDate, write, write_xlsx

EVENT_COLUMNS = {"customer_id": "user", "occurred_at": "time", "event": "type"}
PEOPLE = "id,age,Home city\n1,41,Bern\n2,,Genf\n"


def records(folder: Path, source: TableSource) -> tuple[list[LoadedFile], list[dict[str, Any]]]:
    with duckdb.connect() as con:
        files = load_records(con, "raw", source, folder, folder / "work")
        return files, con.sql("FROM raw ORDER BY source_id, source_line").pl().to_dicts()


def people(folder: Path, columns: dict[str, str] | None = None, **source: Any) -> list[dict[str, Any]]:
    """Each record's customer with its attributes."""
    block = {"path": "people*", "columns": columns or {"customer_id": "id"}, **source}
    _, rows = records(folder, CustomerSource.model_validate(block))
    return [{"customer_id": row["customer_id"], **json.loads(row["attributes"] or "{}")} for row in rows]


def events(folder: Path, columns: dict[str, str] | None = None, **source: Any) -> list[dict[str, Any]]:
    return records(
        folder, EventSource.model_validate({"path": "events*", "columns": columns or EVENT_COLUMNS, **source})
    )[1]


def test_every_other_column_is_an_attribute_where_only_the_customer_is_mapped(tmp_path: Path) -> None:
    write(tmp_path, "people.csv", PEOPLE)
    assert people(tmp_path) == [
        {"customer_id": "1", "age": "41", "Home city": "Bern"},
        {"customer_id": "2", "age": None, "Home city": "Genf"},
    ]


def test_mapped_columns_are_the_only_attributes_and_have_our_names(tmp_path: Path) -> None:
    write(tmp_path, "people.csv", PEOPLE)
    assert people(tmp_path, {"customer_id": "id", "city": "Home city"}) == [
        {"customer_id": "1", "city": "Bern"},
        {"customer_id": "2", "city": "Genf"},
    ]


def test_a_column_that_only_some_of_the_files_have_is_missing_in_the_others(tmp_path: Path) -> None:
    write(tmp_path, "people1.csv", "id,age\n1,41\n")
    write(tmp_path, "people2.csv", "id;plan\n2;gold\n")
    assert people(tmp_path) == [
        {"customer_id": "1", "age": "41", "plan": None},
        {"customer_id": "2", "age": None, "plan": "gold"},
    ]


def test_numbers_as_people_write_them_become_numbers_and_other_text_stays(tmp_path: Path) -> None:
    write(tmp_path, "people.csv", "id;income;score;note\n1;1.234,50;0,5;3,4 kids\n2;987,25;;none\n")
    assert people(tmp_path) == [
        {"customer_id": "1", "income": "1234.50", "score": "0.5", "note": "3,4 kids"},
        {"customer_id": "2", "income": "987.25", "score": None, "note": "none"},
    ]


def test_numbers_that_may_be_read_in_two_ways_are_not_guessed(tmp_path: Path) -> None:
    write(tmp_path, "people.csv", "id;income\n1;1.234\n2;n/a\n")
    with pytest.raises(SourceError, match=r"'1\.234'\); state source\.customers\.format\.decimal"):
        people(tmp_path)
    assert people(tmp_path, format={"decimal": ","})[0] == {"customer_id": "1", "income": "1234"}


def test_parquet_json_lines_workbooks_and_databases_are_read_alike(tmp_path: Path) -> None:
    expected: list[dict[str, Any]] = [
        {"customer_id": "1", "age": 41.5, "city": "Bern"},
        {"customer_id": "2", "age": None, "city": "Genf"},
    ]
    frame = pl.DataFrame({"id": [1, 2], "age": [41.5, None], "city": ["Bern", "Genf"]})
    frame.write_parquet(tmp_path / "people.parquet")
    frame.write_ndjson(tmp_path / "people.jsonl")
    write_xlsx(
        tmp_path / "people.xlsx", {"People": [["id", "age", "city", None], [1, 41.5, "Bern", 7], [2, None, "Genf"]]}
    )
    with sqlite3.connect(tmp_path / "people.db") as database:
        database.execute("CREATE TABLE people (id, age, city)")
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", frame.rows())
    as_text = [row | {"age": str(row["age"]) if row["age"] else None} for row in expected]
    assert people(tmp_path, path="people.parquet") == expected
    assert people(tmp_path, path="people.xlsx") == expected
    assert people(tmp_path, path="people.jsonl") == as_text
    block = {"url": "sqlite:///people.db", "query": "SELECT * FROM people", "columns": {"customer_id": "id"}}
    _, rows = records(tmp_path, CustomerSource.model_validate(block))
    assert [json.loads(row["attributes"]) for row in rows] == [
        {"age": "41.5", "city": "Bern"},
        {"age": None, "city": "Genf"},
    ]


def test_events_have_a_date_and_a_type_in_whatever_format(tmp_path: Path) -> None:
    write(tmp_path, "events1.csv", "user,time,type\n7,2023-05-13 08:26,visit\n,2023-05-14,\n")
    write(tmp_path, "events2.csv", "time;user;type\n31.05.2023 09:00;8;click\n")
    rows = events(tmp_path)
    assert [(row["customer_id"], row["occurred_at"], row["event"]) for row in rows] == [
        ("7", datetime(2023, 5, 13, 8, 26), "visit"),
        (None, datetime(2023, 5, 14), None),
        ("8", datetime(2023, 5, 31, 9, 0), "click"),
    ]


def test_the_type_of_event_may_be_left_out(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "events.xlsx", {"Log": [["user", "time"], [7, ExcelDate(45000.5)]]})
    (row,) = events(tmp_path, {"customer_id": "user", "occurred_at": "time"})
    assert (row["customer_id"], row["occurred_at"], row["event"]) == ("7", datetime(2023, 3, 15, 12), None)


def test_a_date_that_cannot_be_read_and_a_broken_line_keep_their_text(tmp_path: Path) -> None:
    write(tmp_path, "events.csv", "user,time,type\n7,2023-05-13,visit\n8,soon,visit\nbroken\n9,2023-05-14,click\n")
    files, rows = records(tmp_path, EventSource.model_validate({"path": "events.csv", "columns": EVENT_COLUMNS}))
    assert (files[0].rows, files[0].unreadable_rows) == (4, 1)
    assert [row["source_line"] for row in rows] == [2, 3, 4, 5]
    assert json.loads(rows[1]["source_text"]) == {"customer_id": "8", "occurred_at": "soon", "event": "visit"}
    assert rows[2]["source_text"].startswith("unreadable line: broken")
    assert [row["occurred_at"] for row in rows][1:3] == [None, None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "customer,time,type\n1,2023-05-13,x\n",
            "(columns found: 'customer', 'time', 'type'; did you mean 'customer'?); correct",
        ),
        ("client,time,type\n1,2023-05-13,x\n", "'user' (mapped to customer_id) is missing ("),
        ("who,time,type\n1,2023-05-13,x\n", "correct source.events.columns.customer_id"),
        ("user,Time,type\n1,2023-05-13,x\n", "found: 'user', 'Time', 'type'; did you mean 'Time'?); correct"),
        ("user,time,type\n1,03/04/2023,x\n", "state source.events.format.date_formats"),
        ("user,time,type\n", "events.csv: holds no record below its header"),
    ],
)
def test_mistakes_name_the_file_the_column_and_the_key(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, "events.csv", text)
    with pytest.raises(SourceError) as caught:
        events(tmp_path)
    assert told in str(caught.value)


def test_a_path_that_matches_nothing_names_its_own_key(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"correct source\.customers\.path"):
        people(tmp_path)


@pytest.mark.parametrize("kind", [CustomerSource, EventSource])
def test_without_a_source_the_table_is_the_same_but_empty(tmp_path: Path, kind: type[TableSource]) -> None:
    write(tmp_path, "file.csv", "user,time,type\n1,2023-05-13,x\n")
    columns = {ours: theirs for ours, theirs in EVENT_COLUMNS.items() if ours in kind.known}
    with duckdb.connect() as con:
        create_table(con, "empty", kind)
        load_records(con, "loaded", kind.model_validate({"path": "file.csv", "columns": columns}), tmp_path, tmp_path)
        assert con.sql("FROM empty").fetchall() == []
        assert con.sql("DESCRIBE empty").fetchall() == con.sql("DESCRIBE loaded").fetchall()


def test_a_password_of_any_source_stays_out_of_the_hash_and_of_representations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settings(password: str) -> Settings:
        monkeypatch.setenv("SHOP_PASSWORD", password)
        block = {"url": "postgresql://me:${SHOP_PASSWORD}@host/shop", "query": "SELECT 1"}
        return Settings.from_mapping(
            {
                "source": {
                    "transactions": {
                        "path": "x.csv",
                        "columns": {"customer_id": "a", "ordered_at": "b", "amount": "c"},
                    },
                    "customers": {**block, "columns": {"customer_id": "id"}},
                    "events": {**block, "columns": EVENT_COLUMNS},
                }
            }
        )

    assert settings("hunter2").config_hash == settings("other").config_hash
    assert "hunter2" not in repr(settings("hunter2"))
