"""Checks of arguments: each raises one sentence that carries the numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from attnviz.errors import DTypeError, InvalidParameterError, ShapeError


def check_sizes(**sizes: int | None) -> None:
    """Errors: InvalidParameterError unless every given size is a whole number from 1."""
    for name, size in sizes.items():
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise InvalidParameterError(f"{name}={size!r} is not a whole number from 1")


def check_divisible(name: str, size: int, by_name: str, by: int) -> None:
    """Errors: InvalidParameterError unless `by` divides `size`."""
    if size % by:
        raise InvalidParameterError(f"{name}={size} is not divisible by {by_name}={by}")


def check_probability(name: str, value: float) -> None:
    """Errors: InvalidParameterError outside [0, 1]."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidParameterError(f"{name}={value!r} is outside [0, 1]")


def check_temperature(value: float) -> float:
    """The temperature as a float. Errors: InvalidParameterError unless it is positive and finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidParameterError(f"temperature={value!r} is not a number")
    if not (math.isfinite(value) and value > 0):
        raise InvalidParameterError(f"temperature={value} is not a positive, finite number")
    return float(value)


def check_index(what: str, value: object) -> int:
    """Errors: InvalidParameterError unless the value is a whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidParameterError(f"{what} {value!r} is not a whole number from 0")
    return value


def check_floats(expected: torch.dtype | None = None, **tensors: Tensor) -> None:
    """Errors: DTypeError unless all are floating point and of one dtype (`expected`, if given)."""
    for name, x in tensors.items():
        if not isinstance(x, Tensor):
            raise DTypeError(f"{name} is a {type(x).__name__}, not a tensor")
        if not x.is_floating_point():
            raise DTypeError(f"{name} is {x.dtype}; attention needs floating point")
        expected = expected or x.dtype
        if x.dtype != expected:
            raise DTypeError(f"{name} is {x.dtype}, but {expected} is expected here")


def check_qkv(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Errors: DTypeError or ShapeError unless q (B, H, T, D), k (B, H, S, D) and v (B, H, S, Dv) match."""
    check_floats(q=q, k=k, v=v)
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if not q.dim() == k.dim() == v.dim() == 4:
        raise ShapeError(f"q, k and v are (B, H, T, D), (B, H, S, D), (B, H, S, Dv), not {shapes}")
    if q.shape[:2] != k.shape[:2] or k.shape[:3] != v.shape[:3] or q.shape[3] != k.shape[3]:
        raise ShapeError(f"batch, heads, keys or head width differ: {shapes}")
    if 0 in q.shape or 0 in k.shape:
        raise ShapeError(f"nothing to attend with: {shapes}")


def check_broadcast(name: str, x: Tensor | None, q: Tensor, k: Tensor) -> None:
    """Errors: ShapeError unless x broadcasts to (B, H, T, S)."""
    target = (*q.shape[:3], k.shape[2])
    if x is None:
        return
    sizes = tuple(x.shape)
    fits = len(sizes) <= 4 and all(
        a in (1, b) for a, b in zip(reversed(sizes), reversed(target), strict=False)
    )
    if not fits:
        raise ShapeError(f"{name} {sizes} does not broadcast to (B, H, T, S) = {target}")
