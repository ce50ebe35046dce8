"""The same models for Spark: a query is rendered from its parsed DuckDB SQL, never written a second time.

sqlglot translates; what it leaves wrong is corrected here, one small function per difference between the engines. That
the rows are the same is proven model by model in `clv_pipeline_tests/acceptance/test_spark_parity.py`, for Spark 4 in
ANSI mode with the session time zone UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from clv_pipeline.contracts import ContractError
from clv_pipeline.sql_models.loader import DIALECT, SqlModel, TableModel

NUMERAL = r"(?i)\s*[+-]?(inf|infinity|nan|(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?)\s*"
"""What DuckDB reads as a number: in contrast to Spark no 1d and no 0x1p3, but 1_000."""


def spark_sql(model: SqlModel, models: Mapping[str, TableModel]) -> str:
    """The model's query for Spark, over tables of the same names; its columns have the types of the contract.

    Raises:
        ContractError: a correction meets something that it does not know how to translate.
    """
    # Columns and their types are resolved first: some differences depend on the type, and Spark need not know stars.
    schema: dict[str, object] = {
        name: {column.name: column.type for column in models[name].contract.columns} for name in model.dependencies
    }
    query = qualify(model.parsed.copy(), schema=schema, dialect=DIALECT)
    query = annotate_types(query, schema=schema, dialect=DIALECT)
    try:
        # From the leaves up, so that what is corrected already is part of what is corrected next.
        for node in list(query.dfs())[::-1]:
            if correct := CORRECTIONS.get(type(node)):
                corrected = correct(node)
                corrected.type = node.type
                node.replace(corrected)
    except ValueError as error:
        raise ContractError(f"{model.name}.sql cannot be translated for Spark: {error}") from error
    for projection, column in zip(query.selects, model.contract.columns, strict=True):
        # Spark counts and adds up in other types than DuckDB.
        projection.this.replace(exp.cast(projection.this.copy(), column.type, dialect=DIALECT))
    return query.sql(dialect="spark", pretty=True, comments=False)


def _without_hint(cte: exp.CTE) -> exp.Expr:
    """Spark decides by itself what it materializes, and has no words for it."""
    return exp.CTE(this=cte.this, alias=cte.args["alias"])


def _named(function: exp.Anonymous) -> exp.Expr:
    """Functions that sqlglot passes on as they are."""
    match function.name.lower():
        case "hash":
            # Spark's hash has 32 bits, too few to tell millions of values apart.
            return exp.func("xxhash64", *function.expressions)
        case "md5_number_upper":
            # The first eight bytes, the lowest first: digits read backwards, then those of each byte swapped back.
            digits = exp.func("left", exp.func("md5", *function.expressions), exp.Literal.number(16))
            swapped = exp.func("regexp_replace", exp.func("reverse", digits), _text("(.)(.)"), _text("$2$1"))
            number = exp.func("conv", swapped, exp.Literal.number(16), exp.Literal.number(10))
            return exp.cast(number, "decimal(20, 0)")
        case "printf" if function.expressions[0].name == "%,.*f":
            # Java's printf takes no precision from an argument, and rounds halves differently.
            _, digits, number = function.expressions
            return exp.func("format_number", number, digits)
    raise ValueError(f"it is not known what {function.sql(DIALECT)} is there")


def _quantile_disc(quantile: exp.PercentileDisc) -> exp.Expr:
    """sqlglot takes an approximation instead; and Spark's result is a double, whatever it is taken of."""
    order = exp.Order(expressions=[exp.Ordered(this=quantile.this)])
    exact = exp.Anonymous(this="percentile_disc", expressions=[quantile.expression])
    return exp.cast(exp.WithinGroup(this=exact, expression=order), _type(quantile.this))


def _quantile_cont(quantile: exp.PercentileCont | exp.Median) -> exp.Expr:
    """Spark's percentile_cont and median know no window frames; percentile, which is the same, does."""
    return exp.func("percentile", quantile.this, quantile.args.get("expression") or exp.Literal.number("0.5"))


def _mean(mean: exp.Avg) -> exp.Expr:
    """Spark's mean of decimals has four digits more than they, DuckDB's is a double."""
    return exp.Avg(this=exp.cast(mean.this, "double")) if _type(mean.this).is_type("decimal") else mean


def _cast(cast: exp.Cast) -> exp.Expr:
    """A double becomes a decimal: DuckDB shifts it and rounds the binary number, Spark rounds what would be printed."""
    if not cast.to.is_type("decimal") or not _type(cast.this).is_type("double", "float"):
        return cast
    precision, scale = (int(parameter.name) for parameter in cast.to.expressions)
    if precision > 18:
        raise ValueError(f"{cast.sql(DIALECT)}: a double has no {precision} digits")
    shifted = exp.func("round", exp.Mul(this=exp.paren(cast.this), expression=exp.Literal.number(f"1E{scale}")))
    unit = exp.Literal.number(f"{10**-scale:.{scale}f}")
    return exp.cast(exp.Mul(this=exp.cast(shifted, "bigint"), expression=unit), cast.to)


def _try_cast(cast: exp.TryCast) -> exp.Expr:
    """Text becomes a number where it is one: what that is they see differently."""
    if not cast.to.is_type("double"):
        raise ValueError(f"{cast.sql(DIALECT)}: it is not known what texts Spark takes for {cast.to.sql(DIALECT)}")
    digits = exp.func("replace", cast.this.copy(), _text("_"), _text(""))
    is_number = exp.RegexpLike(this=cast.this, expression=_text(f"^{NUMERAL}$"))
    return exp.case().when(is_number, exp.TryCast(this=digits, to=cast.to))


def _text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


CORRECTIONS: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.CTE: _without_hint,
    exp.Anonymous: _named,
    exp.PercentileDisc: _quantile_disc,
    exp.PercentileCont: _quantile_cont,
    exp.Median: _quantile_cont,
    exp.Avg: _mean,
    exp.Cast: _cast,
    exp.TryCast: _try_cast,
}
"""What sqlglot leaves wrong, by the node of the parsed query."""


def _type(node: exp.Expr) -> exp.DataType:
    if node.type is None or node.is_type(exp.DType.UNKNOWN):
        raise ValueError(f"the type of {node.sql(DIALECT)} is not known; a cast would say it")
    return node.type
