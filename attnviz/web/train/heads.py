"""The attention of every head on a run's probe: weights, how far they moved, and the same as a table."""

from __future__ import annotations

import numpy as np

from attnviz.browser import attention_message
from attnviz.nn.trace import Trace
from attnviz.training.head_losses import HeadLosses


def stack(trace: Trace) -> str:
    """The attention to look at: from target to source where there are both."""
    return "cross" if trace.source is not None else "self"


def weights(trace: Trace) -> np.ndarray:
    """The attention of every head on the probe: (L, H, T, S)."""
    return np.stack([one.weights[0].numpy() for one in attention_message.attentions(trace, stack(trace))])


def moved(before: Trace, now: Trace) -> np.ndarray:
    """How much of each head's attention lies elsewhere than before, 0 to 1, mean over the queries: (L, H)."""
    share: np.ndarray = np.abs(weights(now) - weights(before)).sum(axis=-1).mean(axis=-1) / 2
    return share


def table(weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every weight of (L, H, T, S) in a row of its own."""
    layer, head, query, key = (axis.ravel() for axis in np.indices(weights.shape))
    return {"layer": layer, "head": head, "query": query, "key": key, "weight": weights.ravel()}


def most_changed(moved: np.ndarray) -> tuple[int, int]:
    """The layer and head whose attention moved furthest since the start; `moved` is (L, H)."""
    layer, head = np.unravel_index(int(moved.argmax()), moved.shape)
    return int(layer), int(head)


def looked_at(chosen: int, worth: HeadLosses | None, moved: np.ndarray) -> tuple[int, int]:
    """The head to show: the `chosen` one (layer · heads + head), or the one that matters most, as far as it is known.

    That is the one without which the held-out loss rises most; while a training goes on, the one that moved furthest.
    """
    if 0 <= chosen < moved.size:
        layer, head = divmod(chosen, moved.shape[1])
        return layer, head
    most = None if worth is None else worth.most
    return most or most_changed(moved)
