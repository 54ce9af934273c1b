"""The induction warm-up of a language model: for some hundred steps one head of each layer learns to repeat.

Induction heads (Olsson et al. 2022) come late in a small model of a text: feed-forward networks learn first which words
a text has, and no head has to learn their order. In the warm-up nothing else can learn it: all but one head of each
layer stands still, nothing is dropped, and half of what is read are random tokens said again and again. The other half
is the text, so that the heads stay out of its way, and what the model knows of it is not lost.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnviz.nn.multihead import MultiheadAttention


def choose(previous: Tensor) -> list[int]:
    """The head of each layer that learns, by how much each looks at the previous token (layers, heads), 0 to 1.

    In the first layer the one that does most, for an induction head needs such a one below it; above it the ones that
    do least, for the others may be in use already.
    """
    return [int(previous[0].argmax()), *(int(layer.argmin()) for layer in previous[1:])]


def learners(model: nn.Module, heads: list[int]) -> dict[Tensor, Tensor]:
    """Each parameter of which a part learns, with a tensor that broadcasts to it: 1 where it does, 0 elsewhere."""
    masks: dict[Tensor, Tensor] = {}
    attentions = (module for module in model.modules() if isinstance(module, MultiheadAttention))
    for attention, head in zip(attentions, heads, strict=True):
        mask = torch.zeros(attention.num_heads, attention.head_dim)
        mask[head] = 1
        masks[attention.out_proj.weight] = mask.flatten()
        masks[attention.in_proj_weight] = mask.flatten().repeat(3)[:, None]
        if attention.in_proj_bias is not None:
            masks[attention.in_proj_bias] = mask.flatten().repeat(3)
    return masks


def hold(model: nn.Module, parts: dict[Tensor, Tensor]) -> None:
    """Takes the gradients of all that stands still."""
    for p in model.parameters():
        p.grad = p.grad * parts[p] if p in parts and p.grad is not None else None
