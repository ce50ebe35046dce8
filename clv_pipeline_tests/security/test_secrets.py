"""Secrets come from the environment and go nowhere; the UI listens to this machine only; nothing is unpickled."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ConfigError
from clv_pipeline.orchestration.assets import all_assets
from clv_pipeline.orchestration.gated_step import REFRESH
from clv_pipeline.orchestration.resources import RefreshOptions
from clv_pipeline.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
CANARY = "c4n4ry%40s3cret"
COLUMNS = {"customer_id": "id", "ordered_at": "at", "amount": "amount"}


def settings_of(folder: Path, url: str, query: str = "select 1") -> Settings:
    source: dict[str, Any] = {"transactions": {"url": url, "query": query, "columns": COLUMNS}}
    return Settings.from_mapping({"source": source, "storage": {"home": str(folder)}}, config_file=folder / "clv.yaml")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{CANARY}@host/db",
        f"postgresql://me:x${{PW}}{CANARY}@host/db",
        f"postgresql://me:${{PW:-{CANARY}}}@host/db",
        f"postgresql://host/db?user=me&password={CANARY}",
        f"snowflake://host/db?api_key={CANARY}",
    ],
)
def test_a_password_as_text_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("PW", "x")
    with pytest.raises(
        ConfigError, match=r"source\.transactions\.url: holds a secret as text; write \$\{NAME\}"
    ) as told:
        settings_of(tmp_path, url)
    assert "c4n4ry" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["postgresql://me:${PW}@h/db?sslkey=/k.pem", "${URL}", "duckdb:///shop.duckdb", "sqlite:///a"]
)
def test_a_password_from_the_environment_and_none_at_all_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("PW", CANARY)
    monkeypatch.setenv("URL", f"postgresql://me:{CANARY}@h/db")
    assert CANARY not in repr(settings_of(tmp_path, url))


def test_a_secret_in_the_place_of_a_url_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", CANARY)
    with pytest.raises(ConfigError, match="should be a database URL such as") as told:
        settings_of(tmp_path, "${PW}")
    assert CANARY not in str(told.value)


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("nosuchdriver://me:${PW}@h/db", "select 1"),
        ("sqlite:///shop.db?password=${PW}", "select 1"),
        ("duckdb:///shop.db?password=${PW}", "select 1"),
        ("nosuchdriver://host/db?odbc_connect=DRIVER%3D{x};UID=me;PWD=${PW}", "select 1"),
        ("nosuchdriver://${PW}@host/db#token=${PW}", "select 1"),
    ],
)
def test_no_secret_is_in_any_event_of_a_run_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], url: str, query: str
) -> None:
    monkeypatch.setenv("PW", CANARY)
    (tmp_path / "shop.db").touch()
    pipeline = Pipeline.of(settings_of(tmp_path, url, query))
    with dg.DagsterInstance.ephemeral() as instance:
        try:
            result = dg.materialize(
                all_assets(pipeline),
                selection=dg.AssetSelection.assets("raw_transactions").required_multi_asset_neighbors(),
                resources={REFRESH: RefreshOptions()},
                instance=instance,
                raise_on_error=False,
            )
        finally:
            pipeline.warehouse.close()
        events = [serialize_value(entry) for entry in instance.all_logs(result.run_id)]
    assert not result.success
    assert any("STEP_FAILURE" in event for event in events)
    told = "".join((*events, *capfd.readouterr()))
    assert "c4n4ry" not in told
    assert "s3cret" not in told


def test_the_ui_listens_on_loopback_only() -> None:
    servers = re.findall(
        r"^.*\bdagster(?:-webserver)? (?:dev|-h|--host).*$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert servers
    assert all("--host 127.0.0.1" in line for line in servers)


SOURCES = sorted((ROOT / "clv_pipeline").rglob("*.py"))
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
NEVER_CALLED = {"eval", "exec", "compile", "read_pickle", "to_pickle", "unsafe_load"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated_and_duckdb_is_opened_in_one_place(path: Path) -> None:
    calls, imported = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call):
            calls.add(ast.unparse(node.func))
    assert not imported & NEVER_IMPORTED
    assert not {call for call in calls if call.split(".")[-1] in NEVER_CALLED and not call.startswith("re.")}
    if path.name not in ("connections.py", "database_file.py"):
        assert "duckdb.connect" not in calls
