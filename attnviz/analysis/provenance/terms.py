"""Matrices of a computation, and for every cell the cells that it was made of.

A `Matrix` carries a rule, and `Provenance.terms` turns the rule into the terms of one cell: exact, from the numbers
that stand in the other matrices. The browser follows the same rules (browser/frontend/provenance/terms.js).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from attnviz.errors import InvalidParameterError

Array = NDArray[Any]
TOLERANCE = 1e-6  # a cell and its terms differ by less than this times (1 + the sum of the terms' sizes)


@dataclass(frozen=True)
class Given:
    """Not computed here. `note` says what it is; `ids`: which row of a table of `size` each row was taken from."""

    note: str  # token, position, formula, segment, patches, weight, bias, gamma, beta, mask, alibi, layer, cross
    ids: tuple[int, ...] = ()
    size: int = 0
    slope: float = 0.0  # of ALiBi: −slope · distance
    by: str = ""  # the positions whose bias it is


@dataclass(frozen=True)
class Sum:
    """Σ parts, cell by cell; a part with one row is added to every row."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """Σ_k a[r, k] · b[k, c] (or b[c, k] if transposed) + bias[0, c], k from start to stop."""

    a: str
    b: str
    start: int
    stop: int
    transposed: bool = False
    bias: str = ""


@dataclass(frozen=True)
class Scale:
    """by · of[r, c]."""

    of: str
    by: float


@dataclass(frozen=True)
class Softmax:
    """exp(of[r, c] / τ) over the sum of that along the row; 0 where the whole row is −∞."""

    of: str
    temperature: float = 1.0


@dataclass(frozen=True)
class Mean:
    """Σ_k of[r, k] over the number of columns."""

    of: str


@dataclass(frozen=True)
class Variance:
    """Σ_k (of[r, k] − mean[r, 0])² over the number of columns."""

    of: str
    mean: str


@dataclass(frozen=True)
class Norm:
    """(of[r, c] − mean[r, 0]) / √(variance[r, 0] + ε) · weight[0, c] + bias[0, c]: LayerNorm over the row.

    Source: Ba et al. 2016, "Layer Normalization", section 3.
    """

    of: str
    mean: str
    variance: str
    weight: str
    bias: str
    eps: float


@dataclass(frozen=True)
class Activation:
    """σ(of[r, c]); σ is "relu", "gelu" or "gelu_tanh"."""

    of: str
    function: str


@dataclass(frozen=True)
class Rotation:
    """The pair of columns (2i, 2i + 1) of each head, turned by the angle r · rates[i].

    Source: Su et al. 2021, "RoFormer", section 3.2.2.
    """

    of: str
    width: int  # D, of a head
    rates: tuple[float, ...]  # (D/2,)
    by: str = "RoPE"  # the positions that turn


@dataclass(frozen=True)
class Concat:
    """The parts side by side, each `width` columns."""

    parts: tuple[str, ...]
    width: int


Rule = Given | Sum | Product | Scale | Softmax | Mean | Variance | Norm | Activation | Rotation | Concat


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix under its name. Columns may be a part of a wider one: `first` is the number of the first."""

    name: str
    symbol: str  # as printed: Q, W_Q, z_0
    values: Array  # (rows, columns that are here)
    axes: tuple[str, str]  # what rows and columns count: query, key, model, inner, out, or one
    rule: Rule
    first: int = 0
    width: int = 0  # columns of the whole, values' own by default

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.width or self.values.shape[1])

    def at(self, row: int, col: int) -> float:
        """The number in a cell. Errors: InvalidParameterError outside what is here."""
        rows, n = self.values.shape
        if not (0 <= row < rows and self.first <= col < self.first + n):
            here = f"rows 0…{rows - 1} and columns {self.first}…{self.first + n - 1}"
            raise InvalidParameterError(f"{self.name} has {here}, not ({row}, {col})")
        return float(self.values[row, col - self.first])


@dataclass(frozen=True)
class Factor:
    """A number of a term, and the cell it stands in."""

    value: float
    cell: tuple[str, int, int]


@dataclass(frozen=True)
class Term:
    """One summand and the numbers of other matrices that it was made of, by the rule of its kind."""

    value: float
    factors: tuple[Factor, ...]
    by: float = 1.0  # what the formula itself multiplies by: 1/√d_k, a sine, a cosine


@dataclass(frozen=True)
class Terms:
    """How a cell came about: total = Σ terms / divisor, or for a softmax the chosen term's share of that sum."""

    kind: str  # the rule's name in small letters
    terms: tuple[Term, ...]
    chosen: int | None = None
    divisor: int = 1

    @property
    def total(self) -> float:
        """The cell, worked out from the terms."""
        every = math.fsum(term.value for term in self.terms) if self._finite else sum(t.value for t in self.terms)
        if self.chosen is None:
            return every / self.divisor
        return self.terms[self.chosen].value / every if every else 0.0

    @property
    def tolerance(self) -> float:
        """How far the model's own 32-bit number may be from the total: rounding grows with the terms."""
        sizes = sum(abs(term.value) for term in self.terms if math.isfinite(term.value))
        return TOLERANCE * (1.0 + sizes / self.divisor)

    @property
    def _finite(self) -> bool:
        return all(math.isfinite(term.value) for term in self.terms)


@dataclass(frozen=True, eq=False)
class Provenance:
    """The matrices of one layer on one text, from x to what the next layer gets, in the order they come about."""

    matrices: dict[str, Matrix]
    labels: tuple[str, ...]  # of the tokens
    layer: int
    n_layers: int
    n_heads: int
    causal: bool
    special: tuple[bool, ...] = ()
    continues: tuple[bool, ...] = ()
    title: str = ""

    def __getitem__(self, name: str) -> Matrix:
        if name not in self.matrices:
            raise InvalidParameterError(f"there is no matrix {name!r}; there are {', '.join(self.matrices)}")
        return self.matrices[name]

    @property
    def width(self) -> int:
        """D, the numbers per token in one head."""
        return self["concat"].width // self.n_heads

    def terms(self, name: str, row: int, col: int) -> Terms:
        """What made the number in a cell. Errors: InvalidParameterError for a cell that is not there."""
        self[name].at(row, col)
        rule = self[name].rule
        kind = type(rule).__name__.lower()
        match rule:
            case Given():
                return Terms(kind, ())
            case Sum(parts):
                return Terms(kind, tuple(self._term((part, self._row(part, row), col)) for part in parts))
            case Product():
                return Terms(kind, self._products(rule, row, col))
            case Scale(of, by):
                return Terms(kind, (self._times(by, (of, row, col)),))
            case Softmax(of, temperature):
                return Terms(kind, self._powers(of, row, temperature), chosen=col)
            case Mean(of):
                terms = tuple(self._term((of, row, k)) for k in range(self[of].width))
                return Terms(kind, terms, divisor=len(terms))
            case Variance():
                return Terms(kind, self._squares(rule, row), divisor=self[rule.of].width)
            case Norm():
                return Terms(kind, self._normed(rule, row, col))
            case Activation(of, function):
                factor = self._factor(of, row, col)
                return Terms(kind, (Term(ACTIVATIONS[function](factor.value), (factor,)),))
            case Rotation():
                return Terms(kind, self._turned(rule, row, col))
            case Concat(parts, width):
                return Terms(kind, (self._term((parts[col // width], row, col)),))
        raise AssertionError(rule)

    def _row(self, name: str, row: int) -> int:
        return min(row, len(self[name].values) - 1)

    def _factor(self, name: str, row: int, col: int) -> Factor:
        return Factor(self[name].at(row, col), (name, row, col))

    def _term(self, *cells: tuple[str, int, int]) -> Term:
        factors = tuple(self._factor(*cell) for cell in cells)
        return Term(math.prod(factor.value for factor in factors), factors)

    def _products(self, rule: Product, row: int, col: int) -> tuple[Term, ...]:
        others = ((col, k) if rule.transposed else (k, col) for k in range(rule.start, rule.stop))
        terms = [
            self._term((rule.a, row, k), (rule.b, *other))
            for k, other in zip(range(rule.start, rule.stop), others, strict=True)
        ]
        return (*terms, self._term((rule.bias, 0, col))) if rule.bias else tuple(terms)

    def _powers(self, of: str, row: int, temperature: float) -> tuple[Term, ...]:
        factors = [self._factor(of, row, key) for key in range(self[of].width)]
        top = max(factor.value for factor in factors)
        if top == -math.inf:
            return tuple(Term(0.0, (factor,)) for factor in factors)
        return tuple(Term(math.exp((factor.value - top) / temperature), (factor,)) for factor in factors)

    def _times(self, by: float, cell: tuple[str, int, int]) -> Term:
        factor = self._factor(*cell)
        return Term(factor.value * by, (factor,), by)

    def _squares(self, rule: Variance, row: int) -> tuple[Term, ...]:
        mean = self._factor(rule.mean, row, 0)
        numbers = [self._factor(rule.of, row, k) for k in range(self[rule.of].width)]
        return tuple(Term((number.value - mean.value) ** 2, (number, mean)) for number in numbers)

    def _normed(self, rule: Norm, row: int, col: int) -> tuple[Term, ...]:
        x, gamma = self._factor(rule.of, row, col), self._factor(rule.weight, 0, col)
        mean, variance = self._factor(rule.mean, row, 0), self._factor(rule.variance, row, 0)
        value = (x.value - mean.value) / math.sqrt(variance.value + rule.eps) * gamma.value
        main = Term(value, (x, mean, variance, gamma))
        return (main, self._term((rule.bias, 0, col))) if rule.bias else (main,)

    def _turned(self, rule: Rotation, row: int, col: int) -> tuple[Term, ...]:
        """x_even cos − x_odd sin in an even column, x_even sin + x_odd cos in an odd one."""
        even, odd = col - col % 2, col - col % 2 + 1
        angle = row * rule.rates[even % rule.width // 2]
        sin, cos = math.sin(angle), math.cos(angle)
        by = (cos, -sin) if col == even else (sin, cos)
        return self._times(by[0], (rule.of, row, even)), self._times(by[1], (rule.of, row, odd))


def _gelu(x: float) -> float:
    """x Φ(x). Source: Hendrycks and Gimpel 2016, section 2."""
    return x * 0.5 * math.erfc(-x / math.sqrt(2.0))


def _gelu_tanh(x: float) -> float:
    """Its approximation there, which GPT-2 uses."""
    return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(0.0, x),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
}
