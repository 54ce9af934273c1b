"""The classic families as our own `Transformer`: BERT, RoBERTa, DistilBERT, GPT-2, ViT and DeiT.

A family is a config in Hugging Face's words and a table of tensor names; both become ours here. What we do not compute
is refused before the weights are read, and every tensor is checked by name and shape in `safetensors_io.build`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models.hf_heads import LM, named_head
from attnviz.models.safetensors_io import (
    MAX_FILE_BYTES,
    Loaded,
    build,
    check_dtype,
    class_names,
    n_of_each,
    read_json,
    read_safetensors,
    report,
)
from attnviz.models.tensor_names import BERT, DISTILBERT, GPT2, ROBERTA, VIT, VIT_HEADS, Names
from attnviz.nn.config import ModelConfig

ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
USUAL = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False}
SECOND = "cls.seq_relationship.weight"  # of the head of next sentences
PREFIX = re.compile(r"^(bert|roberta|distilbert|transformer(?=\.(h|wte|wpe|ln_f)\.)|vit|deit)\.")


def bert_config(given: dict[str, Any], *, lm_head: bool = False, tied: bool = True) -> ModelConfig:
    """Our config from config.json of a BERT, RoBERTa or DistilBERT. Errors: ModelError for what we do not compute.

    RoBERTa counts positions from pad_token_id + 1 on: the rows before are never used.
    """
    kind = _kind(given, "bert", "roberta", "distilbert")
    if given.get("position_embedding_type", "absolute") != "absolute":
        raise ModelError("Only absolute positions are read of this family.")
    if given.get("is_decoder"):
        raise Beyond("Only encoders are computed of this family by our own layers.")
    distil = kind == "distilbert"
    return _config(
        lambda: ModelConfig(
            kind="encoder",
            vocab_size=given["vocab_size"],
            max_len=given["max_position_embeddings"] - _skipped(given),
            d_model=given["dim" if distil else "hidden_size"],
            n_heads=given["n_heads" if distil else "num_attention_heads"],
            n_layers=given["n_layers" if distil else "num_hidden_layers"],
            d_ff=given["hidden_dim" if distil else "intermediate_size"],
            activation=_activation(given, "activation" if distil else "hidden_act", "gelu"),
            norm_eps=given.get("layer_norm_eps", 1e-12),
            n_types=0 if distil else given.get("type_vocab_size", 2),
            embed_norm=True,
            head="lm" if lm_head else None,
            head_transform=lm_head,
            tied=tied,
        )
    )


def load_bert(folder: Path, max_bytes: int = MAX_FILE_BYTES) -> Loaded:
    """A BERT, RoBERTa or DistilBERT from a folder with config.json and safetensors. Errors: ModelError."""
    given = read_json(folder / "config.json")
    bert_config(given)  # refuse a config we cannot use before the weights are read
    names = {"bert": BERT, "roberta": ROBERTA, "distilbert": DISTILBERT}[given["model_type"]]
    tensors = _read(folder, max_bytes)
    renamed, unused_weights = _rename(tensors, names)
    lm_head = "head.dense.weight" in renamed
    if not lm_head:  # what is left of one makes no head
        unused_weights += tuple(name for name in tensors if _in_whole(name, names).startswith("head."))
        renamed = {name: x for name, x in renamed.items() if not name.startswith("head.")}
    positions = renamed.get("embed.positions.weight")
    if positions is not None:
        renamed["embed.positions.weight"] = positions[_skipped(given) :]
    config = bert_config(given, lm_head=lm_head, tied=_tied(renamed))
    return Loaded(build(config, renamed), tuple(sorted(unused_weights)))


def gpt2_config(given: dict[str, Any], *, tied: bool = True) -> ModelConfig:
    """Our config from config.json of a GPT-2. Errors: ModelError for what we do not compute."""
    _kind(given, "gpt2")
    for name, usual in USUAL.items():
        if given.get(name, usual) is not usual:
            raise Beyond(f"The config says {name}={given[name]}, which is not computed here.")
    if given.get("add_cross_attention"):
        raise Beyond("Only GPT-2 alone is read, not as the decoder of another model.")
    return _config(
        lambda: ModelConfig(
            kind="decoder",
            vocab_size=given["vocab_size"],
            max_len=given["n_positions"],
            d_model=given["n_embd"],
            n_heads=given["n_head"],
            n_layers=given["n_layer"],
            d_ff=given.get("n_inner") or 4 * given["n_embd"],
            activation=_activation(given, "activation_function", "gelu_new"),
            norm_first=True,
            norm_eps=given.get("layer_norm_epsilon", 1e-5),
            final_norm=True,
            head="lm",
            tied=tied,
        )
    )


def load_gpt2(folder: Path, max_bytes: int = MAX_FILE_BYTES) -> Loaded:
    """A GPT-2 from a folder with config.json and safetensors. Errors: ModelError.

    Its matrices are stored [in, out], torch's other way round; its output has no bias, ours one of 0.
    """
    given = read_json(folder / "config.json")
    gpt2_config(given)
    renamed, unused_weights = _rename(_read(folder, max_bytes), GPT2)
    for name, x in renamed.items():
        if name.startswith("decoder.layers.") and x.dim() == 2:
            renamed[name] = x.t()
    config = gpt2_config(given, tied=_tied(renamed))
    renamed["head.out.bias"] = torch.zeros(config.vocab_size)
    masks = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # the causal mask, which old files hold
    return Loaded(build(config, renamed), tuple(name for name in unused_weights if not masks.fullmatch(name)))


def vit_config(given: dict[str, Any], *, head: str | None = None, n_classes: int = 0) -> ModelConfig:
    """Our config from Hugging Face's config.json of a ViT or DeiT. Errors: ModelError for what we do not compute."""
    distilled = _kind(given, "vit", "deit") == "deit"
    return _config(
        lambda: ModelConfig.for_images(
            given["image_size"],
            given["patch_size"],
            given.get("num_channels", 3),
            distilled=distilled,
            d_model=given["hidden_size"],
            n_heads=given["num_attention_heads"],
            n_layers=given["num_hidden_layers"],
            d_ff=given["intermediate_size"],
            activation=_activation(given, "hidden_act", "gelu"),
            norm_eps=given.get("layer_norm_eps", 1e-12),
            norm_first=True,
            final_norm=True,
            head=head,
            n_classes=n_classes,
        )
    )


def load_vit(folder: Path, max_bytes: int = MAX_FILE_BYTES) -> Loaded:
    """A ViT or DeiT from a folder with config.json and safetensors. Errors: ModelError."""
    given = read_json(folder / "config.json")
    vit_config(given)
    tensors = _read(folder, max_bytes)
    head = next((name for name, parts in VIT_HEADS.items() if parts[0] + ".bias" in tensors), None)
    n_classes = tensors[VIT_HEADS[head][0] + ".bias"].numel() if head else 0
    config = vit_config(given, head=head, n_classes=n_classes)
    tokens = _vit_tokens(tensors, config)
    heads = dict(zip(VIT_HEADS.get(head, ()), ("head.out", "head.distilled"), strict=False))
    renamed, unused_weights = _rename(tensors, Names(VIT.layer, VIT.in_layer, VIT.whole | heads, VIT.parts))
    if given.get("qkv_bias", True) is False:  # no biases are biases of 0
        renamed |= {
            f"encoder.layers.{i}.self_attn.in_proj_bias": torch.zeros(3 * config.d_model)
            for i in range(config.n_layers)
        }
    return Loaded(build(config, renamed | tokens), unused_weights, class_names(given, config.n_classes))


class Beyond(ModelError):
    """What our own layers do not compute of a family, and transformers may."""


Loader = Callable[[Path, int], Loaded]
FAMILIES: dict[str, tuple[str, Loader]] = {  # by model_type
    "bert": ("BERT", load_bert),
    "roberta": ("RoBERTa", load_bert),
    "distilbert": ("DistilBERT", load_bert),
    "gpt2": ("GPT", load_gpt2),
    "vit": ("Vision", load_vit),
    "deit": ("Vision", load_vit),
}


def check_head(given: dict[str, Any], folder: Path) -> None:
    """Errors: Beyond for a classifier of texts or tokens, where transformers is there to compute its head.

    So for the head of next sentences beside that of words, if the folder's file has it.
    """
    names = [str(name) for name in given.get("architectures") or ()]
    beyond = [name for name in names if named_head(name) not in (None, LM)]
    beyond += [name for name in names if name.endswith("ForPreTraining") and SECOND in n_of_each(folder)]
    if beyond and find_spec("transformers"):
        raise Beyond(f"The head of {beyond[0]} is not computed by our own layers.")


def _kind(given: dict[str, Any], *read: str) -> str:
    kind = given.get("model_type")
    if kind not in read:
        raise ModelError(f"The config says model_type {kind!r}; this loader reads {', '.join(map(repr, read))}.")
    return str(kind)


def _config(make: Callable[[], ModelConfig]) -> ModelConfig:
    """What `make` returns from a stranger's config. Errors: ModelError."""
    try:
        return make()
    except KeyError as error:
        raise ModelError(f"The config does not say {error}.") from None
    except InvalidParameterError as error:
        raise ModelError(f"The config cannot be used: {error}.") from None
    except TypeError:
        raise ModelError("The config cannot be used: a number in it is a text, or the like.") from None


def _activation(given: dict[str, Any], field: str, usual: str) -> str:
    activation = given.get(field, usual)
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise Beyond(f"The config says {field} {activation!r}, which is not computed here.")
    return ACTIVATIONS[activation]


def _skipped(given: dict[str, Any]) -> int:
    """The first rows of the position table that no token uses."""
    if given["model_type"] != "roberta":
        return 0
    pad = given.get("pad_token_id", 1)
    if not isinstance(pad, int) or pad < 0:
        raise ModelError(f"The config says pad_token_id {pad!r}; RoBERTa's positions are counted from it.")
    return pad + 1


def _read(folder: Path, max_bytes: int) -> dict[str, Tensor]:
    """The folder's tensors without the family's prefix, and with the LayerNorms' names from before 2020 made new."""
    tensors = {}
    for name, x in read_safetensors(folder, max_bytes).items():
        name = PREFIX.sub("", name)
        tensors[name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")] = x
    return tensors


def _tied(renamed: dict[str, Tensor]) -> bool:
    """Whether the output matrix is the embedding, stored again or not at all."""
    output, embedding = renamed.get("head.out.weight"), renamed.get("embed.tokens.weight")
    return output is None or (embedding is not None and torch.equal(output, embedding))


def _vit_tokens(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Takes out the special tokens, (1, 1, C) each → one table (n, C), and the positions, (1, T, C) → (T, C)."""
    special = ("embeddings.cls_token", "embeddings.distillation_token")[: config.n_special]
    needed = dict.fromkeys(special, (1, 1, config.d_model))
    needed["embeddings.position_embeddings"] = (1, config.max_len, config.d_model)
    report("are missing from the file", needed.keys() - tensors.keys())
    for name, shape in needed.items():
        if tensors[name].shape != shape:
            raise ModelError(f"{name} is {tuple(tensors[name].shape)}, but the config needs {shape}.")
        check_dtype(name, tensors[name])
    *tokens, positions = (tensors.pop(name)[0].float() for name in needed)
    return {"embed.special.weight": torch.cat(tokens), "embed.positions.weight": positions}


def _rename(tensors: dict[str, Tensor], names: Names) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors under our names, query, key and value stacked; and those we have no name for. Errors: ModelError."""
    renamed: dict[str, Tensor] = {}
    stacked: dict[str, dict[str, Tensor]] = {}
    unused_weights = []
    for name, x in tensors.items():
        ours, part = _ours(name, names)
        if part:
            stacked.setdefault(ours, {})[part] = x
        elif ours:
            renamed[ours] = x
        else:
            unused_weights.append(name)
    renamed |= {name: _stack(name, parts, names.parts) for name, parts in stacked.items()}
    return renamed, tuple(sorted(unused_weights))


def _ours(name: str, names: Names) -> tuple[str, str]:
    """Our name of a tensor, "" if we have none; and which part of it this is, where query, key and value are one."""
    match = re.fullmatch(rf"{re.escape(names.layer)}(\d+)\.(.+)", name)
    if match is None:
        return _in_whole(name, names), ""
    layer = f"{names.stack}.layers.{match[1]}"
    stem, _, last = match[2].rpartition(".")
    if stem in names.parts and last in ("weight", "bias"):
        return f"{layer}.self_attn.in_proj_{last}", stem
    known = _known(match[2], names.in_layer)
    return f"{layer}.{known}" if known else _in_whole(name, names), ""


def unused_of_bert(n_of_each: Mapping[str, int]) -> dict[str, int]:
    """Of a BERT's file without a head, the tensors that the model has no use for, with how many numbers they hold."""
    plain = {PREFIX.sub("", name): n for name, n in n_of_each.items()}
    return {name: n for name, n in plain.items() if not _ours(name, BERT)[0]}


def _in_whole(name: str, names: Names) -> str:
    return _known(name, names.whole)


def _known(name: str, table: dict[str, str]) -> str:
    """Our name of a tensor, by its whole name or by what stands before ".weight" or ".bias"; "" if there is none."""
    stem, _, last = name.rpartition(".")
    if name in table:
        return table[name]
    return f"{table[stem]}.{last}" if stem in table and last in ("weight", "bias") else ""


def _stack(name: str, tensors: dict[str, Tensor], parts: tuple[str, str, str]) -> Tensor:
    """Query, key and value on top of each other: (C, C) or (C,) → (3C, C) or (3C,). Errors: ModelError."""
    if tensors.keys() != set(parts):
        raise ModelError(f"{name} needs query, key and value; the file has only {', '.join(tensors)}.")
    shapes = [tuple(tensors[part].shape) for part in parts]
    if len(set(shapes)) > 1 or not shapes[0]:
        raise ModelError(f"{name} is stacked from query, key and value of shapes {shapes}.")
    for part in parts:
        check_dtype(name, tensors[part])
    return torch.cat([tensors[part] for part in parts])
