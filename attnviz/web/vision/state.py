"""The page "Vision": its settings, the picture that the model reads, and the runs on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch
from PIL import Image
from torch import Tensor

from attnviz.analysis.rollout import rollout
from attnviz.browser import drawings
from attnviz.browser.drawings import FIRST as FIRST
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs import images
from attnviz.inputs.images import Preprocessing
from attnviz.models.catalogue import catalogue
from attnviz.models.model import Model
from attnviz.nn.config import ModelConfig
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.training.tasks import digits
from attnviz.web import cache, shell, store
from attnviz.web.components import drawing_pad, patch_view
from attnviz.web.components.patch_view import ROLLOUT, Look
from attnviz.web.jobs import model_downloads
from attnviz.web.jobs.model_downloads import Download
from attnviz.web.lesson import Lesson
from attnviz.web.sent_file import sent_file
from attnviz.web.temperatures import TEMPERATURES

VIEW = "vision-patches"
FILE = "vision:file"  # the uploaded file in the session, bytes
PER_DIGIT = 5  # examples
MOST_OFF = 200  # switched-off heads in a link

_OFF = re.compile(r"(\d{1,3}\.\d{1,3})(,\d{1,3}\.\d{1,3})*")


@dataclass(frozen=True)
class Settings:
    """What the reader can choose; layers, heads and tokens count from 0."""

    source: str = "draw"  # or "upload"
    drawing: str = FIRST  # as `attnviz.web.components.drawing_pad` reads it
    invert: bool = False
    vit: str = "digits"  # the model; the sidebar's one reads text
    layer: int = 2
    head: int = 0
    query: int = 0
    off: str = ""  # switched-off heads, "layer.head" each
    temperature: float = 1.0

    def __post_init__(self) -> None:
        drawing_pad.read(self.drawing)
        if self.source not in ("draw", "upload"):
            raise InvalidParameterError(f"source={self.source!r} is neither draw nor upload")
        if min(self.layer, self.query, self.head - ROLLOUT) < 0:
            raise InvalidParameterError("layers, heads and tokens count from 0")
        if self.off and not _OFF.fullmatch(self.off):
            raise InvalidParameterError(f"off={self.off[:40]!r} is not of the form 2.0,1.3")
        if self.off.count(",") >= MOST_OFF:
            raise InvalidParameterError(f"at most {MOST_OFF} heads can be switched off")
        if self.temperature not in TEMPERATURES:
            raise InvalidParameterError(f"temperature={self.temperature} is none of the steps from 0.05 to 20")
        if not 0 < len(self.vit) <= shell.TYPED:
            raise InvalidParameterError(f"a model's name of {len(self.vit)} characters")

    @property
    def heads_off(self) -> list[tuple[int, int]]:
        """The switched-off heads as (layer, head)."""
        pairs = (one.split(".") for one in self.off.split(",") if one)
        return sorted({(int(layer), int(head)) for layer, head in pairs})

    @property
    def look(self) -> Look:
        """What the patches show."""
        return Look(self.layer, self.head, self.query, self.off)


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture as a model reads it, and what the model makes of it, as trained and with what the reader changed."""

    model: Model
    pixels: Tensor  # float32 (1, channels, size, size)
    plain: Trace
    trace: Trace  # the same run where nothing was changed
    message: bytes  # what the patches are sent

    @property
    def changed(self) -> bool:
        return self.trace is not self.plain

    @property
    def preprocessor(self) -> Preprocessing:
        """How the model reads pictures."""
        return reader_of(self.model)

    @property
    def before(self) -> Tensor | None:
        """What the model gives each class as trained, (n_classes,); None of one that names no classes."""
        return probabilities(self.plain)

    @property
    def now(self) -> Tensor | None:
        """What it gives each class with the reader's changes."""
        return probabilities(self.trace)

    def row(self, view: Look) -> Tensor:
        """The attention (or rollout) of the token that looks: (T,)."""
        if view.head == ROLLOUT:
            return rollout(self.trace)[view.layer, 0, view.query]
        return self.trace.layers[view.layer].attention.weights[0, view.head, view.query]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of the settings: a picture that was seen, a model that is on its way, or neither, and why."""

    settings: Settings
    seen: Seen | None = None
    coming: Download | None = None
    missing: str = ""  # a sentence that says how to get a picture
    trouble: str = ""  # a sentence that says what went wrong


# ---- the model -----------------------------------------------------------------------------------


def titles() -> dict[str, str]:
    """The vision models that can be picked, name → title; this session's own ones first."""
    infos = [model.info for model in cache.own_models().values() if model.transformer.config.channels]
    infos += [info for info in catalogue() if info.family == "Vision"]
    return {info.name: f"{info.title} ({info.n_layers} × {info.n_heads} heads)" for info in infos}


def vision_model(name: str) -> Model:
    """A model that reads pictures. Errors: ModelError in a sentence, also for one that reads none."""
    model = cache.model(name)
    if not isinstance(model.preprocessor, Preprocessing):
        raise ModelError(f"{model.info.title} reads {model.reads}; this page shows pictures. Pick another model.")
    if model.transformer.config.kind != "encoder":
        raise ModelError(
            f"{model.info.title} writes about a picture; this page shows what reads one. Pick another model."
        )
    return model


def first_model(lesson: Lesson[Settings]) -> None:
    """The model that a new visitor finds."""
    lesson.choose(vit=lesson.first.vit)


def reader_of(model: Model) -> Preprocessing:
    """How the model reads pictures."""
    assert isinstance(model.preprocessor, Preprocessing)
    return model.preprocessor


# ---- the picture ---------------------------------------------------------------------------------


class Missing(InvalidParameterError):
    """There is no picture yet; the message says how to get one."""


@dataclass(frozen=True, eq=False)
class Upload:
    """A file as a model reads it, and what it was."""

    data: bytes
    preprocessor: Preprocessing
    pixels: Tensor  # float32 (1, channels, size, size)
    width: int
    height: int
    mode: str  # Pillow's
    frames: int


def pixels(settings: Settings, preprocessor: Preprocessing) -> Tensor:
    """The picture as the model reads it. Errors: Missing, or InvalidParameterError, in a sentence."""
    if settings.source == "draw":
        return drawn(drawing_pad.read(settings.drawing), preprocessor)
    picture = upload(preprocessor).pixels
    return preprocessor.inverted(picture) if settings.invert else picture


def drawn(ink: Tensor, preprocessor: Preprocessing) -> Tensor:
    """Ink (8, 8) from 0 to 16 as the model reads it: bright on black; a model of larger pictures gets it scaled up.

    Errors: Missing for an empty drawing.
    """
    if not int(ink.sum()):
        raise Missing("The drawing is empty: draw a digit in the square, or pick one below it.")
    if preprocessor.size == drawing_pad.SIDE:
        return preprocessor.from_brightness(ink / drawing_pad.INK)
    return preprocessor.pixels(Image.fromarray((255 * ink / drawing_pad.INK).round().to(torch.uint8).numpy()))


def upload(preprocessor: Preprocessing) -> Upload:
    """The session's file, read once: a photograph takes a second to decode. Errors: as `pixels`."""
    memory, name = st.session_state, "vision:upload"
    data, last = memory.get(FILE), memory.get(name)
    if data is None:
        raise Missing("Choose a PNG or JPEG file. It stays in this session: the link of this page does not carry it.")
    if not isinstance(last, Upload) or last.data is not data or last.preprocessor != preprocessor:
        picture = images.read(data)
        last = Upload(
            data, preprocessor, preprocessor.pixels(picture), *picture.size, picture.mode, images.frames(data)
        )
        memory[name] = last
    return last


def take_upload(key: str) -> Callable[[], None]:
    """For the file uploader's `on_change`: keeps the file for when Streamlit forgets its widgets."""

    def take() -> None:
        file = sent_file(key)
        st.session_state[FILE] = None if file is None else file.getvalue()

    return take


def names_digits(model: Model) -> bool:
    """Whether a model's classes are the digits of such drawings."""
    return reader_of(model).size == drawing_pad.SIDE and model.classes == tuple(map(str, range(digits.N_CLASSES)))


@store.kept("Reading the digits …")
def held_out() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """The digits of the test split, drawing → digit, and of these the examples: (name, drawing) in rows of 0 to 9."""
    meant = drawings.held_out()
    rows = [(f"A handwritten {digit}", drawing) for digit, drawing in drawings.examples(meant, PER_DIGIT)]
    return meant, tuple(rows)


def meant(settings: Settings, model: Model) -> int | None:
    """What the writer of a held-out digit meant; None of any other picture, and of a model that names no digits."""
    if settings.source != "draw" or not names_digits(model):
        return None
    return held_out()[0].get(settings.drawing)


@store.kept()
def mistaken(name: str) -> tuple[str, ...]:
    """The held-out digits that a model of such pictures gets wrong."""
    model, labels = vision_model(name), held_out()[0]
    if not names_digits(model):
        return ()
    batch = torch.cat([drawn(drawing_pad.read(drawing), reader_of(model)) for drawing in labels])
    with torch.inference_mode():
        logits = model.transformer(batch).logits
    if logits is None:
        return ()
    pairs = zip(labels.items(), logits.argmax(dim=-1).tolist(), strict=True)
    return tuple(drawing for (drawing, digit), answer in pairs if digit != answer)


# ---- the run -------------------------------------------------------------------------------------


def change(settings: Settings, model: Model) -> Intervention | None:
    """What the reader changed, as far as the model has it; None for nothing."""
    config = model.transformer.config
    off = {pair: 0.0 for pair in settings.heads_off if pair[0] < config.n_layers and pair[1] < config.n_heads}
    intervention = Intervention(temperature=settings.temperature, head_scale=off)
    return None if intervention.changes_nothing else intervention


def whole_layer(config: ModelConfig, layer: int) -> str:
    """All heads of a layer, as `Settings.off`."""
    return ",".join(f"{layer}.{head}" for head in range(config.n_heads))


def outcome(lesson: Lesson[Settings]) -> Outcome:
    """Runs what is set, or says what is in the way."""
    settings = lesson.settings()
    try:
        cache.check_name(settings.vit)
        if (coming := model_downloads.coming(settings.vit)) is not None:
            return Outcome(settings, coming=coming)
        settings = clamp(lesson, vision_model(settings.vit))
        return Outcome(settings, see(settings))
    except Missing as error:
        return Outcome(settings, missing=str(error))
    except (InvalidParameterError, ModelError) as error:
        return Outcome(settings, trouble=str(error))


def see(settings: Settings) -> Seen:
    """Runs the model on the picture. Errors: ModelError or InvalidParameterError, each in a sentence."""
    model = vision_model(settings.vit)
    picture = pixels(settings, reader_of(model))
    data, intervention = picture.numpy().tobytes(), change(settings, model)
    plain = _run(settings.vit, data, None)
    trace = plain if intervention is None else _run(settings.vit, data, intervention)
    return Seen(model, picture, plain, trace, _message(settings.vit, data, intervention, settings.query))


@store.kept()
def _run(name: str, data: bytes, intervention: Intervention | None) -> Trace:
    """The model on pixels, as bytes of float32."""
    model = cache.model(name)
    return model.run(_tensor(data, reader_of(model)), intervention=intervention)


@store.kept()
def _message(name: str, data: bytes, intervention: Intervention | None, query: int) -> bytes:
    """What the patches are sent."""
    trace, preprocessor = _run(name, data, intervention), reader_of(cache.model(name))
    return patch_view.pack(trace, preprocessor.seen(_tensor(data, preprocessor)), query)


def _tensor(data: bytes, preprocessor: Preprocessing) -> Tensor:
    """Bytes of float32 as pixels: (1, channels, size, size)."""
    shape = (1, preprocessor.channels, preprocessor.size, preprocessor.size)
    return torch.from_numpy(np.frombuffer(data, np.float32).reshape(shape).copy())


def probabilities(trace: Trace) -> Tensor | None:
    """What a run gives each class, (n_classes,); None of a model that names no classes."""
    return None if trace.logits is None else trace.logits[0].softmax(dim=-1)


def adopt(lesson: Lesson[Settings]) -> None:
    """What the reader did in the patches becomes the settings."""
    look = patch_view.reported(VIEW)
    if look is not None:
        lesson.choose(layer=look.layer, head=look.head, query=look.query, off=look.off)


def clamp(lesson: Lesson[Settings], model: Model) -> Settings:
    """The settings, on a layer, a head and a token that the model has; a patch stays at its place in the picture."""
    settings, config = lesson.settings(), model.transformer.config
    grid, memory = (config.n_special, config.image_size // config.patch_size), f"{lesson.key('query')}:grid"
    before = st.session_state.get(memory, grid)
    st.session_state[memory] = grid
    if before != grid:
        lesson.choose(query=patch_view.same_place(settings.query, before, grid))
    for field, count in (("layer", config.n_layers), ("head", config.n_heads), ("query", config.max_len)):
        if st.session_state[lesson.key(field)] >= count:
            lesson.choose(**{field: 0 if field == "query" else count - 1})
    return lesson.settings()
