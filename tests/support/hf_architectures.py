"""Small models of other architectures, made by transformers with random weights: what hf_model's tests run on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from attnviz.models import hf_loading
from attnviz.models.hf_model import HFModel

DECODER = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = DECODER | {"num_key_value_heads": 2}
BOTH = {
    "vocab_size": 64,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
T5 = {
    "vocab_size": 64,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
GPT2 = {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
IMAGES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 8,
    "patch_size": 2,
    "num_channels": 1,
}
DISTILBERT = {
    "vocab_size": 64,
    "dim": 32,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 64,
}


MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 4}
LATENT = {  # keys and values from a narrow vector
    "num_key_value_heads": 4,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 12,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}
EXPERTS = {"head_dim": 8, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 16}
REACHED: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": GROUPED,
    "MistralForCausalLM": GROUPED | {"sliding_window": 3},
    "MixtralForCausalLM": GROUPED | {"num_local_experts": 2},
    "Qwen2ForCausalLM": GROUPED,
    "Qwen3ForCausalLM": GROUPED | {"head_dim": 8},
    "GemmaForCausalLM": DECODER | {"num_key_value_heads": 1, "head_dim": 16},
    "Gemma3ForCausalLM": GROUPED | {"head_dim": 8, "sliding_window": 3},
    "SmolLM3ForCausalLM": GROUPED,
    "GPTNeoXForCausalLM": DECODER,
    "PhiForCausalLM": DECODER,
    "Phi3ForCausalLM": GROUPED,
    "OPTForCausalLM": DECODER | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "GPT2LMHeadModel": GPT2,
    "GPTBigCodeForCausalLM": GPT2,
    "StableLmForCausalLM": GROUPED,
    "OlmoForCausalLM": GROUPED,
    "CohereForCausalLM": GROUPED,
    "BertForMaskedLM": DECODER,
    "RobertaForMaskedLM": DECODER | {"pad_token_id": 1},
    "AlbertForMaskedLM": DECODER | {"embedding_size": 16},
    "DistilBertForMaskedLM": DISTILBERT,
    "ModernBertForMaskedLM": DECODER
    | {"local_attention": 4, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
    "BartForConditionalGeneration": BOTH,
    "MarianMTModel": BOTH,
    "M2M100ForConditionalGeneration": BOTH,
    "T5ForConditionalGeneration": T5,
    "MT5ForConditionalGeneration": T5,
    "ViTForImageClassification": IMAGES | {"num_labels": 5},
    "Dinov2Model": IMAGES,
    # caps, sinks, chunks
    "Gemma2ForCausalLM": GROUPED | {"head_dim": 8, "sliding_window": 4},
    "GptOssForCausalLM": GROUPED
    | {"head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 4},
    "Llama4ForCausalLM": GROUPED
    | {"head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "attention_chunk_size": 4},
    "DeepseekV3ForCausalLM": DECODER | LATENT,
    "Qwen3MoeForCausalLM": GROUPED | EXPERTS,
    # some layers attend
    "JambaForCausalLM": GROUPED
    | {
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "num_experts": 2,
        "use_mamba_kernels": False,
        "mamba_d_state": 8,
    },
    "BambaForCausalLM": GROUPED | MAMBA | {"attn_layer_indices": [1]},
    "Qwen3NextForCausalLM": GROUPED
    | EXPERTS
    | {
        "num_hidden_layers": 4,
        "shared_expert_intermediate_size": 16,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "FalconH1ForCausalLM": GROUPED | MAMBA | {"head_dim": 8, "mamba_d_ssm": 64},
    # attention in code of their own, which is watched
    "BloomForCausalLM": {"vocab_size": 64, "hidden_size": 32, "n_layer": 3, "n_head": 4},
    "FalconForCausalLM": DECODER,
    "MptForCausalLM": {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4},
    "GPTJForCausalLM": GPT2 | {"rotary_dim": 8},
    "CodeGenForCausalLM": GPT2 | {"rotary_dim": 4},
    "GPTNeoForCausalLM": DECODER
    | {"num_hidden_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 4},
    "DebertaForMaskedLM": DECODER | DISENTANGLED,
    "DebertaV2ForMaskedLM": DECODER | DISENTANGLED | {"position_buckets": 8},
    "MPNetForMaskedLM": DECODER | {"pad_token_id": 1},
    "XLNetLMHeadModel": {"vocab_size": 64, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
    "XGLMForCausalLM": {
        "vocab_size": 64,
        "d_model": 32,
        "num_layers": 2,
        "attention_heads": 4,
        "ffn_dim": 48,
        "max_position_embeddings": 64,
    },
    "RoFormerForMaskedLM": DECODER | {"embedding_size": 32},
    "MegatronBertForMaskedLM": DECODER,
    "XLMWithLMHeadModel": {
        "vocab_size": 64,
        "emb_dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "max_position_embeddings": 64,
        "pad_index": 2,
    },
    "OpenAIGPTLMHeadModel": GPT2,
}
# In every run, one of each kind: grouped keys, learned positions, both directions, windows, two stacks, images.
QUICK = (
    "LlamaForCausalLM",
    "GPT2LMHeadModel",
    "BertForMaskedLM",
    "ModernBertForMaskedLM",
    "T5ForConditionalGeneration",
    "ViTForImageClassification",
    "GptOssForCausalLM",
    "BambaForCausalLM",
    "BloomForCausalLM",
    "DebertaV2ForMaskedLM",
)
ALL_REACHED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in REACHED]
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "MambaForCausalLM": (
        {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2},
        "its layers mix tokens by state spaces",
    ),
    "DiffLlamaForCausalLM": (GROUPED, "attends 6 times in its 3 layers"),
    "FunnelForMaskedLM": (
        {"vocab_size": 64, "d_model": 32, "block_sizes": [2, 2], "n_head": 4, "d_head": 8, "d_inner": 48},
        "pools its tokens on the way",
    ),
    "BertForMultipleChoice": (DECODER, "reads several answers at once"),
}


def made(name: str, attention: str, seed: int = 0, **changes: Any) -> Any:
    """A model of a class of transformers with random weights, biases and norms too; the seed decides on them."""
    import transformers

    kind = getattr(transformers, name)
    fields = (REACHED.get(name) or REFUSED[name][0]) | changes
    torch.manual_seed(seed)
    model = kind._from_config(copy.deepcopy(kind.config_class(**fields)), attn_implementation=attention).eval()
    with torch.no_grad():
        for parameter, p in model.named_parameters():
            if "embed_positions" not in parameter:  # a formula in some: those are not saved with the weights
                p.add_(0.1 * torch.randn_like(p))
    return model.requires_grad_(False)


def pair(name: str, **changes: Any) -> tuple[HFModel, Any]:
    """Our model of it, and transformers' own with the same weights."""
    hf_loading.register()
    watched = name in ("FalconForCausalLM", "GPTJForCausalLM", "GPTNeoForCausalLM")  # do not let us in under a name
    own = made(name, hf_loading.EAGER if watched else hf_loading.NAME, **changes)
    return HFModel(own, watched=watched), made(name, "eager", **changes)
