"""Frames: what Python writes is what Python and the browser read."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.browser.framing import ALIGNED, Payload, frame, read_frame
from tests.support.examples import examples
from tests.support.node import run_node

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.dictionaries(st.text(max_size=8), PLAIN, max_size=5)
PARTS = st.lists(st.binary(max_size=40), max_size=6)
# The frame lies at an odd address of a larger buffer, as Streamlit's data do.
READ = """
const moved = new Uint8Array(message.length + 3);
moved.set(message, 3);
const bytes = moved.subarray(3), {header, payload} = framing.readFrame(bytes);
const aligned = framing.readAligned(bytes);
give({
  header,
  shared: payload.buffer === moved.buffer,
  same: JSON.stringify(aligned.header) === JSON.stringify(header),
  start: aligned.start,
  parts: inputs.map(([at, length]) => [...payload.subarray(at, at + length)]),
  alignedParts: inputs.map(([at, length]) => [...new Uint8Array(aligned.buffer, aligned.start + at, length)]),
});
"""


def written(header: dict[str, Any], parts: list[bytes]) -> tuple[bytes, list[int]]:
    payload = Payload()
    places = [payload.add(part) for part in parts]
    return frame(header, payload), places


@settings(max_examples=examples(60), deadline=None)
@given(HEADERS, PARTS)
def test_what_is_written_is_read_in_python_and_in_the_browser(header: dict[str, Any], parts: list[bytes]) -> None:
    message, places = written(header, parts)
    assert all(place % ALIGNED == 0 for place in places)
    found, payload = read_frame(message)
    assert found == header
    assert [bytes(payload[at : at + len(part)]) for at, part in zip(places, parts, strict=True)] == parts
    there = run_node(READ, message, [[at, len(part)] for at, part in zip(places, parts, strict=True)])
    assert there["header"] == json.loads(json.dumps(header))
    assert there["shared"] and there["same"] and there["start"] % ALIGNED == 0
    assert there["parts"] == there["alignedParts"] == [list(part) for part in parts]


def test_arrays_lie_back_to_back_and_are_not_copied() -> None:
    first, second = np.arange(3, dtype="<f2"), np.arange(6, dtype="<f4").reshape(2, 3)
    payload = Payload()
    assert payload.add(first, second, np.zeros((0, 4), "<f4")) == 0
    assert payload.add(b"end") == 32  # 6 + 24 bytes, padded
    assert any(np.shares_memory(part, second) for part in payload.parts if isinstance(part, np.ndarray))
    _, body = read_frame(frame({}, payload))
    np.testing.assert_array_equal(np.frombuffer(body, "<f2", 3), first)
    np.testing.assert_array_equal(np.frombuffer(bytes(body[6:30]), "<f4").reshape(2, 3), second)
    assert bytes(body[32:35]) == b"end" and len(body) == payload.length == 40


def test_a_frame_lies_in_another() -> None:
    inner, _ = written({"deep": 1}, [b"abc"])
    outer, (place,) = written({"message": len(inner)}, [inner])
    header, payload = read_frame(outer)
    assert read_frame(bytes(payload[place : place + header["message"]]))[0] == {"deep": 1}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_header_holds_no_nan(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        frame({"number": number})
