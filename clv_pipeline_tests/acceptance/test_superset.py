"""Apache Superset on a publication: it connects, describes, charts, and sees the next version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clv_pipeline_tests.acceptance.conftest import PublishedShop
from clv_pipeline_tests.acceptance.superset_site import Superset, SupersetError, superset_site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "superset_dashboard"
RUN_SECONDS = 900


@pytest.fixture(scope="module")
def superset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    """Superset as it is after installation."""
    with superset_site(tmp_path_factory.mktemp("superset")) as running:
        yield running


@pytest.fixture(scope="module")
def database_id(superset: Superset, cdnow: PublishedShop) -> int:
    """The connection that comes with the dashboard of examples/."""
    superset.import_dashboard(EXAMPLE, cdnow.database)
    [database] = superset.get("/api/v1/database/")["result"]
    return int(database["id"])


def uri(shop: PublishedShop) -> str:
    """The connection string of docs/how-to/bi-tools.md."""
    return f"duckdb:///{shop.database}?access_mode=read_only"


def test_the_connection_string_of_the_documentation_connects(superset: Superset, cdnow: PublishedShop) -> None:
    asked = {"database_name": "by hand", "sqlalchemy_uri": uri(cdnow)}
    assert superset.post("/api/v1/database/test_connection/", asked) == {"message": "OK"}


def test_every_published_table_is_listed_with_its_comments(
    superset: Superset, cdnow: PublishedShop, database_id: int
) -> None:
    listed = superset.get(f"/api/v1/database/{database_id}/tables/", q="(schema_name:main)")["result"]
    assert {table["value"] for table in listed} == set(cdnow.contracts)
    for name, contract in cdnow.contracts.items():
        told = superset.get(f"/api/v1/database/{database_id}/table_metadata/", name=name, schema="main")
        assert told["comment"].startswith(contract.description)
        commented = {column["name"]: column["comment"] for column in told["columns"]}
        assert list(commented) == [column.name for column in contract.columns]
        assert all(commented.values())


def test_a_dataset_takes_the_comments_over_when_it_is_synchronised(
    superset: Superset, cdnow: PublishedShop, database_id: int
) -> None:
    assert database_id
    datasets = {dataset["table_name"]: dataset["id"] for dataset in superset.get("/api/v1/dataset/")["result"]}
    superset.put(f"/api/v1/dataset/{datasets['segment_history']}/refresh")
    columns = superset.get(f"/api/v1/dataset/{datasets['segment_history']}")["result"]["columns"]
    told = {column["column_name"]: column["description"] for column in columns}
    assert {column.name: column.description for column in cdnow.contracts["segment_history"].columns} == told


def test_a_chart_query_gives_the_published_numbers(superset: Superset, cdnow: PublishedShop, database_id: int) -> None:
    assert database_id
    [dataset] = superset.get("/api/v1/dataset/", q="(filters:!((col:table_name,opr:eq,value:segment_history)))")[
        "result"
    ]
    metrics = [
        {"expressionType": "SQL", "sqlExpression": f"sum({name})", "label": name}
        for name in ("customers", "customer_share")
    ]
    asked = {
        "datasource": {"id": dataset["id"], "type": "table"},
        "queries": [{"columns": ["segment"], "metrics": metrics, "row_limit": 100}],
    }
    [result] = superset.post("/api/v1/chart/data", asked)["result"]
    with cdnow.client() as client:
        published = client.execute(
            "select segment, sum(customers), sum(customer_share) from segment_history group by all"
        ).fetchall()
    shown = {row["segment"]: (row["customers"], pytest.approx(row["customer_share"])) for row in result["data"]}
    assert shown == {segment: (customers, share) for segment, customers, share in published}


def test_nothing_can_be_written_through_it(superset: Superset, database_id: int) -> None:
    with pytest.raises(SupersetError, match=r"DML|read-only"):
        superset.rows(database_id, "delete from rfm")


def test_a_new_version_is_read_while_superset_runs(superset: Superset, cdnow: PublishedShop, database_id: int) -> None:
    both = "select (select run_id from publication) as version, (select count(*) from campaign_plan) as planned"

    def seen() -> tuple[str, int]:
        [row] = superset.rows(database_id, both)
        return row["version"], row["planned"]

    before = seen()
    assert before[1] == 0
    run = cdnow.start_run(campaign={"budget": 1_000, "cost_per_contact": 2, "assumed_uplift": 0.05})
    answers = {before}
    deadline = time.monotonic() + RUN_SECONDS
    try:
        while run.poll() is None and time.monotonic() < deadline:
            # Each answer is of one version: the old one until there is the new one, without an error between.
            answers.add(seen())
            time.sleep(0.5)
        assert run.wait(1) == 0, (cdnow.folder / "run.log").read_text()
    finally:
        run.kill()
    after = seen()
    assert after[0] != before[0]
    assert after[1] == 500
    assert answers | {after} == {before, after}
