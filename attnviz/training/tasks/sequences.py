"""Tasks on sequences that are drawn at random: copying, reversing and sorting letters; induction."""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.analysis.measures import offset_weights
from attnviz.errors import InvalidParameterError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn.checks import check_sizes
from attnviz.nn.intervention import Intervention
from attnviz.nn.transformer import Transformer
from attnviz.training.tasks.batch import IGNORED, Batch, Task

HELD_OUT = {"val": 0, "test": 1}  # of ten parts of all sequences; the other eight are trained on
N_HELD_OUT = 256  # examples per split


class _Letters(Task):
    """Letters, then ">", then the answer: "dbca>…". Held out by the sum of the letters, whatever their order."""

    kind = "decoder"
    metric = "exact"
    # Up to 7 letters: with up to 12, a default training ends with 29 % of the reversed answers correct.
    defaults: ClassVar[dict[str, Any]] = {"length": 16, "positions": "learned", "steps": 1500}

    def __init__(self, length: int) -> None:
        check_sizes(length=length)
        if length < 6:
            raise InvalidParameterError(f"length={length} is too short for letters, “>” and the answer; take 6 or more")
        self.tokenizer = Tokenizer.train_char([string.ascii_lowercase + ">"], start="[BOS]", end=None)
        self.longest = (length - 2) // 2  # letters: [BOS] letters > answer
        self.max_len = length
        self.fingerprint = f"{self.name} {self.longest}"
        ids = self.tokenizer.encode(string.ascii_lowercase + ">").ids
        self.bos, self.letters, self.arrow = ids[0], torch.tensor(ids[1:-1]), ids[-1]

    def answer(self, letters: Tensor) -> Tensor:
        """What follows ">" for some letters, (n,) → (n,)."""
        raise NotImplementedError

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return self._draw(size, generator, lambda part: part > 1)

    def held_out(self, split: str) -> Iterable[Batch]:
        yield _held_out(type(self), self.max_len, split)

    def _draw(self, size: int, generator: torch.Generator, belongs: Any) -> Batch:
        rows: list[Tensor] = []
        while len(rows) < size:
            n = int(torch.randint(2, self.longest + 1, (), generator=generator))
            letters = self.letters[torch.randint(26, (n,), generator=generator)]
            if belongs(int(letters.sum()) % 10):
                rows.append(letters)
        return self._batch(rows)

    def _batch(self, rows: list[Tensor]) -> Batch:
        """[BOS] letters > answer, each position's label being the token after it; asked from ">" on."""
        size = max(2 * len(row) + 1 for row in rows)
        ids = torch.full((len(rows), size), self.tokenizer.pad_id)
        labels = torch.full((len(rows), size), IGNORED)
        for i, letters in enumerate(rows):
            n, answer = len(letters), self.answer(letters)
            whole = torch.cat([torch.tensor([self.bos]), letters, torch.tensor([self.arrow]), answer])
            ids[i, : 2 * n + 1] = whole[:-1]
            labels[i, n + 1 : 2 * n + 1] = answer
        return Batch(ids, labels, tuple(2 * len(row) + 1 for row in rows))

    def example(self) -> tuple[str, str | None]:
        letters = self.letters[torch.tensor([3, 1, 2, 0, 4][: self.longest])]
        return self.tokenizer.decode([*letters.tolist(), self.arrow, *self.answer(letters).tolist()[:-1]]), None


@functools.lru_cache(maxsize=6)  # two splits of three tasks
def _held_out(kind: type[_Letters], length: int, split: str) -> Batch:
    """Drawn one by one, of which nine in ten belong elsewhere: a training that measures itself often draws once."""
    part = HELD_OUT[split]
    return kind(length)._draw(N_HELD_OUT, torch.Generator().manual_seed(part), lambda other: other == part)


class Copy(_Letters):
    """The same letters again."""

    name = "copy"
    title = "Copy letters"
    explains = "After “>” say the letters again: a head learns to look as far back as the text is long."

    def answer(self, letters: Tensor) -> Tensor:
        return letters


class Reverse(_Letters):
    """The letters from the last to the first."""

    name = "reverse"
    title = "Reverse letters"
    explains = "After “>” say the letters backwards: attention has to run against the reading direction."

    def answer(self, letters: Tensor) -> Tensor:
        return letters.flip(0)


class Sort(_Letters):
    """The letters in the order of the alphabet."""

    name = "sort"
    title = "Sort letters"
    explains = "After “>” say the letters in alphabetical order: each has to be found by what it is, not where it is."
    defaults: ClassVar[dict[str, Any]] = {**_Letters.defaults, "positions": "rope"}

    def answer(self, letters: Tensor) -> Tensor:
        return letters.sort().values


class Induction(Task):
    """Random tokens, then the same ones again: predictable only by looking back. Olsson et al. 2022.

    The stretch that repeats starts and ends anywhere, so that no fixed distance helps.
    """

    name = "induction"
    title = "Induction: what came after this last time?"
    explains = (
        "Random tokens repeat. To predict the second time, one head has to note at each token which one stood before "
        "it. Another one, an induction head, then looks for the token that followed the present one last time."
    )
    kind = "decoder"
    metric = "induction"
    defaults: ClassVar[dict[str, Any]] = {
        "d_ff": 0,
        "positions": "alibi",
        "length": 64,
        "batch": 64,
        "steps": 800,
        "weight_decay": 0.0,
    }

    def __init__(self, length: int) -> None:
        check_sizes(length=length)
        if length < 8:
            raise InvalidParameterError(f"length={length} is too short for tokens that repeat; take 8 or more")
        self.tokenizer = Tokenizer.train_word([WORDS], 1000, start="[BOS]", end=None)
        self.length = self.max_len = length
        self.fingerprint = f"{self.name} {length}"
        encoding = self.tokenizer.encode(WORDS)
        self.bos, self.words = encoding.ids[0], torch.tensor(sorted(set(encoding.ids[1:])))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return repeated(size, self.length, self.words, self.bos, generator)

    def held_out(self, split: str) -> Iterable[Batch]:
        seed = -1 - HELD_OUT[split]  # no step of a training has a negative one; the sequences never come twice
        yield self.batch(N_HELD_OUT, torch.Generator().manual_seed(seed % 2**63))

    def evaluate(self, model: Transformer, split: str) -> dict[str, float]:
        """Also "induction" and "previous": see `Scores`.

        "exact" is left out: nobody can know when a stretch begins again.
        """
        metrics = super().evaluate(model, split)
        del metrics["exact"]
        return {**metrics, **scores(model, self.twice()).best}

    def twice(self) -> Tensor:
        """The sequences on which heads are scored, (16, 2P + 1): no word comes twice in the P."""
        return said_twice(self.words, self.bos, self.length, each_once=True)

    def example(self) -> tuple[str, str | None]:
        return (
            " the cat sees a red bird and the cat sees a red bird and the cat",
            None,
        )  # words have a space before them


def repeated(
    size: int, length: int, alphabet: Tensor, bos: int, generator: torch.Generator, shortest: int = 0
) -> Batch:
    """[BOS], random tokens, then a stretch of them again and again to the end; only what repeats is asked for.

    A stretch is an eighth to a half of the length; from `shortest` on, short ones being more frequent, if it is given.
    """
    if shortest:
        octaves = math.log2(max(1.0, length / 2 / shortest))
        spans = (shortest * 2 ** (octaves * torch.rand(size, generator=generator))).long().clamp(2, length // 2)
    else:
        spans = torch.randint(max(2, length // 8), max(3, length // 2), (size,), generator=generator)
    lead = (torch.rand(size, generator=generator) * (length - 2 * spans).clamp_min(1)).long()
    drawn = alphabet[torch.randint(len(alphabet), (size, length), generator=generator)]
    at = torch.arange(length).expand(size, length)
    start = lead[:, None]
    again = torch.where(at >= start, start + (at - start) % spans[:, None], at)  # the place whose token stands here
    stream = drawn.gather(1, again)
    labels = stream.masked_fill(at < start + spans[:, None], IGNORED)
    return Batch(torch.cat([torch.full((size, 1), bos), stream[:, :-1]], dim=1), labels)


def said_twice(alphabet: Tensor, bos: int, length: int, *, each_once: bool = False) -> Tensor:
    """16 fixed sequences: [BOS], random tokens, and the same ones again, of at most `length` in all: (16, 2P + 1).

    each_once: no token twice in the P, if there are enough of them, so that there is one place to look for.
    """
    half, generator = (length - 1) // 2, torch.Generator().manual_seed(7)
    if each_once and half <= len(alphabet):
        drawn = torch.stack([torch.randperm(len(alphabet), generator=generator)[:half] for _ in range(16)])
    else:
        drawn = torch.randint(len(alphabet), (16, half), generator=generator)
    once = alphabet[drawn]
    return torch.cat([torch.full((16, 1), bos), once, once], dim=1)


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model does with random tokens that are said twice; weights from 0 to 1, losses in nats per token."""

    previous: Tensor  # (L, H): each head's mean weight on the token before
    induction: Tensor  # (L, H): on the token after the one that stood where the present token stood first
    first: float  # loss on the tokens the first time, when nothing tells them
    again: float  # and the second time, the first of them left out: nothing tells that it starts again

    @property
    def best(self) -> dict[str, float]:
        """The best head's "previous" and "induction", 0 to 1."""
        return {"previous": float(self.previous.max()), "induction": float(self.induction.max())}


def scores(model: Transformer, twice: Tensor, intervention: Intervention | None = None) -> Scores:
    """The scores on sequences as `said_twice` makes them. Source: Olsson et al. 2022, "Head activation evaluators"."""
    with torch.inference_mode():
        trace = model(twice, intervention=intervention)
        assert trace.logits is not None
        nats = F.cross_entropy(trace.logits[:, :-1].transpose(1, 2), twice[:, 1:], reduction="none")  # (16, 2P)
        half = twice.shape[1] // 2
        return Scores(
            offset_weights(trace, 1, first=2),
            offset_weights(trace, half - 1, first=half + 1),
            float(nats[:, :half].mean()),
            float(nats[:, half + 1 :].mean()),
        )


WORDS = (
    " the a and one two three red blue green old new big small cat dog bird fish horse mouse tree river house road "
    "town ship king queen child friend teacher baker sailor sees hears finds takes gives makes likes knows calls asks "
    "sun moon star rain snow wind day night year bread milk salt book song word name hand eye door key box cup in on "
    "at under over near with from to is was had said came went ran sat slept"
)
