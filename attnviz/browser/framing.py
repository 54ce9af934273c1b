"""The one binary form of what goes to the browser: a header in JSON, and arrays or files after it.

    u32 length of the header | header (JSON, padded with spaces to 8 bytes) | payload, each part at a multiple of 8

All little-endian. Places in the header are counted from the start of the payload, so that a frame can lie in the
payload of another. `frontend/core/framing.js` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

ALIGNED = 8  # bytes: typed arrays of float64 may begin at every part


class Payload:
    """The parts that stand after a header."""

    def __init__(self) -> None:
        self.parts: list[bytes | np.ndarray] = []
        self.length = 0

    def add(self, *parts: bytes | np.ndarray) -> int:
        """Appends bytes or arrays back to back, without copying them, and returns where they start."""
        start = self.length
        for part in parts:
            self.parts.append(part if isinstance(part, bytes) else np.ascontiguousarray(part))
            self.length += len(part) if isinstance(part, bytes) else part.nbytes
        padding = -self.length % ALIGNED
        self.parts.append(bytes(padding))
        self.length += padding
        return start


def frame(header: Mapping[str, Any], payload: Payload | None = None) -> bytes:
    """The message. Errors: ValueError for NaN or infinity in the header, which JSON does not have."""
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    text += b" " * (-(4 + len(text)) % ALIGNED)
    return b"".join([len(text).to_bytes(4, "little"), text, *(payload.parts if payload else ())])


def read_frame(message: bytes) -> tuple[dict[str, Any], memoryview]:
    """Header and payload of a message."""
    start = 4 + int.from_bytes(message[:4], "little")
    return json.loads(message[4:start]), memoryview(message)[start:]
