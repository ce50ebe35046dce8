"""What an expression in clv.yaml may say, and as what its columns are read."""

from __future__ import annotations

import duckdb
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
        ('to_timestamp("created")', "time", "timezone('UTC', to_timestamp(number:created))"),
        ('epoch_ms("created")', "time", "timezone('UTC', to_timestamp(number:created / 1000))"),
        ('"Days" // 7', "number", "trunc(number:Days / 7)"),
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
        ("pow(a, 2)", "the function pow"),
        ("list_transform([1], x -> x)", "'LIST_TRANSFORM([1]"),
        ("a && b", "'a && b'"),
        ("regexp_replace(a, 'x', 'y', b)", "options of a regular expression that are no letters"),
        ("regexp_replace(a, 'x', 'y', 'g; drop')", "options of a regular expression that are no letters"),
        ("current_setting('threads')", "the function current_setting"),
        ("getvariable('x')", "the function getvariable"),
        ("now()", "the function now"),
        ("random()", "the function random"),
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
        ("date_trunc('x''); drop', a)", "only the listed scalar functions"),
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


ALLOWED = r"""
upper(s) || lower(u) | trim(s, 'A') | ltrim(s, 'An') | rtrim(s, 'n') | replace(s, 'n', 'm') | substring(s, 2, 3)
substr(s, -3) | left(s, -2) | right(s, 3) | length(s) | concat(s, u, n) | concat(s, null, 'x') | s || '-' || u
concat_ws('-', s, null, u) | split_part(u, ',', -1) | lpad(s, 12, '*') | rpad(s, 3, '*') | strip_accents(u)
starts_with(s, 'A') | ends_with(s, 'n') | contains(s, 'X') | md5(s) | sha256(s)
regexp_matches(s, 'ANN', 'i') | regexp_full_match(s, 'ANN.*', 'i') | s ~ 'Ann.*' | regexp_extract(s, '([A-Z])(n)', 1)
regexp_extract(s, '([a-z])(N)', 2, 'i') | regexp_replace(s, 'n', 'm') | regexp_replace(s, 'N', 'm', 'gi')
regexp_replace(s, '(n+)', '<\1>', 'g') | strptime(u, '%Y-%m-%d') | try_strptime(u, '%Y-%m-%d')
n + 1 | n - -1 | n * .5e1 | n / 3 | n % 2 | mod(n, 2) | -n | abs(n) | round(n) | round(n, 1) | floor(n) | ceil(n)
trunc(n) | sign(n) | greatest(n, null, 5) | least(n, 5) | coalesce(n, 0) | ifnull(n, 0) | nullif(n, 3.5)
if(n > 1, n, 0) | case when n > 1 then 'x' end | case n when 3.5 then 1 else 2 end | n not between 1 and 4
n in (3.5, 7) | s not in ('b', null) | s is not null | n is distinct from 3.5 | s not like 'A%' | s ilike 'a%'
not (n > 1 and s is null) | n > 1 and (s = 'x' or n < 0) | n == 3.5 | n <> 3.5 | 12 / 4 / n | 2 * (3 - (n - 1))
t + interval 1 day | t - interval '2' month | date_trunc('week', t) | year(t) | month(t) | day(t) | date(t) | t::date
t > date '2024-01-01' | t > timestamp '2024-01-01 00:00:00' | n::int | n::decimal(10, 1) | try_cast(s as double)
(n > 1)::boolean | coalesce(nullif(s, ''), u) | 'it' || s
"""


@pytest.mark.parametrize("text", [text for line in ALLOWED.splitlines()[1:] for text in line.split(" | ")])
def test_what_is_allowed_is_what_duckdb_computes_of_it(text: str) -> None:
    sql, parameters = parsed(KEY, text).sql(lambda name, sql, kind: name or sql, "p")
    rows = """(values ('Ann X ann', cast(3.5 as decimal(38, 6)), timestamp '2024-02-29 13:45:10.5', 'a,b,c'),
        ('', -7.25, '1999-12-31', '2024-01-05'), (null, null, null, null)) as rows(s, n, t, u)"""
    with duckdb.connect() as con:
        expected = con.execute(f"select try({text}) from {rows}").fetchall()
        assert con.execute(f"select {sql} from {rows}", parameters).fetchall() == expected
