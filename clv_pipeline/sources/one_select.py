"""The check that a user's query is one SELECT, made before any database sees it.

Here belongs what is refused for its words alone, whatever the database: a second statement, and words that write.
`database_files` and `databases` make sure that the database itself does not write. Several drivers send whatever they
are given, so a second statement would leave the read-only transaction of the first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clv_pipeline.errors import SourceError

if TYPE_CHECKING:
    from sqlglot import Token

BEGINS = frozenset({"SELECT", "WITH", "FROM", "VALUES", "TABLE", "DESCRIBE", "SHOW", "SUMMARIZE", "("})
"""First words of a query. Some of them exist only on DuckDB."""

WRITES = frozenset(
    "INSERT UPDATE DELETE MERGE INTO CREATE ALTER DROP TRUNCATE EXEC EXECUTE GRANT REVOKE".split()  # noqa: SIM905
)
"""Words that write, wherever they are: WITH x AS (DELETE …), SELECT … INTO, and SQL Server needs no semicolon."""

RUNS_FUNCTION_OF_THE_NAME = frozenset({"EXEC", "EXECUTE", "INTO"})
"""Those of these words that are not functions even before a parenthesis."""

DIALECTS = {
    "postgresql": "postgres",
    "cockroachdb": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "tsql",
    **{name: name for name in ("sqlite", "duckdb", "oracle", "snowflake", "bigquery", "redshift", "trino")},
}
"""Names of SQLAlchemy's databases in sqlglot. For any other database, sqlglot reads standard SQL."""


def one_select(query: str, database: str, label: str) -> str:
    """The query without the semicolon and comments at its end, so that it can be part of another query.

    Args:
        query: as the user wrote it.
        database: SQLAlchemy's name of the database, such as `postgresql`.
        label: names the source in errors.

    Raises:
        SourceError: it is not exactly one query that only reads.
    """
    import sqlglot

    refusal = f"{label}: the query is refused: sources are only read, and"
    if database in ("mysql", "mariadb") and re.search(r"/\*M?!", query):
        raise SourceError(f"{refusal} the database runs what is in /*! … */", to_do="take it out")
    try:
        tokens = sqlglot.tokenize(query, read=DIALECTS.get(database))
    except sqlglot.errors.TokenError as error:
        raise SourceError(
            f"{label}: the query is no SQL", quoted=str(error).splitlines()[0], to_do="look for an open quote"
        ) from error
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if not tokens:
        raise SourceError(f"{label}: the query is empty", to_do="write one SELECT")
    if any(_written(query, token) == ";" for token in tokens):
        raise SourceError(f"{refusal} it holds more than one statement", to_do="keep one SELECT")
    if (first := _written(query, tokens[0])) not in BEGINS:
        raise SourceError(f"{refusal} it begins with {first}", to_do="write one SELECT")
    for place, token in enumerate(tokens):
        if (word := _written(query, token)) in WRITES and not _is_a_name(query, tokens, place, word):
            raise SourceError(
                f"{refusal} it says {word}", to_do="write one SELECT; if it is the name of a column, put it in quotes"
            )
    return query[: tokens[-1].end + 1]


def _is_a_name(query: str, tokens: list[Token], place: int, word: str) -> bool:
    """Whether the word follows a dot or AS, or is a function."""
    before = _written(query, tokens[place - 1])
    behind = _written(query, tokens[place + 1]) if place + 1 < len(tokens) else ""
    return before in (".", "AS") or (behind == "(" and word not in RUNS_FUNCTION_OF_THE_NAME)


def _written(query: str, token: Token) -> str:
    """The token as it is written in the query, including quotes, so that quoted text is never taken for a word."""
    return query[token.start : token.end + 1].upper()
