"""With --json a command prints one document of documented fields, and ends with the status that it always had."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.cli.json_documents import as_json, run_document
from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.runner import Outcome
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.publication.summary import Facts
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.publications import fill, put_out

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "json.md"

CLV = "from clv_pipeline.cli import main; main(prog_name='clv')"
ORDERS = "Customer,Order,Date,Product,Quantity,Price\nann,1,2024-01-05,mug,2,3.50\nbob,2,2024-01-06,cup,1,2.00\n"


@dataclass(frozen=True)
class Answer:
    status: int
    document: dict[str, Any]
    stderr: str


@pytest.fixture
def shop(shop_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """A shop of two lines, with its clv.yaml in the current folder."""
    settings = shop_settings()
    (tmp_path / "orders" / "jan.csv").write_text(ORDERS)
    config = {
        "source": {"transactions": settings.source.transactions.model_dump(exclude_defaults=True)},
        "storage": {"home": str(settings.home)},
    }
    (tmp_path / "clv.yaml").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    for name in ("CLV_CONFIG", "CLV_HOME"):
        monkeypatch.delenv(name, raising=False)
    return settings


def clv(*words: str) -> Answer:
    """Runs the command with --json; all of its standard output has to be one document."""
    done = ended(*words, "--json")
    document = json.loads(done.stdout)
    assert document["command"] == words[0]
    return Answer(done.returncode, document, done.stderr)


def ended(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CLV, *words], capture_output=True, text=True, check=False)


def field_names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield name
            # Columns of the source are no fields of ours.
            if name != "readable":
                yield from field_names(child)
    elif isinstance(value, list):
        for child in value:
            yield from field_names(child)


def undocumented(document: dict[str, Any]) -> set[str]:
    named = set(re.findall(r"`(\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    return set(field_names(document)) - named


def test_check_tells_what_the_source_gives(shop: Settings) -> None:
    (shop.base_dir / "orders" / "jan.csv").write_text(ORDERS.replace("2.00", "x"))
    answer = clv("check")
    # Half of the amounts cannot be read: a run would stop, and so the check says it.
    assert (answer.status, answer.document["status"]) == (1, "failed")
    cures = {check["check"]: check["cure"] for check in answer.document["failed_checks"]}
    assert "source.transactions.columns" in cures["most_amounts_can_be_read"]
    assert answer.document["config_file"] == str(shop.base_dir / "clv.yaml")
    found = answer.document["transactions"]
    assert (found["rows"], found["customers"], found["no_number"]) == (2, 2, 1)
    assert (found["first_day"], found["readable"]["unit_price"]) == ("2024-01-05T00:00:00", 0.5)
    assert [file["source_file"] for file in found["files"]] == ["orders/jan.csv"]
    assert answer.document["events"] is None
    assert undocumented(answer.document) == set()


def test_check_ends_well_where_a_run_would_and_tells_ids_that_stand_for_nobody(shop: Settings) -> None:
    (shop.base_dir / "orders" / "jan.csv").write_text(ORDERS.replace("bob", "guest"))
    answer = clv("check")
    assert (answer.status, answer.document["status"]) == (0, "ok")
    assert answer.document["odd_customers"] == [{"customer_id": "guest", "share": 0.5}]
    assert {check["check"]: check["cure"] for check in answer.document["failed_checks"]} == {
        "customers_are_somebody": "cleaning.anonymous_ids"
    }
    assert undocumented(answer.document) == set()


def test_a_mistake_in_the_configuration_is_a_document_too(shop: Settings) -> None:
    (shop.base_dir / "clv.yaml").write_text("sauce: {}")
    for command in ("run", "audit", "check", "publish"):
        answer = clv(command)
        assert (answer.status, answer.document["status"], answer.stderr) == (1, "error", "")
        assert answer.document["error"]["kind"] == "ConfigError"
        assert "sauce: unknown key; did you mean 'source'?" in answer.document["error"]["message"]
        assert undocumented(answer.document) == set()


def test_without_json_an_error_is_no_document(shop: Settings) -> None:
    (shop.base_dir / "clv.yaml").write_text("sauce: {}")
    done = ended("publish")
    assert (done.returncode, done.stdout) == (1, "")
    assert "sauce: unknown key" in done.stderr


def test_publish_lists_versions_and_serves_another_one(shop: Settings) -> None:
    warehouse = Warehouse(shop.warehouse_path, [shop.published_dir])
    session = warehouse.open("test")
    for number, run in enumerate(("first", "second"), start=1):
        put_out(session, fill(session, number, run=run), shop.published_dir, run)
    warehouse.close()
    (shop.published_dir / "versions" / "first" / "clv.duckdb").rename(shop.base_dir / "taken.duckdb")
    second, first = clv("publish").document["versions"]
    assert (second["version"], second["served"], second["readable"], second["rows"]) == ("second", True, True, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", second["published_at"])
    assert (first["version"], first["served"], first["readable"], first["rows"]) == ("first", False, False, None)
    (shop.base_dir / "taken.duckdb").rename(shop.published_dir / "versions" / "first" / "clv.duckdb")
    answer = clv("publish", "--to", "first")
    assert [version["served"] for version in answer.document["versions"]] == [False, True]
    assert undocumented(answer.document) == set()
    refused = clv("publish", "--to", "third")
    assert refused.status == 1
    assert refused.document["error"] == {
        "kind": "PublicationError",
        "message": "no version third; known are second, first",
    }


def test_a_run_and_an_audit_tell_of_every_table_and_every_failed_check(shop: Settings) -> None:
    """One run of a few tables that ends well, one that does not, and audits of what they have left."""
    ran = clv("run", "--select", "+key:raw_transactions")
    assert (ran.status, ran.document["status"], ran.document["published"]) == (0, "ok", False)
    rows = {table["table"]: table["rows"] for table in ran.document["tables"]}
    assert (rows["parameters"], rows["raw_transactions"], rows["source_files"]) == (1, 2, 1)
    assert rows.keys() >= {"run_day", "file_gate_settings", "passed_files", "file_measures", "file_gates"}
    assert re.search(r"\[ *1/\d+\]", ran.stderr)
    assert not any(table["unchanged"] for table in ran.document["tables"])

    audited = clv("audit")
    assert (audited.status, audited.document["status"]) == (0, "ok")
    assert {table["table"] for table in audited.document["tables"]} == set(rows)
    assert all(table["passed"] <= table["checks"] for table in audited.document["tables"])

    pipeline = Pipeline.of(shop)
    pipeline.warehouse.open("test").execute("insert into parameters from parameters")
    pipeline.warehouse.close()
    audited = clv("audit")
    assert (audited.status, audited.document["status"]) == (1, "failed")
    [failed] = [check for check in audited.document["failed_checks"] if check["severity"] == "error"]
    assert (failed["table"], failed["check"]) == ("parameters", "one_row")
    assert failed["message"] == "There is exactly one set of parameters."
    assert "1 checks failed" in audited.stderr

    (shop.base_dir / "orders" / "feb.csv").write_text("Customer\tDate\nann\t2024-02-01\n")
    broken = clv("run", "--select", "raw_transactions")
    assert (broken.status, broken.document["status"]) == (1, "failed")
    [step] = broken.document["failed_steps"]
    assert step["step"] == "raw_transactions"
    assert "orders/feb.csv" in step["message"]
    assert broken.document["publication"] is None
    for document in (ran.document, audited.document, broken.document):
        assert undocumented(document) == set()

    refused = clv("run", "--days", "soon")
    assert refused.status == 1
    assert refused.document["error"]["kind"] == "RequestError"


def test_the_numbers_of_a_publication_are_documented() -> None:
    facts = Facts(
        as_of=date(2024, 1, 6),
        rows=2,
        rows_kept=1,
        customers=1,
        revenue=7.0,
        purchases=2,
        horizon_days=365,
        expected_spend=1.0,
        expected_buyers=0.5,
        expected_purchases=0.5,
        at_risk_customers=0,
        at_risk_revenue=0.0,
        at_stake_value=0.0,
        at_stake_days=365,
        model="hybrid",
        past_dates=None,
        off_by=None,
        normalized_gini=None,
        caveat=None,
        database=Path("clv.duckdb"),
        report=Path("report.html"),
        explore=Path("explore.html"),
    )
    document = run_document(Outcome("run", True, True, [], [], []), facts)
    assert json.loads(as_json(document))["publication"]["as_of"] == "2024-01-06"
    assert undocumented(document) == set()
