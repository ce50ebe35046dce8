"""What an expression in clv.yaml may say, and as what its columns are read."""

from __future__ import annotations

import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.expressions import Kind, parsed

KEY = "source.transactions.columns.amount"


def _shown(text: str) -> str:
    """The SQL of an expression, with every column as kind:name."""

    def read(name: str | None, sql: str, kind: Kind) -> str:
        return f"{kind}:{name or sql}"

    sql, _ = parsed(KEY, text).sql(read, "p")
    return sql.removeprefix("TRY((").removesuffix("))")


@pytest.mark.parametrize(
    ("text", "kind", "sql"),
    [
        ('"Amount" / 100', "number", "number:Amount / 100"),
        ('"Sub" - coalesce("Back", 0)', "number", "number:Sub - COALESCE(number:Back, 0)"),
        ('coalesce("Net", "Gross")', "text", "COALESCE(text:Net, text:Gross)"),
        ('coalesce("Net", "Gross") * 2', "number", "COALESCE(number:Net, number:Gross) * 2"),
        ('"Qty" > 0', "condition", "number:Qty > 0"),
        ('"Qty" in (1, 2)', "condition", "number:Qty IN (1, 2)"),
        ("\"Zip\" = '1'", "condition", "text:Zip = $p_0"),
        ("\"Day\" >= date '2024-01-31'", "condition", "time:Day >= CAST($p_0 AS DATE)"),
        ('"Day" + interval 1 day', "time", "time:Day + INTERVAL '1' DAY"),
        ('time("Day" || \' \' || "Hour")', "time", "time:text:Day || $p_0 || text:Hour"),
        ('to_timestamp("created")', "time", "timezone('UTC', TO_TIMESTAMP(number:created))"),
        ("number(replace(\"w\", 'kg', ''))", "number", "number:REPLACE(text:w, $p_0, $p_1)"),
        ('lower(trim("Email"))', "text", "LOWER(TRIM(text:Email))"),
        ('-"Amount"', "number", "-number:Amount"),
        (
            'case when "Cur" = \'JPY\' then "Amount" else "Amount" / 100 end',
            "number",
            "CASE WHEN text:Cur = $p_0 THEN number:Amount ELSE number:Amount / 100 END",
        ),
        ('"a""b" is null', "condition", 'text:a"b IS NULL'),
    ],
)
def test_where_a_column_stands_decides_as_what_it_is_read(text: str, kind: Kind, sql: str) -> None:
    assert (parsed(KEY, text).kind, _shown(text)) == (kind, sql)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("(select 1)", "a subquery"),
        ("a in (select 1)", "a subquery"),
        ("exists (select 1)", "a subquery"),
        ("from read_csv('/etc/passwd')", "a subquery"),
        ("sum(a)", "the aggregate function sum"),
        ("sum(a) over ()", "a window function"),
        ("row_number() over ()", "a window function"),
        ("read_text('/etc/passwd')", "the function read_text"),
        ("getenv('HOME')", "the function getenv"),
        ("current_setting('threads')", "the function current_setting"),
        ("getvariable('x')", "the function getvariable"),
        ("now()", "the function now"),
        ("random()", "the function rand"),
        ("current_date", "the function current_date"),
        ("nextval('s')", "the function nextval"),
        ("columns('.*')", "the function columns"),
        ("t.a", "the table 't'"),
        ("a as b", "'a AS b'"),
        ("*", "'*'"),
        ("a[1]", "'a[1]'"),
        ("$1", "'$1'"),
        ("?", "'?'"),
        ("a::regclass", "the type regclass"),
        ("cast(a as json)", "the type JSON"),
        ("set threads = 1", "'SET threads = 1'"),
        ("pragma version", "'PRAGMA version'"),
        ("date_trunc('x''); drop', a)", "only scalar functions"),
        ("interval 'x' day", "an interval that is no whole number"),
        ("number(a, b)", "number with 2 values"),
        ("1; 2", "more than one statement"),
        ("a; drop table raw", "more than one statement"),
        ("", "should be one expression"),
        ("a =", "is no SQL expression"),
        ("'open", "is no SQL expression"),
        ("(" * 5_000 + "1" + ")" * 5_000, "nested too deeply"),
    ],
)
def test_what_is_no_scalar_function_over_columns_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(SourceError) as refusal:
        parsed(KEY, text)
    said = str(refusal.value)
    assert said.startswith(f"{KEY}: {text[:30]!r}"[:40])
    assert named in said
    assert len(said) < 500


def test_the_text_of_an_expression_never_enters_the_sql() -> None:
    sql, parameters = parsed(KEY, "\"a\" = 'x''; drop table raw; --' and lower(\"b\") like '%$path%'").sql(
        lambda name, sql, kind: "c0", "where"
    )
    assert sql == "TRY((c0 = $where_0 AND LOWER(c0) LIKE $where_1))"
    assert parameters == {"where_0": "x'; drop table raw; --", "where_1": "%$path%"}
