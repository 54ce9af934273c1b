"""The settings of "Step by step", what its controls offer, and the layer that is walked through."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import streamlit as st

from attnviz.analysis.provenance import worked_example
from attnviz.analysis.provenance.steps import layer_provenance
from attnviz.analysis.provenance.terms import Provenance, Scale
from attnviz.browser import provenance_message
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn import reference
from attnviz.nn.intervention import Intervention
from attnviz.web import cache, shell
from attnviz.web.components.provenance_view import reported, wanted_layer
from attnviz.web.lesson import Lesson

KEY = "walk"  # of the view
STEPS = ("x", "q", "k", "v", "split", "scores", "scaled", "mask", "softmax", "values", "concat", "out")
MASKS = {"own": "as built", "causal": "causal (only the past)", "none": "none"}
PATH = re.compile(r"[\w.]{1,16}:\d{1,6}:\d{1,6}(/[\w.]{1,16}:\d{1,6}:\d{1,6}){0,23}|")


@dataclass(frozen=True)
class Settings:
    """What the page shows; every field is a parameter of its address."""

    of: str = "hand"  # or "text": the sidebar's text in the sidebar's model
    layer: int = 0
    head: int = 0
    mask: str = "own"
    step: str = "x"
    path: str = ""  # cells "matrix:row:column", the chosen one first
    edits: str = ""  # of the example's weights
    guess: str = ""

    def __post_init__(self) -> None:
        for name, allowed in (("of", ("hand", "text")), ("mask", tuple(MASKS)), ("step", STEPS)):
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}")
        if not (0 <= self.layer < 512 and 0 <= self.head < 512):
            raise InvalidParameterError(f"layer {self.layer} or head {self.head} is out of range")
        if not PATH.fullmatch(self.path):
            raise InvalidParameterError("the path is no list of cells")
        worked_example.read_edits(self.edits)


def sidebar() -> shell.Inputs:
    """Model and text of the sidebar, which the example by hand does not read: unchecked."""
    return shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])


def sources() -> dict[str, str]:
    """The numbers that can be walked through, by value of `Settings.of`."""
    model = sidebar().model
    title = cache.model_names().get(model, model).split(" (")[0]
    return {"hand": "By hand: 4 numbers a word", "text": f"Your text in {title}"}


def masks(settings: Settings) -> dict[str, str]:
    """The masks by value of `Settings.mask`, with what "as built" is here."""
    causal = settings.of == "hand" or cache.model(sidebar().model).info.family == "GPT"
    return MASKS | {"own": f"as built ({'causal' if causal else 'none'})"}


def take_report(lesson: Lesson[Settings]) -> None:
    """What the reader did in the view becomes the page's settings."""
    view, layer = reported(KEY), wanted_layer(KEY)
    if layer is not None:
        lesson.choose(layer=layer, step="out", path="")
    elif view is not None:
        lesson.choose(step=view.step, path=view.path, head=view.head, edits=view.edits)


# ---- the layer that is walked through ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Shown:
    """One layer's numbers, as the page shows them."""

    provenance: Provenance
    head: int  # of those that there are
    row: int  # the word that the reader looks at
    message: bytes  # what the view draws


def run(lesson: Lesson[Settings], settings: Settings) -> Shown:
    """The layer that the settings ask for; ends the page with a sentence if the sidebar's model cannot run its text."""
    if settings.of == "hand":
        example = worked_example.by_hand(settings.edits, settings.mask)
        head = min(settings.head, worked_example.HEADS - 1)
        more = {"editable": list(worked_example.WEIGHTS), "limit": worked_example.LARGEST}
        return Shown(example, head, _row(settings, example), provenance_message.pack(example, head, more=more))
    inputs = lesson.inputs()
    try:
        config = cache.model(inputs.model).transformer.config
        layer, head = min(settings.layer, config.n_layers - 1), min(settings.head, config.n_heads - 1)
        of = (inputs.model, inputs.text, layer, settings.mask)
        return Shown(_model_provenance(*of), head, _row(settings, _model_provenance(*of)), _model_message(*of, head))
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(f"{error}. Choose another model in the sidebar.")


@st.cache_resource(max_entries=12, show_spinner=False)
def _model_provenance(model: str, text: str, layer: int, mask: str) -> Provenance:
    """One layer of the model's run on a text, under the mask in that layer."""
    change = None if mask == "own" else Intervention(mask=mask, layers=layer)
    return layer_provenance(cache.model(model).transformer, cache.trace(model, text, change), layer)


@st.cache_resource(max_entries=12, show_spinner=False)
def _model_message(model: str, text: str, layer: int, mask: str, head: int) -> bytes:
    """The same for the browser."""
    return provenance_message.pack(_model_provenance(model, text, layer, mask), head)


def _row(settings: Settings, provenance: Provenance) -> int:
    """The word that the reader looks at: the row of the number that was chosen, by default the second word."""
    name, _, place = settings.path.partition("/")[0].partition(":")
    is_word = name in provenance.matrices and provenance[name].axes[0] in ("query", "key")
    return min(int(place.split(":")[0]) if is_word else 1, len(provenance.labels) - 1)


def numpy_weights(provenance: Provenance, head: int) -> np.ndarray:
    """The head's weights (T, T) once more, from its Q, K and V by `attnviz.nn.reference`."""
    columns = slice(head * provenance.width, (head + 1) * provenance.width)
    q, k, v = (provenance[name].values[:, columns] for name in "QKV")
    mask, scaled = provenance[f"mask.{head}"].values, provenance[f"scaled.{head}"].rule
    assert isinstance(scaled, Scale)
    keep = np.isfinite(mask)
    _, weights = reference.attention(q, k, v, keep=keep, bias=np.where(keep, mask, 0.0), scale=scaled.by)
    return weights
