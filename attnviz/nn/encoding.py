"""A text (or an image's patches) as the tokens that a model reads: what `inputs` makes and a `Trace` carries."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = frozenset({"[UNK]", "<unk>"})  # tokens that stand for whatever a vocabulary lacks


@dataclass(frozen=True)
class Encoding:
    """A text as a model reads it; every tuple has one entry per token.

    `offsets` count characters of `text` and hold no blanks around a word; `(p, p)` for special tokens.
    `words` numbers the words from 0, `None` for special tokens. `cut`: how many tokens `max_length` left out. `types`:
    the segment of each token, of a pair of texts, which stand in `text` as two lines; () for one text.
    """

    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]  # the vocabulary's strings: "##ing", "Ġthe", "[CLS]"
    labels: tuple[str, ...]  # what a person should read: "ing", "the", "[CLS]"
    offsets: tuple[tuple[int, int], ...]
    words: tuple[int | None, ...]
    special: tuple[bool, ...]
    cut: int = 0
    types: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def word_texts(self) -> tuple[str, ...]:
        """The text of each word, index = word number; it ends where the last of its tokens ends."""
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(self.words, self.offsets, strict=True):
            if word is not None:
                first, last = spans.get(word, (start, end))
                spans[word] = (min(first, start), max(last, end))
        return tuple(self.text[start:end] for _, (start, end) in sorted(spans.items()))

    @property
    def unknown(self) -> tuple[str, ...]:
        """What of the text the vocabulary has no token for, each once: it is read as one token for all of it."""
        pieces = (
            self.text[start:end]
            for token, (start, end) in zip(self.tokens, self.offsets, strict=True)
            if token in UNKNOWN
        )
        return tuple(dict.fromkeys(piece for piece in pieces if piece))

    @property
    def continues(self) -> tuple[bool, ...]:
        """True where a token continues the word of the token before it."""
        before = (None, *self.words[:-1])
        return tuple(word is not None and word == last for word, last in zip(self.words, before, strict=True))
