"""Our own models as folders: config.json, model.safetensors (float16), tokenizer.json, training.json and a model card.

A model of images has a preprocessor_config.json in the place of the tokenizer.
The same form serves the models that come with the app, those trained in a session, and `python -m attnviz train --out`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import shortened
from attnviz.inputs import images
from attnviz.inputs.assets import ASSETS
from attnviz.inputs.atomic_write import write_whole
from attnviz.inputs.images import Preprocessing
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import strangers
from attnviz.models.safetensors_io import MAX_FILE_BYTES, build, read_json, read_safetensors
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer

FORMAT = "attnviz 1"
CARD = "README.md"
MAX_CARD = 50_000  # characters of a model's card that are read
BUNDLED = ASSETS / "models"  # the models that come with the app


@dataclass(frozen=True, eq=False)
class StoredModel:
    """A folder, read."""

    title: str
    transformer: Transformer
    preprocessor: Tokenizer | Preprocessing
    training: dict[str, Any]  # what training.json says: command, config, metrics, log


def write(
    folder: Path,
    model: Transformer,
    preprocessor: Tokenizer | Preprocessing,
    *,
    title: str,
    training: dict[str, Any],
    card: str,
) -> None:
    """Writes a model as a folder. Errors: ModelError."""
    for name, data in files(model, preprocessor, title=title, training=training, card=card).items():
        write_whole(folder / name, data)


def files(
    model: Transformer, preprocessor: Tokenizer | Preprocessing, *, title: str, training: dict[str, Any], card: str
) -> dict[str, bytes]:
    """The folder's files by name, the weights rounded to float16; a tied output matrix is stored once."""
    from safetensors.torch import save

    half = half_weights(model)
    text = isinstance(preprocessor, Tokenizer)
    preprocessing = (
        preprocessor.to_json().encode()
        if isinstance(preprocessor, Tokenizer)
        else json.dumps(preprocessor.to_json()).encode()
    )
    config = {"format": FORMAT, "title": title, **json.loads(model.config.to_json())}
    return {
        "model.safetensors": save(half, {"format": FORMAT}),
        "tokenizer.json" if text else images.FILE: preprocessing,
        "training.json": _json(training),
        CARD: card.encode(),
        "config.json": _json(config),
    }


def half_weights(model: Transformer) -> dict[str, Tensor]:
    """A copy of the weights by name, rounded to float16; without the output matrix that is the embedding again."""
    weights = dict(model.state_dict())
    if model.config.head == "lm" and model.config.tied:
        del weights["head.out.weight"]
    return {name: x.detach().to(torch.float16).contiguous() for name, x in weights.items()}


def describe(folder: Path) -> tuple[Path, str, ModelConfig]:
    """A folder's title and sizes, without its weights. Errors: ModelError in one sentence."""
    given = read_json(folder / "config.json")
    if given.pop("format", None) != FORMAT:
        raise ModelError(f"{folder.name} is not a model of this app.")
    title = str(given.pop("title", folder.name))
    try:
        return folder, title, ModelConfig.from_json(json.dumps(given))
    except InvalidParameterError as error:
        raise ModelError(f"The config of {folder.name} cannot be used: {shortened(str(error), 300)}.") from None
    except (TypeError, ValueError, OverflowError):  # a number of thousands of digits cannot even be written
        raise ModelError(
            f"The config of {folder.name} cannot be used: a number in it is a text, or the like."
        ) from None


def read(folder: Path, max_bytes: int = MAX_FILE_BYTES) -> StoredModel:
    """A model from its folder. Errors: ModelError in one sentence."""
    _, title, config = describe(folder)
    strangers.check_length(config.max_len, config.n_heads)
    preprocessor = read_preprocessor(folder, config)
    log = folder / "training.json"
    transformer = build(config, read_safetensors(folder / "model.safetensors", max_bytes))
    return StoredModel(title, transformer, preprocessor, read_json(log) if log.exists() else {})


def read_preprocessor(folder: Path, config: ModelConfig) -> Tokenizer | Preprocessing:
    """A folder's tokenizer, or what it says of images. Errors: ModelError."""
    if config.channels:
        return Preprocessing.of(read_json(folder / images.FILE), config.image_size, config.channels)
    tokenizer = Tokenizer.from_file(folder, isolated=strangers.isolated())
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelError(f"The tokenizer knows {tokenizer.vocab_size} tokens, the model only {config.vocab_size}.")
    return tokenizer


def licence(folder: Path) -> str:
    """What the folder's card calls its licence; "" if it does not say."""
    try:
        with (folder / CARD).open(encoding="utf-8", errors="replace") as card:
            match = re.search(r"licen[cs]e:\s*[\"']?([a-z][\w.+-]{1,39})", card.read(MAX_CARD), re.IGNORECASE)
    except OSError:
        return ""
    return match[1] if match else ""


def is_stored_model(folder: Path) -> bool:
    """Whether a folder holds a model in this form."""
    try:
        return read_json(folder / "config.json").get("format") == FORMAT
    except ModelError:
        return False


def _json(content: dict[str, Any]) -> bytes:
    """JSON with numbers of six digits: a log is read by people too."""
    return (json.dumps(_rounded(content), indent=1, ensure_ascii=False) + "\n").encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
