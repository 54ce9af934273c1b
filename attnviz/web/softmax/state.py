"""The settings of the page "Softmax and temperature", and the runs and measurements that are kept for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attnviz.analysis import measures, scaling
from attnviz.errors import InvalidParameterError
from attnviz.inputs.words import readable
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import cache, store
from attnviz.web.lesson import Lesson
from attnviz.web.softmax.row import Row, read_row
from attnviz.web.temperatures import TEMPERATURES

PAIRS, QUERIES, KEYS = 1_000, 64, 16
GAIN_SEEDS = range(11)  # the gradient varies by powers of ten from seed to seed
SEEDS = 10_000


@dataclass(frozen=True)
class Settings:
    """What the reader can choose; the first look is the head of MiniLM in which "it" finds "animal"."""

    temperature: float = 2.0
    layer: int = 3
    head: int = 1
    query: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature not in TEMPERATURES:
            raise InvalidParameterError(f"temperature={self.temperature} is none of the steps from 0.05 to 20")
        if min(self.layer, self.head, self.query, self.seed) < 0 or self.seed >= SEEDS:
            raise InvalidParameterError(f"layer, head, query and seed count from 0, the seed to {SEEDS - 1}")


def within(lesson: Lesson[Settings], trace: Trace) -> Settings:
    """The settings, on a layer, a head and a token that this model and this text have."""
    encoding = trace.encodings[0]
    lesson.fit(layer=trace.config.n_layers, head=trace.config.n_heads)
    lesson.follow_token("query", encoding.labels, encoding.special)
    return lesson.settings()


def row(settings: Settings, trace: Trace) -> Row:
    """The attention row that the settings ask for."""
    return read_row(trace, settings.layer, settings.head, settings.query, settings.temperature)


# ---- attention or output -----------------------------------------------------------------------------


@store.kept()
def carried(name: str, text: str, temperature: float, query: int) -> scaling.NextTokens | list[float]:
    """What τ in every attention row does: to the next token, or without logits to the vectors, per layer."""
    plain = cache.trace(name, text)
    changed = cache.model(name).run(text, intervention=Intervention(temperature=temperature))
    if _speaks(plain):
        assert plain.logits is not None and changed.logits is not None
        return scaling.next_tokens(plain.logits[0, query], changed.logits[0, query], temperature)
    moved: list[float] = measures.relative_change(plain, changed)[:, 0].mean(dim=1).tolist()
    return moved


def _speaks(trace: Trace) -> bool:
    """Whether the model gives logits over its vocabulary for every token."""
    return trace.logits is not None and trace.logits.dim() == 3


def token_names(name: str, ids: Sequence[int]) -> list[str]:
    """Tokens of a model's vocabulary as a person reads them."""
    tokenizer = cache.model(name).tokenizer
    return [readable(tokenizer.decode([i], skip_special=False)) or str(i) for i in ids]


# ---- why √d_k ----------------------------------------------------------------------------------------


@store.kept()
def random_vectors(seed: int) -> tuple[tuple[scaling.Variance, ...], tuple[scaling.Saturation, ...]]:
    """The measurements on the random vectors of a seed."""
    return (
        scaling.measure_variance(pairs=PAIRS, seed=seed),
        scaling.measure_saturation(keys=KEYS, queries=QUERIES, seed=seed),
    )


@store.kept()
def gradient_gains() -> list[float]:
    """How many times as large the factor makes the median gradient at the largest width, per seed."""
    widest = scaling.WIDTHS[-1:]
    measured = [scaling.measure_saturation(widest, keys=KEYS, queries=QUERIES, seed=seed)[0] for seed in GAIN_SEEDS]
    return [one.gradient_scaled / one.gradient if one.gradient > 0 else math.inf for one in measured]


def head_variances(trace: Trace) -> list[float]:
    """The variance of q·k of each head (L·H,), layer by layer, as `text.head_names` names them."""
    return [float(one) for layer in trace.layers for one in scaling.product_variance(layer.attention)]
