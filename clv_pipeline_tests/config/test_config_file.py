"""Reading clv.yaml: variables, mistakes in YAML, and credentials that never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline.config.secret_text import without_credentials
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ConfigError
from clv_pipeline_tests.config.files import MINIMAL, error_of, load


def test_variables_of_the_environment_are_filled_in_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS", "here")
    monkeypatch.setenv("EMPTY", "")
    text = MINIMAL.replace("orders", "${ORDERS}/${EMPTY:-in}/${UNSET_VARIABLE:-between}")
    assert load(tmp_path, text).source.transactions.path == ["here/in/between/*.csv"]
    error = error_of(tmp_path, MINIMAL.replace("orders", "${UNSET_VARIABLE}").replace("Total", "'${OTHER_UNSET}'"))
    assert "source.transactions.path: the environment variable UNSET_VARIABLE is not set" in error
    assert "source.transactions.columns.amount: the environment variable OTHER_UNSET is not set" in error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source: {\n  a: [1\n}", "my.yaml, line 3, column 1: not valid YAML"),
        (
            "forecast:\n  margin: 1\n  margin: 0.5\n",
            "line 3, column 3: not valid YAML: the key 'margin' is written twice",
        ),
        ("- a\n- b\n", "expected `key: value` lines, found list"),
        ("a: !!python/object:os.system x\n", "line 1"),
        ("", "source: is missing"),
    ],
)
def test_yaml_that_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    assert told in error_of(tmp_path, text)


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "clv.yaml").write_bytes(b"source: \xff")
    with pytest.raises(ConfigError, match="should be UTF-8 text"):
        Settings.load()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:p@ss@w?rd@host:5432/db?sslpassword=x#y", "postgresql://host:5432/db"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("orders/*.csv", "orders/*.csv"),
    ],
)
def test_credentials_are_taken_out_of_urls(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


@pytest.mark.parametrize(
    "lines",
    [
        "url: postgresql://me:hunter2@host/db",
        "path: postgresql://me:hunter2@host/db",
        "path: x\n    url: postgresql://me:hunter2@host/db\n    query: SELECT 1",
        "url: [postgresql://me:hunter2@host/db]",
        "uri: postgresql://me:hunter2@host/db",
    ],
)
def test_errors_and_representations_never_show_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    assert "hunter2" not in error_of(tmp_path, MINIMAL.replace("path: orders/*.csv", lines))
    monkeypatch.setenv("PW", "hunter2")
    good = MINIMAL.replace("path: orders/*.csv", "url: postgresql://me:${PW}@host/db\n    query: SELECT 1")
    assert "hunter2" not in repr(load(tmp_path, good))
    assert "hunter2" not in error_of(tmp_path, MINIMAL.replace("path: orders/*.csv", lines.replace("hunter2", "${PW}")))
