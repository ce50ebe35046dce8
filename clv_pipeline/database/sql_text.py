"""Names and texts quoted for SQL, where a bound parameter cannot stand.

Everything else reaches SQL as a parameter. Here is the one place that knows how quotes are escaped.
"""


def quote_identifier(name: str) -> str:
    """`name` as an SQL identifier, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """`text` as an SQL string, for the statements that take no parameters (COMMENT ON)."""
    return "'" + text.replace("'", "''") + "'"
