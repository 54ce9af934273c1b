"""Our classes and torch's side by side: same arguments, same numbers in their parameters, same inputs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import attnviz
from tests.support.parity import close, scramble

C, HEADS, FF = 8, 2, 16
KINDS = ("attention", "encoder layer", "decoder layer", "encoder", "decoder")
NAMES = {
    "attention": "MultiheadAttention",
    "encoder layer": "TransformerEncoderLayer",
    "decoder layer": "TransformerDecoderLayer",
    "encoder": "TransformerEncoder",
    "decoder": "TransformerDecoder",
}
PARTS = {  # the parts of the layers that are called as modules in torch too
    "attention": (),
    "encoder layer": ("self_attn", "norm1", "linear1", "linear2", "norm2", "dropout", "dropout1", "dropout2"),
    "decoder layer": ("self_attn", "multihead_attn", "norm1", "norm2", "norm3", "linear1", "linear2", "dropout3"),
    "encoder": ("layers.0", "layers.1", "layers.1.self_attn", "layers.0.linear1", "norm"),
    "decoder": ("layers.0", "layers.1", "layers.1.multihead_attn", "layers.0.linear1", "norm"),
}
CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)
FLOAT = torch.zeros(5, 5).masked_fill(CAUSAL, -math.inf)
GIVEN: dict[str, Any] = {
    "nothing": {},
    "a bool mask": {"mask": CAUSAL},
    "a float mask": {"mask": FLOAT},
    "padding": {"padding": torch.arange(5).expand(2, 5) > 3},
}


def make(library: Any, kind: str, **options: Any) -> nn.Module:
    """One of the five, of `attnviz` or of `torch.nn`; a stack has two layers and a norm."""
    cls = getattr(library, NAMES[kind])
    options = {"batch_first": True} | options
    if kind == "attention":
        return cls(C, HEADS, **options)
    if kind.endswith("layer"):
        return cls(C, HEADS, FF, **({"dropout": 0.0} | options))
    factory = {name: options[name] for name in ("device", "dtype") if name in options}
    extra = {"enable_nested_tensor": False} if kind == "encoder" else {}
    return cls(make(library, f"{kind} layer", **options), 2, nn.LayerNorm(C, **factory), **extra)


def pair(kind: str, **options: Any) -> tuple[nn.Module, nn.Module]:
    """Ours and torch's with the same random parameters."""
    theirs = make(nn, kind, **options)
    scramble(theirs)
    ours = make(attnviz, kind, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def tokens(*shape: int, **options: Any) -> Tensor:
    return torch.randn(*(shape or (2, 5)), C, **options)


def call(module: nn.Module, kind: str, x: Tensor, **options: Any) -> Tensor:
    """The module's output on x: self-attention, or a decoder with x turned round as its memory."""
    if kind == "attention":
        return module(x, x, x, **options)[0]
    if kind.startswith("decoder"):
        return module(x, x.flip(-2), **options)
    return module(x, **options)


def mask_name(kind: str) -> str:
    return {"attention": "attn_mask", "encoder layer": "src_mask", "encoder": "mask"}.get(kind, "tgt_mask")


def padding_name(kind: str) -> str:
    names = {"attention": "key_padding_mask"}
    return names.get(kind, "src_key_padding_mask" if kind.startswith("encoder") else "tgt_key_padding_mask")


def alike(kind: str, do: Callable[[nn.Module], Any], **options: Any) -> None:
    """do(module) gives the same of ours and of torch's; `do` may change the module."""
    ours, theirs = pair(kind, **options)
    same(do(ours), do(theirs))


def same(ours: Any, theirs: Any) -> None:
    """Equal numbers, shapes and dtypes; equal structure."""
    if isinstance(theirs, Tensor):
        if theirs.is_floating_point() and theirs.dtype in (torch.float32, torch.float64) and not theirs.is_meta:
            close(ours, theirs)
        elif theirs.is_floating_point() and not theirs.is_meta:
            close(ours, theirs, tolerance=0.05)  # half the digits, summed in another order
        else:
            assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        same(list(ours.values()), list(theirs.values()))
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert ours == theirs


def private(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module)


def arguments(kind: str, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (x, x, x) if kind == "attention" else (x, x.flip(-2)) if kind.startswith("decoder") else (x,)


def options(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    names = {"mask": mask_name(kind), "padding": padding_name(kind)}
    return {names[name]: value for name, value in given.items()}
