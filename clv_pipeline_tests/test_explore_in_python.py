"""The queries of examples/explore_in_python.py fit the published tables; acceptance/test_bi_clients.py runs it."""

from __future__ import annotations

import ast
from pathlib import Path

from clv_pipeline_tests.helpers.empty_publication import empty_publication

EXAMPLE = Path(__file__).parents[1] / "examples" / "explore_in_python.py"


def test_every_query_of_the_example_runs_on_the_published_tables() -> None:
    nodes = ast.walk(ast.parse(EXAMPLE.read_text(encoding="utf-8")))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    queries = [text for text in texts if text.strip().startswith("select ")]
    assert len(queries) == 3
    with empty_publication() as client:
        for query in queries:
            assert client.execute(query, ["Loyal"] * query.count("?")).fetchall() == []
