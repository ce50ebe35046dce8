"""Translation of DuckDB queries for Spark: no query is written twice.

sqlglot translates. One small function per difference between the engines corrects what sqlglot gets wrong.
`clv_pipeline_tests/acceptance/test_spark_parity.py` proves query by query that the rows are the same, for Spark 4 in
ANSI mode with the session time zone UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from clv_pipeline.contracts.loader import DIALECT
from clv_pipeline.errors import ContractError
from clv_pipeline.spark.functions import PROVEN, functions_of

Schema = Mapping[str, Mapping[str, str]]
"""Columns by table, with DuckDB's types in the spelling of contracts."""

Parameters = Sequence[Any] | Mapping[str, Any]
"""Values for `?` and `$1` by position, or for `$name` by name."""

NUMERAL = r"(?i)\s*[+-]?(inf|infinity|nan|(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?)\s*"
"""Texts that DuckDB reads as a number: unlike Spark no 1d and no 0x1p3, but 1_000."""


def translate(
    query: str | exp.Query, schema: Schema, parameters: Parameters = (), columns: Mapping[str, str] | None = None
) -> str:
    """A DuckDB SELECT for Spark, over tables of the same names.

    Args:
        query: one SELECT; if it is parsed, it has no `?`.
        schema: the schema of at least the tables that the query reads.
        parameters: become literals of the parsed query. None, booleans, numbers, text, dates, times without time zone,
            and lists of these.
        columns: columns of the result with DuckDB's types, to which it is cast. None: numbers may have a wider type
            than on DuckDB.

    Raises:
        ContractError: the query is not a SELECT, has an unknown parameter or column, uses a function that is not proven
            on Spark, or holds something that a correction cannot translate.
    """  # noqa: DOC501  (a ValueError becomes a ContractError)
    try:
        parsed = _bound(query, parameters)
        if unproven := functions_of(parsed, DIALECT) - PROVEN:
            raise ValueError(f"{', '.join(sorted(unproven))}: not proven to give the same on Spark")
        if columns is not None and not isinstance(parsed, exp.Select):
            parsed = exp.select("*").from_(parsed.subquery("result", copy=False))
        corrected = _corrected(parsed, schema)
        if columns is not None:
            # Spark's counts and sums have other types than DuckDB's.
            for projection in corrected.selects:
                if (type_ := columns.get(projection.alias_or_name)) is None:
                    raise ValueError(f"{projection.alias_or_name} is no column of the contract")
                projection.this.replace(exp.cast(projection.this.copy(), type_, dialect=DIALECT))
        return corrected.sql(dialect="spark", pretty=True, comments=False)
    except (ValueError, SqlglotError) as error:
        text = query if isinstance(query, str) else query.sql(DIALECT)
        raise ContractError("a query cannot be translated for Spark", quoted=f"{error}; it is: {text}") from error


def _bound(query: str | exp.Query, parameters: Parameters) -> exp.Query:
    """The parsed query with its parameters as literals.

    Raises:
        ValueError: a parameter has no value, or a value no parameter.
    """
    parsed = _parsed(query) if isinstance(query, str) else query.copy()
    if isinstance(parameters, Mapping):
        values = {str(name): value for name, value in parameters.items()}
    else:
        values = {str(place): value for place, value in enumerate(parameters, start=1)}
    placeholders = list(parsed.find_all(exp.Placeholder))
    if differing := {placeholder.name for placeholder in placeholders} ^ set(values):
        raise ValueError(f"either no value is given for a parameter or it is not used: {', '.join(sorted(differing))}")
    for placeholder in placeholders:
        placeholder.replace(_literal(values[placeholder.name]))
    return parsed


def _parsed(query: str) -> exp.Query:
    """The parsed query with numbered `?`, because a parsed query does not keep the order of its text.

    Raises:
        ValueError: it is not exactly one SELECT.
    """
    dialect = sqlglot.Dialect.get_or_raise(DIALECT)
    places = count(1)
    tokens: list[Token] = []
    for token in dialect.tokenize(query):
        if token.token_type is TokenType.PLACEHOLDER:
            tokens += [Token(TokenType.PARAMETER, "$"), Token(TokenType.NUMBER, str(next(places)))]
        else:
            tokens.append(token)
    statements = dialect.parser().parse(tokens, query)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ValueError("it must be exactly one SELECT")
    return statements[0]


def _literal(value: object) -> exp.Expr:
    """The value as DuckDB would take it for a bound parameter.

    Raises:
        ValueError: values of its type have no literal.
    """
    match value:
        case None:
            return exp.null()
        case bool() | int() | str():
            return exp.convert(value)
        case float():
            # With a bare point it would be a decimal.
            return exp.cast(_text(repr(value)), "double", dialect=DIALECT)
        case Decimal() if value.is_finite():
            whole, _, fraction = f"{abs(value):f}".partition(".")
            return exp.cast(_text(f"{value:f}"), f"decimal({len(whole) + len(fraction)}, {len(fraction)})")
        case datetime() if value.tzinfo is None:
            return exp.cast(_text(str(value)), "timestamp", dialect=DIALECT)
        case date() if not isinstance(value, datetime):
            return exp.cast(_text(str(value)), "date", dialect=DIALECT)
        case list():
            return exp.Array(expressions=[_literal(item) for item in value])
    raise ValueError(f"a parameter of {type(value)} has no literal")


def _corrected(parsed: exp.Query, schema: Schema) -> exp.Query:
    """A copy of the query that sqlglot renders correctly."""
    # Columns and their types are resolved first: some corrections depend on the type, and Spark need not know stars.
    read = {table.name for table in parsed.find_all(exp.Table)}
    known: dict[str, object] = {name: dict(columns) for name, columns in schema.items() if name in read}
    query = qualify(parsed.copy(), schema=known, dialect=DIALECT)
    for division in list(query.find_all(exp.Div))[::-1]:
        # DuckDB's mean is always a double; Spark's mean of decimals is a decimal with few digits.
        division.this.replace(exp.cast(division.this.copy(), "double"))
    query = annotate_types(query, schema=known, dialect=DIALECT)
    # From the leaves up, so that later corrections see corrected parts.
    nodes = list(query.dfs())[::-1]
    whole = exp.Subquery(this=query)
    for node in nodes:
        if correct := CORRECTIONS.get(type(node)):
            corrected = correct(node)
            corrected.type = node.type
            node.replace(corrected)
    corrected_query: exp.Query = whole.this
    return corrected_query


def _select(select: exp.Select) -> exp.Expr:
    """Order a DISTINCT result by its own columns: Spark knows no others after it."""
    if select.args.get("distinct") and (order := select.args.get("order")):
        results = {projection.unalias(): projection.alias for projection in select.selects}
        for ordered in order.expressions:
            if ordered.this in results:
                ordered.this.replace(exp.column(results[ordered.this], quoted=True))
    return _qualifying(select)


def _qualifying(select: exp.Select) -> exp.Expr:
    """Turn QUALIFY into a column of a subquery. sqlglot's way takes `a.x < b.x` for `a.x < a.x`.

    Raises:
        ValueError: a column in QUALIFY has no table, although the query reads several.
    """
    if select.args.get("qualify") is None:
        return select
    inner = select.copy()
    condition = inner.args.pop("qualify").this
    outer = {part: inner.args.pop(part, None) for part in ("with_", "distinct", "order", "limit", "offset")}
    if bare := [column.name for column in condition.find_all(exp.Column) if not column.table]:
        raise ValueError(f"QUALIFY has {', '.join(bare)} of more than one table; the table's name would say which")
    # The rows may be ordered by a column that is not in the result.
    for place, ordered in enumerate(outer["order"].expressions if outer["order"] else ()):
        if any(column.table for column in ordered.this.find_all(exp.Column)):
            key = f"_order_{place}"
            inner.select(exp.alias_(ordered.this.copy(), key, quoted=True), copy=False)
            ordered.this.replace(exp.column(key, quoted=True))
    inner.select(exp.alias_(condition, "_qualifies", quoted=True), copy=False)
    names = (exp.column(name, quoted=True).as_(name, quoted=True) for name in select.named_selects)
    whole = exp.select(*names).from_(inner.subquery("_unqualified", copy=False))
    whole = whole.where(exp.column("_qualifies", quoted=True))
    for part, expression in outer.items():
        whole.set(part, expression)
    return whole


def _by_position(union: exp.Union) -> exp.Expr:
    """Turn a union by name into one by position, the only one of Spark; a column missing on one side is NULL there."""
    if not union.args.get("by_name"):
        return union
    sides = (union.left, union.right)
    names = list(dict.fromkeys(name for side in sides for name in side.named_selects))
    for side in sides:
        columns = (
            (exp.column(name, quoted=True) if name in side.named_selects else exp.null()).as_(name, quoted=True)
            for name in names
        )
        side.replace(exp.select(*columns).from_(side.copy().subquery("_side", copy=False)))
    union.set("by_name", None)
    return union


def _without_hint(cte: exp.CTE) -> exp.Expr:
    """Drop the hint: Spark decides itself what it materializes, and has no words for it."""
    return exp.CTE(this=cte.this, alias=cte.args["alias"])


def _named(function: exp.Anonymous) -> exp.Expr:
    """Translate functions that sqlglot passes on unchanged.

    Raises:
        ValueError: the function has no known translation.
    """
    match function.name.lower():
        case "hash":
            # Spark's hash has 32 bits, too few to distinguish millions of values.
            return exp.func("xxhash64", *function.expressions)
        case "md5_number_upper":
            # The first eight bytes, the lowest first: reverse the digits, then swap the digits of each byte back.
            digits = exp.func("left", exp.func("md5", *function.expressions), exp.Literal.number(16))
            swapped = exp.func("regexp_replace", exp.func("reverse", digits), _text("(.)(.)"), _text("$2$1"))
            number = exp.func("conv", swapped, exp.Literal.number(16), exp.Literal.number(10))
            return exp.cast(number, "decimal(20, 0)")
        case "isfinite" if _type(function.expressions[0]).is_type("double", "float"):
            # Spark has no such function; NaN is above infinity.
            infinity = exp.cast(_text("Infinity"), "double")
            return exp.LT(this=exp.func("abs", *function.expressions), expression=infinity)
        case "printf" if function.expressions[0].name == "%,.*f":
            # Java's printf takes no precision as an argument, and rounds halves differently.
            _, digits, number = function.expressions
            return exp.func("format_number", number, digits)
    raise ValueError(f"it is not known what {function.sql(DIALECT)} is there")


def _quantile_disc(quantile: exp.PercentileDisc) -> exp.Expr:
    """Translate QUANTILE_DISC: sqlglot would take an approximation, and Spark's result is a double for any input."""
    order = exp.Order(expressions=[exp.Ordered(this=quantile.this)])
    exact = exp.Anonymous(this="percentile_disc", expressions=[quantile.expression])
    return exp.cast(exp.WithinGroup(this=exact, expression=order), _type(quantile.this))


def _quantile_cont(quantile: exp.PercentileCont | exp.Median) -> exp.Expr:
    """Translate QUANTILE_CONT: Spark's percentile_cont and median allow no window frames; percentile does."""
    return exp.func("percentile", quantile.this, quantile.args.get("expression") or exp.Literal.number("0.5"))


def _mean(mean: exp.Avg) -> exp.Expr:
    """Translate the mean: Spark's mean of decimals has four digits more than they, DuckDB's is a double."""
    return exp.Avg(this=exp.cast(mean.this, "double")) if _type(mean.this).is_type("decimal") else mean


def _in(equal: exp.EQ) -> exp.Expr:
    """Translate `= ANY (SELECT …)`, as which DuckDB remembers the IN of a view: Spark has it only for lists."""
    found = equal.expression
    query = found.this.unnest() if isinstance(found, exp.Any) else None
    if not isinstance(query, exp.Query):
        return equal
    return exp.In(this=equal.this, query=query.subquery(copy=False))


def _window(window: exp.Window) -> exp.Expr:
    """Translate FILTER over a window, which Spark has only for groups: rows that are left out count as NULL.

    Raises:
        ValueError: the aggregate does not leave NULL out.
    """
    filtered = window.this
    if not isinstance(filtered, exp.Filter):
        return window
    aggregate, condition = filtered.this, filtered.expression.this
    if not isinstance(aggregate, exp.Count | exp.Sum | exp.Max | exp.Min | exp.Avg):
        raise ValueError(f"{filtered.sql(DIALECT)} over a window: it is not known how to leave rows out of it")
    value = exp.Literal.number(1) if isinstance(aggregate.this, exp.Star) else aggregate.this
    aggregate.set("this", exp.case().when(condition.copy(), value.copy()))
    window.set("this", aggregate)
    return window


def _days(difference: exp.Sub) -> exp.Expr:
    """Translate differences of dates: Spark's is an interval, DuckDB's a number of days."""
    if difference.this.is_type("date") and difference.expression.is_type("date"):
        return exp.DateDiff(this=difference.this, expression=difference.expression)
    return difference


def _time(truncated: exp.TimestampTrunc) -> exp.Expr:
    """Translate a time: Spark reads it as a point in time, DuckDB as a time of day."""
    return exp.cast(truncated, "timestamp", dialect=DIALECT)


def _cast(cast: exp.Cast) -> exp.Expr:
    """Translate a cast from double to decimal: DuckDB rounds the binary number, Spark the printed one.

    Raises:
        ValueError: the decimal has more digits than a double.
    """
    if not cast.to.is_type("decimal") or isinstance(cast.this, exp.Null) or not _is_double(cast.this):
        return cast
    precision, scale, shifted = _shifted(cast)
    unit = exp.Literal.number(f"{10**-scale:.{scale}f}")
    # Spark takes a bigint for 20 digits, and a product that may have more than 38 loses some of its last ones.
    digits = exp.cast(exp.cast(shifted, "bigint"), "decimal(19, 0)")
    exact = exp.cast(exp.Mul(this=digits, expression=unit), cast.to)
    if precision <= 18:
        return exact
    size = exp.func("abs", shifted.copy())
    # Spark makes NULL of NaN and infinity, which are greater than all numbers; a cast to bigint fails as in DuckDB.
    is_long = exp.and_(
        exp.GTE(this=size, expression=exp.Literal.number("9E18")),
        exp.LT(this=size.copy(), expression=exp.Literal.number("1E38")),
    )
    # A double has fewer digits than are asked for, and both engines may fill up the others differently.
    return exp.case().when(is_long, cast.copy()).else_(exact)


def _is_double(node: exp.Expr) -> bool:
    return _type(node).is_type("double", "float")


def _shifted(cast: exp.Cast) -> tuple[int, int, exp.Expr]:
    """Precision and scale of the decimal that a double is cast to, and its digits as a whole number."""
    precision, scale = (int(parameter.name) for parameter in cast.to.expressions)
    moved = exp.Mul(this=exp.paren(cast.this.copy()), expression=exp.Literal.number(f"1E{scale}"))
    return precision, scale, exp.func("round", moved)


def _try_cast(cast: exp.TryCast) -> exp.Expr:
    """Translate a text that may be a number, where engines differ in what they accept, or a double to decimal.

    Raises:
        ValueError: the cast is of another kind.
    """
    if cast.to.is_type("decimal") and _is_double(cast.this):
        precision, _, shifted = _shifted(cast)
        # False of NaN, which is greater than all numbers.
        has_room = exp.LT(this=exp.func("abs", shifted), expression=exp.Literal.number(f"1E{precision}"))
        return exp.case().when(has_room, _cast(exp.Cast(this=cast.this.copy(), to=cast.to.copy())))
    if not cast.to.is_type("double"):
        raise ValueError(f"{cast.sql(DIALECT)}: it is not known what texts Spark takes for {cast.to.sql(DIALECT)}")
    digits = exp.func("replace", cast.this.copy(), _text("_"), _text(""))
    is_number = exp.RegexpLike(this=cast.this, expression=_text(f"^{NUMERAL}$"))
    return exp.case().when(is_number, exp.TryCast(this=digits, to=cast.to))


def _text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


CORRECTIONS: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.Select: _select,
    exp.Union: _by_position,
    exp.CTE: _without_hint,
    exp.Anonymous: _named,
    exp.PercentileDisc: _quantile_disc,
    exp.PercentileCont: _quantile_cont,
    exp.Median: _quantile_cont,
    exp.Avg: _mean,
    exp.EQ: _in,
    exp.Window: _window,
    exp.Sub: _days,
    exp.TimestampTrunc: _time,
    exp.Cast: _cast,
    exp.TryCast: _try_cast,
}
"""Corrections of sqlglot's translation, by the node of the parsed query."""


def _type(node: exp.Expr) -> exp.DataType:
    if node.type is None or node.is_type(exp.DType.UNKNOWN):
        raise ValueError(f"the type of {node.sql(DIALECT)} is not known; a cast would say it")
    return node.type
