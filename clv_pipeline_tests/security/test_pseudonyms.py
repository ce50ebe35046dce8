"""Pseudonyms: HMAC-SHA256 in SQL as in Python, the same every night, and nothing without the key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.errors import ConfigError
from clv_pipeline.privacy.keyed_hash import KeyedHash
from clv_pipeline.publication.write import publish
from clv_pipeline.warehouse import Session, admit
from clv_pipeline_tests.helpers.gates import contract
from clv_pipeline_tests.helpers.publications import PUBLICATION, SPAN

KEY = "0123456789abcdef" * 4
ANN = "'; drop table people; --"
SAID = '{"name": "Ann"}'
PEOPLE = contract("people").model_copy(
    update={
        "columns": [
            load_models()["rfm"].contract.columns[0],
            next(column for column in load_models()["dim_customer"].contract.columns if column.names_persons),
        ],
        "key": ["customer_id"],
        "expectations": PUBLICATION.expectations,
    }
)


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=200), st.text())
def test_the_sql_is_rfc_2104(key: bytes, text: str) -> None:
    hashed = KeyedHash(key, digits=64)
    with duckdb.connect() as con:
        query = f"select {hashed.expression('t.text')} from (select $text::varchar as text) as t"
        found = con.execute(query, {"text": text.replace("\0", ""), **hashed.parameters}).fetchall()
    expected = hmac.new(key, text.replace("\0", "").encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
    assert found == [(expected,)]
    assert hashed.of(text.replace("\0", "")) == expected


def test_the_key_is_in_no_representation() -> None:
    assert KEY not in repr(KeyedHash(KEY.encode(), 32))


def put_out(session: Session, folder: Path, run: str, pseudonyms: KeyedHash | None) -> list[tuple[object, ...]]:
    """Publishes a table of one customer and reads it back."""
    for promised, query in (
        (SPAN, "select date '2020-01-31' as as_of"),
        (PEOPLE, f"select '{ANN.replace(chr(39), chr(39) * 2)}' as customer_id, '{SAID}' as attributes"),
    ):
        stage = partial(Session.stage_query, contract=promised, query=query)
        assert admit(session, [promised], stage, reads=[], run_id=run).admitted
    session.execute("create or replace table currencies (currency varchar, is_reporting boolean)")
    made = publish(
        session,
        [PEOPLE, PUBLICATION],
        folder,
        run_id=run,
        # The key is part of what is configured.
        config_hash="ids" if pseudonyms is None else pseudonyms.fingerprint,
        keep=9,
        pseudonyms=pseudonyms,
    )
    assert not [path for path in made.directory.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    with duckdb.connect(str(made.database), read_only=True) as client:
        people = client.execute("select customer_id, attributes, pseudonym_key from people cross join publication")
        return people.fetchall()


def test_a_customer_has_the_same_pseudonym_every_night_and_another_under_another_key_and_no_name(
    session: Session, tmp_path: Path
) -> None:
    key, other = KeyedHash(KEY.encode(), 32), KeyedHash(b"x" * 40, 32)
    nights = [put_out(session, tmp_path, f"night {n}", with_) for n, with_ in enumerate((key, key, other, None))]
    pseudonym = hmac.new(KEY.encode(), ANN.encode(), "sha256").hexdigest()[:32]
    assert nights[0] == nights[1] == [(pseudonym, None, key.fingerprint)]
    assert nights[2] == [(other.of(ANN), None, other.fingerprint)]
    assert nights[3] == [(ANN, SAID, None)]
    assert session.execute("select customer_id from people").fetchall() == [(ANN,)]
    assert ANN.encode() not in (tmp_path / "versions" / "night 0" / "parquet" / "people.parquet").read_bytes()


@pytest.mark.parametrize(("key", "told"), [(None, "is not set"), ("short", "has 5 characters")])
def test_without_a_good_key_nothing_starts(
    shop_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, key: str | None, told: str
) -> None:
    monkeypatch.delenv("CLV_PSEUDONYM_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("CLV_PSEUDONYM_KEY", key)
    with pytest.raises(ConfigError, match=f"CLV_PSEUDONYM_KEY {told}.*openssl rand -hex 32"):
        shop_settings(privacy={"pseudonyms": True})


def test_another_key_is_another_configuration_and_the_key_is_shown_nowhere(
    shop_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = []
    for key in (KEY, KEY, KEY[::-1]):
        monkeypatch.setenv("CLV_PSEUDONYM_KEY", key)
        configured = shop_settings(privacy={"pseudonyms": True})
        assert key not in repr(configured) + configured.model_dump_json()
        hashes.append(configured.config_hash)
    assert hashes[0] == hashes[1] != hashes[2]
