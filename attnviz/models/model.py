"""A model as one uses it: a transformer with what reads its input (text, image, sound), and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.illustrated import Illustrated
from attnviz.inputs.images import Preprocessing
from attnviz.inputs.sounds import Hearing
from attnviz.inputs.token_ids import rows_of, without_padding
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.decoding_rules import DecodingRules
from attnviz.models.hf_spoken import SpokenStart
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

MOST_ENCODED, LONGEST_ENCODED = 16, 4_000  # texts that are remembered as tokens, and the characters of each


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
    """A transformer with what reads its input. Shared by all sessions: a run leaves nothing."""

    info: ModelInfo
    transformer: Transformer
    preprocessor: Tokenizer | Preprocessing | Hearing
    unused_weights: tuple[str, ...] = ()  # tensors of the file that the model has no use for
    classes: tuple[str, ...] = ()  # what a classifier's logits stand for
    writes: Tokenizer | None = None  # the decoder's, where an encoder reads images or sounds
    rules: DecodingRules = field(default_factory=DecodingRules)  # how its answers begin, go on and end
    illustrated: Illustrated | None = None  # how an image is put into a text, in a vision-language model
    spoken: SpokenStart | None = None  # how an answer begins that writes down what was heard: Whisper's
    most_tokens: int | None = None  # of a text, where whoever runs it reads no more, whatever the model could read
    # The last texts as it reads them: a page asks for the same one a dozen times.
    _encoded: dict[str, Encoding] = field(default_factory=dict, init=False, repr=False)

    def __repr__(self) -> str:
        shape = f"{self.info.n_layers} layers × {self.info.n_heads} heads, {self.info.n_parameters:,} parameters"
        return f"Model({self.info.title}: {shape})"

    @property
    def reads(self) -> str:
        """What a run is given: "text", "image" or "sound"."""
        kinds: dict[type, str] = {Preprocessing: "image", Hearing: "sound"}
        return kinds.get(type(self.preprocessor), "text")

    @property
    def second_classes(self) -> tuple[str, ...]:
        """What `second_logits` of a run stand for, in models of pre-training with a second head; () in others."""
        return getattr(self.transformer.config, "second_classes", ())

    @property
    def tokenizer(self) -> Tokenizer:
        """Errors: InvalidParameterError if the model has nothing to do with text."""
        found = self.writes or self.preprocessor
        if not isinstance(found, Tokenizer):
            raise InvalidParameterError(
                f"{self.info.title} reads {self.reads}s, not text: give it one, or pick another model."
            )
        return found

    @property
    def longest(self) -> int:
        """How many tokens of a text are read."""
        own = self.transformer.config.max_len
        return own if self.most_tokens is None else min(own, self.most_tokens)

    def encode(self, text: str) -> Encoding:
        """The text as this model reads it, cut to `longest` tokens; `.cut` counts the tokens left out."""
        known = self._encoded.pop(text, None)
        if known is None:
            known = self.tokenizer.encode(text, max_length=self.longest)
        if len(text) <= LONGEST_ENCODED:
            self._encoded[text] = known  # at the end: what was asked for longest ago goes first
            if len(self._encoded) > MOST_ENCODED:
                self._encoded.pop(next(iter(self._encoded.copy()), ""), None)  # a copy: other threads write too
        return known

    def run(
        self,
        text: Any,
        target: str | Sequence[str] | None = None,
        intervention: Intervention | None = None,
        *,
        image: Any = None,
        pair: str | Sequence[str] | None = None,
    ) -> Trace:
        """Runs the model on one text or a padded batch of texts, and returns everything it computed.

        A text may be its token ids, as they are: a list of numbers, or several, or a tensor; or what a tokenizer of
        transformers gives, padded on either side. `pair`: a second text for each, which the model reads after the
        first, with its segments where it knows such (a question and a passage).
        A vision model runs on one image or several (see `Preprocessing.batch`), a speech model on one sound (see
        `attnviz.inputs.sounds.sound`). `target` is the decoder's text in an encoder-decoder model. `image`: of a
        vision-language model, what the one text is about. Errors: InvalidParameterError.
        """
        if intervention is not None and not isinstance(intervention, Intervention):
            raise InvalidParameterError(f"intervention={intervention!r:.60} is no attnviz.Intervention")
        encodings: list[Encoding] = []
        lengths, types = None, None
        inputs: Tensor | Mapping[str, Tensor]
        if image is not None:
            inputs, encodings = self._with_image(text, image)
        elif not isinstance(self.preprocessor, Tokenizer):
            inputs = self.given(text)
        else:
            encodings = self._encodings(text, pair)
            inputs, lengths = self._pad(encodings)
            types = self._segments(encodings, inputs)
        if target is not None and self.transformer.config.kind != "encoder-decoder":
            raise InvalidParameterError(f"a model of kind {self.transformer.config.kind!r} has no use for a target")
        begins = self.begins(inputs) if target is not None and self.spoken else ()
        goals = [] if target is None else [self._goal(one, begins) for one in _texts("target", target)]
        if target is None and self.transformer.reads_itself:
            goals = [self.transformer.goal(one, self.tokenizer) for one in encodings]
        n_read = len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)
        if goals and len(goals) != n_read:
            raise InvalidParameterError(f"{n_read} {self.reads}s and {len(goals)} targets do not make pairs")
        target_ids, target_lengths = self._pad(goals) if goals else (None, None)
        inputs, target_ids = self.brought(inputs), self.brought(target_ids)
        with torch.inference_mode():  # here, because every Streamlit run is a new thread
            trace = self.transformer(
                inputs,
                target_ids,
                lengths=lengths,
                target_lengths=target_lengths,
                types=self.brought(types),
                intervention=intervention,
            )
        return self.named(trace, inputs, encodings, goals)

    def _encodings(self, text: Any, pair: str | Sequence[str] | None) -> list[Encoding]:
        """Texts, pairs of them, or ids as tokens. Errors: InvalidParameterError."""
        rows, segments = without_padding(text) if isinstance(text, Mapping) else (rows_of(text), [])
        if rows and pair is None:
            self._check_ids(rows)
            read = [self.tokenizer.encoding(row) for row in rows]
            known = zip(read, segments or [[]] * len(rows), strict=True)
            return [replace(one, types=tuple(kinds)) if any(kinds) else one for one, kinds in known]
        firsts = _texts("text", text)
        if pair is None:
            return [self.encode(one) for one in firsts]
        seconds = _texts("pair", pair)
        if len(firsts) != len(seconds):
            raise InvalidParameterError(f"{len(firsts)} texts and {len(seconds)} second texts do not make pairs")
        both = zip(firsts, seconds, strict=True)
        return [self.tokenizer.encode_pair(first, second, max_length=self.longest) for first, second in both]

    def _check_ids(self, rows: Sequence[Sequence[int]]) -> None:
        """Errors: InvalidParameterError for a number that no tokenizer has a name for."""
        wrong = next((i for row in rows for i in row if not 0 <= i < 2**31), None)
        if wrong is not None:
            said = wrong if abs(wrong) < 2**64 else "one of more than 64 bits"
            raise InvalidParameterError(f"token id {said} is outside 0…{self.transformer.config.vocab_size - 1}")

    def _segments(self, encodings: Sequence[Encoding], ids: Tensor) -> Tensor | None:
        """The segments of pairs, (B, T); None where there are none, or the model knows none."""
        if max((kind for one in encodings for kind in one.types), default=0) >= self.transformer.n_segments:
            return None
        types = torch.zeros_like(ids)
        for row, one in zip(types, encodings, strict=True):
            row[: len(one.types)] = torch.tensor(one.types, dtype=torch.long)
        return types if types.any() else None

    def given(self, source: Any) -> Tensor | Mapping[str, Tensor]:
        """An image (or several) or a sound as the model reads it. Errors: InvalidParameterError."""
        if isinstance(self.preprocessor, Preprocessing):
            return self.preprocessor.batch(source)
        if isinstance(self.preprocessor, Hearing):
            return self.preprocessor.features(source)
        raise InvalidParameterError(f"{self.info.title} reads text")

    def brought(self, x: Any) -> Any:
        """Ids, pixels or a mapping of features on the device of the weights, and what is no id as such numbers."""
        if isinstance(x, Mapping):
            return {name: self.brought(one) for name, one in x.items()}
        weight = next(self.transformer.parameters(), None)
        if weight is None or not isinstance(x, Tensor):
            return x
        return x.to(weight) if x.is_floating_point() else x.to(weight.device)

    def named(
        self,
        trace: Trace,
        inputs: Tensor | Mapping[str, Tensor],
        encodings: Sequence[Encoding],
        goals: Sequence[Encoding],
    ) -> Trace:
        """A run with its tokens by name: those that were read, and those of a decoder's text."""
        title, reader = self.info.title, trace.source or trace
        if isinstance(self.preprocessor, Hearing):
            assert isinstance(inputs, Mapping)
            encodings = [self.preprocessor.encoding(inputs, reader.final.shape[1])]
        reader = replace(reader, encodings=tuple(encodings) or reader.encodings, title=title)
        return reader if trace.source is None else replace(trace, encodings=tuple(goals), source=reader, title=title)

    def _with_image(self, text: Any, image: Any) -> tuple[Mapping[str, Tensor], list[Encoding]]:
        """A text with an image in it. Errors: InvalidParameterError."""
        if self.reads != "text":
            raise InvalidParameterError(f"{self.info.title} reads {self.reads}s, no text with an image")
        if self.illustrated is None:
            raise InvalidParameterError(
                f"{self.info.title} reads no image with a text, or its folder does not say how in transformers' words"
            )
        if not isinstance(text, str):
            raise InvalidParameterError(f"an image goes with one text, not with {text!r:.60}")
        inputs = self.illustrated.tensors(text, image)
        ids, most = inputs["input_ids"][0].tolist(), self.longest
        if len(ids) > most:
            raise InvalidParameterError(f"text and image are {len(ids)} tokens, more than the model's {most}")
        return inputs, [self.illustrated.encoding(ids, self.tokenizer)]

    def speaking(self, language: str | None = None, task: str | None = None, timestamps: bool | None = None) -> Model:
        """The same model, told the language that it hears and what to do: "transcribe", or "translate" into English.

        `timestamps`: whether its answers say when their parts begin and end; None: as its folder says.
        Errors: InvalidParameterError for a model that can be told no such thing.
        """
        if language is None and task is None and timestamps is None:
            return self
        if self.spoken is None:
            raise InvalidParameterError(f"{self.info.title} is told no language and no task: it is no Whisper")
        spoken = self.spoken.asked(language, task)
        return replace(self, spoken=spoken if timestamps is None else spoken.timed(timestamps))

    def begins(self, inputs: Tensor | Mapping[str, Tensor]) -> tuple[int, ...]:
        """The tokens before a decoder's answer to `inputs`. Errors: InvalidParameterError if there are none."""
        config = self.transformer.config
        start: int | None = getattr(config, "start_id", self.tokenizer.bos_id)
        if start is None:
            raise InvalidParameterError(f"{self.info.title} has no token that begins an answer")
        if self.spoken is None:
            return (start,)

        def likeliest(tokens: Sequence[int]) -> int:
            with torch.inference_mode():
                logits = self.transformer(self.brought(inputs), self.brought(torch.tensor([[start]]))).logits
            assert logits is not None
            return tokens[int(logits[0, -1, list(tokens)].argmax())]

        return self.spoken.begins(start, likeliest)

    def _goal(self, text: str, begins: tuple[int, ...] = ()) -> Encoding:
        """A target as the decoder reads it, after the tokens that it begins with."""
        encoding = self.encode(text)
        if not begins:
            return self.transformer.goal(encoding, self.tokenizer)
        ids = [token for token, special in zip(encoding.ids, encoding.special, strict=True) if not special]
        whole = self.tokenizer.encoding((*begins, *ids)[: self.longest])
        return replace(whole, cut=encoding.cut + max(0, len(begins) + len(ids) - self.longest))

    def _pad(self, encodings: Sequence[Encoding]) -> tuple[torch.Tensor, list[int]]:
        """Ids padded to the longest text, (B, T), and the real lengths."""
        lengths = [len(encoding) for encoding in encodings]
        if min(lengths) == 0:
            raise InvalidParameterError(f"text {lengths.index(0)} is empty: it gives no token to look at")
        longest = max(lengths)
        rows = [list(e.ids) + [self.tokenizer.pad_id] * (longest - len(e)) for e in encodings]
        return torch.tensor(rows), lengths


def placed(model: Model, device: torch.device | str | None, dtype: torch.dtype | None) -> Model:
    """The model with its weights elsewhere, or as other numbers. Errors: ModelError."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ModelError(f"dtype={dtype!r:.60} is no floating-point type of torch.")
    try:
        model.transformer.to(device=device, dtype=dtype)
    except torch.OutOfMemoryError:
        raise ModelError(f"{model.info.title} cannot go to device={str(device)!r}: its memory is full.") from None
    except (RuntimeError, AssertionError, TypeError):  # of torch, where a device is missing
        why = "none can be reached from here" if _is_device(device) else 'torch knows none of that name; "cpu" is one'
        raise ModelError(f"{model.info.title} cannot go to device={str(device)!r}: {why}.") from None
    return model


def _is_device(given: Any) -> bool:
    try:
        torch.device(given)
    except (RuntimeError, TypeError):
        return False
    return True


def _texts(what: str, given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
    if not texts or not all(isinstance(one, str) for one in texts):
        ids = ", or token ids (whole numbers)" if what == "text" else ""
        raise InvalidParameterError(f"{what} is one str or a list of at least one{ids}, not {given!r:.60}")
    return texts
