"""Reads the weights of a Marian model from its binary file: names, shapes and blobs, some of them in 8 bits.

    u64 version = 1 | u64 n | n × (u64 length of the name, type, dimensions, bytes) | names | shapes | u64 pad | blobs

Everything is little-endian. Nothing but numbers is read, and every size is checked against the file before it is used.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attnviz.errors import ModelError

FLOAT32, INTGEMM8 = 0x404, 0x4101
MAX_BYTES = 500_000_000
MAX_TENSORS, MAX_NAME, MAX_DIMENSIONS = 10_000, 200, 4
EMBEDDING = "Wemb"  # stored as it is declared; every other 8-bit matrix is stored transposed, [out, in]
IGNORED = "_QuantMultA"  # factors of the activations' own 8 bits, which float32 does not need


def read_marian(path: Path) -> dict[str, Tensor]:
    """All float32 and 8-bit tensors by name; 8-bit ones as float32. Matrices are [out, in], as in torch.

    Errors: ModelError if the file is no such file, or not whole.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ModelError(f"{path.name} has {size:,} bytes; at most {MAX_BYTES:,} are read.")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}.") from None
    try:
        return _tensors(data)
    except ModelError as error:
        raise ModelError(f"{path.name} is not a whole Marian model: {error}.") from None
    except (struct.error, ValueError, IndexError):
        why = "what it says of its tensors goes beyond its end, or is no text"
        raise ModelError(f"{path.name} is not a whole Marian model: {why}.") from None


def _tensors(data: bytes) -> dict[str, Tensor]:
    version, n = struct.unpack_from("<QQ", data)
    if version != 1 or n > MAX_TENSORS:
        raise ModelError(f"version {version} with {n:,} tensors; version 1 with at most {MAX_TENSORS:,} is read")
    entries = [struct.unpack_from("<4Q", data, 16 + 32 * i) for i in range(n)]
    at = 16 + 32 * n
    names, shapes = [], []
    for length, *_ in entries:
        if not 1 <= length <= MAX_NAME:
            raise ModelError(f"a name of {length:,} bytes")
        names.append(_part(data, at, length)[:-1].decode("ascii"))
        at += length
    for _, _, dimensions, _ in entries:
        if dimensions > MAX_DIMENSIONS:
            raise ModelError(f"a tensor of {dimensions:,} dimensions")
        shapes.append(struct.unpack_from(f"<{dimensions}i", data, at))
        at += 4 * dimensions
    at += 8 + struct.unpack_from("<Q", data, at)[0]
    found = {}
    for name, shape, (_, kind, _, size) in zip(names, shapes, entries, strict=True):
        blob = _part(data, at, size)
        at += size
        if kind in (FLOAT32, INTGEMM8) and not name.endswith(IGNORED):
            found[name] = _tensor(name, shape, kind, blob)
    return found


def _part(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ModelError(f"it ends after {len(data):,} bytes, where {at + size:,} are needed")
    return data[at : at + size]


def _tensor(name: str, shape: tuple[int, ...], kind: int, blob: bytes) -> Tensor:
    """One tensor as float32. An 8-bit one holds whole numbers and, after them, the factor to divide them by."""
    if min(shape, default=1) < 1:
        raise ModelError(f"{name} has the shape {shape}")
    n = int(np.prod(shape, dtype=np.int64))
    if len(blob) < (4 * n if kind == FLOAT32 else n + 4):
        raise ModelError(f"{name} of shape {shape} has only {len(blob):,} bytes")
    if kind == FLOAT32:
        values = np.frombuffer(blob, "<f4", n).reshape(shape).copy()
    else:
        (factor,) = struct.unpack_from("<f", blob, n)
        stored_shape = shape if name == EMBEDDING else shape[::-1]
        values = np.frombuffer(blob, np.int8, n).reshape(stored_shape).astype(np.float32) / np.float32(factor)
    if not np.isfinite(values).all():
        raise ModelError(f"{name} holds NaN or infinite numbers")
    return torch.from_numpy(values)
