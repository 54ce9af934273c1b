"""What the page "Compare" shows, for its pictures and its sentences."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attnviz.analysis.comparison import Change, Comparison
from attnviz.browser.view_state import ViewState
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace


@dataclass(frozen=True)
class Side:
    """One of the two heads, by all that its numbers depend on."""

    model: str
    text: str
    change: Intervention | None
    layer: int
    head: int


@dataclass(frozen=True, eq=False)
class Shown:
    """What all parts of the page below the fields read."""

    kind: str  # what B has of its own
    a: Side
    b: Side
    runs: tuple[Trace, Trace]
    found: Comparison
    changes: tuple[Change, ...]  # the strongest
    query: tuple[int, int]  # that is locked, as A and as B have it; −1 for none
    key: tuple[int, int]

    @property
    def encodings(self) -> tuple[Encoding, Encoding]:
        """The tokens of both."""
        return self.runs[0].encodings[0], self.runs[1].encodings[0]

    @property
    def labels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tokens of both as a person reads them."""
        return self.encodings[0].labels, self.encodings[1].labels

    @property
    def cell(self) -> tuple[int, int] | None:
        """Row and column of the locked cell among those that both have."""
        rows = [i for i, _ in self.found.pairs]
        both = self.query[0] in rows and self.key[0] in rows
        return (rows.index(self.query[0]), rows.index(self.key[0])) if both else None

    def looks(self) -> tuple[ViewState, ViewState]:
        """What the two matrices show."""
        return _look(self.a, self.query[0], self.key[0]), _look(self.b, self.query[1], self.key[1])

    def rows(self) -> tuple[Tensor | None, Tensor | None]:
        """(n,) each: what the locked query gives each token of its own text; None where the text does not have it."""
        a, b = (
            None if query < 0 else run.layers[side.layer].attention.weights[0, side.head, query, : run.lengths[0]]
            for run, side, query in zip(self.runs, (self.a, self.b), self.query, strict=True)
        )
        return a, b


def _look(side: Side, query: int, key: int) -> ViewState:
    return ViewState(
        layer=side.layer,
        head=side.head,
        queries=() if query < 0 else (query,),
        key=None if key < 0 else key,
        side="k" if query < 0 <= key else "q",
    )
