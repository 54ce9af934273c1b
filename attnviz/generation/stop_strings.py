"""Strings at whose end an answer stops, wherever the tokens are cut: stop_strings of generation_config.json."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from attnviz.inputs.tokenizers import Tokenizer
from attnviz.inputs.words import byte_alphabet

BEFORE = "abcdef"  # what stands before a token, for many decoders treat the first one of a text otherwise
NO_TOKEN = b"\xff"  # in no text: nothing that it is part of is found


@dataclass(frozen=True, eq=False)
class StopStrings:
    """Strings that end a text, and whose tokens it is made of."""

    strings: tuple[str, ...]
    tokenizer: Tokenizer

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether one of the strings ends in the last token; the prompt's tokens may hold its beginning.

        Source: StopStringCriteria of transformers, which compares bytes where tokens are made of bytes.
        """
        stops = [string.encode() for string in self.strings]
        *before, last = _pieces(self.tokenizer, ids[-max(map(len, stops)) :])
        text = b"".join(before)
        return any(stop in text[max(0, len(text) + 1 - len(stop)) :] + last for stop in stops)


def _pieces(tokenizer: Tokenizer, ids: Iterable[int]) -> list[bytes]:
    """What each token adds to a text."""
    read = tokenizer.encode(BEFORE)
    start = [i for i, special in zip(read.ids, read.special, strict=True) if not special]

    def piece(number: int) -> bytes:
        if number >= tokenizer.vocab_size:
            return NO_TOKEN
        name = tokenizer.token(number)
        if tokenizer.byte_fallback:
            if re.fullmatch("<0x[0-9A-Fa-f]{2}>", name):
                return bytes([int(name[3:5], 16)])
        elif tokenizer.byte_level and all(character in byte_alphabet() for character in name):
            return b"".join(byte_alphabet()[character] for character in name)
        return tokenizer.decode([*start, number], skip_special=False).partition(BEFORE)[2].encode()

    return list(map(piece, ids))
