"""A source, what a model answers to it, and the run on both."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attnviz.generation import sampling
from attnviz.generation.sampling import Prompt
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.model import Model
from attnviz.nn.trace import Trace

MAX_NEW_TOKENS = 64
ALIGNING = {"bergamot-en-pt": (1, 0), "bergamot-pt-en": (1, 0)}  # layer and head that were trained to align, by model


@dataclass(frozen=True, eq=False)
class Answer:
    """A source, what the model answers to it, and the run on both; without the model, which may be forgotten."""

    tokenizer: Tokenizer
    prompt: Prompt
    ids: tuple[int, ...]  # the answer's tokens, with the one that ends it if it ended
    probabilities: tuple[float, ...]  # of each, given those before it
    run: Trace

    @property
    def ended(self) -> bool:
        """Whether the model ended it."""
        return self.prompt.ended(self.ids)

    @property
    def text(self) -> str:
        """The answer as a text."""
        return self.tokenizer.encoding(self.ids).text

    @property
    def labels(self) -> tuple[str, ...]:
        """The answer's tokens as a person should read them."""
        return self.tokenizer.encoding(self.ids).labels

    @property
    def sources(self) -> tuple[str, ...]:
        """The source's."""
        assert self.run.source is not None
        return self.run.source.encodings[0].labels

    @property
    def has_self(self) -> bool:
        """Whether the decoder has self-attention, and no recurrence in its place."""
        return any(layer.attention is not None for layer in self.run.layers)

    def row(self, layer: int, head: int, focus: int) -> Tensor:
        """(S,): what the decoder looks at in the source when it says token `focus` of the answer."""
        crossed = self.run.layers[layer].cross_attention
        assert crossed is not None
        return crossed.weights[0, head, focus - 1]

    def distribution(self, focus: int) -> Tensor:
        """(V,): of each token to be the one at `focus`."""
        assert self.run.logits is not None
        return self.run.logits[0, focus - 1].softmax(dim=-1)


def greedy(model: Model, source: str, forced: tuple[int, ...]) -> Answer:
    """The likeliest token again and again after what is forced, and the run on it. Errors: as `sampling.prompt`."""
    prompt = sampling.prompt(model, source)
    ids = _completed(model, prompt, forced)
    run = sampling.named(model, prompt, ids[:-1], prompt.run(model, ids[:-1]))
    assert run.logits is not None
    p = run.logits[0].softmax(dim=-1)
    start = len(prompt.start) - 1
    probabilities = tuple(float(p[start + i, token]) for i, token in enumerate(ids))
    return Answer(model.tokenizer, prompt, tuple(ids), probabilities, run)


def _completed(model: Model, prompt: Prompt, forced: tuple[int, ...]) -> list[int]:
    """What is forced, as far as the model has such tokens, and what it says after it."""
    vocabulary = model.transformer.config.vocab_size
    ids = [i for i in forced if i < vocabulary][: prompt.longest - len(prompt.start) - 1]
    while len(ids) < MAX_NEW_TOKENS and not prompt.ended(ids):
        before = len(ids)
        for token in sampling.tokens(model, prompt, answer=ids):
            ids.append(token.id)
            if len(ids) >= MAX_NEW_TOKENS:
                break
        if len(ids) == before:
            break
    return ids
