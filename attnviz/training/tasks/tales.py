"""Masked words in sentences of a small grammar, whose answers are known: which head finds whom a pronoun means?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn.transformer import Transformer
from attnviz.training.tasks.batch import IGNORED, Batch, Role, Task, padded
from attnviz.training.tasks.grammar import RELATIONS, Dependency, Sentence, kinds, sentence

HELD_OUT = {"val": 0, "test": 1}  # of ten parts of all sentences; the other eight are trained on
N_HELD_OUT = 400  # sentences per split
EVAL_BATCH = 100


class Tales(Task):
    """Words hidden here and there in sentences of `grammar`; a tenth of all sentences is held out for each split."""

    name = "tales"
    title = "Tales: who is meant?"
    explains = (
        "Fill in hidden words of little tales. That takes knowing whom a pronoun means, which noun a verb agrees with "
        "and which noun an adjective belongs to: see which head finds which."
    )
    kind = "encoder"
    metric = "accuracy"
    defaults: ClassVar[dict[str, Any]] = {
        "length": 64,
        "batch": 64,
        "steps": 3000,
        "n_layers": 3,
        "n_heads": 2,
        "learning_rate": 2e-3,
        "eval_every": 200,
    }
    # Of the words so many are asked for, by kind: those that depend on others most, those that anyone knows hardly.
    # 60 % of these are hidden, 30 % exchanged for another of their kind, 10 % stay as they are.
    SHARES = (0.15, 0.5, 0.4, 0.4, 0.15, 0.15, 0.05, 0.05, 0.0)

    def __init__(self, length: int) -> None:
        words = [word for kind in kinds() for word in kind]
        bare = {word for kind in kinds()[-2:] for word in kind}  # at the start, or a sign: no space before it
        pieces = {word: word if word in bare else f" {word}" for word in words}
        self.tokenizer = Tokenizer.train_word(sorted(pieces.values()), 1000)
        self.max_len = max(length, 48)
        self.ids = {word: self.tokenizer.encode(piece).ids[1] for word, piece in pieces.items()}
        self.others = torch.zeros(self.tokenizer.vocab_size, max(map(len, kinds())), dtype=torch.long)
        self.share = torch.zeros(self.tokenizer.vocab_size)
        for kind, share in zip(kinds(), self.SHARES, strict=True):
            ids = torch.tensor([self.ids[word] for word in kind])
            self.others[ids] = ids[torch.arange(self.others.shape[1]) % len(ids)]
            self.share[ids] = share
        self.cls, self.sep = (self.tokenizer.encode("The").ids[i] for i in (0, -1))
        self.fingerprint = f"{self.name} {len(words)}"
        self.splits: dict[str, list[Sentence]] = {}

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        source = random.Random(int(torch.randint(2**62, (), generator=generator)))
        rows: list[list[int]] = []
        while len(rows) < size:
            row = self.read(sentence(source))
            if part_of(row) > 1:
                rows.append(row)
        return self._hidden(rows, generator)

    def held_out(self, split: str) -> Iterable[Batch]:
        rows = [self.read(one) for one in self.sentences(split)]
        generator = torch.Generator().manual_seed(11)
        for at in range(0, N_HELD_OUT, EVAL_BATCH):
            yield self._hidden(rows[at : at + EVAL_BATCH], generator)

    def sentences(self, split: str) -> list[Sentence]:
        """The held-out sentences of "val" or "test", with their links; made up once."""
        if split not in self.splits:
            self.splits[split] = self._drawn(split)
        return self.splits[split]

    def _drawn(self, split: str) -> list[Sentence]:
        source, part = random.Random(HELD_OUT[split]), HELD_OUT[split]
        by_text: dict[str, Sentence] = {}
        while len(by_text) < N_HELD_OUT:
            one = sentence(source)
            if part_of(self.read(one)) == part:
                by_text[one.text] = one
        return list(by_text.values())

    def read(self, one: Sentence) -> list[int]:
        """The sentence's token ids: a token per word, between [CLS] and [SEP]."""
        return [self.cls, *(self.ids[word] for word in one.words), self.sep]

    def _hidden(self, rows: Sequence[list[int]], generator: torch.Generator) -> Batch:
        """Rows with some of their words hidden, and labels for these."""
        whole, lengths = padded(list(rows), self.tokenizer.pad_id)
        asked = torch.rand(whole.shape, generator=generator) < self.share[whole]
        asked[:, 2] |= ~asked.any(dim=1)  # never a sentence that asks nothing
        how = torch.rand(whole.shape, generator=generator)
        which = torch.randint(self.others.shape[1], whole.shape, generator=generator)
        other = self.others[whole, which]
        assert self.tokenizer.mask_id is not None
        seen = torch.where(asked & (how < 0.6), self.tokenizer.mask_id, whole)
        seen = torch.where(asked & (how >= 0.7), other, seen)
        return Batch(seen, whole.masked_fill(~asked, IGNORED), lengths)

    def evaluate(self, model: Transformer, split: str) -> dict[str, float]:
        """Also, for each relation, how often the best head's weights peak at the right noun, of all nouns: 0 to 1."""
        metrics = super().evaluate(model, split)
        del metrics["exact"]
        hits = self.pointing(model, split)
        return {**metrics, **{name: float(hits[i].max()) for i, name in enumerate(RELATIONS)}}

    def pointing(self, model: Transformer, split: str) -> Tensor:
        """How often each head, from a word of a relation, puts most weight on the right one of the nouns: (R, L, H).

        Measured on whole held-out sentences, nothing hidden.
        """
        sentences = self.sentences(split)
        hits = torch.zeros(len(RELATIONS), model.config.n_layers, model.config.n_heads)
        for at in range(0, N_HELD_OUT, EVAL_BATCH):
            some = sentences[at : at + EVAL_BATCH]
            ids, lengths = padded([self.read(one) for one in some], self.tokenizer.pad_id)
            row, relation, word, noun, nouns = links_as_tensors(some, ids.shape[1])
            for i, weights in enumerate(model(ids, lengths=lengths).attentions):
                from_word = weights[row, :, word].masked_fill(~nouns[:, None], -1.0)  # (N, H, T)
                right = (from_word.argmax(dim=-1) == noun[:, None]).float()
                hits[:, i].index_add_(0, relation, right)
        counts = Counter(link.relation for one in sentences for link in one.links)
        return hits / torch.tensor([counts[name] for name in RELATIONS])[:, None, None]

    def roles(self, model: Transformer) -> list[Role]:
        """The head that is best at each relation."""
        on_validation, on_test, sentences = (
            self.pointing(model, "val"),
            self.pointing(model, "test"),
            self.sentences("test"),
        )
        roles = []
        for i, name in enumerate(RELATIONS):
            layer, head = divmod(int(on_validation[i].argmax()), on_validation.shape[2])
            by_place, by_chance = place_and_chance(sentences, name)
            n, score = sum(link.relation == name for one in sentences for link in one.links), on_test[i, layer, head]
            roles.append(Role(f"{name} → noun", layer, head, float(score), by_place, by_chance, n))
        return roles

    def example(self) -> tuple[str, str | None]:
        return "One day the queens near the lion reward the shy boy because he wants the drum.", None


def part_of(ids: Sequence[int]) -> int:
    """The part of ten that a sentence belongs to, whatever the order of its words."""
    return sum(ids) % 10


def links_as_tensors(sentences: Sequence[Sentence], n_tokens: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """All links: row, relation, token of the word, token of its noun, (N,) each, and the nouns, bool (N, T).

    The token before the first word is [CLS].
    """
    links = [(row, link) for row, one in enumerate(sentences) for link in one.links]
    numbers = [(row, RELATIONS.index(link.relation), link.word + 1, link.noun + 1) for row, link in links]
    row, relation, word, noun = torch.tensor(numbers).unbind(dim=1)
    nouns = torch.zeros(len(sentences), n_tokens, dtype=torch.bool)
    for i, one in enumerate(sentences):
        nouns[i, [1 + place for place in one.nouns]] = True
    return row, relation, word, noun, nouns[row]


def place_and_chance(sentences: Sequence[Sentence], relation: str) -> tuple[float, float]:
    """How often the best rule is right that knows only places, and how often one noun of all at random.

    Rules are "so many words further" and "the n-th noun before it" or after it.
    """
    links = [(one, link) for one in sentences for link in one.links if link.relation == relation]
    rules: tuple[Callable[[Sentence, Dependency], object], ...] = (lambda _, link: link.noun - link.word, rank)
    best = max(max(Counter(rule(one, link) for one, link in links).values()) for rule in rules)
    return best / len(links), sum(1 / len(one.nouns) for one, _ in links) / len(links)


def rank(one: Sentence, link: Dependency) -> int:
    """Which noun it is, counted from the word: 1 the next one after it, −1 the last one before it."""
    if link.noun > link.word:
        return sum(link.word < noun <= link.noun for noun in one.nouns)
    return -sum(link.noun <= noun < link.word for noun in one.nouns)
