"""Tiny configs of transformers' architectures: each number of a size, by its name, and what single types need beside.

A config class is asked for its defaults; what is known by name becomes small, inside its parts too.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def _each(value: Any, names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), value)


LAYERS = """num_hidden_layers n_layers n_layer num_layers encoder_layers decoder_layers num_decoder_layers
    num_encoder_layers encoder_num_layers decoder_num_hidden_layers encoder_num_hidden_layers depth num_block_layers"""
HEADS = """num_attention_heads n_heads n_head num_heads encoder_attention_heads decoder_attention_heads
    num_encoder_attention_heads num_decoder_attention_heads encoder_num_attention_heads decoder_num_attention_heads"""
SHARED_HEADS = """num_key_value_heads encoder_num_key_value_heads decoder_num_key_value_heads multi_query_group_num"""
FEED_FORWARD = """intermediate_size encoder_ffn_dim decoder_ffn_dim ffn_dim d_ff hidden_dim n_inner
    moe_intermediate_size shared_expert_intermediate_size intermediate_size_mlp ffn_hidden_size
    shared_intermediate_size dense_intermediate_size"""
LENGTHS = """max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length seq_length
    max_target_positions max_source_positions"""
EXPERTS = """num_experts num_local_experts n_routed_experts moe_num_experts num_shared_experts num_experts_per_tok moe_k
    moe_topk"""
TINY: dict[str, Any] = {
    **_each(300, "vocab_size text_vocab_size src_vocab_size tgt_vocab_size"),
    **_each(32, "hidden_size d_model n_embd dim emb_dim embedding_size"),
    **_each(2, LAYERS),
    **_each(4, HEADS),
    **_each(2, SHARED_HEADS),
    **_each(48, FEED_FORWARD),
    **_each(64, LENGTHS),
    **_each(2, EXPERTS),
    **_each(8, "head_dim global_head_dim d_kv d_head kv_channels qk_rope_head_dim qk_nope_head_dim v_head_dim"),
    **_each(16, "q_lora_rank kv_lora_rank projection_dim image_size num_mel_bins"),
    **_each(8, "sliding_window attention_window mamba_d_state state_size num_conv_pos_embeddings"),
    **_each(0, "pad_token_id"),
    **_each(1, "bos_token_id cls_token_id n_group topk_group first_k_dense_replace"),
    **_each(2, "eos_token_id sep_token_id decoder_start_token_id type_vocab_size num_conv_pos_embedding_groups"),
    **_each(2, "num_feat_extract_layers window_size"),
    **_each(4, "patch_size"),
    **_each(5, "num_labels"),
    "conv_dim": [16, 16],
    "conv_kernel": [40, 16],
    "conv_stride": [20, 16],
    "depths": [1, 1],
    "hidden_sizes": [16, 32],
}
# What a type needs beside: sizes that have to fit each other, or that no name tells.
BESIDE: dict[str, dict[str, Any]] = {
    "whisper": {"max_source_positions": 50},
    "audio-spectrogram-transformer": {"max_length": 100, "frequency_stride": 4, "time_stride": 8},
}


@cache
def _default(kind: type) -> Any:
    return kind()


def fields(kind: Any) -> dict[str, Any]:
    """The settings of a tiny config of this class."""
    default = _default(kind)
    aliases = getattr(kind, "attribute_map", {})
    known = default.to_dict().keys() | {alias for alias, name in aliases.items() if name not in TINY}
    given = {name: TINY[name] for name in known if name in TINY and _alike(getattr(default, name, 0), TINY[name])}
    if "vocab_size" in known:
        given["vocab_size"] = TINY["vocab_size"]
    for name in getattr(kind, "sub_configs", {}):
        part = getattr(default, name, None)
        if part is not None and hasattr(part, "to_dict"):
            given[name] = fields(type(part)) | {"model_type": part.model_type}
    if getattr(default, "is_encoder_decoder", False):
        given["decoder_start_token_id"] = TINY["decoder_start_token_id"]
    return given | BESIDE.get(kind.model_type, {})


def _alike(usual: Any, tiny: Any) -> bool:
    """Whether a setting's usual value is one that the tiny one can stand for."""
    if isinstance(usual, bool) or usual is None:
        return False
    return isinstance(usual, list | tuple) == isinstance(tiny, list)


def config(kind: Any, **changes: Any) -> Any:
    """A tiny config of this class."""
    return kind(**(fields(kind) | changes))
