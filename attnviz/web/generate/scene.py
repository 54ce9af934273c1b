"""A text that a model goes on with, and what the model says at every place of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attnviz.generation.sampling import Prompt, Sampling
from attnviz.models.model import Model
from attnviz.nn.trace import Trace

MAX_NEW_TOKENS = 60


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is on screen follows from this."""

    model: Model
    prompt: Prompt
    continuation: tuple[int, ...]  # the ids after the prompt
    focus: int  # the position asked for
    run: Trace  # with the change inside
    plain: Trace  # without
    sampling: Sampling

    @property
    def n_tokens(self) -> int:
        """Tokens that stand already."""
        return len(self.prompt.start) + len(self.continuation)

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        full = self.n_tokens >= self.prompt.longest or len(self.continuation) >= MAX_NEW_TOKENS
        return full or self.ended_by_model

    @property
    def ended_by_model(self) -> bool:
        """Whether the last token ends a text."""
        return self.prompt.ended(self.continuation)

    def logits(self, run: Trace, position: int | None = None) -> Tensor:
        """(V,): what a run says should stand at a position, by default the one asked for."""
        assert run.logits is not None
        return run.logits[0, (self.focus if position is None else position) - 1]

    def probabilities(self, position: int | None = None) -> Tensor:
        """(V,): as the next token is drawn, temperature, top-k and top-p applied."""
        return self.sampling.probabilities(self.logits(self.run, position))

    def row(self, layer: int, head: int) -> Tensor:
        """(focus,): what the token before the focus gives to itself and to those before it."""
        return self.run.layers[layer].attention.weights[0, head, self.focus - 1, : self.focus]

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens as a person should read them."""
        return self.run.encodings[0].labels

    def label(self, token: int) -> str:
        """A token of the vocabulary, as a person should read it."""
        return self.model.tokenizer.encoding([token]).labels[0]
