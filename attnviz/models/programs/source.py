"""Programs as text, which strangers may write: read by Python's parser, and never run as Python.

    before = select(indices, indices, key == query - 1)
    aggregate(before, tokens)

Lines give names to selectors and sequences; the last one is what the program says. Names: `tokens`, `indices`, and in
the condition of a `select` the values `key` and `query`. Functions: `select`, `aggregate`, `count`, `otherwise`, `min`,
`max`, `abs`. Operators: + - * // %, comparisons, and, or, not, if … else; & between selectors.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, NoReturn

from attnviz.errors import InvalidParameterError
from attnviz.models.programs.language import (
    Aggregate,
    Count,
    Expression,
    Indices,
    Otherwise,
    Program,
    Selector,
    Tokens,
    Value,
    apply,
    select,
)

LONGEST_SOURCE = 1_500  # characters: a link carries a program
MOST_NODES = 600  # of the parsed text
LARGEST_NUMBER = 1_000_000

ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
NUMBERS: dict[str, Callable[..., int]] = {"min": min, "max": max, "abs": abs}
CALLS = {  # how the functions of sequences are called
    "select": "select(keys, queries, condition on key and query)",
    "aggregate": "aggregate(selector, values)",
    "count": "count(selector)",
    "otherwise": "otherwise(sequence, constant)",
}


def read(
    source: str, alphabet: str, longest: int, *, causal: bool = False, roles: Mapping[str, str] | None = None
) -> Program:
    """The program that a text describes.

    Arguments
        alphabet: the letters that the texts are made of.
        longest: letters of a text at most.
        causal: whether queries choose among the keys up to their own position.
        roles: the name of a selector → what its head is.

    Errors: InvalidParameterError in one sentence, with the line.
    """
    if len(source) > LONGEST_SOURCE:
        raise InvalidParameterError(f"the program has {len(source):,} characters; at most {LONGEST_SOURCE:,} are read")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InvalidParameterError(f"line {line} cannot be read: {getattr(error, 'msg', error)}") from None
    if (nodes := sum(1 for _ in ast.walk(tree))) > MOST_NODES:
        raise InvalidParameterError(f"the program has {nodes} parts; at most {MOST_NODES} are read")
    reader = _Reader(Tokens(alphabet), Indices(longest), longest)
    output = reader.run(tree.body)
    known = {reader.selectors[name]: role for name, role in (roles or {}).items()}
    return Program(output, alphabet, longest, causal, reader.names_of(), known)


class _Reader:
    """Goes through the lines of a program, with the names that they give."""

    def __init__(self, tokens: Tokens, indices: Indices, longest: int) -> None:
        self.names: dict[str, Expression | Selector] = {"tokens": tokens, "indices": indices}
        self.anywhere, self.longest = indices, longest

    @property
    def selectors(self) -> dict[str, Selector]:
        """The named selectors."""
        return {name: one for name, one in self.names.items() if isinstance(one, Selector)}

    def names_of(self) -> dict[Expression | Selector, str]:
        """What each named thing is called; of two names the last."""
        return {one: name for name, one in self.names.items()}

    def run(self, lines: list[ast.stmt]) -> Expression:
        """What the last line says."""
        said: Expression | Selector | None = None
        for line in lines:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    said = self.names[name] = self.expression(value)
                case ast.Expr(value=value):
                    said = self.expression(value)
                case _:
                    _refuse(line, "a line is “name = …”, or what the program says")
        if said is None:
            raise InvalidParameterError("the program is empty: its last line is what it says, for example “tokens”")
        if isinstance(said, Selector):
            raise InvalidParameterError("the last line selects keys; what it says is an aggregate or a count of them")
        return said

    def expression(self, node: ast.expr) -> Expression | Selector:
        """A selector, or one value per position."""
        match node:
            case ast.Name(id=name):
                return self.names[name] if name in self.names else _unknown(node, name, self.names)
            case ast.Call(func=ast.Name(id="select")):
                return self._select(node)
            case ast.Call(func=ast.Name(id="aggregate"), args=[chosen, values], keywords=[]):
                return Aggregate(self.selector(chosen), self.sequence(values))
            case ast.Call(func=ast.Name(id="count"), args=[chosen], keywords=[]):
                return Count(self.selector(chosen), self.longest)
            case ast.Call(func=ast.Name(id="otherwise"), args=[source, default], keywords=[]):
                return Otherwise(self.sequence(source), _constant(default))
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                _refuse(node, f"it is {CALLS[name]}")
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                return self.selector(left) & self.selector(right)
        return self._function(node)

    def selector(self, node: ast.expr) -> Selector:
        """Errors: InvalidParameterError if it is none."""
        found = self.expression(node)
        return found if isinstance(found, Selector) else _refuse(node, "here stands a select, not a sequence")

    def sequence(self, node: ast.expr) -> Expression:
        """Errors: InvalidParameterError if it is none."""
        found = self.expression(node)
        return _refuse(node, "here stands a sequence, not a select") if isinstance(found, Selector) else found

    def _select(self, node: ast.Call) -> Selector:
        prefer: Literal["last", "first"] = "last"
        for keyword in node.keywords:
            if keyword.arg != "prefer" or _constant(keyword.value) not in ("last", "first"):
                _refuse(node, 'a select takes prefer="last" or prefer="first"')
            prefer = "first" if _constant(keyword.value) == "first" else "last"
        if len(node.args) != 3:
            _refuse(node, f"it is {CALLS['select']}")
        keys, queries, condition = node.args

        def holds(key: Value, query: Value) -> bool:
            return bool(_value(condition, {"key": key, "query": query}))

        return replace(select(self.sequence(keys), self.sequence(queries), holds), prefer=prefer)

    def _function(self, node: ast.expr) -> Expression:
        """An operator's or a function's: one function of all sequences in it, worked out at each position by itself."""
        sources: dict[str, Expression] = {}
        body = self._with_names(node, sources)
        if not sources:  # a constant: the same at every position
            sources["_0"] = self.anywhere
        names = list(sources)

        def function(*values: Value) -> Value:
            return _value(body, dict(zip(names, values, strict=True)))

        return apply(function, *sources.values())

    def _with_names(self, node: ast.expr, sources: dict[str, Expression]) -> ast.expr:
        """A copy in which each sequence is a name; what they stand for goes into `sources`."""

        def named(one: ast.expr) -> ast.expr:
            found = self.expression(one)
            if isinstance(found, Selector):
                _refuse(one, "here stands a sequence, not a select")
            name = next((name for name, known in sources.items() if known is found), f"_{len(sources)}")
            sources[name] = found
            return ast.copy_location(ast.Name(id=name), one)

        def copied(one: ast.expr) -> ast.expr:
            inside: ast.expr
            match one:
                case ast.Constant():
                    return one
                case ast.Name():
                    return named(one)
                case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                    return named(one)
                case ast.Call(func=ast.Name(id=name)) if name not in NUMBERS:
                    _refuse(one, f"there is no function {name[:40]!r}; known are {', '.join((*CALLS, *NUMBERS))}")
                case ast.Call(func=ast.Name() as function, args=args, keywords=[]):
                    inside = ast.Call(func=function, args=[copied(arg) for arg in args], keywords=[])
                case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                    inside = ast.BinOp(left=copied(left), op=op, right=copied(right))
                case ast.UnaryOp(op=ast.Not() | ast.USub() as op, operand=operand):
                    inside = ast.UnaryOp(op=op, operand=copied(operand))
                case ast.BoolOp(op=op, values=values):
                    inside = ast.BoolOp(op=op, values=[copied(value) for value in values])
                case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISONS for op in ops):
                    inside = ast.Compare(left=copied(left), ops=ops, comparators=[copied(other) for other in others])
                case ast.IfExp(test=test, body=body, orelse=orelse):
                    inside = ast.IfExp(test=copied(test), body=copied(body), orelse=copied(orelse))
                case _:
                    _refuse(one, "this is not part of the language")
            return ast.copy_location(inside, one)

        return copied(node)


def _value(node: ast.expr, given: Mapping[str, Value]) -> Any:
    """An operator's or a function's value for given values of its names."""
    match node:
        case ast.Constant():
            return _constant(node)
        case ast.Name(id=name):
            return given[name] if name in given else _unknown(node, name, given)
        case ast.Call(func=ast.Name(id=name), args=args) if name in NUMBERS:
            return NUMBERS[name](
                *_numbers(node, *(_value(arg, given) for arg in args), least=1 if name == "abs" else 2)
            )
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            one, other = _numbers(node, _value(left, given), _value(right, given))
            if other == 0 and isinstance(op, ast.FloorDiv | ast.Mod):
                _refuse(node, "a number is divided by 0")
            result = ARITHMETIC[type(op)](one, other)
            return result if abs(result) <= LARGEST_NUMBER else _refuse(node, f"{result:,} is too large a number")
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, given)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_numbers(node, _value(operand, given), least=1)[0]
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, given) for value in values)
        case ast.BoolOp(values=values):
            return any(_value(value, given) for value in values)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(side, given) for side in (left, *others)]
            return all(_compared(node, op, *pair) for op, pair in zip(ops, pairwise(sides), strict=True))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, given) else orelse, given)
    _refuse(node, "this is not part of the language")


def _compared(node: ast.expr, op: ast.cmpop, one: Value, other: Value) -> bool:
    if type(op) not in COMPARISONS:
        _refuse(node, "this comparison is not part of the language")
    if isinstance(one, str) != isinstance(other, str):
        if isinstance(op, ast.Eq | ast.NotEq):
            return isinstance(op, ast.NotEq)
        _refuse(node, f"{one!r} and {other!r} have no order: one is a letter, one a number")
    return COMPARISONS[type(op)](one, other)


def _numbers(node: ast.expr, *values: Value, least: int = 2) -> tuple[int, ...]:
    """Errors: InvalidParameterError unless all are numbers, as many as there must be."""
    if len(values) < least:
        _refuse(node, "a value is missing")
    for value in values:
        if isinstance(value, str):
            _refuse(node, f"{value!r} is a letter: there is no arithmetic with it")
    return tuple(map(int, values))  # a truth counts as 0 or 1


def _constant(node: ast.expr) -> Value:
    match node:
        case ast.Constant(value=bool() | str() as value):
            return value
        case ast.Constant(value=int() as value) if abs(value) <= LARGEST_NUMBER:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)) if value <= LARGEST_NUMBER:
            return -value
    _refuse(node, "a constant is a whole number, True, False or a letter in quotes")


def _unknown(node: ast.expr, name: str, names: Mapping[str, Any]) -> NoReturn:
    known = ", ".join(one for one in names if not one.startswith("_"))
    _refuse(node, f"there is no name {name[:40]!r}; known here are {known}")


def _refuse(node: ast.AST, why: str) -> NoReturn:
    raise InvalidParameterError(f"line {getattr(node, 'lineno', 1)}: {why}")
