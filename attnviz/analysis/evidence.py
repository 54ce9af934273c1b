"""What each input token has to do with one prediction, by seven measures side by side, and which of them agree.

    attention      what the reading position gives a token, of one layer or the mean of all
    rollout, flow  the same through all layers: `rollout`, `flow`
    norm           with the size of what is brought, ‖α f(x)‖: `contributions`
    gradient       attention × its gradient: `gradients`
    integrated     integrated gradients: `gradients`
    erasure        the real effect of taking the token away: `erasure`

Only the last one changes the input and looks what happens; the others are compared with it. Measures have their own
units and signs: their orders are compared, by size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from attnviz.analysis import agreement, contributions, erasure, flow, gradients, reruns
from attnviz.analysis.agreement import Correlation
from attnviz.analysis.erasure import Erasure
from attnviz.analysis.gradients import Integrated
from attnviz.analysis.predictions import Prediction
from attnviz.analysis.reruns import Nothing
from attnviz.analysis.rollout import rollout
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models.model import Model
from attnviz.nn.trace import Trace

Method = Literal["attention", "rollout", "flow", "norm", "gradient", "integrated", "erasure"]
METHODS: tuple[Method, ...] = ("attention", "rollout", "flow", "norm", "gradient", "integrated", "erasure")
SIGNED: tuple[Method, ...] = ("gradient", "integrated", "erasure")  # the others are sizes


@dataclass(frozen=True, eq=False)
class Evidence:
    """The measures of one prediction's tokens."""

    prediction: Prediction
    values: Mapping[Method, Tensor]  # (n,) float64 each
    missing: Mapping[Method, str]  # why a measure is not there
    own: tuple[int, ...]  # the tokens that are compared: special ones are left out
    erased: Erasure | None
    integrated: Integrated | None

    def compared(self, method: Method) -> tuple[Correlation, Correlation] | None:
        """Spearman's and Kendall's correlation of a measure's order with the erasures', by size.

        None where one of the two is missing. Errors: InvalidParameterError for fewer than `agreement.LEAST` tokens.
        """
        if method not in self.values or "erasure" not in self.values:
            return None
        here, there = (self.values[one][list(self.own)].abs() for one in (method, "erasure"))
        return agreement.spearman(here, there), agreement.kendall(here, there)


def gathered(
    model: Model,
    trace: Trace,
    prediction: Prediction,
    *,
    layer: int | None = None,
    how: Nothing | None = None,
    methods: Collection[Method] = METHODS,
    batch: int = 0,
    each: Callable[[int], None] = lambda steps: None,
) -> Evidence:
    """The measures that the model allows, and for the others why not.

    Arguments
        layer: of attention, norm and gradient; None: attention and norm are the mean over all layers, the gradient's
            products their sum.
        how: what stands for a token that is erased, see `reruns.nothing`.
        methods: which measures; integrated gradients take longest.
        each: told the tokens that have been erased, those whose flow is known, the points of integrated gradients that
            are done.

    Errors: InvalidParameterError for a layer that is not there, or a measure that there is not.
    """
    return reruns.finished(
        gathering(model, trace, prediction, layer=layer, how=how, methods=methods, batch=batch), each
    )


def gathering(
    model: Model,
    trace: Trace,
    prediction: Prediction,
    *,
    layer: int | None = None,
    how: Nothing | None = None,
    methods: Collection[Method] = METHODS,
    batch: int = 0,
) -> Generator[int, None, Evidence]:
    """The same in steps, each what `each` is told. Arguments, errors: as for `gathered`."""
    n_layers = len(trace.layers)
    if layer is not None and not 0 <= layer < n_layers:
        raise InvalidParameterError(f"layer {layer} of {n_layers} (counted from 0)")
    if unknown := sorted(set(methods) - set(METHODS)):
        raise InvalidParameterError(f"{unknown[0]!r} is not one of {', '.join(METHODS)}")
    n, rows = trace.lengths[batch], list(prediction.rows)
    which = range(n_layers) if layer is None else (layer,)
    erased, integrated = None, None
    ways: dict[Method, Callable[[], Tensor]] = {
        "attention": lambda: torch.stack(
            [trace.layers[i].attention.weights[batch, :, rows, :n].mean(dim=(0, 1)) for i in which]
        ).mean(dim=0),
        "rollout": lambda: rollout(trace)[-1, batch, rows, :n].mean(dim=0),
        "norm": lambda: torch.stack(
            [_shares(contributions.norms(model.transformer, trace, i, rows, batch=batch)) for i in which]
        ).mean(dim=0),
        "gradient": lambda: gradients.gradient_attention(model, trace, prediction, batch=batch)[list(which)].sum(
            (0, 1)
        ),
    }
    values: dict[Method, Tensor] = {}
    missing: dict[Method, str] = {}
    for method in METHODS:
        if method not in methods:
            continue
        try:
            if method == "integrated":
                integrated = yield from gradients.integrating(model, trace, prediction, how=how, batch=batch)
                values[method] = integrated.values
            elif method == "erasure":
                erased = yield from erasure.erasing(model, trace, prediction, how, batch=batch)
                values[method] = erased.effect
            elif method == "flow":
                values[method] = yield from flow.flowing(trace, rows, batch=batch)
            else:
                values[method] = ways[method]().double()
        except (InvalidParameterError, ModelError) as error:
            missing[method] = str(error)
    special = trace.encodings[batch].special if trace.encodings else (False,) * n
    own = tuple(i for i in range(n) if not special[i])
    return Evidence(prediction, values, missing, own, erased, integrated)


def joined(parts: Sequence[Evidence]) -> Evidence:
    """Measures of one prediction that were worked out in parts, as one."""
    values = {method: value for part in parts for method, value in part.values.items()}
    missing = {method: why for part in parts for method, why in part.missing.items()}
    return Evidence(
        parts[0].prediction,
        {method: values[method] for method in METHODS if method in values},
        {method: missing[method] for method in METHODS if method in missing},
        parts[0].own,
        next((part.erased for part in parts if part.erased is not None), None),
        next((part.integrated for part in parts if part.integrated is not None), None),
    )


def _shares(norms: Tensor) -> Tensor:
    """Of each row's sum, and the mean over rows: (R, n) → (n,). Layers of larger vectors then weigh no more."""
    return (norms / norms.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(norms.dtype).tiny)).mean(dim=0)
