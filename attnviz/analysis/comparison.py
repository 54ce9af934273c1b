"""Two heads side by side: the tokens that both texts have, what each head gives there, and where they differ most.

The runs may be of two texts, of one under two interventions, or of two models with one tokenizer; the heads may be two
of one run. Tokens are laid side by side by the longest run of them that both texts have, then likewise on its left and
on its right: Ratcliff and Metzener 1988, "Pattern Matching: The Gestalt Approach", as Python's difflib has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import check_sizes
from attnviz.nn.encoding import Encoding
from attnviz.nn.trace import Trace

Head = tuple[int, int]  # layer and head, from 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two heads' weights on the tokens that both texts have; N of these."""

    pairs: tuple[tuple[int, int], ...]  # N: a token's position in A and in B, in order
    a: Tensor  # (N, N) float64: queries by keys, what A's head gives
    b: Tensor  # (N, N) likewise of B's
    rest_a: Tensor  # (N,) what each query of A gives to keys that B does not have
    rest_b: Tensor

    @property
    def difference(self) -> Tensor:
        """(N, N): B's weight less A's."""
        return self.b - self.a

    @property
    def moved(self) -> Tensor:
        """(N,): the share of its attention that each query spends elsewhere, the total variation of its two rows.

        ½ where only one of them looks at anything.
        """
        return (self.difference.abs().sum(dim=1) + self.rest_a + self.rest_b) / 2

    def partner(self, position: int, *, of: str = "a") -> int | None:
        """Where a token of one text (`of`: "a" or "b") stands in the other; None where it does not."""
        found = dict(self.pairs) if of == "a" else {j: i for i, j in self.pairs}
        return found.get(position)


@dataclass(frozen=True, eq=False)
class Sides:
    """Two runs whose heads are laid side by side: each beside B's of the same number, or all beside one of B's.

    Errors: InvalidParameterError for a head that B does not have, and for runs of different numbers of heads.
    """

    a: Trace
    b: Trace
    head_b: Head | None = None  # None: the same number

    def __post_init__(self) -> None:
        shapes = [(len(one.layers), one.config.n_heads) for one in (self.a, self.b)]
        if self.head_b is not None:
            _check_head(self.b, self.head_b)
        elif shapes[0] != shapes[1]:
            written = " and ".join(f"{n_layers} × {n_heads}" for n_layers, n_heads in shapes)
            raise InvalidParameterError(f"the runs have {written} heads: name the one that all are laid beside")


@dataclass(frozen=True)
class Change:
    """One cell that both heads have."""

    query: tuple[int, int]  # position in A and in B
    key: tuple[int, int]
    a: float  # weight
    b: float

    @property
    def difference(self) -> float:
        """B's weight less A's."""
        return self.b - self.a


def head_in(written: str) -> Head:
    """A head as a command line names it, "1.9": layer and head, from 0. Errors: InvalidParameterError."""
    layer, _, head = written.strip().partition(".")
    if not (layer.isdecimal() and head.isdecimal()):
        raise InvalidParameterError(f"“{written[:40]}” is no head: name its layer and its head, such as 1.9")
    return int(layer), int(head)


def aligned(a: Sequence[int], b: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Which tokens of two texts, by their ids, are the same: pairs of positions, both in order.

    `aligned(b, a)` is the same pairs the other way round.
    """
    if tuple(a) > tuple(b):  # difflib may match otherwise from the other side
        return tuple((i, j) for j, i in aligned(b, a))
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return tuple((i + step, j + step) for i, j, size in blocks for step in range(size))


def compare(a: Trace, head_a: Head, b: Trace, head_b: Head, *, batch: tuple[int, int] = (0, 0)) -> Comparison:
    """Two heads on the tokens that both texts have; `batch`: which text of each run.

    Errors: InvalidParameterError for a head that is not there, a run without tokens by name, and two texts that have
    no token in common.
    """
    encodings = _encoding(a, batch[0]), _encoding(b, batch[1])
    weights_a, weights_b = _weights(a, head_a, batch[0]), _weights(b, head_b, batch[1])
    pairs = aligned(encodings[0].ids, encodings[1].ids)
    if not pairs:
        raise InvalidParameterError("the two texts have no token in common: nothing can be laid side by side")
    places_a, places_b = (torch.tensor(places) for places in zip(*pairs, strict=True))
    rows_a, rows_b = weights_a[places_a], weights_b[places_b]
    both_a, both_b = rows_a[:, places_a], rows_b[:, places_b]
    return Comparison(pairs, both_a, both_b, _others(rows_a, places_a), _others(rows_b, places_b))


def each_head(sides: Sides) -> Iterator[tuple[Head, Comparison]]:
    """Every head of A in order, beside that of B which `sides` names. Errors: as `compare`."""
    for layer in range(len(sides.a.layers)):
        for number in range(sides.a.config.n_heads):
            head = (layer, number)
            yield head, compare(sides.a, head, sides.b, sides.head_b or head)


def strongest(comparison: Comparison, n: int = 8, *, least: float = 0.0) -> list[Change]:
    """The n cells whose weights differ most, the largest difference first; none of at most `least`."""
    check_sizes(n=n)
    size = comparison.difference.abs().flatten()
    order = size.argsort(descending=True, stable=True)[:n].tolist()
    cells = [divmod(one, len(comparison.pairs)) for one in order if float(size[one]) > least]
    return [
        Change(comparison.pairs[y], comparison.pairs[x], float(comparison.a[y, x]), float(comparison.b[y, x]))
        for y, x in cells
    ]


def _others(rows: Tensor, places: Tensor) -> Tensor:
    """What rows give to keys that stand elsewhere: summed, and not 1 less the rest, so that no key is exactly 0."""
    others = torch.ones(rows.shape[1], dtype=torch.bool)
    others[places] = False
    return rows[:, others].sum(dim=1)


def _encoding(trace: Trace, batch: int) -> Encoding:
    if not 0 <= batch < len(trace.encodings):
        raise InvalidParameterError(f"text {batch} of {len(trace.encodings)} by name (counted from 0)")
    return trace.encodings[batch]


def _weights(trace: Trace, head: Head, batch: int) -> Tensor:
    """(n, S) float64: a head's weights on one text; S has the extra keys of a model that has any."""
    _check_head(trace, head)
    layer, number = head
    record = trace.layers[layer].attention
    return record.weights[batch, number, : trace.lengths[batch]].detach().double().cpu()


def _check_head(trace: Trace, head: Head) -> None:
    layer, number = head
    if not 0 <= layer < len(trace.layers):
        raise InvalidParameterError(f"layer {layer} of {len(trace.layers)} (counted from 0)")
    record = trace.layers[layer].attention
    if record is None:
        raise InvalidParameterError(f"layer {layer} has no attention to lay beside another")
    if not 0 <= number < record.q.shape[1]:
        raise InvalidParameterError(f"head {number} of {record.q.shape[1]} (counted from 0)")
