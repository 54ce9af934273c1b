"""Matrices of a computation, and for every cell the cells that it was made of.

A `Matrix` carries a rule, and `Provenance.terms` turns the rule into the terms of one cell: exact, from the numbers
that stand in the other matrices. The browser follows the same rules (browser/frontend/provenance/terms.js).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnviz.errors import InvalidParameterError

Array = NDArray[Any]
TOLERANCE = 1e-6  # a cell and its terms differ by less than this times (1 + the sum of the terms' sizes)


@dataclass(frozen=True)
class Given:
    """Not computed here. `note` says what it is; `ids`: which row of a table of `size` each row was taken from."""

    note: str  # token, position, formula, segment, weight, bias, gamma, beta, mask, layer
    ids: tuple[int, ...] = ()
    size: int = 0


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
class Norm:
    """(of[r, c] − μ_r) / √(σ²_r + ε) · weight[0, c] + bias[0, c]: LayerNorm over the row."""

    of: str
    weight: str
    bias: str
    eps: float


@dataclass(frozen=True)
class Concat:
    """The parts side by side, each `width` columns."""

    parts: tuple[str, ...]
    width: int


Rule = Given | Sum | Product | Scale | Softmax | Norm | Concat


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
    """One summand and what it is the product of (for a softmax: exp of the score, less the row's largest)."""

    value: float
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Terms:
    """How a cell came about: total = Σ terms, or for a softmax the chosen term's share of that sum."""

    kind: str  # given, sum, product, scale, softmax, norm, concat
    terms: tuple[Term, ...]
    chosen: int | None = None
    mean: float = 0.0  # of the row, for a norm
    deviation: float = 1.0  # √(variance + ε) of the row, for a norm

    @property
    def total(self) -> float:
        """The cell, worked out from the terms."""
        every = math.fsum(term.value for term in self.terms) if self._finite else sum(t.value for t in self.terms)
        if self.chosen is None:
            return every
        return self.terms[self.chosen].value / every if every else 0.0

    @property
    def tolerance(self) -> float:
        """How far the model's own 32-bit number may be from the total: rounding grows with the terms."""
        return TOLERANCE * (1.0 + sum(abs(term.value) for term in self.terms if math.isfinite(term.value)))

    @property
    def _finite(self) -> bool:
        return all(math.isfinite(term.value) for term in self.terms)


@dataclass(frozen=True, eq=False)
class Provenance:
    """The matrices of one layer's attention on one text, from x to out, in the order they come about."""

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
        match rule:
            case Given():
                return Terms("given", ())
            case Sum(parts):
                return Terms("sum", tuple(self._term((part, self._row(part, row), col)) for part in parts))
            case Product():
                return Terms("product", self._products(rule, row, col))
            case Scale(of, by):
                factor = self._factor(of, row, col)
                return Terms("scale", (Term(factor.value * by, (factor,)),))
            case Softmax(of, temperature):
                return Terms("softmax", self._powers(of, row, temperature), chosen=col)
            case Norm():
                return self._normed(rule, row, col)
            case Concat(parts, width):
                return Terms("concat", (self._term((parts[col // width], row, col)),))
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

    def _normed(self, rule: Norm, row: int, col: int) -> Terms:
        numbers = self[rule.of].values[row].astype(np.float64)
        mean, deviation = float(numbers.mean()), float(np.sqrt(numbers.var() + rule.eps))
        x, gamma = self._factor(rule.of, row, col), self._factor(rule.weight, 0, col)
        terms = [Term((x.value - mean) / deviation * gamma.value, (x, gamma))]
        if rule.bias:
            terms.append(self._term((rule.bias, 0, col)))
        return Terms("norm", tuple(terms), mean=mean, deviation=deviation)
