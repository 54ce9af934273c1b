"""A model as files for other programs: our folder, arrays for NumPy, JSON to read, a graph for ONNX.

folder        config, safetensors, tokenizer and card: what `load` takes
name.npz      every weight under its name; numpy.load(…, allow_pickle=False)
name.json     config and shapes, and of a small model the weights too
name.onnx     the computation itself, for onnxruntime and others
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError, check_installed
from attnviz.inputs.atomic_write import write_whole
from attnviz.models import folders, transformers_form
from attnviz.models.catalogue import BUNDLED
from attnviz.models.hf_config import HFConfig
from attnviz.models.model import Model
from attnviz.models.safetensors_io import read_json
from attnviz.nn.masks import Mask
from attnviz.nn.transformer import Transformer

if TYPE_CHECKING:
    from attnviz.nn.config import ModelConfig

ENDINGS = (".npz", ".json", ".onnx")
FORMS = ("attnviz", "transformers")
MOST_IN_JSON = 250_000  # parameters whose values are written as text: a few megabytes
MOST_IN_ONNX = 500_000_000  # parameters: one ONNX file holds at most 2 GB


@dataclass(frozen=True)
class Exported:
    """What was written, and what its preprocessor has to know, in words."""

    path: Path
    n_bytes: int
    says: str


def export(
    model: Model,
    path: Path,
    *,
    training: dict[str, Any] | None = None,
    card: str = "",
    form: str = "attnviz",
    attentions: bool = False,
) -> Exported:
    """Writes a model; the ending of `path` says how, and without one it is a folder.

    Arguments
        training, card: go into our folder.
        form: of a folder: "attnviz", ours; or "transformers", which its Auto classes load, where a family of it
            computes the same.
        attentions: an ONNX graph also gives out every layer's attention weights, (B, H, T, S).

    Errors: InvalidParameterError or ModelError in one sentence.
    """
    if form not in FORMS:
        raise InvalidParameterError(f"form={form!r} is not one of {', '.join(FORMS)}")
    if isinstance(model.transformer.config, HFConfig):
        raise InvalidParameterError(
            f"{model.info.name} is not made of our layers alone; only models that are can be exported"
        )
    ending = path.suffix.lower()
    if attentions and ending != ".onnx":
        raise InvalidParameterError(f"only an ONNX graph gives out attentions, not {path.name}")
    if form == "transformers" and ending:
        raise InvalidParameterError(f"the form of transformers is a folder, not {path.name}")
    if not ending:
        return _folder(model, path, training or {}, card, form)
    if ending not in ENDINGS:
        raise InvalidParameterError(f"{path.name} is neither a folder nor a file ending in {', '.join(ENDINGS)}")
    ways: dict[str, Callable[[Model], tuple[bytes, str]]] = {
        ".npz": _npz,
        ".json": _json,
        ".onnx": partial(_onnx, attentions=attentions),
    }
    data, says = ways[ending](model)
    write_whole(path, data)
    return Exported(path, len(data), says)


def notes(name: str) -> tuple[dict[str, Any], str]:
    """Training log and card of a model of ours, by the name that `load` takes; empty for any other."""
    for folder in (BUNDLED / name, Path(name)):
        if folders.is_stored_model(folder):
            log, card = folder / "training.json", folder / folders.CARD
            return read_json(log) if log.exists() else {}, card.read_text("utf-8") if card.exists() else ""
    return {}, ""


def _folder(model: Model, path: Path, training: dict[str, Any], card: str, form: str) -> Exported:
    if path.is_dir() and any(path.iterdir()) and (form != "attnviz" or not folders.is_stored_model(path)):
        raise InvalidParameterError(f"the folder {path.name} holds other files; give an empty or a new one")
    title = model.info.title
    if form == "transformers":
        files, says = transformers_form.files(model), "weights as float32; transformers' Auto classes load the folder"
    else:
        preprocessor: Any = model.preprocessor  # ours read text or images
        files = folders.files(
            model.transformer, preprocessor, title=title, training=training, card=card or f"# {title}\n"
        )
        says = "weights as float16; load() and --model take the folder"
    for name, data in files.items():
        write_whole(path / name, data)
    return Exported(path, sum(map(len, files.values())), says)


def _npz(model: Model) -> tuple[bytes, str]:
    arrays = {name: x.numpy() for name, x in _weights(model.transformer).items()}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, config=np.array(model.transformer.config.to_json()), **arrays)
    return file.getvalue(), f"{len(arrays)} weights as float32, and config, a string of JSON"


def _json(model: Model) -> tuple[bytes, str]:
    weights, config = _weights(model.transformer), model.transformer.config
    small = config.n_parameters <= MOST_IN_JSON
    content = {
        "title": model.info.title,
        "config": json.loads(config.to_json()),
        "weights": {
            name: {"shape": list(x.shape)} | ({"values": _digits(x)} if small else {}) for name, x in weights.items()
        },
    }
    says = "every value" if small else f"without values: {config.n_parameters:,} are more than {MOST_IN_JSON:,}"
    return (
        json.dumps(content, ensure_ascii=False) + "\n"
    ).encode(), f"config and shapes of {len(weights)} weights, {says}"


def _weights(model: Transformer) -> dict[str, Tensor]:
    """Every parameter under its name, as contiguous float32; a tied matrix under each of its names."""
    return {name: x.detach().float().contiguous() for name, x in model.state_dict().items()}


def _digits(x: Tensor) -> list[float]:
    """All values in order, the last index fastest; nine digits, from which every float32 reads back exactly."""
    return [float(f"{value:.9g}") for value in x.flatten().tolist()]


# ---- ONNX ----------------------------------------------------------------------------------------


class _Graph(nn.Module):
    """The forward pass as tensors in, tensors out: what ONNX can hold. Numbers as `Transformer.forward` gives them."""

    def __init__(self, model: Transformer, attentions: bool = False) -> None:
        super().__init__()
        self.model, self.attentions = model, attentions

    def forward(
        self,
        inputs: Tensor,
        real: Tensor | None = None,
        target: Tensor | None = None,
        target_real: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Final hidden states, logits where there is a head, and attentions if asked for.

        `real` is 1 at tokens and 0 at padding: (B, T).
        """
        model = self.model
        weights: list[Tensor] = []
        hidden = self._stack(model.encoder or model.decoder, inputs, real, weights)
        if target is not None:
            hidden = self._stack(model.decoder, target, target_real, weights, hidden, real)
        given = (hidden,) if model.head is None else (hidden, model.head(hidden, ()))
        return (*given, *weights) if self.attentions else given

    def _stack(
        self,
        stack: Any,
        inputs: Tensor,
        real: Tensor | None,
        weights: list[Tensor],
        source: Tensor | None = None,
        source_real: Tensor | None = None,
    ) -> Tensor:
        config = self.model.config
        x = self.model.embed(inputs, None, config.positions)
        options = config.scheme.in_attention(config.n_heads, config.head_dim, x)
        options["mask"] = Mask(causal=stack is self.model.decoder, keys=_keys(real))
        for layer in stack["layers"]:
            if source is None:
                run = layer.trace(x, **options)
            else:
                run = layer.trace(x, source, options, {"mask": Mask(keys=_keys(source_real))})
            x = run.resid_post
            if self.attentions:
                weights += [one.weights for one in (run.attention, run.cross_attention) if one is not None]
        return stack["norm"](x)


def _keys(real: Tensor | None) -> Tensor | None:
    return None if real is None else (real != 0)[:, None, None, :]  # (B, 1, 1, S)


def _onnx(model: Model, attentions: bool = False) -> tuple[bytes, str]:
    """The graph, with free batch and lengths. Source: torch.onnx.export, the exporter on torch.export."""
    config = model.transformer.config
    _check_onnx(config)
    inputs, shapes = _examples(config)
    outputs = ["hidden"] if config.head is None else ["hidden", "logits"]
    outputs += _attention_names(config) if attentions else []
    with _quietly(), torch.inference_mode(False):
        program = torch.onnx.export(
            _Graph(model.transformer, attentions).eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    how = (
        f"batch × {config.channels} × {config.image_size} × {config.image_size}, the batch free"
        if config.channels
        else f"batch × length, both free, at most {config.max_len} tokens; a mask is 1 at tokens and 0 at padding, "
        "which stands at the end"
    )
    says = (
        f"{', '.join(inputs)} ({how}) → {', '.join(outputs)}; float32, without what makes a text or an image its input"
    )
    return program.model_proto.SerializeToString(), says


def _attention_names(config: ModelConfig) -> list[str]:
    """What the weights of each layer are called, in the order of the graph's outputs."""
    if config.kind != "encoder-decoder":
        return [f"attention_{i}" for i in range(config.n_layers)]
    encoder = [f"encoder_attention_{i}" for i in range(config.n_layers)]
    return encoder + [f"{name}_attention_{i}" for i in range(config.n_layers) for name in ("decoder", "cross")]


def _check_onnx(config: ModelConfig) -> None:
    check_installed("ONNX", "onnx", "onnxscript")
    if config.n_parameters > MOST_IN_ONNX:
        raise InvalidParameterError(
            f"{config.n_parameters:,} parameters are more than the {MOST_IN_ONNX:,} that one ONNX file holds"
        )
    if config.kind == "decoder" and config.head == "classification":
        raise InvalidParameterError("a decoder that classifies is not written as ONNX; its logits hang on the lengths")


def _examples(config: ModelConfig) -> tuple[dict[str, Tensor], tuple[dict[int, Any], ...]]:
    """Inputs to trace the graph with, by name, and which of their sizes are free."""

    def pair(prefix: str, name: str) -> None:
        n = min(size := 4 if prefix else 3, config.max_len)
        inputs[f"{prefix}input_ids"] = torch.zeros(2, n, dtype=torch.long)
        inputs[f"{prefix}attention_mask"] = torch.ones(2, n, dtype=torch.long)
        free = {0: batch} | ({1: torch.export.Dim(name, max=config.max_len)} if config.max_len > size else {})
        shapes.extend([free, free])

    batch = torch.export.Dim("batch")
    if config.channels:
        side = config.image_size
        return {"pixel_values": torch.zeros(2, config.channels, side, side)}, ({0: batch},)
    inputs: dict[str, Tensor] = {}
    shapes: list[dict[int, Any]] = []
    pair("", "length")
    if config.kind == "encoder-decoder":
        pair("decoder_", "target_length")
    return inputs, tuple(shapes)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's remarks on packages and folded constants, which no user can act on."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
