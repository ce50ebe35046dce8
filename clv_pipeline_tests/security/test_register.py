"""The register: what it must know to finish an erasure without the ids, and what it forgets once that is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clv_pipeline.privacy.keyed_hash import KeyedHash
from clv_pipeline.privacy.register import Register

ANN, BOB = "ann", "bob"
KEY, OTHER = KeyedHash(b"k" * 40, 32), KeyedHash(b"o" * 40, 32)


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "privacy")


def test_pseudonyms_are_known_by_their_hashes_until_the_erasure_is_done(register: Register, tmp_path: Path) -> None:
    register.request("run", [ANN], KEY)
    assert register.pseudonyms(KEY.fingerprint) == [register.hash().of(KEY.of(ANN))]
    written = (tmp_path / "privacy" / "forgotten.json").read_text()
    assert ANN not in written
    assert KEY.of(ANN) not in written
    register.finish({"rfm": 1})
    assert register.unfinished() == []
    assert "pseudonyms" not in (tmp_path / "privacy" / "forgotten.json").read_text()


def test_under_a_key_that_the_request_did_not_have_pseudonyms_are_not_known(register: Register) -> None:
    register.request("first", [ANN])
    assert register.pseudonyms(KEY.fingerprint) is None
    register.request("again, with the key", [ANN], KEY)
    assert register.pseudonyms(KEY.fingerprint) == [register.hash().of(KEY.of(ANN))]
    register.request("another person, under another key", [BOB], OTHER)
    assert register.pseudonyms(KEY.fingerprint) is None
    assert register.pseudonyms(OTHER.fingerprint) is None


def test_a_request_of_an_earlier_version_knows_no_pseudonyms(register: Register, tmp_path: Path) -> None:
    register.request("run", [ANN], KEY)
    path = tmp_path / "privacy" / "forgotten.json"
    entries = json.loads(path.read_text())
    del entries[0]["pseudonyms"]
    path.write_text(json.dumps(entries))
    assert register.pseudonyms(KEY.fingerprint) is None


def test_where_nothing_is_unfinished_no_pseudonym_is_missing(register: Register) -> None:
    register.request("run", [ANN])
    register.finish({})
    assert register.pseudonyms(KEY.fingerprint) == []


def test_finishing_ends_every_erasure_that_was_open_and_counts_rows_once(register: Register) -> None:
    register.request("done", [ANN])
    register.finish({"rfm": 1})
    register.request("stopped", [BOB])
    register.request("the last", ["carl"])
    register.finish({"rfm": 2})
    assert [(entry["run_id"], entry["rows"]) for entry in register.entries()] == [
        ("done", {"rfm": 1}),
        ("stopped", {}),
        ("the last", {"rfm": 2}),
    ]
    assert register.unfinished() == []
