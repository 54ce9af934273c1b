"""What each classic family calls its tensors, in Hugging Face's files, and what we call them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """What a family calls its tensors → what we call them. A name may stop before ".weight" and ".bias"."""

    layer: str  # what stands before a layer's number
    in_layer: dict[str, str]
    whole: dict[str, str]
    parts: tuple[str, str, str] = ("", "", "")  # query, key and value in a layer, which we stack into one in_proj
    stack: str = "encoder"


_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "embed.tokens.weight",
    "embeddings.position_embeddings.weight": "embed.positions.weight",
    "embeddings.token_type_embeddings.weight": "embed.types.weight",
    "embeddings.LayerNorm": "embed.norm",
}
_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_PARTS = ("attention.self.query", "attention.self.key", "attention.self.value")
BERT = Names(
    "encoder.layer.",
    _LAYER,
    _EMBEDDINGS
    | {
        "cls.predictions.transform.dense": "head.dense",
        "cls.predictions.transform.LayerNorm": "head.norm",
        "cls.predictions.bias": "head.out.bias",
        "cls.predictions.decoder": "head.out",
    },
    _PARTS,
)
ROBERTA = Names(
    "encoder.layer.",
    _LAYER,
    _EMBEDDINGS
    | {
        "lm_head.dense": "head.dense",
        "lm_head.layer_norm": "head.norm",
        "lm_head.bias": "head.out.bias",
        "lm_head.decoder": "head.out",
    },
    _PARTS,
)
DISTILBERT = Names(
    "transformer.layer.",
    {
        "attention.out_lin": "self_attn.out_proj",
        "sa_layer_norm": "norm1",
        "ffn.lin1": "linear1",
        "ffn.lin2": "linear2",
        "output_layer_norm": "norm2",
    },
    _EMBEDDINGS
    | {
        "vocab_transform": "head.dense",
        "vocab_layer_norm": "head.norm",
        "vocab_projector": "head.out",
    },
    ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
)
GPT2 = Names(
    "h.",
    {
        "ln_1": "norm1",
        "attn.c_attn.weight": "self_attn.in_proj_weight",  # query, key and value stand side by side already
        "attn.c_attn.bias": "self_attn.in_proj_bias",
        "attn.c_proj": "self_attn.out_proj",
        "ln_2": "norm2",
        "mlp.c_fc": "linear1",
        "mlp.c_proj": "linear2",
    },
    {
        "wte.weight": "embed.tokens.weight",
        "wpe.weight": "embed.positions.weight",
        "ln_f": "decoder.norm",
        "lm_head.weight": "head.out.weight",
    },
    stack="decoder",
)
VIT = Names(
    "encoder.layer.",
    {
        "attention.output.dense": "self_attn.out_proj",
        "layernorm_before": "norm1",
        "intermediate.dense": "linear1",
        "output.dense": "linear2",
        "layernorm_after": "norm2",
    },
    {"embeddings.patch_embeddings.projection": "embed.patches", "layernorm": "encoder.norm"},
    ("attention.attention.query", "attention.attention.key", "attention.attention.value"),
)
VIT_HEADS: dict[str | None, tuple[str, ...]] = {  # the class token's classifier, and the distillation token's
    "classification": ("classifier",),
    "distillation": ("cls_classifier", "distillation_classifier"),
}
_BLENDERBOT = {f"self_attn.{part}_proj": f"self_attn.{part}_proj" for part in ("q", "k", "v", "out")}
_BLENDERBOT |= {"self_attn_layer_norm": "norm1", "fc1": "linear1", "fc2": "linear2"}
_CROSS = {f"encoder_attn.{part}_proj": f"multihead_attn.{part}_proj" for part in ("q", "k", "v", "out")}
BLENDERBOT_LAYERS = {  # whose last norm is another one in a decoder
    "encoder": _BLENDERBOT | {"final_layer_norm": "norm2"},
    "decoder": _BLENDERBOT | _CROSS | {"encoder_attn_layer_norm": "norm2", "final_layer_norm": "norm3"},
}
