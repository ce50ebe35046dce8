"""Which code measured a shop: a hash of everything that makes forecasts and judges them.

Only what computes is hashed. Docstrings, comments, layout, and what contracts describe or check leave it unchanged, so
that figures stay valid when words are edited.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import sqlglot

from clv_pipeline.config.strict_yaml import parse_yaml
from clv_pipeline.contracts.loader import DIALECT

REPOSITORY = Path(__file__).parents[2]

FOLDERS = (
    *("clv_pipeline/forecasting", "clv_pipeline/evaluation", "clv_pipeline/simulation"),
    *(f"dbt_like_sql/{layer}" for layer in ("cleaning", "features", "forecasting", "evaluation")),
)

_WORDS_AND_CHECKS = {"description", "grain", "expectations"}
"""Keys of a contract that change no value of its table."""


def version(repository: Path = REPOSITORY) -> str:
    """The hash of the code that makes forecasts and judges them."""
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((repository / folder).rglob("*")):
            if read := _READERS.get(path.suffix):
                digest.update(read(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def python_code(text: str) -> str:
    """The syntax tree of a module without its docstrings, those below attributes included."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)]
    return ast.dump(tree)


def sql_code(text: str) -> str:
    """The tokens of a query, which hold neither comments nor white space."""
    return json.dumps([(token.token_type.name, token.text) for token in sqlglot.tokenize(text, read=DIALECT)])


def contract_code(text: str) -> str:
    """The content of a contract that its table depends on: columns with their types, key, how it is built."""
    content = {key: value for key, value in parse_yaml(text, "a contract").items() if key not in _WORDS_AND_CHECKS}
    content["columns"] = [[column["name"], column["type"]] for column in content["columns"]]
    return json.dumps(content, sort_keys=True)


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


_READERS = {".py": python_code, ".sql": sql_code, ".yml": contract_code}
