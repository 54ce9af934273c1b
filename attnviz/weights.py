"""Reads weights from safetensors and renames them into our `Transformer`: the BERT family, ViT and DeiT.

Every tensor's name and shape is checked; what is missing is an error, what is left over is reported.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnviz.config import ModelConfig
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.transformer import Transformer

MAX_FILE_BYTES = 4_000_000_000
MAX_JSON_BYTES = 50_000_000
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}

# Hugging Face's BERT names → ours. Query, key and value are stacked into one in_proj.
_BERT_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "embed.tokens.weight",
    "embeddings.position_embeddings.weight": "embed.positions.weight",
    "embeddings.token_type_embeddings.weight": "embed.types.weight",
    "embeddings.LayerNorm": "embed.norm",
}
_BERT_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_BERT_HEAD = {
    "cls.predictions.transform.dense": "head.dense",
    "cls.predictions.transform.LayerNorm": "head.norm",
    "cls.predictions.bias": "head.out.bias",
    "cls.predictions.decoder.bias": "head.out.bias",
    "cls.predictions.decoder.weight": "head.out.weight",
}
# Hugging Face's names of ViT and DeiT → ours; the tokens and positions have a dimension of 1 more.
_VIT_EMBEDDINGS = {
    "embeddings.patch_embeddings.projection": "embed.patches",
    "layernorm": "encoder.norm",
}
_VIT_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "layernorm_before": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "layernorm_after": "norm2",
}
_VIT_HEADS: dict[str | None, tuple[str, ...]] = {  # the class token's classifier, and the distillation token's
    "classification": ("classifier",),
    "distillation": ("cls_classifier", "distillation_classifier"),
}
_STACKED = re.compile(r"encoder\.layer\.(\d+)\.attention\.(?:self|attention)\.(query|key|value)\.(weight|bias)")
_IN_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")


@dataclass(frozen=True)
class Loaded:
    """A model with its weights, and the file's tensors that it has no use for (a pooler, say)."""

    transformer: Transformer
    left_over: tuple[str, ...]
    classes: tuple[str, ...] = ()  # what a classifier's numbers stand for


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Errors: ModelError if it is missing or is none."""
    try:
        if (size := path.stat().st_size) > MAX_JSON_BYTES:
            raise ModelError(f"{path.name} has {size:,} bytes; at most {MAX_JSON_BYTES:,} are read.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read from {path.parent}: {error.strerror}.") from None
    except ModelError:  # a ValueError too
        raise
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} holds a JSON {type(content).__name__}, not an object.")
    return content


def weight_files(path: Path, max_bytes: int = MAX_FILE_BYTES) -> list[Path]:
    """A safetensors file, or all in a folder. Errors: ModelError if there is none, or they are too large together."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise ModelError(f"{path} holds no .safetensors file; other weight formats are not read.")
    size = sum(file.stat().st_size for file in files if file.exists())
    if size > max_bytes:
        raise ModelError(f"The weights take {size:,} bytes, more than the {max_bytes:,} allowed.")
    return files


def read_safetensors(path: Path, max_bytes: int = MAX_FILE_BYTES) -> dict[str, Tensor]:
    """All tensors of a safetensors file, or of all in a folder. Errors: ModelError in one sentence."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in weight_files(path, max_bytes):
        try:
            tensors |= load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"{file.name} is not a whole safetensors file: {error}.") from None
    return tensors


def bert_config(given: dict[str, Any], *, lm_head: bool = False, tied: bool = True) -> ModelConfig:
    """Our config from Hugging Face's BERT config.json. Errors: ModelError for what we do not compute."""
    if given.get("model_type") != "bert":
        raise ModelError(f"The config says model_type {given.get('model_type')!r}; this loader reads 'bert'.")
    activation = _activation(given)
    kind = given.get("position_embedding_type", "absolute")
    if kind != "absolute" or given.get("is_decoder"):
        raise ModelError("Only BERT encoders with absolute positions are read.")
    try:
        return ModelConfig(
            kind="encoder",
            vocab_size=given["vocab_size"],
            max_len=given["max_position_embeddings"],
            d_model=given["hidden_size"],
            n_heads=given["num_attention_heads"],
            n_layers=given["num_hidden_layers"],
            d_ff=given["intermediate_size"],
            activation=activation,
            norm_eps=given.get("layer_norm_eps", 1e-12),
            n_types=given.get("type_vocab_size", 2),
            embed_norm=True,
            head="lm" if lm_head else None,
            head_transform=lm_head,
            tied=tied,
        )
    except KeyError as error:
        raise ModelError(f"The config does not say {error}.") from None
    except InvalidParameterError as error:
        raise ModelError(f"The config cannot be used: {error}.") from None


def load_bert(folder: Path, max_bytes: int = MAX_FILE_BYTES) -> Loaded:
    """A BERT from a folder with config.json and safetensors. Errors: ModelError."""
    config = read_json(folder / "config.json")
    bert_config(config)  # refuse a config we cannot use before the weights are read
    tensors = {_plain_name(name): x for name, x in read_safetensors(folder, max_bytes).items()}
    lm_head = "cls.predictions.transform.dense.weight" in tensors
    renamed, left_over = _rename(tensors, _BERT_EMBEDDINGS | (_BERT_HEAD if lm_head else {}), _BERT_LAYER)
    own, shared = renamed.get("head.out.weight"), renamed.get("embed.tokens.weight")
    tied = own is None or (shared is not None and torch.equal(own, shared))
    return Loaded(build(bert_config(config, lm_head=lm_head, tied=tied), renamed), left_over)


def vit_config(given: dict[str, Any], *, head: str | None = None, n_classes: int = 0) -> ModelConfig:
    """Our config from Hugging Face's config.json of a ViT or DeiT. Errors: ModelError for what we do not compute."""
    if given.get("model_type") not in ("vit", "deit"):
        raise ModelError(f"The config says model_type {given.get('model_type')!r}; this loader reads 'vit' and 'deit'.")
    try:
        return ModelConfig.for_images(
            given["image_size"],
            given["patch_size"],
            given.get("num_channels", 3),
            distilled=given["model_type"] == "deit",
            d_model=given["hidden_size"],
            n_heads=given["num_attention_heads"],
            n_layers=given["num_hidden_layers"],
            d_ff=given["intermediate_size"],
            activation=_activation(given),
            norm_eps=given.get("layer_norm_eps", 1e-12),
            norm_first=True,
            final_norm=True,
            head=head,
            n_classes=n_classes,
        )
    except KeyError as error:
        raise ModelError(f"The config does not say {error}.") from None
    except InvalidParameterError as error:
        raise ModelError(f"The config cannot be used: {error}.") from None


def load_vit(folder: Path, max_bytes: int = MAX_FILE_BYTES) -> Loaded:
    """A ViT or DeiT from a folder with config.json and safetensors. Errors: ModelError."""
    given = read_json(folder / "config.json")
    vit_config(given)  # refuse a config we cannot use before the weights are read
    tensors = {_plain_name(name): x for name, x in read_safetensors(folder, max_bytes).items()}
    head = next((name for name, parts in _VIT_HEADS.items() if parts[0] + ".bias" in tensors), None)
    n_classes = tensors[_VIT_HEADS[head][0] + ".bias"].numel() if head else 0
    config = vit_config(given, head=head, n_classes=n_classes)
    whole = _VIT_EMBEDDINGS | dict(zip(_VIT_HEADS.get(head, ()), ("head.out", "head.distilled"), strict=False))
    tokens = _vit_tokens(tensors, config)
    renamed, left_over = _rename(tensors, whole, _VIT_LAYER)
    if given.get("qkv_bias", True) is False:  # no biases are biases of 0
        renamed |= {
            f"encoder.layers.{i}.self_attn.in_proj_bias": torch.zeros(3 * config.d_model)
            for i in range(config.n_layers)
        }
    return Loaded(build(config, renamed | tokens), left_over, class_names(given, config.n_classes))


def class_names(given: dict[str, Any], n_classes: int) -> tuple[str, ...]:
    """What the config says the classes are called, numbers where it does not; from strangers, so cut to 100 letters."""
    names = given.get("id2label")
    names = names if isinstance(names, dict) else {}
    return tuple(str(names.get(str(i), i))[:100] for i in range(n_classes))


def build(config: ModelConfig, weights: dict[str, Tensor]) -> Transformer:
    """A frozen model in eval mode with exactly these weights, as float32.

    Errors: ModelError that names what is missing, left over, misshapen or not finite.
    """
    with torch.device("meta"):  # no memory and no random numbers for what is replaced at once
        model = Transformer(config)
    if config.head == "lm" and config.tied:
        weights.setdefault("head.out.weight", weights.get("embed.tokens.weight", torch.empty(0)))
    expected = model.state_dict()
    report("are missing from the file", expected.keys() - weights.keys())
    report("are unknown to the model", weights.keys() - expected.keys())
    for name, x in weights.items():
        if x.shape != expected[name].shape:
            raise ModelError(f"{name} is {tuple(x.shape)}, but the config needs {tuple(expected[name].shape)}.")
        _check_dtype(name, x)
    full = {name: x.float() for name, x in weights.items()}
    for name, x in full.items():
        if not bool(torch.isfinite(x).all()):
            raise ModelError(f"{name} holds NaN or infinite numbers.")
    model.load_state_dict({name: _laid_out(x) for name, x in full.items()}, assign=True)
    if config.head == "lm" and config.tied:
        assert model.head is not None
        model.head["out"].weight = model.embed["tokens"].weight
    return model.eval().requires_grad_(False)


def _laid_out(x: Tensor) -> Tensor:
    """The same matrix, column by column in memory where it is not taller than wide.

    MKL multiplies a few hundred tokens by such a matrix in 0.6 to 0.8 of the time (taller ones: slower).
    """
    return x.t().contiguous().t() if x.dim() == 2 and x.shape[0] <= x.shape[1] else x


def report(what: str, names: set[str]) -> None:
    """Errors: ModelError that names tensors, if there are any."""
    if names:
        shown = ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise ModelError(f"{len(names)} tensors {what}: {shown}.")


def _plain_name(name: str) -> str:
    """Without the family's prefix, and with the names of LayerNorms from before 2020 made new."""
    name = re.sub(r"^(bert|vit|deit)\.", "", name)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _activation(given: dict[str, Any]) -> str:
    activation = given.get("hidden_act", "gelu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ModelError(f"The config says hidden_act {activation!r}, which is not computed here.")
    return ACTIVATIONS[activation]


def _vit_tokens(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Takes out the special tokens, (1, 1, C) each → one table (n, C), and the positions, (1, T, C) → (T, C)."""
    special = ("embeddings.cls_token", "embeddings.distillation_token")[: config.n_special]
    needed = dict.fromkeys(special, (1, 1, config.d_model))
    needed["embeddings.position_embeddings"] = (1, config.max_len, config.d_model)
    report("are missing from the file", needed.keys() - tensors.keys())
    for name, shape in needed.items():
        if tensors[name].shape != shape:
            raise ModelError(f"{name} is {tuple(tensors[name].shape)}, but the config needs {shape}.")
        _check_dtype(name, tensors[name])
    *tokens, positions = (tensors.pop(name)[0].float() for name in needed)
    return {"embed.special.weight": torch.cat(tokens), "embed.positions.weight": positions}


def _check_dtype(name: str, x: Tensor) -> None:
    if x.dtype not in FLOATS:
        raise ModelError(f"{name} is {x.dtype}; only {', '.join(map(str, FLOATS))} weights are read.")


def _rename(
    tensors: dict[str, Tensor], whole: dict[str, str], in_layer: dict[str, str]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors under our names, query, key and value stacked; and those we have no name for. Errors: ModelError."""
    renamed: dict[str, Tensor] = {}
    stacked: dict[str, dict[str, Tensor]] = {}
    left_over = []
    for name, x in tensors.items():
        stem, _, last = name.rpartition(".")
        if match := _STACKED.fullmatch(name):
            layer, part, kind = match.groups()
            stacked.setdefault(f"encoder.layers.{layer}.self_attn.in_proj_{kind}", {})[part] = x
        elif (match := _IN_LAYER.fullmatch(name)) and match[2] in in_layer:
            renamed[f"encoder.layers.{match[1]}.{in_layer[match[2]]}.{match[3]}"] = x
        elif name in whole:
            renamed[whole[name]] = x
        elif stem in whole:
            renamed[f"{whole[stem]}.{last}"] = x
        else:
            left_over.append(name)
    for name, parts in stacked.items():
        if parts.keys() != {"query", "key", "value"}:
            raise ModelError(f"{name} needs query, key and value; the file has only {', '.join(parts)}.")
        shapes = [tuple(parts[part].shape) for part in ("query", "key", "value")]
        if len(set(shapes)) > 1 or not shapes[0]:
            raise ModelError(f"{name} is stacked from query, key and value of shapes {shapes}.")
        for part in parts.values():
            _check_dtype(name, part)
        renamed[name] = torch.cat([parts["query"], parts["key"], parts["value"]])
    return renamed, tuple(sorted(left_over))
