"""What a model says, token by token: greedy or sampled, with decoders and with encoder-decoder models.

    text ─▶ prompt ─▶ run ─▶ logits ─▶ the next token ─▶ step ─▶ logits ─▶ …

Each step's keys and values serve the next one (`Transformer.step`), and each step's run is kept: `joined` runs are the
attention of the whole text, as if it had been there from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.generation import watermark
from attnviz.generation.rules import guided, ruled
from attnviz.generation.spoken_times import timed
from attnviz.generation.stop_strings import StopStrings
from attnviz.models.decoding_rules import DecodingRules
from attnviz.models.hf_model import HFModel
from attnviz.models.hf_probe import Given
from attnviz.models.hf_spoken import Times
from attnviz.models.model import Model
from attnviz.nn.checks import check_index, check_sizes, check_temperature
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace, joined


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. Errors: InvalidParameterError.

    Arguments
        temperature: divides the logits, once, at the very end. (The temperature of an `Intervention` acts inside every
            attention row: it changes what the model computes, not how its answer is read.)
        top_k: only so many of the likeliest tokens; 0 for all. Fan et al. 2018, section 5.4.
        top_p: only the fewest likeliest tokens that have this probability together. Holtzman et al. 2020, section 3.1.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_index("top_k", self.top_k)
        if not 0 < self.top_p <= 1:
            raise InvalidParameterError(f"top_p={self.top_p} is not above 0 and at most 1")

    def probabilities(self, logits: Tensor) -> Tensor:
        """(…, V) → (…, V), each row summing to 1. First the temperature, then top_k, then top_p."""
        logits = logits.double()
        if 0 < self.top_k < logits.shape[-1]:  # before the top is taken off, which makes 0 and 1e-300 equal
            least = logits.topk(self.top_k).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        scaled = (logits - logits.amax(dim=-1, keepdim=True)) / self.temperature  # the top first: no overflow at τ → 0
        p = scaled.softmax(dim=-1)
        if self.top_p == 1:
            return p
        order = logits.argsort(dim=-1, descending=True)  # not of p, where logits that differ by 1e-300 are equal
        ranked = p.gather(-1, order)
        likelier = ranked.cumsum(dim=-1) - ranked  # the probability of all tokens before this one
        ranked = ranked.masked_fill(likelier >= self.top_p, 0.0)
        return torch.zeros_like(p).scatter(-1, order, ranked / ranked.sum(dim=-1, keepdim=True))


@dataclass(frozen=True, eq=False)
class Token:
    """A token that was said, and the run that said it."""

    id: int
    probability: float  # of this token among those it was drawn from; by greedy decoding, in the model's own softmax
    run: Trace  # of the tokens before it that the runs before had not seen: first the whole prompt, then one each


@dataclass(frozen=True)
class Completion:
    """What was decoded."""

    ids: tuple[int, ...]  # the new tokens, without the one that ends the text
    text: str
    ended: bool  # by the model's own end token or stop string, not by the number of tokens allowed


@dataclass(frozen=True)
class Prompt:
    """Where decoding begins."""

    source: tuple[int, ...] | Given | None  # what the encoder reads, if there is one: ids, an image or a sound
    start: tuple[int, ...]  # what the decoder begins with
    ends: tuple[int, ...]  # the tokens that end a text
    longest: int  # tokens of the decoder at most
    rules: DecodingRules = field(default_factory=DecodingRules)  # the model's own
    times: Times | None = None  # which tokens are times, where an answer is to have some
    stops: StopStrings | None = None  # what ends a text too, wherever its tokens are cut

    def ended(self, answer: Sequence[int]) -> bool:
        """Whether the model's last token ends the text."""
        if not answer or answer[-1] in self.ends:
            return bool(answer)
        return self.stops is not None and self.stops.reached((*self.start, *answer))

    def ruled(self, scores: Tensor, answers: Sequence[Sequence[int]], *, marked: bool = True) -> Tensor:
        """Scores of the next token of each answer, (N, V), under the model's rules."""
        scores = ruled(
            scores,
            [(*self.start, *answer) for answer in answers],
            self.rules,
            source=self.start if self.source is None else self.source if isinstance(self.source, tuple) else (),
            n_prompt=len(self.start),
            longest=self.longest,
            marked=marked,
        )
        return scores if self.times is None else timed(scores, answers, self.times)

    def unprompted(self) -> Prompt | None:
        """Of a model whose answers are guided, its last token alone: what they are guided away from."""
        if self.rules.guidance == 1 or self.source is not None:
            return None
        return replace(self, start=self.start[-1:])

    def within(self, n_tokens: int) -> Prompt:
        """The same for an answer of at most so many tokens."""
        return replace(self, longest=min(self.longest, len(self.start) + n_tokens))

    def run(self, model: Model, answer: Sequence[int] = (), intervention: Intervention | None = None) -> Trace:
        """The model's run on the prompt and the tokens of the answer so far."""
        ids = model.brought(torch.tensor([[*self.start, *answer]]))
        with torch.inference_mode():
            if self.source is None:
                return model.transformer(ids, intervention=intervention)
            return model.transformer(self.read(model), ids, intervention=intervention)

    def read(self, model: Model, n: int = 1) -> Given:
        """What the encoder reads, n times."""
        assert self.source is not None
        if isinstance(self.source, Mapping):
            return {name: model.brought(x).expand(n, *x.shape[1:]) for name, x in self.source.items()}
        x = self.source if isinstance(self.source, Tensor) else torch.tensor([self.source])
        return model.brought(x).expand(n, *x.shape[1:])


def prompt(model: Model, text: Any) -> Prompt:
    """A decoder goes on with `text`; an encoder-decoder model reads it and answers, as it would translate.

    Of a model whose encoder reads images or sounds, `text` is one of these. Errors: InvalidParameterError for a model
    that predicts no next token, or a text that leaves it no room.
    """
    config, tokenizer = model.transformer.config, model.tokenizer
    if config.kind == "encoder" or config.head != "lm":
        raise InvalidParameterError(f"{model.info.title} predicts no next token: it is no language model that decodes")
    ends = model.rules.ends or (() if tokenizer.eos_id is None else (tokenizer.eos_id,))
    stops = StopStrings(model.rules.stops, tokenizer) if model.rules.stops else None
    rules = replace(model.rules, ends=ends)
    if model.reads != "text":
        source = model.given(text)
        if model.spoken is not None:
            rules = replace(rules, forced=())  # which stand in the prompt
        times = None if model.spoken is None else model.spoken.times(ends)
        return Prompt(source, model.begins(source), ends, model.longest, rules, times, stops)
    encoding = model.encode(text)
    ids = list(encoding.ids)
    if not ids:
        raise InvalidParameterError("The text is empty: it gives no token to begin with")
    if config.kind == "encoder-decoder":
        return Prompt(tuple(ids), model.begins({}), ends, model.longest, rules, None, stops)
    if ids[-1] == tokenizer.eos_id and len(ids) > 1:  # it would end the text that is to go on
        del ids[-1]
    if encoding.cut or len(ids) >= model.longest:
        raise InvalidParameterError(f"The text fills the model's {model.longest} tokens; nothing can follow it")
    return Prompt(None, tuple(ids), ends, model.longest, rules, None, stops)


def tokens(
    model: Model,
    begin: Prompt,
    sampling: Sampling | None = None,
    *,
    answer: Sequence[int] = (),
    seed: int = 0,
    intervention: Intervention | None = None,
) -> Iterator[Token]:
    """One token after another, the likeliest or (with `sampling`) a drawn one, until an end or no room is left.

    `answer`: tokens after the prompt that stand already. The token that ends the text comes too, as the last.
    """
    generator = torch.Generator().manual_seed(seed)
    ids = list(answer)
    run = begin.run(model, ids, intervention)
    unprompted = begin.unprompted()
    other = None if unprompted is None else unprompted.run(model, ids, intervention)
    while len(begin.start) + len(ids) < begin.longest:
        assert run.logits is not None
        logits = run.logits[:1, -1].cpu()  # where the generator draws
        if other is not None and other.logits is not None:
            logits = guided(logits, other.logits[:1, -1].cpu(), begin.rules.guidance)
        p = (sampling or Sampling()).probabilities(begin.ruled(logits, [ids], marked=sampling is None)[0])
        if sampling is not None and begin.rules.watermark is not None:
            drawn = p.log()
            p = (drawn + watermark.gains(drawn, (*begin.start, *ids), begin.rules.watermark)).softmax(dim=-1)
        best = int(p.argmax()) if sampling is None else int(torch.multinomial(p, 1, generator=generator))
        yield Token(best, float(p[best]), run)
        ids.append(best)
        if begin.ended(ids):
            return
        if len(begin.start) + len(ids) < begin.longest:
            run = _next(model, begin, ids, run)
            if unprompted is not None and other is not None:
                other = _next(model, unprompted, ids, other)


def greedy(model: Model, text: Any, n_tokens: int = 64) -> Completion:
    """The likeliest token after all before it, again and again, at most `n_tokens` or to the model's length.

    Errors: InvalidParameterError as `prompt`.
    """
    return say(model, text, n_tokens)


def say(model: Model, text: Any, n_tokens: int = 64, sampling: Sampling | None = None, seed: int = 0) -> Completion:
    """At most `n_tokens` of what `tokens` gives after a text. Errors: InvalidParameterError as `prompt`."""
    check_sizes(n_tokens=n_tokens)
    begin = prompt(model, text).within(n_tokens)
    ids: list[int] = []
    for token in tokens(model, begin, sampling, seed=seed):
        if token.id in begin.ends:
            return Completion(tuple(ids), model.tokenizer.encoding(ids).text, True)
        ids.append(token.id)
        if len(ids) == n_tokens:
            break
    return Completion(tuple(ids), model.tokenizer.encoding(ids).text, begin.ended(ids))


def whole(model: Model, begin: Prompt, answer: Sequence[int], intervention: Intervention | None = None) -> Trace:
    """One run on prompt and answer, with their tokens by name: what the attention view shows."""
    return named(model, begin, answer, begin.run(model, answer, intervention))


def recorded(model: Model, begin: Prompt, spoken: Sequence[Token]) -> Trace:
    """The runs behind some tokens as one, with the tokens by name. The last token has not been read by any run."""
    answer, runs = [token.id for token in spoken[:-1]], [token.run for token in spoken]
    if not isinstance(model.transformer, HFModel):
        return named(model, begin, answer, joined(runs))
    if not remembers(model):
        return named(model, begin, answer, runs[-1])
    return whole(model, begin, answer, runs[0].intervention)  # its masks may have no formula that joins


def remembers(model: Model) -> bool:
    """Whether a model goes on from the keys and values of the run before; some of another library read all anew."""
    return not isinstance(model.transformer, HFModel) or model.transformer.remembers


def named(model: Model, begin: Prompt, answer: Sequence[int], run: Trace) -> Trace:
    """The run with its tokens: the decoder's, and the encoder's if there is one."""
    encoding = model.tokenizer.encoding((*begin.start, *answer))
    run = replace(run, encodings=(encoding,), title=model.info.title)
    if run.source is None or begin.source is None:
        return run
    if not isinstance(begin.source, tuple):
        return model.named(run, begin.source, (), [encoding])
    source = replace(run.source, encodings=(model.tokenizer.encoding(begin.source),), title=model.info.title)
    return replace(run, source=source)


def _next(model: Model, begin: Prompt, ids: list[int], run: Trace) -> Trace:
    """The run on the last token chosen."""
    if not remembers(model):
        return begin.run(model, ids, run.intervention)
    with torch.inference_mode():
        return model.transformer.step(model.brought(torch.tensor([ids[-1:]])), run)
