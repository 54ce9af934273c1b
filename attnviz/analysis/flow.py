"""Attention flow: the most that could run from an input token to a position, if attention were a net of pipes.

Every layer's weights, heads averaged and the residual stream as an equal share (as in `rollout`), are the capacities of
the pipes between its inputs and its outputs; the flow is the maximum flow (SciPy's, by Dinic's algorithm).
Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from attnviz.analysis import reruns
from attnviz.analysis.rollout import with_residual
from attnviz.errors import InvalidParameterError, check_installed
from attnviz.nn.trace import Trace

WHOLE = 2**28  # a capacity of 1 as an integer, which the algorithm counts in
DIGITS = 4  # of a flow that are right, whatever way its pipes' capacities were rounded


def attention_flow(trace: Trace, rows: Sequence[int], *, batch: int = 0) -> Tensor:
    """The flow to each input token from positions of the last layer, each of which holds an equal part of 1: (n,).

    With many tokens pipes abound, and the flow to most of them is all that the positions hold: then it ranks nothing.
    Errors: InvalidParameterError for a decoder that also reads an encoder, for steps after remembered keys, and for a
    row that is not there; ModelError without SciPy.
    """
    return reruns.finished(flowing(trace, rows, batch=batch))


def flowing(trace: Trace, rows: Sequence[int], *, batch: int = 0) -> Generator[int, None, Tensor]:
    """The same in steps, each the number of input tokens whose flow is known. Errors: as `attention_flow`."""
    if trace.source is not None:
        raise InvalidParameterError(
            "attention flow follows one stack of layers; this run also reads an encoder's output"
        )
    if trace.n_so_far != trace.final.shape[1]:
        raise InvalidParameterError(
            f"attention flow needs the whole run: here are {trace.final.shape[1]} of {trace.n_so_far} tokens"
        )
    n = trace.lengths[batch]
    if not rows or not all(0 <= row < n for row in rows):
        raise InvalidParameterError(f"rows {tuple(rows)} are not all among {n} tokens (counted from 0)")
    layers = [with_residual(weights[batch : batch + 1, :, :n, :n].float())[0] for weights in trace.attentions]
    return (yield from _flows(layers, rows))


def most_flow(capacities: Sequence[Tensor], rows: Sequence[int]) -> Tensor:
    """The maximum flow to each input, (n,), from rows of the last of several layers of capacities, (n, n) each.

    A row of capacities is an output of its layer. Errors: ModelError without SciPy.
    """
    return reruns.finished(_flows(capacities, rows))


def _flows(capacities: Sequence[Tensor], rows: Sequence[int]) -> Generator[int, None, Tensor]:
    check_installed("Attention flow", "scipy")
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    n, top = len(capacities[0]), len(capacities)
    source = (top + 1) * n
    begins = [np.full(len(rows), source)]
    ends = [top * n + np.asarray(rows)]
    pipes = [np.full(len(rows), 1.0 / len(rows))]
    for layer, weights in enumerate(capacities):
        each = weights.double().numpy()
        query, key = np.nonzero(each)
        begins.append((layer + 1) * n + query)
        ends.append(layer * n + key)
        pipes.append(each[query, key])
    whole = np.rint(np.concatenate(pipes) * WHOLE).astype(np.int32)
    net = csr_array((whole, (np.concatenate(begins), np.concatenate(ends))), shape=(source + 1, source + 1))
    found: list[float] = []
    for token in range(n):
        found.append(maximum_flow(net, source, token, method="dinic").flow_value / WHOLE)
        yield len(found)
    return torch.tensor(found, dtype=torch.float64).round(decimals=DIGITS)
