"""What the attention view shows of a text's tokens: labels, words, sentences, the script it is written in."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnviz.nn.encoding import Encoding

_COLUMNS = ("tokens", "words", "sentences", "dir", "cjk")
_END_OF_SENTENCE = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s|$)|[。！？]+[」』”’）]*|[\n\r\u2028\u2029]+""")
_CJK = re.compile(
    "[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)


def token_columns(encoding: Encoding | None, n_tokens: int, *, keys: bool = False) -> dict[str, Any]:
    """The part of a message's header that describes its tokens; `keys`: those of the other side, by other names.

    Positions stand in for labels where there is no encoding, [PAD] for tokens that it lacks.
    """
    names = ["keys", *("key" + column.capitalize() for column in _COLUMNS[1:])] if keys else _COLUMNS
    return dict(zip(names, _columns(encoding, n_tokens), strict=True))


def _columns(encoding: Encoding | None, n_tokens: int) -> list[Any]:
    if encoding is None:
        labels = [str(i) for i in range(n_tokens)]
        tokens = {"labels": labels, "words": [-1] * n_tokens, "special": [], "continues": []}
        return [tokens, [], [], "ltr", False]
    known = min(n_tokens, len(encoding))
    padding, continues = n_tokens - known, encoding.continues
    tokens = {
        "labels": [*encoding.labels[:known], *["[PAD]"] * padding],
        "words": [-1 if word is None else word for word in encoding.words[:known]] + [-1] * padding,
        "special": [i for i in range(n_tokens) if i >= known or encoding.special[i]],
        "continues": [i for i in range(known) if continues[i]],
    }
    return [
        tokens,
        list(encoding.word_texts),
        sentence_spans(encoding),
        direction(encoding.text),
        is_cjk(encoding.text),
    ]


def sentence_spans(encoding: Encoding) -> list[list[int]]:
    """Token ranges [start, end) of the sentences; special tokens stand outside, and end one.

    A sentence ends at . ! ? … before white space, at their full-width forms, and at a line break.
    """
    ends = [match.end() for match in _END_OF_SENTENCE.finditer(encoding.text)]
    spans: list[list[int]] = []
    open_until = -1  # where in the text the open sentence ends; -1: none is open
    for i, (start, _) in enumerate(encoding.offsets):
        if encoding.special[i]:
            open_until = -1
            continue
        if start >= open_until:
            open_until = next((end for end in ends if end > start), len(encoding.text) + 1)
            spans.append([i, i])
        spans[-1][1] = i + 1
    return spans


def direction(text: str) -> str:
    """ "rtl" if most letters with a direction run from right to left (Hebrew, Arabic …), else "ltr"."""
    kinds = [unicodedata.bidirectional(character) for character in text]
    return "rtl" if sum(kind in ("R", "AL") for kind in kinds) > kinds.count("L") else "ltr"


def is_cjk(text: str) -> bool:
    """Whether most letters are Chinese, Japanese or Korean."""
    return 2 * len(_CJK.findall(text)) > sum(character.isalpha() for character in text)
