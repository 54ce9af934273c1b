"""Small models of other architectures, made by transformers with random weights: what hf_model's tests run on."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
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


def _lets_us_in(family: str) -> bool:
    """Whether this release of transformers lets the attention of a family be replaced."""
    found = importlib.util.find_spec(f"transformers.models.{family}")
    assert found is not None and found.origin is not None
    return "ALL_ATTENTION_FUNCTIONS" in Path(found.origin).with_name(f"modeling_{family}.py").read_text("utf-8")


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
}
# In every run, one of each kind: grouped keys, learned positions, both directions, windows, two stacks, images.
QUICK = (
    "LlamaForCausalLM",
    "GPT2LMHeadModel",
    "BertForMaskedLM",
    "ModernBertForMaskedLM",
    "T5ForConditionalGeneration",
    "ViTForImageClassification",
)
OWN = "attention in code of its own"
GPTJ = GPT2 | {"rotary_dim": 8}
if GPTJ_LETS_US_IN := _lets_us_in("gptj"):
    REACHED["GPTJForCausalLM"] = GPTJ
ALL_REACHED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in REACHED]
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "BloomForCausalLM": ({"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4}, OWN),
    "FalconForCausalLM": (DECODER, OWN),
    "MptForCausalLM": ({"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4}, OWN),
    "DebertaV2ForMaskedLM": (DECODER, OWN),
    "MambaForCausalLM": ({"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2}, OWN),
    "Gemma2ForCausalLM": (GROUPED | {"head_dim": 8}, "takes 'softcap'"),
    "GptOssForCausalLM": (GROUPED | {"head_dim": 8, "num_local_experts": 2}, "takes 's_aux'"),
} | ({} if GPTJ_LETS_US_IN else {"GPTJForCausalLM": (GPTJ, OWN)})


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
    return HFModel(made(name, hf_loading.NAME, **changes)), made(name, "eager", **changes)
