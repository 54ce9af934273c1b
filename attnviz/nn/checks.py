"""Checks of arguments: each raises one sentence that carries the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from attnviz.errors import DTypeError, InvalidParameterError, ShapeError

MIN_TEMPERATURE = 1e-30  # the smallest τ by which float32 scores can still be divided


def check_sizes(least: int = 1, /, **sizes: int) -> None:
    """Errors: InvalidParameterError unless every size is a whole number from `least`."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            raise InvalidParameterError(f"{name}={size!r} is not a whole number from {least}")


def check_divisible(name: str, size: int, by_name: str, by: int) -> None:
    """Errors: InvalidParameterError unless `by` divides `size`."""
    if size % by:
        raise InvalidParameterError(f"{name}={size} is not divisible by {by_name}={by}")


def check_probability(name: str, value: float) -> None:
    """Errors: InvalidParameterError outside [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidParameterError(f"{name}={value!r} is outside [0, 1]")


def check_temperature(value: float) -> float:
    """The temperature as a float. Errors: InvalidParameterError unless it is positive and finite."""
    value = check_finite("temperature", value)
    if value < MIN_TEMPERATURE:
        raise InvalidParameterError(f"temperature={value} is below {MIN_TEMPERATURE}: it has to be positive")
    return value


def check_finite(name: str, value: float) -> float:
    """The value as a float. Errors: InvalidParameterError unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidParameterError(f"{name}={value!r} is not a finite number")
    return float(value)


def check_bool(name: str, value: object) -> None:
    """Errors: InvalidParameterError unless the value is True or False."""
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{name}={value!r} is not True or False")


def check_vector(name: str, x: Tensor | None, size: int) -> None:
    """Errors: ShapeError unless x is None or has the shape (size,)."""
    if x is not None and tuple(x.shape) != (size,):
        raise ShapeError(f"{name} is {tuple(x.shape)}, but there are {size} heads")


def check_lengths(lengths: Sequence[int] | None, batch: int, longest: int) -> None:
    """Errors: ShapeError unless there is one length in 0…longest per row of the batch."""
    if lengths is not None and (len(lengths) != batch or not all(0 <= n <= longest for n in lengths)):
        raise ShapeError(f"lengths {tuple(lengths)} do not fit a batch of {batch} with {longest} keys")


def check_index(what: str, value: object) -> int:
    """Errors: InvalidParameterError unless the value is a whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidParameterError(f"{what} {value!r} is not a whole number from 0")
    return value


def check_floats(expected: torch.dtype | None = None, **tensors: Tensor) -> None:
    """Errors: DTypeError unless all are floating point and of one dtype (`expected`, if given)."""
    for name, x in tensors.items():
        check_tensor(name, x)
        if not x.is_floating_point():
            raise DTypeError(f"{name} is {x.dtype}; attention needs floating point")
        expected = expected or x.dtype
        if x.dtype != expected:
            raise DTypeError(f"{name} is {x.dtype}, but {expected} is expected here")


def check_tensor(name: str, x: object) -> None:
    """Errors: DTypeError unless x is a tensor or None."""
    if x is not None and not isinstance(x, Tensor):
        raise DTypeError(f"{name} is a {type(x).__name__}, not a tensor")


def check_padded(name: str, x: object) -> None:
    """Errors: DTypeError or ShapeError unless x is a tensor whose texts have one length."""
    check_tensor(name, x)
    if isinstance(x, Tensor) and x.is_nested:
        raise ShapeError(f"{name} is a nested tensor; pad the texts and forbid the padding by key_padding_mask")


def check_qkv(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Errors: DTypeError or ShapeError unless q (B, H, T, D), k (B, H, S, D) and v (B, H, S, Dv) match."""
    check_floats(q=q, k=k, v=v)
    if not q.dim() == k.dim() == v.dim() == 4:
        raise ShapeError(f"q, k and v are (B, H, T, D), (B, H, S, D), (B, H, S, Dv), not {_shapes(q, k, v)}")
    of_q, of_k, of_v = q.shape, k.shape, v.shape
    if of_q[:2] != of_k[:2] or of_k[:3] != of_v[:3] or of_q[3] != of_k[3]:
        raise ShapeError(f"batch, heads, keys or head width differ: {_shapes(q, k, v)}")
    if 0 in (of_q[1], of_q[3], of_v[3]):  # no texts, no queries or no keys are fine, as in torch
        raise ShapeError(f"nothing to attend with: {_shapes(q, k, v)}")


def check_projected(
    query: Tensor, key: Tensor, value: Tensor, widths: Sequence[int], expected: torch.dtype, batch_first: bool
) -> None:
    """Errors: DTypeError or ShapeError unless query, key and value fit together and into the projections.

    They are (B, T, C), (T, B, C) unless batch_first, or (T, C); `expected` is the projections' dtype.
    """
    alone = key is query and value is query
    names = ("query", "key", "value")
    for name, x in zip(names, (query,) if alone else (query, key, value), strict=False):
        check_padded(name, x)
        if x.dtype != expected or not x.is_floating_point():
            device = x.device.type  # under autocast the projections make one dtype of several
            mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
            check_floats(None if mixed else expected, **{name: x})
    dims = query.dim()
    if dims not in (2, 3) or not (alone or dims == key.dim() == value.dim()):
        shapes = _in_a_row(query, key, value)
        raise ShapeError(f"query, key and value are all (B, T, C) or all (T, C), not {shapes}")
    for name, x, width in zip(names, (query, key, value), widths, strict=True):
        if x.shape[-1] != width:
            raise ShapeError(f"{name} has width {x.shape[-1]}, but this layer takes {width}")
    texts = 0 if batch_first else 1
    if not alone and ((dims == 3 and query.shape[texts] != key.shape[texts]) or key.shape[:-1] != value.shape[:-1]):
        raise ShapeError(f"query, key and value (B, T, C) do not match: {_in_a_row(query, key, value)}")


def _in_a_row(*tensors: Tensor) -> str:
    return ", ".join(str(tuple(x.shape)) for x in tensors)


def _shapes(q: Tensor, k: Tensor, v: Tensor) -> str:
    return f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"


def check_broadcast(name: str, x: Tensor | None, q: Tensor, k: Tensor) -> None:
    """Errors: ShapeError unless x broadcasts to (B, H, T, S)."""
    if x is None:
        return
    target = (*q.shape[:3], k.shape[2])
    sizes = tuple(x.shape)
    fits = len(sizes) <= 4 and all(a in (1, b) for a, b in zip(reversed(sizes), reversed(target), strict=False))
    if not fits:
        raise ShapeError(f"{name} {sizes} does not broadcast to (B, H, T, S) = {target}")
