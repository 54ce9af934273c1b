"""What the parity tests share: how near is equal, and masks in every form that torch takes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def close(ours: Tensor, theirs: Tensor, tolerance: float | None = None) -> None:
    """Equal shape and dtype, and numbers equal within the dtype's tolerance; NaN is never equal."""
    if tolerance is None:
        tolerance = TOLERANCE[ours.dtype]
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance, equal_nan=False)


def gradients(loss: Tensor, *tensors: Tensor) -> list[Tensor]:
    """d loss / d each tensor; zeros where the loss does not depend on it."""
    found = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, tensors, strict=True)]


def same_gradients(ours: nn.Module, theirs: nn.Module, loss: Tensor, their_loss: Tensor) -> None:
    """Equal gradients for every parameter of two modules with the same names."""
    names = [name for name, _ in ours.named_parameters()]
    assert names == [name for name, _ in theirs.named_parameters()]
    mine = gradients(loss, *ours.parameters())
    reference = gradients(their_loss, *theirs.parameters())
    for name, a, b in zip(names, mine, reference, strict=True):
        assert b.isfinite().all(), name
        close(a, b)


def random_mask(kind: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor | None:
    """torch's polarity: "none", "bool" (True forbids), "float" (added) or "inf" (added, with −∞).

    The first key stays allowed: torch answers a row without keys with NaN.
    """
    if kind == "none":
        return None
    forbidden = torch.rand(shape) < 0.4
    forbidden[..., 0] = False
    if kind == "bool":
        return forbidden
    added = torch.randn(shape, dtype=dtype)
    return added if kind == "float" else added.masked_fill(forbidden, -math.inf)


def scramble(module: nn.Module, scale: float = 0.5) -> None:
    """Random numbers into every parameter, biases and norms too, so that none is 0 or 1 by chance of initialisation."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * scale)
