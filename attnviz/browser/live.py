"""The live page: our transformer itself in the browser, in one file, without a server.

`python -m attnviz live` writes it. The page holds its models as files: a frame (`browser.framing`) whose header is the
config and the tokenizer, and whose payload is a safetensors file of float16 weights. `frontend/live/` is the page,
`frontend/model/` the transformer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attnviz.browser import drawings
from attnviz.browser.bundle import FOLDER, css, javascript
from attnviz.browser.framing import frame
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.figures.palette import DARK, LIGHT
from attnviz.formatting import counted
from attnviz.inputs.assets import ASSETS
from attnviz.inputs.atomic_write import write_whole
from attnviz.inputs.images import Preprocessing
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.catalogue import minilm_folder
from attnviz.models.folders import half_weights
from attnviz.models.model import Model
from attnviz.nn.positions import described
from attnviz.nn.transformer import Transformer

if TYPE_CHECKING:
    import jinja2

FORMAT = "attnviz live 1"  # frontend/model/session.js reads it
# parts of tokenizers that frontend/model/tokenizer.js reads, by kind
READ = {
    "model": ("BPE", "WordPiece"),
    "normalizer": ("none", "BertNormalizer"),
    "pre_tokenizer": ("none", "Sequence", "ByteLevel", "BertPreTokenizer"),
    "post_processor": ("none", "TemplateProcessing", "ByteLevel"),
}
POSITIONS = ("none", "sinusoidal", "learned", "rope", "alibi")  # that frontend/model/positions.js computes
MODELS = ("austen", "tales", "induction", "dates", "digits")  # that the page holds unless others are asked for
LARGE = 8_000_000  # bytes of a model from which it stands beside the page of a folder
FIRST = {  # what each begins with
    "austen": "It is a truth universally acknowledged, that a single man in possession of",
    "tales": "The old fox that lived by the river saw a bird.",
    "induction": "Mr Dursley met Mrs Potts in Paris. A year later, Mr Dursley met",
    "dates": "the 3rd of May 1997",
}


# what the page of an image model begins with, as the app's page of them does
PICTURE = {"drawing": drawings.FIRST, "layer": 2, "head": 0, "query": 0, "temperature": 1}
PER_DIGIT = 5  # examples
RERUN = ViewState(whole=True)  # a change acts in every layer: there is nothing to wait for
MOST_PARAMETERS = 2_000_000  # of a model whose page a server writes for a visitor


@dataclass(frozen=True)
class Held:
    """A model of the page."""

    name: str  # letters, digits and hyphens
    title: str
    about: str
    reads: str  # "text" or "image"
    text: str  # to begin with; "" of a model that reads none
    data: bytes
    beside: str | None = None  # its file, where it does not stand in the page

    @property
    def base64(self) -> str:
        """As it stands in the page."""
        return base64.b64encode(self.data).decode("ascii")

    def entry(self) -> dict[str, Any]:
        """What the page knows before it has the model."""
        known = {"name": self.name, "title": self.title, "about": self.about, "reads": self.reads, "text": self.text}
        digest = hashlib.sha256(self.data).hexdigest()
        return known | {"file": self.beside, "bytes": len(self.data), "sha256": digest}


@dataclass(frozen=True)
class Start:
    """What a page shows first, where its address says nothing else."""

    text: str
    state: ViewState = RERUN  # of the attention view


def model_file(model: Model, *, exact: bool = False) -> bytes:
    """A model as the page reads it, its weights rounded to float16.

    `exact`: under its own name, and with float32 weights where float16 would round them.

    Errors: ModelError for one whose layers or tokenizer the page does not have, or whose images cannot be drawn there.
    """
    from safetensors.torch import save

    header = {
        "format": FORMAT,
        "name": model.info.name if exact else _name(model),
        **_reading(model),
        "title": model.info.title,
        "config": json.loads(model.transformer.config.to_json()),
    }
    weights = half_weights(model.transformer)
    if exact:
        full = model.transformer.state_dict()
        weights = {name: x if torch.equal(x.float(), full[name]) else full[name].float() for name, x in weights.items()}
    return frame(header) + save(weights)


def _reading(model: Model) -> dict[str, Any]:
    """How the model reads: the parts of its tokenizer, or what its pixels are. Errors: as `model_file`."""
    title, reader, config = model.info.title, model.preprocessor, model.transformer.config
    if type(model.transformer) is not Transformer:
        raise ModelError(f"{title} is not one of our own transformers: the live page has no layers of other libraries.")
    if config.positions not in POSITIONS:
        scheme = described(config.positions).plural
        raise ModelError(f"{title} has {scheme}, which the live page does not compute in the reader's browser.")
    if isinstance(reader, Preprocessing):
        if (reader.size, reader.channels, config.kind) != (drawings.SIDE, 1, "encoder"):
            size = f"{reader.size} × {reader.size} × {reader.channels}"
            raise ModelError(f"{title} reads images of {size}: in the live page, digits of 8 × 8 × 1 are drawn.")
        reading = {"scale": reader.scale, "mean": reader.mean[0], "std": reader.std[0]}
        return {"picture": {"reader": reading, "classes": model.classes}}
    if not isinstance(reader, Tokenizer):
        raise ModelError(f"{title} reads {model.reads}s: the live page runs models of text, and of drawn digits.")
    tokenizer: dict[str, Any] = json.loads(reader.to_json())
    for part, known in READ.items():
        if (kind := (tokenizer[part] or {}).get("type", "none")) not in known:
            raise ModelError(
                f"{title} has a tokenizer whose {part} is {kind}: the live page reads {' or '.join(known)}."
            )
    return {"tokenizer": tokenizer}


def why_not(model: Model) -> str:
    """Why a server writes no page of this model, in a sentence; "" where it does."""
    count = model.transformer.config.n_parameters
    if type(model.transformer) is Transformer and count > MOST_PARAMETERS:
        return (
            f"{model.info.title} has {count / 1e6:.1f} million parameters; a page from here holds at most "
            f"{MOST_PARAMETERS // 1_000_000} million. python -m attnviz live writes larger ones."
        )
    try:
        _reading(model)
    except ModelError as error:
        return str(error)
    return ""


def held(model: Model) -> Held:
    """A model for the page, in it. Errors: ModelError."""
    config, name = model.transformer.config, _name(model)
    first = FIRST.get(name, _examples()[0]["text"]) if model.reads == "text" else ""
    kinds = {"encoder": "an encoder", "decoder": "a decoder", "encoder-decoder": "an encoder and a decoder"}
    millions = f"{config.n_parameters / 1e6:.2f} million parameters"
    layers = counted(config.n_layers, "layer")
    about = f"{model.info.title} is {kinds[config.kind]}: {layers} × {config.n_heads} heads, {millions}."
    return Held(name, model.info.title, about, model.reads, first, model_file(model))


def html(models: Sequence[Held], start: Start | None = None) -> str:
    """The page with these models, the first one open. Errors: InvalidParameterError for none, or two of one name.

    Arguments
        start: what it shows first; the first model's example unless given.
    """
    names = [one.name for one in models]
    if not names or len(set(names)) < len(names):
        raise InvalidParameterError(f"a live page holds models of different names, at least one, not {names}")
    script, worker = javascript("live/page.js"), javascript("model/worker.js")
    for source in (script, worker):
        if re.search(r"</script|<!--", source, re.IGNORECASE):
            raise InvalidParameterError("the page's script contains </script or <!--, which would end it early")
    draws = any(one.reads == "image" for one in models)
    if start is not None:
        models = [replace(models[0], text=start.text), *models[1:]]  # an example that it reads
    settings = {
        "models": [one.entry() for one in models],
        "examples": _examples(),
        "digits": _digits() if draws else [],
        "picture": PICTURE,
        "start": start and {"text": start.text, "state": start.state.to_dict()},
    }
    return _template().render(
        css=css("widgets/draw.css", "widgets/patches.css", "live/live.css"),
        light=LIGHT,
        dark=DARK,
        settings=json.dumps(settings).replace("<", "\\u003c"),
        held=[one for one in models if one.beside is None],
        connect="'self'" if any(one.beside for one in models) else "'none'",
        minilm="minilm" in names,
        draws=draws,
        worker=worker,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def default_models(*, single: bool) -> tuple[str, ...]:
    """The models of a page for which none are asked: of a folder also MiniLM, if its package is installed."""
    return MODELS if single or minilm_folder() is None else (*MODELS, "minilm")


def write_file(path: Path, models: Sequence[Model]) -> int:
    """One file with everything in it; returns its bytes. Errors: ModelError."""
    page = html([held(model) for model in models]).encode()
    write_whole(path, page)
    return len(page)


def report(model: Model, text: str, state: ViewState) -> str:
    """A page of one model that opens with a text and settings, and in which both can be changed.

    Errors: ModelError; InvalidParameterError for a text that the model cannot read.
    """
    if model.reads != "text":
        raise ModelError(f"{model.info.title} reads {model.reads}s: python -m attnviz live --model writes its page.")
    model.encode(text)
    return html([held(model)], Start(text, state))


def write_folder(folder: Path, models: Sequence[Model]) -> int:
    """index.html with the small models, the larger ones beside it, and MiniLM's licence; returns the bytes.

    Errors: ModelError.
    """
    placed = [held(model) for model in models]
    placed = [replace(one, beside=f"models/{one.name}.attnviz") if len(one.data) > LARGE else one for one in placed]
    contents = {"index.html": html(placed).encode()}
    if any(one.name == "minilm" for one in placed):
        contents["models/minilm-LICENSE.txt"] = (ASSETS / "tokenizers/minilm/LICENSE").read_bytes()
    contents |= {one.beside: one.data for one in placed if one.beside is not None}
    for name, data in contents.items():
        write_whole(folder / name, data)
    return sum(map(len, contents.values()))


def _name(model: Model) -> str:
    """A model's name in the page and its address: that of its folder, of letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", Path(model.info.name).name.lower()).strip("-") or "model"


@cache
def _examples() -> list[dict[str, str]]:
    examples = json.loads((ASSETS / "examples/texts.json").read_text("utf-8"))
    return [{"name": one["name"], "text": one["text"]} for one in examples]


@cache
def _digits() -> list[tuple[int, str]]:
    return drawings.examples(drawings.held_out(), PER_DIGIT)


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string((FOLDER / "live/live.html").read_text("utf-8"))
