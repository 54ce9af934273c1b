"""The masks that the page "Masks" offers, as arrays and as changes to a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from attnviz.browser.painted_cells import read_cells, write_cells
from attnviz.browser.view_values import MOST_PAINTED
from attnviz.nn import mask_patterns
from attnviz.nn.intervention import Intervention, MaskName
from attnviz.nn.trace import Trace

KINDS = ("trained", "none", "causal", "window", "block", "strided", "prefix", "painted")
SIZED: dict[str, Callable[..., Tensor]] = {
    "window": mask_patterns.window,
    "block": mask_patterns.block,
    "strided": mask_patterns.strided,
    "prefix": mask_patterns.prefix,
}
LARGEST = 16  # size of any of them


def pattern(kind: str, n_tokens: int, n: int, causal: bool) -> Tensor:
    """The keep array (T, T) of a mask with a size n.

    In a `causal` model window, blocks and strides stay causal; a prefix is what it is in any model.
    """
    keep = SIZED[kind](n_tokens, 1, n) if kind == "strided" else SIZED[kind](n_tokens, n)
    return keep & mask_patterns.causal(n_tokens) if causal and kind != "prefix" else keep


def intervention(kind: str, n: int, painted: str, *, n_tokens: int, causal: bool) -> Intervention | None:
    """The mask as a change to the run; None for the model as trained. Painted cells beyond the text are left out."""
    if kind == "trained":
        return None
    if kind in ("none", "causal"):
        return Intervention(mask=cast(MaskName, kind))
    if kind == "window":  # the same cells by their formula: faster
        return Intervention(mask=("window", n))
    if kind == "painted":
        return Intervention(blocked=[cell for cell in read_cells(painted, MOST_PAINTED) if max(cell) < n_tokens])
    hidden = ~pattern(kind, n_tokens, n, causal)
    return Intervention(mask="none", blocked=[tuple(cell) for cell in hidden.nonzero().tolist()])


def allowed(trace: Trace) -> Tensor:
    """Bool (T, T): the pairs (query, key) that a run allowed in its layers."""
    attention = trace.layers[0].attention
    size = attention.q.shape[2]
    if attention.keep is None:
        return torch.ones(size, size, dtype=torch.bool)
    return attention.keep.broadcast_to(1, attention.q.shape[1], size, size)[0, 0]


def hidden_column(key: int, n_tokens: int) -> str:
    """Every pair in which another token looks at `key`, as `attnviz.browser.painted_cells` writes them."""
    return write_cells((query, key) for query in range(n_tokens) if query != key)
