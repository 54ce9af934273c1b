"""What every task shares: batches with labels, and how a model is measured on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.inputs.images import Preprocessing
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

IGNORED = -100  # the label of a position that is asked for nothing


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples as tensors, padded."""

    ids: Tensor  # int (B, T): what the model reads; float (B, channels, height, width) of images
    labels: Tensor  # int (B, T), or (B, T') with a target: what each position is to say, IGNORED where nothing;
    #                 (B,) the classes of images
    lengths: tuple[int, ...] | None = None  # real tokens of `ids`, None: all
    target: Tensor | None = None  # int (B, T'): what a decoder has read so far
    target_lengths: tuple[int, ...] | None = None

    @property
    def n_tokens(self) -> int:
        """Real tokens that the model reads."""
        n_source = sum(self.lengths) if self.lengths else self.ids.numel()
        if self.target is None:
            return n_source
        return n_source + (sum(self.target_lengths) if self.target_lengths else self.target.numel())

    def run(self, model: Transformer) -> Trace:
        """The model's run on the batch."""
        return model(self.ids, self.target, lengths=self.lengths, target_lengths=self.target_lengths)


@dataclass(frozen=True)
class Role:
    """What one head does, by an argmax with a known answer: chosen on "val", measured on "test"."""

    what: str
    layer: int  # counted from 0, like head
    head: int
    score: float  # how often it is right, 0 to 1
    by_place: float  # what the best rule reaches that knows only positions
    by_chance: float  # what picking at random reaches
    n: int  # answers on "test" that do not hang together


class Task(ABC):
    """A task: where batches come from, and what counts as success."""

    name: ClassVar[str]
    title: ClassVar[str]
    explains: ClassVar[str]  # what a model has to find out, and where to see it, in a sentence
    kind: ClassVar[str]  # of the model
    metric: ClassVar[str]  # the one that says how well it goes
    labels: ClassVar[str] = "tokens"  # what "accuracy" counts
    defaults: ClassVar[dict[str, Any]] = {}  # settings of `TrainConfig` that suit it better than the preset's

    tokenizer: Tokenizer  # of tasks on text
    max_len: int
    fingerprint: str  # equal for equal data: a checkpoint goes on only on its own

    @classmethod
    def of(
        cls,
        length: int,
        vocab_size: int,
        repeats: float,
        text: str | None,
        between: Callable[[], object] = lambda: None,
    ) -> Task:
        """The task with examples of `length` tokens; the rest is for tasks on text: `between` is called as it is read.

        Errors: InvalidParameterError, and whatever `between` raises to end the reading.
        """
        return cls(length)  # type: ignore[call-arg]

    @property
    def preprocessor(self) -> Tokenizer | Preprocessing:
        """What makes a person's text or image the model's input; kept with the trained model."""
        return self.tokenizer

    @property
    def model_fields(self) -> dict[str, Any]:
        """Fields of the model's config that the task decides on."""
        return {"kind": self.kind, "vocab_size": self.tokenizer.vocab_size, "max_len": self.max_len}

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Examples of the training split."""

    @abstractmethod
    def held_out(self, split: str) -> Iterable[Batch]:
        """The same examples each time, of "val" or "test": no batch of `batch` has them."""

    def example(self) -> tuple[str, str | None]:
        """The probe of a task on text: a text, and a target for an encoder-decoder model."""
        raise NotImplementedError

    def evaluate(self, model: Transformer, split: str) -> dict[str, float]:
        """ "loss" (nats per label), "accuracy" (labels), "exact" (examples with every label right)."""
        nats = right = count = examples = whole = 0.0
        for batch in self.held_out(split):
            logits = batch.run(model).logits
            assert logits is not None
            asked = batch.labels != IGNORED
            nats += float(F.cross_entropy(logits[asked], batch.labels[asked], reduction="sum"))
            hit = (logits.argmax(-1) == batch.labels) | ~asked
            right += float((hit & asked).sum())
            count += float(asked.sum())
            whole += float(hit.flatten(1).all(dim=1).sum() if hit.dim() > 1 else hit.sum())
            examples += len(hit)
        return {"loss": nats / count, "accuracy": right / count, "exact": whole / examples}

    def roles(self, model: Transformer) -> list[Role]:
        """Heads with a job whose answer the task knows; none for most tasks."""
        return []

    def probe(self, model: Transformer) -> Trace:
        """The model's run on the example, with its tokens."""
        text, target = self.example()
        source = self.tokenizer.encode(text, max_length=self.max_len)
        if target is None:
            return replace(model(torch.tensor([source.ids])), encodings=(source,), title=self.title)
        goal = self.tokenizer.encode(target, max_length=self.max_len)
        trace = model(torch.tensor([source.ids]), torch.tensor([goal.ids]))
        assert trace.source is not None
        first = replace(trace.source, encodings=(source,), title=self.title)
        return replace(trace, encodings=(goal,), source=first, title=self.title)


def padded(rows: list[list[int]], filler: int) -> tuple[Tensor, tuple[int, ...]]:
    """Rows of different lengths as one tensor (B, T), and the lengths."""
    lengths = tuple(map(len, rows))
    longest = max(lengths)
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows]), lengths
