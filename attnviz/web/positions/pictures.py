"""What the page "Positions" shows of a scheme, which no text changes: computed and written once for all readers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from attnviz import figures
from attnviz.analysis import word_order
from attnviz.nn import positions
from attnviz.web import cache, store
from attnviz.web.components.chart import Written, written
from attnviz.web.positions import text

SHOWN = 128  # positions in a picture of an encoding


@dataclass(frozen=True, eq=False)
class Table:
    """What a scheme gives to each position of a model."""

    model: str
    scheme: str
    values: torch.Tensor  # (n, W): W dimensions of the model or of a head; of a bias (distances, heads)

    @property
    def by_head(self) -> bool:
        """Whether it changes scores, each head's in its own way."""
        return positions.described(self.scheme).acts == "scores"

    @property
    def choices(self) -> int:
        """How many waves there are to look at: pairs of dimensions, or heads of a bias."""
        width = self.values.shape[1]
        return width if self.by_head else width // 2

    @property
    def axis(self) -> str:
        """What its values stand over."""
        return "distance in tokens" if self.by_head else "position"

    def columns(self, index: int) -> tuple[int, ...]:
        """The columns of one of them."""
        return (index,) if self.by_head else (2 * index, 2 * index + 1)


@dataclass(frozen=True, eq=False)
class Alike:
    """How alike any two positions are."""

    cosine: torch.Tensor  # (n, n); of a bias twice what a head adds to their score
    cosines: word_order.Spread  # by offset
    dots: word_order.Spread  # dot products, likewise


@store.kept()
def table(model: str, scheme: str) -> Table:
    """The encoding of a scheme."""
    transformer = cache.model(model).transformer
    n = min(SHOWN, transformer.config.max_len)
    with torch.inference_mode():
        return Table(model, scheme, word_order.positional_encoding(transformer, scheme, n))


@store.kept()
def alike(model: str, scheme: str, head: int) -> Alike:
    """Dot products and cosines of any two positions, or what the head of a bias adds."""
    values, told = table(model, scheme).values, positions.described(scheme)
    if told.bias is None:
        dot, cosine = word_order.similarity(values)
    else:
        n, n_heads = values.shape
        dot = cosine = told.bias(n_heads, positions.offsets(n, n).float())[head]
    return Alike(cosine, word_order.by_offset(cosine), word_order.by_offset(dot))


@store.kept()
def heatmap(model: str, scheme: str, marked: tuple[int, ...], palette: figures.Palette) -> Written:
    """The whole encoding, with some columns outlined."""
    shown = table(model, scheme)
    figure = figures.encoding_heatmap(
        shown.values.numpy(),
        palette,
        rows={"scores": "head", "turn": "dimension of a head"}.get(positions.described(scheme).acts, "dimension"),
        columns=shown.axis,
        halves=text.halves(scheme),
        share=shown.by_head,
        marked=marked,
    )
    return written(figure)


@store.kept()
def every_pair(model: str, scheme: str, head: int, palette: figures.Palette) -> Written:
    """Every position beside every other."""
    cosine = alike(model, scheme, head).cosine
    return written(figures.similarity_heatmap(cosine.numpy(), palette, share=table(model, scheme).by_head))


@store.kept()
def band(model: str, scheme: str, head: int, palette: figures.Palette) -> Written:
    """Similarity against the offset."""
    shown, spread = table(model, scheme), alike(model, scheme, head).cosines
    return written(figures.offset_band(spread.mean, spread.low, spread.high, palette, y=measure(shown, head)))


def measure(table: Table, head: int) -> str:
    """What says how alike two positions are."""
    return f"bias of head {head}" if table.by_head else "cosine"
