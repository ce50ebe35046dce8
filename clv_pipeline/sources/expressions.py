"""Expressions of `clv.yaml` over the columns of a file: what they may say, and the SQL that computes them.

Here belongs the list of what is allowed: scalar functions over columns of the file. Everything else is refused by name
before any database sees it: a second statement, subqueries, tables, aggregates, windows, and every function that is
not in the list, so that none reads a file or a setting. An expression is parsed, checked and written anew. Its texts
become parameters, and its columns become what the caller puts in their place. How a column is read follows from where
it stands: as a number in arithmetic and beside a number, as a date beside a date, else as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from clv_pipeline.config.source import Expression, TableSource
from clv_pipeline.errors import SourceError, did_you_mean

if TYPE_CHECKING:
    from sqlglot import exp

Kind = Literal["text", "number", "time", "condition"]

SHOWN_CHARACTERS = 200
"""Most characters of an expression that an error shows."""

QUOTES = "names of columns go in double quotes, text in single quotes"
"""What is most often wrong."""

READERS: dict[str, Kind] = {"number": "number", "text": "text", "time": "time"}
"""Functions of ours that say how a value is read."""

_UNPARSED: dict[str, Kind] = {"strip_accents": "text", "try_strptime": "time"}
"""Allowed functions for which sqlglot has no class, and the kind of their values."""

_OPTIONS = ("modifiers", "flag", "options", "parameters")
"""sqlglot's names of the letters behind a regular expression, such as g and i."""

_TYPES = r"(TINY|SMALL|BIG|HUGE)?INT|DOUBLE|FLOAT|REAL|DECIMAL(\(\d+(, ?\d+)?\))?|VARCHAR|TEXT|BOOLEAN|DATE|TIMESTAMP"

_NODES = (
    "Column Identifier Literal RawString Boolean Null Paren Interval Var DataType DataTypeParam Cast TryCast"
    " Add Sub Mul Div IntDiv Mod Neg EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is In Between Like ILike And Or Not"
    " Case If Coalesce Nullif Greatest Least DPipe Concat ConcatWs Lower Upper Trim Replace Substring Left Right Length"
    " SplitPart Pad StartsWith EndsWith Contains RegexpLike RegexpFullMatch RegexpExtract RegexpReplace MD5 SHA2"
    " StrToTime Abs Round Floor Ceil Trunc Sign UnixToTime TimestampTrunc Year Month Day Date Time Anonymous"
)
_ALLOWED = frozenset(_NODES.split())
"""Names of sqlglot's classes of what an expression may hold."""

_NUMERIC = frozenset(
    ["Add", "Sub", "Mul", "Div", "IntDiv", "Mod", "Neg", "Abs", "Round", "Floor", "Ceil", "Trunc", "Sign", "UnixToTime"]
)
_TEMPORAL = frozenset(["TimestampTrunc", "Year", "Month", "Day", "Date"])
_COMPARISONS = frozenset(["EQ", "NEQ", "GT", "GTE", "LT", "LTE", "NullSafeEQ", "NullSafeNEQ", "In", "Between"])
_CONDITIONS = frozenset(
    [
        "Is",
        "And",
        "Or",
        "Not",
        "Boolean",
        "Like",
        "ILike",
        "StartsWith",
        "EndsWith",
        "Contains",
        "RegexpLike",
        "RegexpFullMatch",
    ]
)
_RESULTS: dict[str, Kind] = {
    **dict.fromkeys(_NUMERIC, "number"),
    **dict.fromkeys(_COMPARISONS | _CONDITIONS, "condition"),
    **dict.fromkeys(("Year", "Month", "Day", "Length"), "number"),
    **dict.fromkeys(("TimestampTrunc", "Date", "StrToTime", "UnixToTime", "Interval", "Time"), "time"),
}
"""The kind of a value, where the class tells it. Of the other classes, all are text but columns and choices."""


_SHOWN: dict[Kind, str] = {"text": "text", "number": "number", "time": "date", "condition": "condition"}

Reader = Callable[[str | None, str, Kind], str]
"""The SQL that reads a value as a kind: of the column of a name, or (None) of the SQL behind it."""


@dataclass(frozen=True)
class Parsed:
    """A checked expression."""

    key: str
    """Its place in `clv.yaml`."""
    text: str
    kind: Kind
    columns: dict[str, frozenset[Kind]]
    """The columns that it names, and as what they are read."""

    def refusal(self, problem: str, quoted: str = "", to_do: str = "") -> SourceError:
        """The error for this expression; `to_do` is what helps before the how-to does."""
        return _refusal(self.key, self.text, problem, quoted, to_do)

    def missing(self, label: str, columns: Collection[str], found: str) -> list[SourceError]:
        """An error for each column that the file `label` with these `columns` lacks; `found` lists its columns."""
        return [
            SourceError(
                f"{label}: the column {name!r} in {self.key}, {self.text!r}, is missing",
                quoted=f"{found}{did_you_mean(name, columns)}",
                to_do=f"correct {self.key}; {QUOTES}",
            )
            for name in self.columns
            if name not in columns
        ]

    def sql(self, read: Reader, prefix: str) -> tuple[str, dict[str, Any]]:
        """(SQL, its parameters): NULL where a value cannot be computed. `prefix` begins the names of parameters."""
        parameters: dict[str, Any] = {}
        sql = _placed(_tree(self.key, self.text), read, prefix, parameters)
        return f"TRY({sql})", parameters


@lru_cache(maxsize=256)
def parsed(key: str, text: str) -> Parsed:
    """The checked expression `text`, which stands at `key` in `clv.yaml`.

    Raises:
        SourceError: it is no expression, or holds what is not allowed.
    """
    tree = _tree(key, text)
    columns: dict[str, set[Kind]] = {}

    def note(name: str | None, sql: str, kind: Kind) -> str:
        if name is not None:
            columns.setdefault(name, set()).add(kind)
        return sql or "NULL"

    _placed(tree, note, "", {})
    return Parsed(key, text, _kind(tree) or "text", {name: frozenset(kinds) for name, kinds in columns.items()})


def computed(source: TableSource) -> dict[str, Parsed]:
    """The expressions of a mapping, by the names of their columns.

    Raises:
        SourceError: one of them is not allowed, is of another kind than its column, or gives every record the same.
    """
    found: dict[str, Parsed] = {}
    for ours, theirs in source.columns.items():
        if isinstance(theirs, Expression):
            expression = parsed(f"{source.key}.columns.{ours}", theirs.sql)
            _refuse_other_kind(expression, ours, source)
            found[theirs] = expression
    return found


def _refuse_other_kind(expression: Parsed, ours: str, source: TableSource) -> None:
    if not expression.columns and (ours in source.required or (expression.kind == "text" and ours in source.numbers)):
        raise expression.refusal("names no column of the file", to_do=QUOTES)
    if ours in source.numbers and expression.kind in ("condition", "time"):
        raise expression.refusal(f"is a {_SHOWN[expression.kind]}, and should be a number")
    if ours == source.time and expression.kind in ("condition", "number"):
        made = "strptime(…) makes one of text, to_timestamp(…) of seconds since 1970"
        raise expression.refusal(f"is a {_SHOWN[expression.kind]}, and should be a date", to_do=made)


def condition(source: TableSource) -> Parsed | None:
    """The condition of `where`; None if every row is kept.

    Raises:
        SourceError: it is not allowed, is no condition, or is one of no column.
    """
    if source.where is None:
        return None
    expression = parsed(f"{source.key}.where", source.where)
    if expression.kind != "condition":
        raise expression.refusal("is a value, and should be a condition such as \"Status\" = 'paid'")
    if not expression.columns:
        raise expression.refusal("names no column of the file", to_do=QUOTES)
    return expression


def own_columns(source: TableSource) -> list[str]:
    """The columns of the file that a source names, in its mapping or elsewhere."""
    names = [theirs for theirs in source.columns.values() if not isinstance(theirs, Expression)]
    names += [name for expression in _all(source) for name in expression.columns]
    if source.fill_down is not None:
        names += [source.fill_down.by, *source.fill_down.columns]
    return list(dict.fromkeys(names))


def read_as_numbers(source: TableSource, names: Collection[str], *, everywhere: bool) -> list[str]:
    """The columns from which our columns `names` are read, and with `everywhere` all others that are read as numbers.

    They are columns of the file, or expressions that give text.
    """
    return _read_as("number", source, names, [] if not everywhere else _all(source))


def read_as_dates(source: TableSource) -> list[str]:
    """The columns that are read as dates: columns of the file, or expressions that give text."""
    return _read_as("time", source, [source.time] if source.time is not None else [], _all(source))


def _read_as(kind: Kind, source: TableSource, names: Collection[str], further: Iterable[Parsed]) -> list[str]:
    mapped = [source.columns[name] for name in names if name in source.columns]
    expressions = computed(source)
    found = [theirs for theirs in mapped if theirs not in expressions or expressions[theirs].kind == "text"]
    inside = [*(expressions[theirs] for theirs in mapped if theirs in expressions), *further]
    found += [name for expression in inside for name, kinds in expression.columns.items() if kind in kinds]
    return list(dict.fromkeys(found))


def _all(source: TableSource) -> list[Parsed]:
    where = condition(source)
    return [*computed(source).values(), *([where] if where is not None else [])]


def _refusal(key: str, text: str, problem: str, quoted: str = "", to_do: str = "") -> SourceError:
    shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    advice = f"{to_do}; see docs/how-to/prepare-rows.md" if to_do else "see docs/how-to/prepare-rows.md"
    return SourceError(f"{key}: {shown!r} {problem}", quoted=quoted, to_do=advice)


def _tree(key: str, text: str) -> exp.Expr:
    """The parsed and checked expression in parentheses.

    Raises:
        SourceError: it is no expression, or holds what is not allowed.
    """  # noqa: DOC501  (`_refusal` makes the error)
    import sqlglot
    from sqlglot import exp

    try:
        trees = [tree for tree in sqlglot.parse(text, read="duckdb") if tree is not None]
    except sqlglot.errors.SqlglotError as error:
        raise _refusal(key, text, "is no SQL expression", str(error).splitlines()[0], QUOTES) from error
    except RecursionError:
        raise _refusal(key, text, "is nested too deeply") from None
    if len(trees) != 1:
        raise _refusal(key, text, "should be one expression" if not trees else "holds more than one statement")
    tree = exp.Paren(this=trees[0])
    for node in tree.walk():
        if (problem := _problem(node, text)) is not None:
            allowed = "the listed scalar functions over columns of the file"
            raise _refusal(key, text, f"holds {problem}, and only {allowed} are allowed")
    return tree


def _problem(node: exp.Expr, text: str) -> str | None:
    """What is not allowed about a part of the expression `text`; None if it is allowed."""
    from sqlglot import exp

    name, written = _class(node), node.name
    match name:
        case "Column" if node.text("table"):
            return f"the table {node.text('table')!r}"
        case "Literal" if not node.is_string and not re.fullmatch(r"[0-9.]+([eE][+-]?[0-9]+)?", written):
            return f"the number {written!r}"
        case "Var" if not written.isalpha():
            return f"{written!r}"
        case _ if _is_option(node) and not (name == "Literal" and re.fullmatch("[a-z]+", written)):
            return "options of a regular expression that are no letters"
        case "Interval" if not re.fullmatch(r"[0-9]+", written):
            return "an interval that is no whole number"
        case "DataType" if not re.fullmatch(_TYPES, node.sql(dialect="duckdb"), re.IGNORECASE):
            return f"the type {node.sql(dialect='duckdb')}"
        case "Anonymous" if written.lower() not in (*READERS, *_UNPARSED):
            return f"the function {written}"
        case "Anonymous" if written.lower() in READERS and len(node.expressions) != 1:
            return f"{written} with {len(node.expressions)} values in place of one"
    if name in _ALLOWED:
        return None
    if isinstance(node, exp.Query | exp.Subquery | exp.Exists):
        return "a subquery"
    if isinstance(node, exp.Window):
        return "a window function"
    if isinstance(node, exp.Func) and (function := _as_written(node, text)) is not None:
        return f"the {'aggregate ' if isinstance(node, exp.AggFunc) else ''}function {function}"
    return f"{node.sql(dialect='duckdb')!r}"


def _as_written(node: exp.Func, text: str) -> str | None:
    """The name of a function, of which the parser knows several, as `text` has it; None for an operator."""
    words = set(re.findall(r"[a-z_0-9]+", text.lower()))
    return next((name.lower() for name in node.sql_names() if name.lower() in words), None)


def _class(node: exp.Expr) -> str:
    return type(node).__name__


def _reader(node: exp.Expr) -> Kind | None:
    """As what a function of ours reads its value; None for other parts."""
    if _class(node) == "Time":  # sqlglot knows a function of this name
        return "time"
    return READERS.get(node.name.lower()) if _class(node) == "Anonymous" else None


def _kind(node: exp.Expr) -> Kind | None:
    """The kind of a value; None if it is that of a column, which takes any."""
    match _class(node):
        case "Column" | "Null":
            return None
        case "Paren":
            return _kind(node.this)
        case "Literal":
            return "text" if node.is_string else "number"
        case "Add" | "Sub":
            return "time" if "time" in (_kind(node.this), _kind(node.expression)) else "number"
        case "Anonymous":
            return _reader(node) or _UNPARSED[node.name.lower()]
        case "Cast" | "TryCast":
            return _kind_of_type(node.args["to"].sql(dialect="duckdb"))
    return _joined(values) if (values := _values(node)) else _RESULTS.get(_class(node), "text")


def _kind_of_type(name: str) -> Kind:
    kinds: dict[str, Kind] = {"VARCHAR": "text", "TEXT": "text", "BOOLEAN": "condition"}
    return "time" if name in ("DATE", "TIMESTAMP") else kinds.get(name, "number")


def _joined(nodes: Iterable[exp.Expr]) -> Kind | None:
    """The one kind of values that stand for each other or are compared."""
    kinds = {_kind(node) for node in nodes}
    order: tuple[Kind, ...] = ("time", "number", "text", "condition")
    return next((kind for kind in order if kind in kinds), None)


def _values(node: exp.Expr) -> list[exp.Expr]:
    """The values of which a choice gives one; empty for other parts."""
    match _class(node):
        case "Coalesce" | "Greatest" | "Least":
            return [node.this, *node.expressions]
        case "Nullif":
            return [node.this, node.expression]
        case "If":
            return [node.args[name] for name in ("true", "false") if node.args.get(name) is not None]
        case "Case":
            last = node.args.get("default")
            return [*(part.args["true"] for part in node.args["ifs"]), *([last] if last is not None else [])]
    return []


def _compared(node: exp.Expr) -> list[exp.Expr]:
    """The values that are compared with each other; empty for other parts."""
    if _class(node) in _COMPARISONS:
        return list(node.iter_expressions())
    if _class(node) == "Case" and node.this is not None:
        return [node.this, *(part.this for part in node.args["ifs"])]
    return []


def _wanted(node: exp.Expr, outer: Kind | None) -> Iterator[tuple[exp.Expr, Kind]]:
    """The parts of a part, and as what their columns are read."""
    choices, compared = _values(node), _compared(node)
    chosen, alike = _joined(choices) or outer or "text", _joined(compared) or "text"
    name = _class(node)
    own: Kind = "text"
    if name in _NUMERIC:
        own = "time" if _kind(node) == "time" and name in ("Add", "Sub") else "number"
    elif name in _TEMPORAL:
        own = "time"
    elif name in ("Cast", "TryCast"):
        own = "text" if _kind(node) == "condition" else _kind(node) or "text"
    elif name == "Paren":
        own = outer or "text"
    for part in node.iter_expressions():
        if name == "Case" and _class(part) == "If":
            # The branch of a CASE: what is compared, and the value.
            yield part.this, alike
            yield part.args["true"], chosen
        elif any(part is value for value in choices):
            yield part, chosen
        else:
            yield part, alike if any(part is value for value in compared) else own


def _is_option(node: exp.Expr) -> bool:
    """Whether a part says how to search: sqlglot drops these letters where they are a parameter."""
    return _class(node.parent or node).startswith("Regexp") and node.arg_key in _OPTIONS


def _written_otherwise(node: exp.Expr) -> str | None:
    """The SQL of a placed part that DuckDB would compute in another way than meant; None for all others."""

    def written(part: exp.Expr) -> str:
        return part.sql(dialect="duckdb", comments=False)

    match _class(node):
        case "UnixToTime":
            # It has a time zone; days are those of UTC.
            unit = f" / {10 ** int(node.text('scale'))}" if node.args.get("scale") is not None else ""
            return f"timezone('UTC', to_timestamp({written(node.this)}{unit}))"
        case "IntDiv":
            # Of numbers that are no integers, DuckDB's // keeps the fraction.
            return f"trunc({written(node.this)} / {written(node.expression)})"
    return None


def _placed(tree: exp.Expr, read: Reader, prefix: str, parameters: dict[str, Any]) -> str:
    """The SQL of a checked expression in parentheses; its texts are added to the parameters."""
    from sqlglot import exp

    def place(node: exp.Expr, wanted: Kind) -> None:
        name = _class(node)
        if name in ("Interval", "DataType", "Var", "Null", "Boolean"):
            return
        if name == "Column":
            node.replace(exp.Var(this=read(node.name, "", wanted)))
        elif name in ("Literal", "RawString"):
            if name == "RawString" or node.is_string:
                parameter = f"{prefix}_{len(parameters)}"
                parameters[parameter] = node.name
                node.replace(exp.Var(this=f"${parameter}"))
        elif (kind := _reader(node)) is not None:
            value = node.this if name == "Time" else node.expressions[0]
            if _class(value) == "Column":
                node.replace(exp.Var(this=read(value.name, "", kind)))
            else:
                place(value, "text")
                value = node.this if name == "Time" else node.expressions[0]
                node.replace(exp.Var(this=read(None, value.sql(dialect="duckdb", comments=False), kind)))
        else:
            for part, kind in list(_wanted(node, wanted)):
                if not _is_option(part):
                    place(part, kind)
            if (sql := _written_otherwise(node)) is not None:
                node.replace(exp.Var(this=sql))

    copy = tree.copy()
    place(copy, "text")
    return copy.sql(dialect="duckdb", comments=False)
