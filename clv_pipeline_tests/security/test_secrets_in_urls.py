"""A secret in any part of a URL: as text it is refused, from the environment it is accepted, and nothing shows it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import duckdb
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline.config.secret_text import (
    censored,
    holds_a_secret,
    is_secret_name,
    looks_like_a_token,
    without_credentials,
)
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ClusterError, ConfigError, SourceError
from clv_pipeline.sources.databases import query_table
from clv_pipeline.spark.connect import Cluster

COLUMNS = {"customer_id": "id", "ordered_at": "at", "amount": "amount"}

BY_NAME = [
    "postgresql://me:{}@host/db",
    "postgresql://host/db?user=me&password={}",
    "postgresql://host/db?user=me&password={}&sslmode=require",
    "mssql+pyodbc://host/db?odbc_connect=DRIVER={{x}};SERVER=h;UID=me;PWD={};Encrypt=yes",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7Bx%7D%3BSERVER%3Dh%3BPWD%3D{}%3BEncrypt%3Dyes",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7Bx%7D%3BPwd%3D%7B{}%7D",
    "s3://bucket/orders/*.csv?access_key={}",
    "s3://bucket/orders/*.csv?region=eu&AWS_SECRET_ACCESS_KEY={}#x",
    "snowflake://me@account/db?private_key={}",
    "snowflake://me@account/db?warehouse=w&private-key-passphrase={}",
    "bigquery://project/set?credentials_base64={}",
    "databricks://host:443/sql?http_path=/sql/1&access.token={}",
    "az://container/a.csv?sv=2024&sig={}",
    "trino://host/db#auth_token={}",
    "oracle://host/db?options=user%3Dme%20password%3D{}",
    "sc://spark.internal:15002/;use_ssl=true;token={}",
    "jdbc://host;user=me;password={}",
    "sqlite:///shop.db?key_password={}",
]
"""Places where even a short word is a secret."""

BY_LOOKS = [
    "databricks://{}@host/db",
    "https://host/export?download={}",
    "https://host/feeds/{}/orders.csv",
    "https://host/orders.csv#{}",
    "sc://host:15002/;session={}",
]
"""Places where a secret is told by how it looks."""

words = st.text("abcdefghkmnpqrstuvwxyz0123456789", min_size=5, max_size=12).map(lambda text: f"zq{text}")
odd_words = st.text("ab9@:/?+=%&#;'\" äx", min_size=4, max_size=12).map(lambda text: f"zq{text}qz")
tokens = st.lists(st.tuples(st.sampled_from("abcXYZ"), st.sampled_from("0123456789")), min_size=8, max_size=20).map(
    lambda pairs: "zq" + "".join(map("".join, pairs))
)

few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def configured(url: str, place: str = "url") -> Settings:
    block: dict[str, Any] = {"query": "select 1", "columns": COLUMNS, place: url}
    return Settings.from_mapping({"source": {"transactions": block}})


@pytest.mark.parametrize("template", [*BY_NAME, *BY_LOOKS])
@few
@given(data=st.data())
def test_as_text_it_is_refused_and_not_shown(template: str, data: st.DataObject) -> None:
    secret = data.draw(words if template in BY_NAME else tokens)
    for place in ("url", "path", "uri", "query"):
        text = template.format(secret)
        with pytest.raises(ConfigError) as told:
            configured(f"select * from read_csv('{text}')" if place == "query" else text, place)
        assert "write ${NAME} in its place" in str(told.value)
        assert secret not in str(told.value)
    assert secret not in without_credentials(template.format(secret))


@pytest.mark.parametrize("template", [*BY_NAME, *BY_LOOKS])
@few
@given(data=st.data())
def test_from_the_environment_it_is_accepted_and_cut_out_of_what_the_driver_says(
    template: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = data.draw(words | odd_words.map(lambda text: quote(text, safe="")) if template in BY_NAME else tokens)
    plain = unquote_plus(secret)
    monkeypatch.setenv("CLV_TEST_SECRET", secret)
    source = configured(template.format("${CLV_TEST_SECRET}")).source.transactions
    assert source.url == template.format(secret)

    def refuses(*_: object, **__: object) -> None:
        raise OSError(f"no login with {plain!r} or {secret}, {quote_plus(plain)}, at {source.url} or {sqlalchemy}")

    monkeypatch.setattr(sqlalchemy, "make_url", refuses)
    with duckdb.connect() as con, caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as told:
        query_table(con, source.url or "", "select 1", Path(), Path())
    for said in (str(told.value), repr(told.value), told.value.what, caplog.text, repr(source)):
        assert secret not in said
        assert plain not in said
    assert told.value.__cause__ is None
    assert "no login with" in str(told.value) or "there is no such file" in str(told.value)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_at_all_is_too_odd_for_it(said: str, url: str) -> None:
    censored(said, url)
    holds_a_secret(url)
    holds_a_secret(f"postgresql://{url}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://clv_reader@db-2.internal:5432/shop_2024?sslmode=require&sslkey=/etc/k.pem&application_name=clv",
        "postgresql://first.last%40example.com:${PW}@host/db",
        "mssql+pyodbc://host/db?driver=ODBC+Driver+18+for+SQL+Server&TrustServerCertificate=yes",
        "mssql+pyodbc:///?odbc_connect=DRIVER={ODBC Driver 18};PWD=${PW};Encrypt=yes",
        "snowflake://${USER_}:${PW}@account/db/public?warehouse=w&role=r&authenticator=externalbrowser",
        "snowflake://me@account/db?private_key_path=/etc/key.p8&private_key_passphrase=${PW}",
        "bigquery://project/set?credentials_path=/etc/key.json&location=EU",
        "s3://bucket/550e8400-e29b-41d4-a716-446655440000/year=2024/*.parquet",
        "sqlite:////data/a1b2c3d4e5f6a7b8c9d0.db",
        "oracle://host/db?service_name=orcl&token_type=none",
        "select * from users where token = 'x' and url like 'https://shop.example/%'",
        "select 1 from t where mail like '%@%' and note <> 'a:b'",
        "sc://spark.internal:15002/;use_ssl=true;user_id=clv",
    ],
)
def test_what_is_no_secret_is_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "x")
    assert not holds_a_secret(url)


def test_names_and_tokens_are_told_apart_from_words() -> None:
    assert all(map(is_secret_name, ["PWD", "password", "sslPassword", "account-key", "fs.s3a.secret.key", "jwt"]))
    assert not any(map(is_secret_name, ["user", "sslkey", "password_file", "token_type", "keepalives", "database"]))
    assert all(map(looks_like_a_token, ["ghp_abcdefgh12345678", "eyJhbGciOiJIUzI1NiJ9", "a1b2c3d4e5f6a7b8"]))
    assert not any(map(looks_like_a_token, ["clv_reader_production_2024", "orders-2024-01-31", "data-warehouse-eu1"]))


def test_a_secret_of_spark_is_refused_by_the_name_of_its_setting_and_never_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = {"transactions": {"path": "a.csv", "columns": COLUMNS}}
    name = "spark.hadoop.fs.s3a.secret.key"
    with pytest.raises(ConfigError, match=r"fs\.s3a\.secret\.key: holds a secret as text") as told:
        Settings.from_mapping({"source": source, "storage": {"spark": {"config": {name: "hunter2"}}}})
    assert "hunter2" not in str(told.value)
    monkeypatch.setenv("PW", "hunter2")
    spark = {"config": {name: "${PW}"}, "remote": "sc://localhost:1/;token=${PW}"}
    storage = Settings.from_mapping({"source": source, "storage": {"spark": spark}}).storage
    assert "hunter2" not in repr(storage)
    cluster = Cluster(storage.spark.remote, storage.spark.config)

    def refuses(*_: object, **__: object) -> None:
        raise OSError("hunter2 is not known")

    monkeypatch.setattr("socket.create_connection", refuses)
    pytest.importorskip("pyspark")
    with pytest.raises(ClusterError) as refused:
        cluster.rows("select 1")
    assert "hunter2" not in str(refused.value)


def test_a_secret_in_a_wrong_place_is_shown_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "hunter2")
    source = {"transactions": {"path": "a.csv", "columns": COLUMNS}}
    for block in ({"forecast": {"margin": "${PW}"}}, {"models": "${PW}"}, {"storage": {"engine": "x${PW}"}}):
        with pytest.raises(ConfigError, match=r"found '\w?\$\{PW\}'") as told:
            Settings.from_mapping({"source": source, **block})
        assert "hunter2" not in str(told.value)
