"""Programs on sequences: what attention and feed-forward networks can do, as expressions with one value per position.

    previous = select(indices, indices, lambda key, query: key == query - 1)
    same = apply(operator.eq, tokens, Aggregate(previous, tokens))          is it the token before, once more?

A value is a letter, a number or a truth; every expression knows all values that it can take (its domain), so that each
can be a direction of the residual stream. A position without a value holds None.
Source: Weiss et al. 2021, "Thinking Like Transformers" (RASP), sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Literal, TypeAlias

from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import check_sizes

Value: TypeAlias = str | int | bool
MOST_PAIRS = 16_384  # of a key's value and a query's
MOST_COMBINATIONS = 2_048  # of the values that a function reads: each is a hidden unit of a feed-forward network


@dataclass(frozen=True, eq=False)
class Tokens:
    """The text's letters; one that is not of the alphabet is no value."""

    alphabet: str

    @property
    def domain(self) -> tuple[Value, ...]:
        """All values."""
        return tuple(self.alphabet)


@dataclass(frozen=True, eq=False)
class Indices:
    """The positions, counted from 0."""

    longest: int  # letters of a text at most

    @property
    def domain(self) -> tuple[Value, ...]:
        """All values."""
        return tuple(range(self.longest))


@dataclass(frozen=True, eq=False)
class Apply:
    """A function of the values at each position by themselves; None where one of them is None. See `apply`."""

    function: Callable[..., Value]
    sources: tuple[Expression, ...]
    domain: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Otherwise:
    """The values of `source`, and `default` where it has none."""

    source: Expression
    default: Value

    @property
    def domain(self) -> tuple[Value, ...]:
        """All values."""
        values = self.source.domain
        return values if _key(self.default) in map(_key, values) else (*values, self.default)


@dataclass(frozen=True, eq=False)
class Condition:
    """Which keys a query may choose, by one value of each."""

    keys: Expression
    queries: Expression
    holds: Callable[[Value, Value], bool]  # of a key's value and a query's


@dataclass(frozen=True, eq=False)
class Selector:
    """Which keys each query chooses: those of which every condition holds. Of several, the last or the first counts."""

    conditions: tuple[Condition, ...]
    prefer: Literal["last", "first"] = "last"

    def __and__(self, other: Selector) -> Selector:
        """The keys that both choose."""
        return replace(self, conditions=self.conditions + other.conditions)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """The value at the chosen key: one attention head. None where no key is chosen."""

    selector: Selector
    values: Expression

    @property
    def domain(self) -> tuple[Value, ...]:
        """All values."""
        return self.values.domain


@dataclass(frozen=True, eq=False)
class Count:
    """How many keys are chosen: a head that looks at them all, and a feed-forward network that reads its weights."""

    selector: Selector
    longest: int

    @property
    def domain(self) -> tuple[Value, ...]:
        """All values."""
        return tuple(range(self.longest + 1))


Expression: TypeAlias = Tokens | Indices | Apply | Otherwise | Aggregate | Count


def apply(function: Callable[..., Value], *sources: Expression) -> Apply:
    """A function of one value of each source, for every combination of them.

    Functions of functions become one, as long as it has few combinations: that saves a layer.
    Errors: InvalidParameterError if there are more than `MOST_COMBINATIONS`.
    """
    combinations = prod(len(source.domain) for source in sources)
    if combinations > MOST_COMBINATIONS:
        sizes = " × ".join(str(len(source.domain)) for source in sources)
        raise InvalidParameterError(
            f"a function of {sizes} = {combinations:,} combinations of values is too large: at most "
            f"{MOST_COMBINATIONS:,} fit into one feed-forward network"
        )
    joined = _joined(function, sources)
    if joined is not None:
        return joined
    table = {tuple(map(_key, values)): function(*values) for values in combined(sources)}  # worked out once
    found = {_key(value): value for value in table.values()}
    return Apply(lambda *values: table[tuple(map(_key, values))], tuple(sources), tuple(found.values()))


def _joined(function: Callable[..., Value], sources: Sequence[Expression]) -> Apply | None:
    """The function of what the sources are functions of; None if none is one, or there are too many combinations."""
    if not any(isinstance(source, Apply) for source in sources):
        return None
    inner: list[Expression] = []
    for source in sources:
        for one in source.sources if isinstance(source, Apply) else (source,):
            if not any(one is known for known in inner):
                inner.append(one)
    if prod(len(one.domain) for one in inner) > MOST_COMBINATIONS:
        return None

    def whole(*values: Value) -> Value:
        given = dict(zip(map(id, inner), values, strict=True))
        return function(
            *(
                source.function(*(given[id(one)] for one in source.sources))
                if isinstance(source, Apply)
                else given[id(source)]
                for source in sources
            )
        )

    return apply(whole, *inner)


def combined(sources: Sequence[Expression]) -> Iterator[tuple[Value, ...]]:
    """Every combination of one value of each."""
    return product(*(source.domain for source in sources))


def select(keys: Expression, queries: Expression, holds: Callable[[Value, Value], bool]) -> Selector:
    """The keys for whose value and the query's something holds.

    Errors: InvalidParameterError if there are more than `MOST_PAIRS` pairs of values.
    """
    pairs = len(keys.domain) * len(queries.domain)
    if pairs > MOST_PAIRS:
        raise InvalidParameterError(f"a select among {pairs:,} pairs of values is too large: at most {MOST_PAIRS:,}")
    chosen = {(_key(key), _key(query)) for key in keys.domain for query in queries.domain if holds(key, query)}
    return Selector((Condition(keys, queries, lambda key, query: (_key(key), _key(query)) in chosen),))


@dataclass(frozen=True, eq=False)
class Program:
    """An expression with what it reads, which `compiler.compiled` turns into a transformer.

    Errors: InvalidParameterError for an alphabet with a letter twice, or a length below 1.
    """

    output: Expression
    alphabet: str
    longest: int
    causal: bool = False  # a query chooses among the keys up to its own position
    names: dict[Expression | Selector, str] = field(default_factory=dict)  # what the program calls its parts
    roles: dict[Selector, str] = field(default_factory=dict)  # what a selector's head is, where that has a name

    def __post_init__(self) -> None:
        check_sizes(longest=self.longest, letters=len(self.alphabet))
        twice = sorted({letter for letter in self.alphabet if self.alphabet.count(letter) > 1})
        if twice:
            raise InvalidParameterError(f"the alphabet has {twice[0]!r} more than once")

    def meaning(self, text: Sequence[Value]) -> list[Value | None]:
        """What the program says at each position of a text, worked out without a transformer.

        Errors: InvalidParameterError for a text longer than `longest`.
        """
        if len(text) > self.longest:
            raise InvalidParameterError(f"{len(text)} letters are more than the {self.longest} that this program reads")
        return _Meaning(tuple(text), self.causal).of(self.output)


class _Meaning:
    """The values of expressions on one text."""

    def __init__(self, text: tuple[Value, ...], causal: bool) -> None:
        self.text, self.causal = text, causal
        self.known: dict[Expression, list[Value | None]] = {}

    def of(self, expression: Expression) -> list[Value | None]:
        if expression not in self.known:
            self.known[expression] = self._worked_out(expression)
        return self.known[expression]

    def _worked_out(self, expression: Expression) -> list[Value | None]:
        match expression:
            case Tokens():
                return [letter if letter in expression.domain else None for letter in self.text]
            case Indices():
                return list(range(len(self.text)))
            case Apply():
                rows = zip(*(self.of(source) for source in expression.sources), strict=True)
                return [None if None in row else expression.function(*row) for row in rows]
            case Otherwise():
                return [expression.default if value is None else value for value in self.of(expression.source)]
            case Count():
                return [len(keys) for keys in self.chosen(expression.selector)]
            case Aggregate():
                values, first = self.of(expression.values), expression.selector.prefer == "first"
                return [values[keys[0 if first else -1]] if keys else None for keys in self.chosen(expression.selector)]

    def chosen(self, selector: Selector) -> list[list[int]]:
        """The keys that each query chooses, in their order."""
        n = len(self.text)
        pairs = [(self.of(one.keys), self.of(one.queries), one.holds) for one in selector.conditions]

        def holds(query: int, key: int) -> bool:
            return all(
                k[key] is not None and q[query] is not None and one(k[key], q[query])  # type: ignore[arg-type]
                for k, q, one in pairs
            )

        return [[key for key in range(query + 1 if self.causal else n) if holds(query, key)] for query in range(n)]


def _key(value: Value) -> tuple[type, Value]:
    """A value as itself: to Python True is 1."""
    return type(value), value


def place(domain: Sequence[Value], value: Value) -> int:
    """Where a value stands in a domain."""
    return [_key(one) for one in domain].index(_key(value))
