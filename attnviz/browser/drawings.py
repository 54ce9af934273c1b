"""A digit drawn by hand as text: 8 × 8 cells of ink from 0 to 16, a character each; and those that others wrote.

"00000000…" ◀─ write() ─ ink (8, 8) ─ read() ◀─ "008g8000…"
"""

from __future__ import annotations

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError

DIGITS = 10
SIDE, INK = 8, 16  # as the data that the bundled model was trained on
CHARACTERS = "0123456789abcdefg"  # a cell's ink
EMPTY = "0" * SIDE**2
FIRST = "008g800000g6f10004a0c2000007g3000005dg3000000b6000c99g20008gf700"  # a held-out 3, to begin with


def read(text: str) -> Tensor:
    """A drawing's ink, int64 (8, 8) from 0 to 16, row by row. Errors: InvalidParameterError."""
    if len(text) != SIDE**2 or not set(text) <= set(CHARACTERS):
        raise InvalidParameterError(f"a drawing is {SIDE**2} characters from {CHARACTERS[0]} to {CHARACTERS[-1]}")
    return torch.tensor([CHARACTERS.index(character) for character in text]).reshape(SIDE, SIDE)


def write(ink: Tensor) -> str:
    """What `read` reads: (8, 8) of whole numbers from 0 to 16."""
    return "".join(CHARACTERS[int(value)] for value in ink.flatten())


def held_out() -> dict[str, int]:
    """The digits of the test split, which no bundled model was trained on: drawing → what its writer meant."""
    from attnviz.training.tasks import digits  # a server's first page brings no training along

    pictures, labels = digits.splits()["test"]
    ink = ((pictures[:, 0] + 1) * digits.INK / 2).round().long()
    return {write(one): int(label) for one, label in zip(ink, labels, strict=True)}


def examples(meant: dict[str, int], per_digit: int) -> list[tuple[int, str]]:
    """The first so many drawings of each digit, in rows of 0 to 9: (digit, drawing)."""
    of_each = [[drawing for drawing, label in meant.items() if label == digit] for digit in range(DIGITS)]
    return [(digit, drawings[i]) for i in range(per_digit) for digit, drawings in enumerate(of_each)]
