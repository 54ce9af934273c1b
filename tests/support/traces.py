"""Traces put together by hand, and the weights that torch, a softmax of our own and the browser's modules derive."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnviz import AttentionTrace, Intervention, Mask, Trace, attend, preset
from attnviz.nn.encoding import Encoding
from attnviz.nn.layers import LayerTrace
from tests.support.node import run_node


def attention(
    n_queries: int = 7,
    n_keys: int | None = None,
    *,
    heads: int = 3,
    width: int = 8,
    batch: int = 1,
    seed: int = 0,
    size: float = 1.0,
    mask: Mask | None = None,
    **options: Any,
) -> AttentionTrace:
    """Attention of random queries and keys, of standard deviation `size`."""
    dice = torch.Generator().manual_seed(seed)
    q = size * torch.randn(batch, heads, n_queries, width, generator=dice)
    k = size * torch.randn(batch, heads, n_queries if n_keys is None else n_keys, width, generator=dice)
    return attend(q, k, k, keep=mask, **options)


def trace_of(
    *layers: AttentionTrace,
    encodings: tuple[Encoding, ...] = (),
    cross: bool = False,
    source: Trace | None = None,
    intervention: Intervention | None = None,
    title: str = "Handmade",
) -> Trace:
    """A trace whose layers hold these attentions (as cross-attention, if `cross`) and no residual stream."""
    nothing = torch.zeros(layers[0].q.shape[0], layers[0].q.shape[2], 16)

    def layer(one: AttentionTrace) -> LayerTrace:
        own = attention(one.q.shape[2], batch=one.q.shape[0]) if cross else one
        return LayerTrace(nothing, own, nothing, one if cross else None, nothing if cross else None, nothing)

    lengths = (layers[0].q.shape[2],) * layers[0].q.shape[0]
    return Trace(
        preset("test"),
        tuple(map(layer, layers)),
        nothing,
        None,
        lengths,
        encodings,
        source,
        intervention,
        title,
    )


def encoding_of(
    labels: list[str], words: list[int | None] | None = None, special: list[bool] | None = None
) -> Encoding:
    """An encoding with these labels; by default each is a word, with a space between words in the text."""
    special = special or [False] * len(labels)
    words = list(range(len(labels))) if words is None else words
    offsets, at, text = [], 0, ""
    for i, label in enumerate(labels):
        if special[i]:
            offsets.append((at, at))
            continue
        if text and words[i] != (words[i - 1] if i else None):
            text += " "
        offsets.append((len(text), len(text) + len(label)))
        text += label
        at = len(text)
    return Encoding(
        text,
        tuple(range(len(labels))),
        tuple(labels),
        tuple(labels),
        tuple(offsets),
        tuple(words),
        tuple(special),
    )


ALL_WEIGHTS = """
const model = unpack.unpack(message), all = [];
model.layers.forEach(({heads}, layer) => {
  for (let head = 0; head < heads; head++) all.push(maths.weights(model, layer, head, inputs || {}));
});
giveFloats(all.flatMap(one => [...one]));
"""


def browser_weights(message: bytes, settings: dict[str, Any] | None = None) -> np.ndarray:
    """The weights of all layers and heads one after the other, as the browser derives them."""
    return run_node(ALL_WEIGHTS, message, settings)


def true_weights(*layers: AttentionTrace, batch: int = 0) -> np.ndarray:
    """The same from torch."""
    return torch.cat([layer.weights[batch].flatten() for layer in layers]).numpy()


def softmax(scores: Tensor, keep: Tensor | None = None) -> Tensor:
    """Softmax over the keys kept, 0 where there is none: written apart from the library, to check it."""
    if keep is not None:
        scores = scores.masked_fill(~keep, -torch.inf)
    parts = (scores.double() - scores.double().amax(-1, keepdim=True).nan_to_num(neginf=0)).exp()
    return (parts / parts.sum(-1, keepdim=True).clamp_min(1e-300)).float()
