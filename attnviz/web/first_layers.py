"""The run of a text as far as a page reads it: up to the layer that it shows."""

from __future__ import annotations

from dataclasses import replace

import torch

from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import cache, store


def first_layers(name: str, text: str, n_layers: int, change: Intervention | None = None) -> Trace:
    """One short text through the first layers of a model; through all where it cannot stop. Errors: as `Model.run`.

    For pages that read the attention of one layer: a layer further up is run when it is asked for.
    """
    model = cache.model(name)
    stops = model.transformer.stops_early and n_layers < model.transformer.config.n_layers
    if not stops or len(model.encode(text)) == 0:  # the whole run says in a sentence that there is nothing to read
        return cache.trace(name, text, change)
    return _first_layers(name, text, n_layers, change)


@store.kept()
def _first_layers(name: str, text: str, n_layers: int, change: Intervention | None) -> Trace:
    model = cache.model(name)
    encoding = model.encode(text)
    with torch.inference_mode():
        trace = model.transformer.first_layers(model.brought(torch.tensor([encoding.ids])), n_layers, change)
    return replace(trace, encodings=(encoding,), title=model.info.title)
