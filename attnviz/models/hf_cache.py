"""Keys and values of an earlier run, given back to a model of transformers: it reads the new tokens alone then."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from attnviz.nn.attention import AttentionTrace
from attnviz.nn.trace import Trace

PROBED = 12  # tokens on which a model shows whether its steps give what a whole run gives
NAMES = ("cache", "past_key_values")  # of a forward's argument: since transformers 5.24, and before
CLOSE = 1e-3  # of the largest logit: float32 is off by a hundredth of it


def name_in(takes: Collection[str]) -> str | None:
    """What a forward that takes these arguments calls its cache; None if it takes none."""
    return next((name for name in NAMES if name in takes), None)


def remembered(past: Trace) -> Any:
    """transformers' cache of what the attentions of a run had; a run may be gone on from more than once."""
    from transformers import DynamicCache, EncoderDecoderCache

    own = DynamicCache([_stored(layer.attention) for layer in past.layers])
    if past.source is None:
        return own
    return EncoderDecoderCache(own, DynamicCache([_stored(layer.cross_attention) for layer in past.layers]))


def _stored(attention: AttentionTrace | None) -> tuple[Tensor, Tensor]:
    """Keys and values as the model itself makes them: those that several heads share once."""
    assert attention is not None
    each = 1 if attention.kv_heads is None else attention.k.shape[1] // attention.kv_heads
    return attention.k[:, ::each], attention.v[:, ::each]


def steps_as_it_runs(model: Any) -> bool:
    """Whether a step after a run gives the logits of a run on all tokens: tried once, on a few of them."""
    config = model.config
    n = min(PROBED, config.max_len)
    if config.head != "lm" or config.kind == "encoder" or config.attends or config.reads != "text" or n < 3:
        return False
    if name_in(model.takes) is None:
        return False
    device = next(model.parameters()).device
    ids = (torch.arange(n, device=device)[None] * 7 + 3) % config.vocab_size
    source = (ids,) if config.kind == "encoder-decoder" else ()
    try:
        with torch.inference_mode():
            whole = model(*source, ids).logits[:, -1]
            first = model(*source, ids[:, :-2])
            stepped = model.step(ids[:, -1:], model.step(ids[:, -2:-1], first)).logits[:, -1]
    except Exception:  # of another library's code: such a model reads everything anew, as it does without steps
        return False
    return bool((whole - stepped).abs().max() <= CLOSE * whole.abs().max())
