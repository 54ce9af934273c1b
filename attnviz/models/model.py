"""A model as one uses it: a transformer with its tokenizer (or with how it reads images), and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from attnviz.errors import InvalidParameterError
from attnviz.inputs.images import Preprocessing
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer


@dataclass(frozen=True)
class ModelInfo:
    """A line of the catalogue."""

    name: str  # what `load` takes
    title: str
    family: str
    n_layers: int
    n_heads: int
    d_model: int
    max_len: int
    n_parameters: int
    trained: bool
    source: str  # where it comes from, in words
    licence: str = ""  # as its card names it; "" where it has none, or does not say


@dataclass(frozen=True, eq=False)
class Model:
    """A transformer with its tokenizer, or with how it reads images. Shared by all sessions: a run leaves nothing."""

    info: ModelInfo
    transformer: Transformer
    preprocessor: Tokenizer | Preprocessing
    unused_weights: tuple[str, ...] = ()  # tensors of the file that the model has no use for
    classes: tuple[str, ...] = ()  # what a classifier's logits stand for

    @property
    def tokenizer(self) -> Tokenizer:
        """Errors: InvalidParameterError if the model reads images."""
        if isinstance(self.preprocessor, Preprocessing):
            raise InvalidParameterError(
                f"{self.info.title} reads images, not text: give it one, or pick another model."
            )
        return self.preprocessor

    def encode(self, text: str) -> Encoding:
        """The text as this model reads it, cut to its length; `.cut` counts the tokens left out."""
        return self.tokenizer.encode(text, max_length=self.transformer.config.max_len)

    def run(
        self,
        text: Any,
        target: str | Sequence[str] | None = None,
        intervention: Intervention | None = None,
    ) -> Trace:
        """Runs the model on one text or a padded batch of texts, and returns everything it computed.

        `target` is the decoder's text in an encoder-decoder model. A vision model runs on one image or several: see
        `Preprocessing.batch`. Errors: InvalidParameterError.
        """
        if isinstance(self.preprocessor, Preprocessing):
            with torch.inference_mode():
                trace = self.transformer(self.preprocessor.batch(text), target, intervention=intervention)
            return replace(trace, title=self.info.title)
        texts = _texts("text", text)
        encodings = [self.encode(one) for one in texts]
        ids, lengths = self._pad(encodings)
        goals = [] if target is None else [self._goal(one) for one in _texts("target", target)]
        target_ids, target_lengths = self._pad(goals) if goals else (None, None)
        with torch.inference_mode():  # here, because every Streamlit run is a new thread
            trace = self.transformer(
                ids, target_ids, lengths=lengths, target_lengths=target_lengths, intervention=intervention
            )
        title = self.info.title
        if trace.source is None:
            return replace(trace, encodings=tuple(encodings), title=title)
        source = replace(trace.source, encodings=tuple(encodings), title=title)
        return replace(trace, encodings=tuple(goals), source=source, title=title)

    def _goal(self, text: str) -> Encoding:
        """A target as the decoder reads it."""
        return self.transformer.goal(self.encode(text), self.tokenizer)

    def _pad(self, encodings: Sequence[Encoding]) -> tuple[torch.Tensor, list[int]]:
        """Ids padded to the longest text, (B, T), and the real lengths."""
        lengths = [len(encoding) for encoding in encodings]
        if min(lengths) == 0:
            raise InvalidParameterError(f"text {lengths.index(0)} is empty: it gives no token to look at")
        longest = max(lengths)
        rows = [list(e.ids) + [self.tokenizer.pad_id] * (longest - len(e)) for e in encodings]
        return torch.tensor(rows), lengths


def _texts(what: str, given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
    if not texts or not all(isinstance(one, str) for one in texts):
        raise InvalidParameterError(f"{what} is one str or a list of at least one, not {given!r:.60}")
    return texts
