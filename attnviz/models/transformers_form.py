"""Our models in the form of transformers, where a family computes the same: BERT, GPT-2, ViT and Blenderbot.

The folder holds config.json, model.safetensors (float32) and the tokenizer or preprocessor; transformers' Auto classes
load it, and so does `load`. Names are those of `tensor_names`, read the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.inputs import images
from attnviz.inputs.images import Preprocessing
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.model import Model
from attnviz.models.tensor_names import BERT, BLENDERBOT_LAYERS, GPT2, VIT, VIT_HEADS, Names
from attnviz.nn.config import ModelConfig

ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_tanh": "gelu_new"}


def files(model: Model) -> dict[str, bytes]:
    """The folder's files by name. Errors: InvalidParameterError, which names the part that no family has."""
    from safetensors.torch import save

    config, weights = model.transformer.config, dict(model.transformer.state_dict())
    family = _family(model.info.title, config, weights)
    make = {"bert": _bert, "gpt2": _gpt2, "vit": _vit, "blenderbot": _blenderbot}[family]
    given, tensors = make(config, {name: x.detach().float().contiguous() for name, x in weights.items()})
    if model.classes:
        given |= {"id2label": dict(enumerate(model.classes)), "label2id": {x: i for i, x in enumerate(model.classes)}}
    if family == "blenderbot":
        reads = model.tokenizer
        given |= {"pad_token_id": reads.pad_id, "bos_token_id": reads.bos_id, "eos_token_id": reads.eos_id}
        given |= {"decoder_start_token_id": reads.bos_id}
    written = {
        "config.json": (json.dumps({"model_type": family, **given}, indent=1) + "\n").encode(),
        "model.safetensors": save({name: x.clone() for name, x in tensors.items()}, {"format": "pt"}),
    }
    if isinstance(model.preprocessor, Tokenizer):
        return written | {"tokenizer.json": model.preprocessor.library.to_str().encode()}
    assert isinstance(model.preprocessor, Preprocessing)
    return written | {images.FILE: json.dumps(model.preprocessor.to_json()).encode()}


def _family(title: str, config: ModelConfig, weights: Mapping[str, Tensor]) -> str:
    """The family that computes the same. Errors: InvalidParameterError."""
    plain = {"positions": "learned", "bias": True}
    pre, post = {"norm_first": True, "final_norm": True}, {"norm_first": False, "final_norm": False}
    families = {
        "vit": {"kind": "encoder"} | plain | pre,
        "gpt2": {"kind": "decoder", "n_types": 0, "embed_norm": False, "head_transform": False} | plain | pre,
        "bert": {"kind": "encoder", "embed_norm": True} | plain | post,
        "blenderbot": {"n_types": 0, "embed_norm": False, "head_transform": False, "tied": True} | plain | pre,
    }
    of_kind = {"decoder": "gpt2", "encoder": "bert", "encoder-decoder": "blenderbot"}
    family = "vit" if config.channels else of_kind[config.kind]
    families_heads = {"vit": (None, "classification"), "gpt2": ("lm",), "bert": (None, "lm"), "blenderbot": ("lm",)}
    wanted, heads = families[family], families_heads[family]
    odd = [f"{name}={getattr(config, name)!r}" for name, value in wanted.items() if getattr(config, name) != value]
    odd += [f"head={config.head!r}"] * (config.head not in heads) + ["d_ff=0"] * (not config.d_ff)
    if family == "bert" and config.head == "lm" and not config.head_transform:
        odd.append("head_transform=False")
    if family == "vit" and config.distilled:
        odd.append("distilled=True")
    if family == "gpt2" and "head.out.bias" in weights and bool(weights["head.out.bias"].any()):
        odd.append("a bias of its output")
    if odd:
        names = {"vit": "ViT", "gpt2": "GPT-2", "bert": "BERT", "blenderbot": "Blenderbot"}
        raise InvalidParameterError(f"{title} has {', '.join(odd)}, which {names[family]} of transformers has not")
    return family


def _bert(config: ModelConfig, ours: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    speaks = config.head == "lm"
    tensors = _renamed(ours, BERT, "bert." if speaks else "")
    if not config.n_types:  # every token is of the one kind that adds nothing
        tensors[("bert." if speaks else "") + "embeddings.token_type_embeddings.weight"] = torch.zeros(
            1, config.d_model
        )
    given = {
        "architectures": ["BertForMaskedLM" if speaks else "BertModel"],
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_ff,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_len,
        "type_vocab_size": max(1, config.n_types),
        "hidden_act": ACTIVATIONS[config.activation],
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }
    return given, tensors


def _gpt2(config: ModelConfig, ours: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    ours = {name: x for name, x in ours.items() if name != "head.out.bias"}
    for name, x in ours.items():
        if name.startswith("decoder.layers.") and x.dim() == 2:
            ours[name] = x.t().contiguous()  # its matrices are stored [in, out]
    tensors = _renamed(ours, Names(GPT2.layer, GPT2.in_layer, GPT2.whole, ("", "", ""), "decoder"), "transformer.")
    given = {
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_ff,
        "n_positions": config.max_len,
        "vocab_size": config.vocab_size,
        "activation_function": ACTIVATIONS[config.activation],
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }
    return given, tensors


def _vit(config: ModelConfig, ours: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    classifies = config.head == "classification"
    special, positions = ours.pop("embed.special.weight"), ours.pop("embed.positions.weight")
    heads = dict(zip(VIT_HEADS[config.head], ("head.out",), strict=True)) if classifies else {}
    prefix = "vit." if classifies else ""
    tensors = _renamed(ours, Names(VIT.layer, VIT.in_layer, VIT.whole | heads, VIT.parts), prefix)
    tensors |= {
        f"{prefix}embeddings.cls_token": special[None],
        f"{prefix}embeddings.position_embeddings": positions[None],
    }
    given = {
        "architectures": ["ViTForImageClassification" if classifies else "ViTModel"],
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_ff,
        "hidden_act": ACTIVATIONS[config.activation],
        "layer_norm_eps": config.norm_eps,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "num_channels": config.channels,
        "qkv_bias": True,
    }
    return given, tensors


def _blenderbot(config: ModelConfig, ours: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Both stacks have tables of positions, which are one of ours; a bias of the output is its own tensor."""
    tokens, positions = ours.pop("embed.tokens.weight"), ours.pop("embed.positions.weight")
    ours.pop("head.out.weight")
    tensors = {"model.shared.weight": tokens, "final_logits_bias": ours.pop("head.out.bias")[None]}
    for stack in ("encoder", "decoder"):
        tensors |= {f"model.{stack}.embed_positions.weight": positions}
        names = Names(f"{stack}.layers.", BLENDERBOT_LAYERS[stack], {}, ("", "", ""), stack)
        names.whole[f"{stack}.layer_norm"] = f"{stack}.norm"
        own = {name: x for name, x in ours.items() if name.startswith(f"{stack}.")}
        tensors |= _renamed(_unpacked(own), names, "model.")
    given = {
        "architectures": ["BlenderbotForConditionalGeneration"],
        "d_model": config.d_model,
        "encoder_layers": config.n_layers,
        "decoder_layers": config.n_layers,
        "encoder_attention_heads": config.n_heads,
        "decoder_attention_heads": config.n_heads,
        "encoder_ffn_dim": config.d_ff,
        "decoder_ffn_dim": config.d_ff,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_len,
        "activation_function": ACTIVATIONS[config.activation],
        "scale_embedding": False,
        "encoder_no_repeat_ngram_size": 0,
        "forced_eos_token_id": None,
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
    }
    return given, tensors


def _unpacked(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value of each attention apart."""
    tensors: dict[str, Tensor] = {}
    for name, x in ours.items():
        before, packed, last = name.partition(".in_proj_")
        parts = zip("qkv", x.chunk(3), strict=True) if packed else ()
        tensors |= {f"{before}.{part}_proj.{last}": one for part, one in parts} or {name: x}
    return tensors


def _renamed(ours: Mapping[str, Tensor], names: Names, prefix: str) -> dict[str, Tensor]:
    """Our tensors under the family's names; `prefix` stands before its body, not before a head."""
    in_layer, whole = ({mine: theirs for theirs, mine in table.items()} for table in (names.in_layer, names.whole))
    tensors: dict[str, Tensor] = {}
    stack = f"{names.stack}.layers."
    for name, x in ours.items():
        if not name.startswith(stack):
            found = _other(name, whole)
            body = not found.startswith(("cls.", "lm_head", "classifier"))
            tensors[prefix + found if body else found] = x
            continue
        number, _, rest = name.removeprefix(stack).partition(".")
        at = f"{prefix}{names.layer}{number}."
        if rest.startswith("self_attn.in_proj_") and any(names.parts):
            last = rest.removeprefix("self_attn.in_proj_")
            tensors |= {f"{at}{part}.{last}": one for part, one in zip(names.parts, x.chunk(3), strict=True)}
        else:
            tensors[at + _other(rest, in_layer)] = x
    return tensors


def _other(name: str, table: Mapping[str, str]) -> str:
    """The family's name of a tensor of ours, by its whole name or by what stands before its last word."""
    if name in table:
        return table[name]
    stem, _, last = name.rpartition(".")
    return f"{table[stem]}.{last}"
