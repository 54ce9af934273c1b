"""Tiny configs of transformers' architectures: each number of a size, by its name, and what single types need beside.

A config class is asked for its defaults; what is known by name becomes small, inside its parts too.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.support.zoo import processors


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
_BERT = {"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4}
_BERT |= {"intermediate_size": 48, "vocab_size": 300, "max_position_embeddings": 64}
_ANSWERS = _BERT | {"is_decoder": True, "add_cross_attention": True}
_VIT = {"model_type": "vit", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4}
_VIT |= {"intermediate_size": 48, "image_size": 16, "patch_size": 4}
_WAV2VEC2 = {"model_type": "wav2vec2", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4}
_WAV2VEC2 |= {"intermediate_size": 48, "conv_dim": [16, 16], "conv_kernel": [40, 16], "conv_stride": [20, 16]}
_WAV2VEC2 |= {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "num_feat_extract_layers": 2}
_SPEAKS = {"decoder_start_token_id": 2, "pad_token_id": 0, "eos_token_id": 2}
_LINEAR = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
_LINEAR |= {"layer_types": ["linear_attention", "full_attention"]}
_SECTIONS = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}
_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1}
_FOUR = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 16, 16, 16], "num_attention_heads": [1, 2, 2, 2]}
ALWAYS = ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")  # also where the default is None
# What a type needs beside, or a class: sizes that have to fit each other, or that no name tells.
BESIDE: dict[str, dict[str, Any]] = {
    "audio-spectrogram-transformer": {"max_length": 100, "frequency_stride": 4, "time_stride": 8},
    "bamba": _MAMBA | {"attn_layer_indices": [1]},
    "deepseek_v3": {"num_key_value_heads": 4},
    "glm4_moe_lite": {"num_key_value_heads": 4},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8},
    "lilt": {"hidden_size": 48},
    "minicpm3": {"num_key_value_heads": 4},
    "youtu": {"num_key_value_heads": 4},
    "xmod": {"languages": ["en_XX", "de_DE"], "default_language": "en_XX"},
    "nemotron_h": {"moe_shared_expert_intermediate_size": 48},
    "canine": {"num_hash_buckets": 64},
    "ctrl": {"dff": 48},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dpt": {"neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8, "backbone_out_indices": [0, 1, 2, 3]}
    | {"num_hidden_layers": 4, "image_size": 64, "patch_size": 16},
    "encoder-decoder": {"encoder": _BERT, "decoder": _ANSWERS} | _SPEAKS,
    "esmc": {"num_key_value_heads": 4},
    "funnel": {"block_sizes": [1, 1, 1], "d_inner": 48},
    "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 300, "hidden_size_per_layer_input": 8},
    "gemma4_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 300, "hidden_size_per_layer_input": 8},
    "codegen": {"rotary_dim": 8},
    "gptj": {"rotary_dim": 8},
    "deepseek_v2": {"topk_method": "greedy", "num_experts_per_tok": 2, "n_routed_experts": 4, "num_key_value_heads": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 4},
    "granitemoehybrid": _MAMBA | {"layer_types": ["mamba", "attention"]},
    "hiera": {"depths": [1, 1, 1, 1], "embed_dim": 16},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"], "num_key_value_heads": 4},
    "levit": {"depths": [1, 1, 1], "hidden_sizes": [16, 24, 32], "image_size": 224, "patch_size": 16},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 8},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "markuplm": {"xpath_unit_hidden_size": 8, "max_depth": 5},
    "ministral": {"head_dim": 8},
    "mobilevit": {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 8], "image_size": 64},
    "moonshine": {"encoder_num_key_value_heads": 4, "decoder_num_key_value_heads": 4},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 8},
    "paligemma": {"projection_dim": 32},
    "poolformer": {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 16, 16, 16]},
    "pvt": _FOUR | {"image_size": 64},
    "pvt_v2": _FOUR,
    "qwen2_5_vl_vision": {"out_hidden_size": 32, "window_size": 16, "fullatt_block_indexes": [1]},
    "qwen2_vl_vision": {"embed_dim": 32, "hidden_size": 32},
    "qwen2_vl_text": {"rope_parameters": _SECTIONS},
    "qwen2_5_vl_text": {"rope_parameters": _SECTIONS},
    "qwen3_5_text": _LINEAR,
    "qwen3_next": _LINEAR,
    "qwen3_vl_vision": {"out_hidden_size": 32, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh"]},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 32},
    "roc_bert": {"pronunciation_vocab_size": 30, "shape_vocab_size": 30},
    "segformer": {"image_size": 64},
    "speech-encoder-decoder": {"encoder": _WAV2VEC2, "decoder": _ANSWERS} | _SPEAKS,
    "vision-encoder-decoder": {"encoder": _VIT, "decoder": _ANSWERS} | _SPEAKS,
    "wav2vec2-bert": {"feature_projection_input_dim": 160},
    "whisper": {"max_source_positions": 50},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"], "mamba_ngroups": 1},
    "xlnet": {"d_inner": 48},
    "yolos": {"num_detection_tokens": 5},
    "BertLMHeadModel": {"is_decoder": True},
    "BertGenerationDecoder": {"is_decoder": True},
    "ReformerModelWithLMHead": {"is_decoder": True},
}


@cache
def _default(kind: type) -> Any:
    return kind()


def fields(kind: Any) -> dict[str, Any]:
    """The settings of a tiny config of this class."""
    default = _default(kind)
    usual = default.to_dict()
    for alias, name in getattr(kind, "attribute_map", {}).items():
        if name not in TINY:
            usual.setdefault(alias, usual.get(name))
    given = {name: TINY[name] for name in usual if name in TINY and _alike(usual[name], TINY[name])}
    given |= {name: TINY[name] for name in ALWAYS if name in usual}
    for name in getattr(kind, "sub_configs", {}):
        part = getattr(default, name, None)
        if part is not None and hasattr(part, "to_dict"):
            given[name] = fields(type(part)) | {"model_type": part.model_type}
    if getattr(default, "is_encoder_decoder", False):
        given["decoder_start_token_id"] = TINY["decoder_start_token_id"]
    return given | BESIDE.get(kind.model_type, {}) | processors.TOKENS.get(kind.model_type, {})


def _alike(usual: Any, tiny: Any) -> bool:
    """Whether a setting's usual value is one that the tiny one can stand for."""
    if isinstance(usual, bool) or usual is None:
        return False
    return isinstance(usual, list | tuple) == isinstance(tiny, list)


def config(model: Any) -> Any:
    """A tiny config for a class of models."""
    kind = model.config_class
    return kind(**(fields(kind) | BESIDE.get(model.__name__, {})))
