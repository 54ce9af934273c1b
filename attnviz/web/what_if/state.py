"""The page "What if?": what the reader has set, and the experiment that it makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from attnviz.analysis import outcomes, patching
from attnviz.analysis.outcomes import Lead, Likeness, Outcome, Probability
from attnviz.analysis.patching import How
from attnviz.errors import InvalidParameterError
from attnviz.models import hf_exchange
from attnviz.models.hf_model import HFModel
from attnviz.models.model import Model
from attnviz.nn.encoding import Encoding
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store, thread
from attnviz.web.lesson import LONGEST, Lesson

HOWS = ("patch", "freeze", "zero", "mean", "uniform", "scale")
MEASURES = ("lead", "probability", "loss", "likeness")
PLACES = ("", "encoder", "decoder", "cross")
OFFERED = 12  # tokens of each run's best


@dataclass(frozen=True)
class Settings:
    """What the reader has set; "" where the model's own is meant."""

    other: str = ""
    answer: str = ""
    how: str = "patch"
    factor: float = 0.5
    at: int = -1  # every token
    measure: str = ""
    token: str = ""
    versus: str = ""
    position: int = -1  # the end
    place: str = ""
    layer: int = 5
    head: int = 8

    def __post_init__(self) -> None:
        if self.how not in HOWS or self.measure not in ("", *MEASURES) or self.place not in PLACES:
            raise InvalidParameterError(f"how={self.how!r}, measure={self.measure!r} or place={self.place!r}")
        if not 0 <= self.factor <= 2:
            raise InvalidParameterError(f"factor={self.factor} is not 0 … 2")
        if (
            min(self.position, self.at) < -1
            or max(self.position, self.at) > 512
            or not 0 <= self.layer <= 512
            or not 0 <= self.head <= 512
        ):
            raise InvalidParameterError("position, layer or head is out of range")
        if max(map(len, (self.other, self.answer))) > shell.TYPED or max(map(len, (self.token, self.versus))) > 100:
            raise InvalidParameterError("a text is too long")


@dataclass(frozen=True)
class Experiment:
    """All that the numbers depend on: two runs, a change, and an outcome."""

    model: str
    text: str
    other: str  # "" where there is none of equally many tokens
    answer: str
    hidden: int  # the position that is hidden in both; -1 for none
    how: str
    factor: float
    at: int  # the token at which heads are changed; -1 for every one
    measure: str
    position: int
    token: int
    versus: int

    @property
    def change(self) -> How:
        """As the library takes it."""
        return self.factor if self.how == "scale" else self.how  # type: ignore[return-value]

    @property
    def tokens(self) -> tuple[int, ...] | None:
        """Where heads are changed, likewise."""
        return None if self.at < 0 else (self.at,)


def is_pair_model(name: str) -> bool:
    """Whether a model reads two texts."""
    return cache.model(name).transformer.config.kind == "encoder-decoder"


def check_layers(name: str) -> None:
    """Errors: InvalidParameterError for a model whose heads nobody can change one by one."""
    model = cache.model(name)
    if isinstance(model.transformer, HFModel):
        if reason := hf_exchange.why_not(model.transformer):
            raise InvalidParameterError(f"{model.info.title} {reason}")
    elif not hasattr(model.transformer, "embed"):
        raise InvalidParameterError(f"{model.info.title} is not made of our layers: none can be run alone")


def runs_on(name: str) -> bool:
    """Whether a model's layers are ours, which run on from a place: of others the whole is run again."""
    return not isinstance(cache.model(name).transformer, HFModel)


def measures(name: str) -> tuple[str, ...]:
    """What a model's runs can be measured by, its own first."""
    config = cache.model(name).transformer.config
    if config.head != "lm":
        return ("likeness",)
    return MEASURES if config.kind == "encoder" else MEASURES[:3]


# ---- the two runs ------------------------------------------------------------------------------------------


@store.kept()
def trace(name: str, source: str, answer: str, hidden: int) -> Trace:
    """A text's run; with one token hidden, if that is asked for. Errors: as `Model.run`."""
    model = cache.model(name)
    if model.transformer.config.kind == "encoder-decoder":
        return model.run(source, answer)
    if hidden < 0:
        return model.run(source)
    ids = list(model.encode(source).ids)
    assert model.tokenizer.mask_id is not None
    ids[hidden] = model.tokenizer.mask_id
    return model.run(ids)


def encoding(name: str, source: str) -> Encoding:
    """The tokens of a text or an answer."""
    return cache.model(name).encode(source)


def hides(name: str) -> bool:
    """Whether what a model predicts is a word that is hidden from it."""
    model = cache.model(name)
    config = model.transformer.config
    return config.kind == "encoder" and config.head == "lm" and model.tokenizer.mask_id is not None


def cut(name: str, settings: Settings) -> tuple[Settings, dict[str, tuple[int, int]]]:
    """The settings with their texts cut to what a lesson shows, as the reader's text is.

    And of those that are longer, by field, how many tokens are read and how many are left out.
    """
    texts: dict[str, Any] = {}
    longer = {}
    for field in ("other", "answer"):
        texts[field], left_out = cache.shortened(name, getattr(settings, field), LONGEST)
        if left_out:
            longer[field] = len(encoding(name, texts[field])), left_out
    return replace(settings, **texts), longer


def predicted_text(inputs: shell.Inputs, settings: Settings) -> str:
    """The text in which a token is predicted: the answer of a model that reads two."""
    return settings.answer if is_pair_model(inputs.model) else inputs.text


def same_length(name: str, source: str, other: str) -> bool:
    """Whether two texts have equally many tokens."""
    encode = cache.model(name).encode
    return len(encode(source)) == len(encode(other))


def place_of(name: str, source: str, position: int) -> int:
    """The position that is meant by -1: the last token, of an answer the one before its end, the last hidden word."""
    encoding = cache.model(name).encode(source)
    if 0 <= position < len(encoding):
        return position
    if hides(name):
        return thread.last_word(encoding.labels, encoding.special)
    ends = is_pair_model(name) and len(encoding) > 1
    return len(encoding) - 1 - ends


def experiment(lesson: Lesson[Settings], inputs: shell.Inputs) -> Experiment:
    """What is asked for. Errors: InvalidParameterError in a sentence, ModelError."""
    name = inputs.model
    settings, _ = cut(name, lesson.settings())
    two = is_pair_model(name)
    answer = settings.answer if two else ""
    source = predicted_text(inputs, settings)
    measure = settings.measure if settings.measure in measures(name) else measures(name)[0]
    words = measure in ("lead", "probability")
    position = place_of(name, source, settings.position) if words or hides(name) else -1
    hidden = position if hides(name) and measure != "likeness" else -1
    here = trace(name, inputs.text, answer, hidden)
    other = _other(inputs, settings)
    if measure == "loss" and two and not answer.strip():
        raise InvalidParameterError("type the answer whose loss is to be measured")
    token = versus = -1
    if words:
        token, versus = _tokens(name, settings, here, trace(name, other or inputs.text, answer, hidden), position)
    return Experiment(
        name,
        inputs.text,
        other,
        answer,
        hidden,
        settings.how,
        settings.factor if settings.how == "scale" else 1.0,
        settings.at if not two and settings.at < len(encoding(name, inputs.text)) else -1,
        measure,
        position,
        token,
        versus if measure == "lead" else -1,
    )


def _other(inputs: shell.Inputs, settings: Settings) -> str:
    """The other text, or "" where there is none that fits and none is needed. Errors: InvalidParameterError."""
    needed = settings.how in patching.NEEDS_OTHER
    if not settings.other.strip():
        if needed:
            raise InvalidParameterError(
                "type another text of equally many tokens: yours with one word exchanged, say, or try a pair"
            )
        return ""
    counts = [len(cache.model(inputs.model).encode(one)) for one in (inputs.text, settings.other)]
    if counts[0] == counts[1]:
        return settings.other
    if needed:
        raise InvalidParameterError(_lengths(*counts))
    return ""


def _lengths(here: int, there: int) -> str:
    return (
        f"your text has {here} tokens and the other one {there}: what is taken over stands at a position, so they need "
        "equally many. Exchange one word for another of as many tokens"
    )


# ---- tokens to predict ---------------------------------------------------------------------------------------


def offered(name: str, here: Trace, there: Trace, position: int) -> list[str]:
    """What each run finds likeliest at a place, as text: tokens that can be typed."""
    assert here.logits is not None and there.logits is not None
    best = [row.logits[0, position].topk(OFFERED).indices.tolist() for row in (here, there) if row.logits is not None]
    tokenizer = cache.model(name).tokenizer
    written = [tokenizer.decode([i]) for i in dict.fromkeys(best[0] + best[1]) if i < tokenizer.vocab_size]
    return [one for one in dict.fromkeys(written) if one.strip() and _is_one(name, one)]


def _is_one(name: str, written: str) -> bool:
    try:
        return bool(outcomes.one_token(cache.model(name), written) >= 0)
    except InvalidParameterError:
        return False


def label(name: str, token: int) -> str:
    """A token as a person reads it."""
    return cache.model(name).tokenizer.encoding([token]).labels[0]


def _tokens(name: str, settings: Settings, here: Trace, there: Trace, position: int) -> tuple[int, int]:
    """The two tokens, chosen or the likeliest of either run. Errors: InvalidParameterError."""
    assert here.logits is not None and there.logits is not None
    token, versus = (
        outcomes.one_token(cache.model(name), written) if written.strip() else -1
        for written in (settings.token, settings.versus)
    )
    if token < 0:
        token = int(here.logits[0, position].argmax())
    if versus < 0:
        best = [*there.logits[0, position].topk(2).indices.tolist()]
        versus = next(one for one in best if one != token)
    if token == versus and settings.measure == "lead":
        raise InvalidParameterError("a token has no lead over itself: choose two")
    return token, versus


# ---- what is measured -----------------------------------------------------------------------------------------


def pair(exp: Experiment) -> tuple[Model, Trace, Trace | None]:
    """The model and the two runs."""
    other = trace(exp.model, exp.other, exp.answer, exp.hidden) if exp.other else None
    return cache.model(exp.model), trace(exp.model, exp.text, exp.answer, exp.hidden), other


def outcome(exp: Experiment) -> Outcome:
    """What the runs are measured by. Errors: InvalidParameterError."""
    model, here, other = pair(exp)
    if exp.measure == "lead":
        return Lead(exp.token, exp.versus, exp.position)
    if exp.measure == "probability":
        return Probability(exp.token, exp.position)
    if exp.measure == "likeness":
        return Likeness(outcomes.vector(here if other is None else other))
    if exp.hidden >= 0:
        return outcomes.hidden_loss(model.encode(exp.text).ids, (exp.hidden,))
    return outcomes.text_loss(here)
