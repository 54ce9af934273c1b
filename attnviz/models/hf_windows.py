"""Attention in a window around each token, computed in full rows: Longformer's, and that of LED's encoder.

Their own code computes the cells inside the windows alone, in chunks, which nothing else can look into. Here every
token's row is computed over all keys under a mask of the same window: the same numbers, in more time and memory. What
tokens with global attention do, with queries, keys and values of their own, is not computed: no such model is looked
into. Source: Beltagy et al. 2020, "Longformer", section 3.1.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.errors import ModelError
from attnviz.models.hf_attention import RUN, attention

ATTENTIONS = ("LongformerSelfAttention", "LEDEncoderSelfAttention")
PADS = "_pad_to_window_size"  # of the models around them: up to whole chunks
GLOBAL = "some of its tokens have global attention, with keys and values of their own, which is not computed here"


BY_ITSELF = {  # classes that give tokens global attention whatever they are given
    "LongformerForSequenceClassification": "its first token has",
    "LongformerForQuestionAnswering": "the question's tokens have",
    "LongformerForMultipleChoice": "the question's tokens have",
}


def check_windows(inner: Any) -> None:
    """Errors: ModelError for a class some of whose tokens always have global attention."""
    if (which := BY_ITSELF.get(type(inner).__name__)) is not None:
        raise ModelError(
            f"A model of the type {inner.config.model_type} cannot be looked into: {which} global attention, with "
            "queries, keys and values of their own, which is not computed here. Without its head it gives no token any."
        )


def widened(inner: Any) -> bool:
    """Gives a PreTrainedModel's attention in windows full rows, in each run of ours; by itself it stays as it is.

    Whether there was any.
    """
    found = False
    for module in inner.modules():
        if type(module).__name__ in ATTENTIONS:
            module.forward = partial(_in_full_rows, module)
            found = True
        elif hasattr(type(module), PADS):
            setattr(module, PADS, partial(_unpadded, module))
    return found


def _in_full_rows(module: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **more: Any) -> Any:
    """In the place of the module's forward pass. Errors: ModelError for tokens with global attention."""
    if RUN.get(None) is None:
        return type(module).forward(module, hidden_states, attention_mask=attention_mask, **more)
    if more.get("is_global_attn"):
        raise ModelError(GLOBAL)
    projections: tuple[nn.Linear, ...] = (module.query, module.key, module.value)
    q, k, v = (
        project(hidden_states).unflatten(-1, (module.num_heads, module.head_dim)).transpose(1, 2)
        for project in projections
    )
    places = torch.arange(q.shape[2], device=q.device)
    near = (places[:, None] - places).abs() <= module.one_sided_attn_window_size  # (T, T)
    keep = near[None, None]
    if attention_mask is not None:
        keep = keep & (attention_mask >= 0)[:, None, None, :]  # (B, 1, T, T)
    with torch._C.DisableTorchFunction():  # so that it is not taken for the model's own code where that is watched
        z, _ = attention(module, q, k, v, keep, module.head_dim**-0.5)
    return (z.flatten(2), None) if more.get("output_attentions") else (z.flatten(2),)


def _unpadded(module: Any, **given: Any) -> Any:
    """In the place of the model's own padding."""
    if RUN.get(None) is None:
        return getattr(type(module), PADS)(module, **given)
    names = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")
    return 0, *(given[name] for name in names if name in given)
