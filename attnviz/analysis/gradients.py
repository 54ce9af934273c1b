"""How a prediction answers to a little less of something: attention times its gradient, and integrated gradients.

    gradient × attention   Σ_i A_ij ∂f/∂A_ij                    what all attention paid to j adds, to first order
    integrated gradients   (x − x′) · ∫₀¹ ∂f/∂x (x′ + a(x − x′)) da

Source: Serrano and Smith 2019, "Is Attention Interpretable?", section 4.3, the product of weight and gradient, which
Barkan et al. 2021 ("Grad-SAM") sum over heads, layers and queries; Sundararajan et al. 2017, "Axiomatic Attribution for
Deep Networks", section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnviz.analysis import predictions, reruns
from attnviz.analysis.predictions import Prediction
from attnviz.analysis.reruns import Nothing
from attnviz.errors import InvalidParameterError
from attnviz.models.model import Model
from attnviz.nn.checks import check_sizes
from attnviz.nn.trace import Trace

TOLERANCE = 0.01  # of the difference to the baseline, that integrated gradients may miss
FIRST_STEPS, MOST_STEPS = 16, 256


@dataclass(frozen=True, eq=False)
class Integrated:
    """Integrated gradients of one prediction."""

    values: Tensor  # (n,) float64, what each token adds; special tokens, which stay in the baseline, have 0
    before: float  # the prediction
    baseline: float  # the same with every token of the text's own erased
    steps: int
    how: Nothing  # what stood in the tokens' places

    @property
    def gap(self) -> float:
        """By how much the values' sum misses the difference: 0 for an exact integral (completeness)."""
        return float(self.values.sum()) - (self.before - self.baseline)

    @property
    def is_complete(self) -> bool:
        """Whether it misses at most `TOLERANCE` of it."""
        return abs(self.gap) <= TOLERANCE * abs(self.before - self.baseline)


def gradient_attention(model: Model, trace: Trace, prediction: Prediction, *, batch: int = 0) -> Tensor:
    """Σ over queries of A ∂f/∂A for each key of each head: (L, H, n), signed, by one run and one backward pass.

    The derivative is by a weight alone: the others of its row stay. Errors: as `attribution.check_split`.
    """
    network = model.transformer
    with torch.inference_mode(False), torch.enable_grad():
        x = reruns.token_vectors(network, trace, batch=batch).clone()[None].requires_grad_()
        run = reruns.run(network, trace, x, batch=batch, records=True)
        value = predictions.values(prediction, network, trace, run.final, batch=batch).sum()
        slopes = torch.autograd.grad(value, [layer.attention.z for layer in run.layers])
    found = []
    with torch.inference_mode():
        for layer, slope in zip(run.layers, slopes, strict=True):
            record = layer.attention
            by_weight = slope[0] @ record.v[0].detach().mT  # (H, n, n): z = A v
            if record.head_scale is not None:
                by_weight = by_weight * record.head_scale[:, None, None]
            found.append((record.weights[0].detach() * by_weight).sum(dim=1))
    return torch.stack(found)


def integrated_gradients(
    model: Model,
    trace: Trace,
    prediction: Prediction,
    *,
    steps: int | None = None,
    how: Nothing | None = None,
    batch: int = 0,
    each: Callable[[int], None] = lambda steps: None,
) -> Integrated:
    """What each token adds to a prediction, from a baseline in which the text's own tokens are erased: (n,).

    Arguments
        steps: points of the Gauss-Legendre rule; by default twice as many until the sum is right to `TOLERANCE`, from
            `FIRST_STEPS` to `MOST_STEPS`.
        how: "mask" or "mean", see `reruns.nothing`.
        each: told the points that are done, after each batch of them.

    Errors: as `attribution.check_split`.
    """
    return reruns.finished(integrating(model, trace, prediction, steps=steps, how=how, batch=batch), each)


def integrating(
    model: Model,
    trace: Trace,
    prediction: Prediction,
    *,
    steps: int | None = None,
    how: Nothing | None = None,
    batch: int = 0,
) -> Generator[int, None, Integrated]:
    """The same in steps, each the number of points that are done. Arguments, errors: as `integrated_gradients`."""
    if steps is not None:
        check_sizes(steps=steps)
    network = model.transformer
    x = reruns.token_vectors(network, trace, batch=batch)
    how, vector = reruns.nothing(model, trace, how, batch=batch)
    special = torch.tensor(trace.encodings[batch].special[: len(x)])
    if bool(special.all()):
        raise InvalidParameterError("the text has no token of its own to take away")
    start = torch.where(special[:, None], x, vector)
    with torch.inference_mode():
        ends = reruns.run(network, trace, torch.stack([x, start]), batch=batch).final
        before, baseline = predictions.values(prediction, network, trace, ends, batch=batch).double().tolist()
    done, n_steps = 0, steps or FIRST_STEPS
    while True:
        total = torch.zeros(len(x), dtype=torch.float64)
        for points, weights in _parts(n_steps, len(x)):
            total += _slopes(model, trace, prediction, x, start, points, weights, batch)
            done += len(points)
            yield done
        found = Integrated(total, before, baseline, n_steps, how)
        if steps is not None or found.is_complete or 2 * n_steps > MOST_STEPS:
            return found
        n_steps *= 2


def _parts(steps: int, n: int) -> list[tuple[Tensor, Tensor]]:
    """Points on the way from 0 to 1 and their weights, in batches."""
    places, weights = (torch.from_numpy(x) / 2 for x in np.polynomial.legendre.leggauss(steps))
    at_once = max(1, reruns.MOST_TOKENS // (4 * n))  # a backward pass keeps what each layer computed
    return list(zip((places + 0.5).split(at_once), weights.split(at_once), strict=True))


def _slopes(
    model: Model,
    trace: Trace,
    prediction: Prediction,
    x: Tensor,
    start: Tensor,
    points: Tensor,
    weights: Tensor,
    batch: int,
) -> Tensor:
    """The integral's terms at some points, (n,) float64."""
    with torch.inference_mode(False), torch.enable_grad():
        share = points.to(x.dtype)[:, None, None]
        between = (start + share * (x - start)).clone().requires_grad_()  # (B, n, C)
        final = reruns.run(model.transformer, trace, between, batch=batch).final
        value = predictions.values(prediction, model.transformer, trace, final, batch=batch).sum()
        (slope,) = torch.autograd.grad(value, between)
    along = (slope * (x - start)).sum(dim=-1).double()  # (B, n)
    return weights @ along
