"""The page "Attention and cause": what the reader has set, and the measures it shows, by names only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from attnviz.analysis import evidence, predictions
from attnviz.analysis.evidence import Evidence, Method
from attnviz.analysis.predictions import Prediction
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models.model import Model
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.evidence import work
from attnviz.web.evidence.shown import CANCELLED, WAITS, Asked, Offer, Shown
from attnviz.web.lesson import Lesson

ALL_LAYERS = -1
LIKELIEST = -1
OFFERED = 8  # tokens or classes to choose from
LONGEST_TYPED = 60  # characters: more is no token of a vocabulary
THROUGH: tuple[Method, ...] = ("rollout",)  # all layers, whatever layer is chosen
OF_LAYER: tuple[Method, ...] = ("attention", "norm", "gradient")


@dataclass(frozen=True)
class Settings:
    """What the reader has set."""

    target: int = LIKELIEST
    typed: str = ""  # a token that is asked about instead
    position: int = 0  # of the hidden token, in a model that fills in hidden ones
    layer: int = ALL_LAYERS
    integrated: bool = False

    def __post_init__(self) -> None:
        if not (-1 <= self.target < 10**7 and -1 <= self.layer <= 512 and 0 <= self.position <= 512):
            raise InvalidParameterError("target, position or layer is out of range")


@store.kept()
def through(asked: Asked) -> Evidence:
    """The measure that goes through all layers at once. Errors: as `work.trace_of` and `predictions.predicted`."""
    trace = work.trace_of(asked)
    return evidence.gathered(cache.model(asked.model), trace, _prediction(trace, asked), methods=THROUGH)


@store.kept()
def of_layer(asked: Asked, layer: int | None) -> Evidence:
    """Those of one layer or all. Errors: likewise."""
    trace = work.trace_of(asked)
    return evidence.gathered(cache.model(asked.model), trace, _prediction(trace, asked), layer=layer, methods=OF_LAYER)


def _prediction(trace: Trace, asked: Asked) -> Prediction:
    return predictions.predicted(trace, asked.target, position=asked.hidden)


def shown(lesson: Lesson[Settings], inputs: shell.Inputs) -> Shown:
    """What is asked for, without integrated gradients; ends the page in a sentence where a model has none of it."""
    try:
        return _shown(lesson, inputs)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(f"{str(error)[:1].upper()}{str(error)[1:]}. Pick another model, or another text.")


def _shown(lesson: Lesson[Settings], inputs: shell.Inputs) -> Shown:
    model, whole = cache.model(inputs.model), cache.trace(inputs.model, inputs.text)
    hidden = None
    if predictions.fills_in(model, whole):
        hidden = lesson.follow_token("position", whole.encodings[0].labels, whole.encodings[0].special, noun="")
    lesson.fit(layer=len(whole.layers))
    settings = lesson.settings()
    trace = work.trace_of(Asked(inputs.model, inputs.text, hidden, None))
    pieces = _pieces(model, settings.typed)
    target, offers = _offers(model, trace, settings, pieces, hidden)
    layer = None if settings.layer == ALL_LAYERS else settings.layer
    asked = Asked(inputs.model, inputs.text, hidden, target)
    long = [worked_out(method, asked) for method in ("erasure", "flow")]
    found = evidence.joined([through(asked), of_layer(asked, layer), *long])
    many = tuple(label for _, label in pieces) if len(pieces) > 1 else ()
    return Shown(asked, model.info.title, trace.encodings[0], found.prediction, offers, many, layer, found)


def worked_out(method: work.Long, asked: Asked) -> Evidence:
    """A measure; while it is under way, and after Cancel, none, with the reason."""
    made = work.WORK[method].found(asked)
    if made is not None:
        return made
    why = WAITS if work.WORK[method].running else CANCELLED
    return replace(through(asked), values={}, missing={method: why})


def _pieces(model: Model, typed: str) -> list[tuple[int, str]]:
    """What was typed as tokens of the vocabulary, id and label: as inside a text, unless it is fewer at its start."""
    if not typed.strip() or len(typed) > LONGEST_TYPED:
        return []
    ways = [model.tokenizer.encode(before + typed.strip()) for before in (" ", "")]
    own = [
        [(i, label) for i, label, special in zip(one.ids, one.labels, one.special, strict=True) if not special]
        for one in ways
    ]
    inside, start = ([piece for piece in way if piece[1].strip("␣ ")] for way in own)
    return start if not inside or 0 < len(start) < len(inside) else inside


def _offers(
    model: Model, trace: Trace, settings: Settings, pieces: list[tuple[int, str]], hidden: int | None
) -> tuple[int | None, tuple[Offer, ...]]:
    """What is asked about, and what is offered; None and nothing of an embedding."""
    first = predictions.predicted(trace, position=hidden)
    if trace.logits is None:
        return None, ()
    row = (trace.logits[0] if first.kind == "class" else trace.logits[0, first.rows[0]]).double().softmax(dim=-1)
    targets = row.topk(min(OFFERED, len(row))).indices.tolist()
    target = settings.target if 0 <= settings.target < len(row) else targets[0]
    if pieces and first.kind == "token" and pieces[0][0] < len(row):  # a vocabulary may have more than is predicted
        target = pieces[0][0]
    if target not in targets:
        targets.append(target)
    return target, tuple(Offer(one, name_of(model, first, one), float(row[one])) for one in targets)


def name_of(model: Model, prediction: Prediction, target: int) -> str:
    """A token or class as a person reads it."""
    if prediction.kind == "class":
        return model.classes[target] if target < len(model.classes) else f"class {target}"
    return model.tokenizer.encoding([target]).labels[0]
