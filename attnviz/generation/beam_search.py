"""Beam search: the likeliest whole answers, not the likeliest next token.

Every step keeps the best few unfinished answers and the best few finished ones, as transformers' generate does, so that
both give the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.generation.sampling import Completion, Prompt, prompt, remembers
from attnviz.models.marian import RecurrentLayerTrace
from attnviz.models.model import Model
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.checks import check_finite, check_sizes
from attnviz.nn.layers import LayerTrace
from attnviz.nn.trace import Trace

MOST_BEAMS = 16


@dataclass(frozen=True)
class Beam(Completion):
    """An answer, finished or as long as it may get."""

    score: float  # log p of the whole answer (its end token too) / tokens ** length_penalty


def beam(
    model: Model, text: Any, n_beams: int = 4, n_tokens: int = 64, *, length_penalty: float | None = None
) -> list[Beam]:
    """The `n_beams` best answers, best first; at most `n_tokens` each.

    `length_penalty` 0 prefers short answers, for each token costs; 1 compares the mean log p per token. None: the
    model's own, 1 where it says nothing. Errors: InvalidParameterError as `generate.prompt`, for more than 16 beams, or
    for a model with guidance_scale.
    Source: Wu et al. 2016, section 7; stopping as transformers does, by the model's early_stopping.
    """
    check_sizes(n_beams=n_beams, n_tokens=n_tokens)
    if length_penalty is None:
        length_penalty = model.rules.length_penalty
    check_finite("length_penalty", length_penalty)
    if n_beams > MOST_BEAMS:
        raise InvalidParameterError(f"n_beams={n_beams} is more than the {MOST_BEAMS} allowed")
    begin = prompt(model, text).within(n_tokens)
    if begin.unprompted() is not None:
        guidance = f"guidance_scale={begin.rules.guidance:g}"
        raise InvalidParameterError(
            f"{model.info.title} guides its answers ({guidance}), token by token and not in beams"
        )
    longest = begin.longest - len(begin.start)
    running: list[tuple[int, ...]] = [()] * n_beams
    scores = torch.tensor([0.0] + [-torch.inf] * (n_beams - 1))  # one empty answer
    finished: list[Beam] = []
    run = _spread(begin.run(model), n_beams)
    for length in range(1, longest + 1):
        assert run.logits is not None
        log_p = begin.ruled(run.logits[:, -1].cpu().float().log_softmax(dim=-1), running) + scores[:, None]
        best = log_p.flatten().topk(min(max(2, 1 + len(begin.ends)) * n_beams, log_p.numel()))  # of (n_beams, V)
        going: list[tuple[float, int, int]] = []  # score, which answer, its new token
        for rank, (score, at) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            parent, token = divmod(at, log_p.shape[1])
            said = (*running[parent], token)
            ended = begin.ended(said)
            if (ended or length == longest) and rank < n_beams and score > -torch.inf:
                ids = running[parent] if token in begin.ends else said
                candidate = Beam(ids, model.tokenizer.encoding(ids).text, ended, score / length**length_penalty)
                finished.append(candidate)
            if not ended:
                going.append((score, parent, token))
        finished = sorted(finished, key=lambda one: -one.score)[:n_beams]
        going = going[:n_beams]
        at_best = longest if begin.rules.early_stopping == "never" and length_penalty > 0 else length
        full = len(finished) == n_beams
        settled = not going or (full and going[0][0] / at_best**length_penalty <= finished[-1].score)
        if length == longest or settled or (full and begin.rules.early_stopping is True):
            break
        running = [(*running[parent], token) for _, parent, token in going]
        scores = torch.tensor([score for score, _, _ in going])
        run = _next(model, begin, run, [parent for _, parent, _ in going], running)
    return finished


def _next(model: Model, begin: Prompt, run: Trace, parents: list[int], running: list[tuple[int, ...]]) -> Trace:
    """The runs of the answers that go on, on their newest tokens."""
    with torch.inference_mode():
        if remembers(model):
            newest = model.brought(torch.tensor([ids[-1:] for ids in running]))
            return model.transformer.step(newest, _picked(run, torch.tensor(parents)))
        ids = model.brought(torch.tensor([[*begin.start, *answer] for answer in running]))
        if begin.source is None:
            return model.transformer(ids)
        return model.transformer(begin.read(model, len(running)), ids)


def _spread(run: Trace, n: int) -> Trace:
    """A run on one text as one on n copies of it."""
    return _picked(run, torch.zeros(n, dtype=torch.long))


def _picked(run: Trace, rows: Tensor) -> Trace:
    """The run with other rows of its batch: what a later step reads of it."""

    def attention(trace: AttentionTrace | None) -> AttentionTrace | None:
        return None if trace is None else replace(trace, k=trace.k[rows], v=trace.v[rows])

    def picked(layer: LayerTrace) -> LayerTrace:
        changed: dict[str, Any] = {
            "attention": attention(layer.attention),
            "cross_attention": attention(layer.cross_attention),
        }
        if isinstance(layer, RecurrentLayerTrace):
            changed["state"] = layer.state[rows]
        return replace(layer, **changed)

    layers = tuple(map(picked, run.layers))
    logits = None if run.logits is None else run.logits[rows]
    source = run.source
    if source is not None:
        source = replace(source, final=source.final[rows], lengths=tuple(source.lengths[i] for i in rows.tolist()))
    return replace(run, layers=layers, logits=logits, source=source)
