"""Token ids as a user has them: numbers, several texts' numbers, or what a tokenizer of transformers gives.

Padding is what that tokenizer's attention_mask says, before a text (as decoders are padded to go on with) or after it.
It is taken off: each text is then read as it would be alone, its first token at position 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError

IDS, MASK, SEGMENTS = "input_ids", "attention_mask", "token_type_ids"
SAYS_NO_MORE = {"special_tokens_mask", "offset_mapping", "length", "overflow_to_sample_mapping"}

Rows = list[list[int]]


def rows_of(given: Any) -> Rows:
    """One text's ids, or several texts', as lists; [] for what is none."""
    if isinstance(given, Tensor):
        given = given.tolist() if not given.is_floating_point() else None
    elif hasattr(given, "tolist"):  # an array
        given = given.tolist()
    if not isinstance(given, list | tuple) or not given:
        return []
    rows = [given] if all(isinstance(i, int) for i in given) else given
    known = all(isinstance(row, list | tuple) and row and all(isinstance(i, int) for i in row) for row in rows)
    return [list(row) for row in rows] if known else []


def without_padding(given: Mapping[str, Any]) -> tuple[Rows, Rows]:
    """The ids of what a tokenizer of transformers gives, and their segments (or []), without padding.

    Errors: InvalidParameterError for anything else, or a mask that leaves out tokens between others.
    """
    unread = sorted(str(name) for name in given if name not in (IDS, MASK, SEGMENTS, *SAYS_NO_MORE))
    if unread:
        raise InvalidParameterError(f"of a tokenizer's answer {IDS}, {MASK} and {SEGMENTS} are read, not {unread[0]!r}")
    ids = _rows(given, IDS)
    masks = _rows(given, MASK) if MASK in given else [[1] * len(row) for row in ids]
    segments = _rows(given, SEGMENTS) if SEGMENTS in given else []
    for name, rows in ((MASK, masks), (SEGMENTS, segments)):
        if rows and [len(row) for row in rows] != [len(row) for row in ids]:
            raise InvalidParameterError(f"{name} is not of the shape of {IDS}")
    places = [_real(number, mask) for number, mask in enumerate(masks)]
    cut = [[row[place] for row, place in zip(rows, places, strict=True)] for rows in (ids, segments) if rows]
    return cut[0], cut[1] if segments else []


def _rows(given: Mapping[str, Any], name: str) -> Rows:
    rows = rows_of(given.get(name))
    if not rows:
        raise InvalidParameterError(f"{name} is whole numbers, one row for each text, not {given.get(name)!r:.60}")
    return rows


def _real(number: int, mask: list[int]) -> slice:
    """Where a text's tokens stand in its row. Errors: InvalidParameterError unless they stand together."""
    real = torch.tensor(mask).nonzero().flatten().tolist()
    if not real:
        raise InvalidParameterError(f"{MASK} leaves no token of text {number}")
    if real[-1] - real[0] + 1 != len(real):
        raise InvalidParameterError(
            f"{MASK} of text {number} leaves out tokens between others; padding stands before a text or after it"
        )
    return slice(real[0], real[-1] + 1)
