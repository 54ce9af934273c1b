"""What puts an image into a text, for the tiny vision-language models of the zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SPECIAL = ("<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
SPECIAL += ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
FIRST = 288  # the id of the first of them
IDS = {name: FIRST + i for i, name in enumerate(SPECIAL)}
QWEN = {
    "image_token_id": IDS["<|image_pad|>"],
    "video_token_id": IDS["<|video_pad|>"],
    "vision_start_token_id": IDS["<|vision_start|>"],
    "vision_end_token_id": IDS["<|vision_end|>"],
}
# Of a config of this type: the numbers of the tokens above.
TOKENS: dict[str, dict[str, Any]] = {
    "llava": {"image_token_id": IDS["<image>"], "image_token_index": IDS["<image>"]},
    "gemma3": {
        "image_token_id": IDS["<image_soft_token>"],
        "image_token_index": IDS["<image_soft_token>"],
        "boi_token_index": IDS["<start_of_image>"],
        "eoi_token_index": IDS["<end_of_image>"],
        "mm_tokens_per_image": 4,
    },
    "paligemma": {"image_token_id": IDS["<image>"], "image_token_index": IDS["<image>"]},
    "qwen2_vl": QWEN,
    "qwen2_5_vl": QWEN,
    "qwen3_vl": QWEN,
}
_CLIP = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
_PIXELS = {"patch_size": 4, "size": {"shortest_edge": 64, "longest_edge": 1024}}
# type → processor, image processor and its settings, the processor's own settings, the names of its tokens
MADE: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "llava": (
        "LlavaProcessor",
        "CLIPImageProcessor",
        _CLIP,
        {"patch_size": 4, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
        {"image_token": "<image>"},
    ),
    "gemma3": (
        "Gemma3Processor",
        "Gemma3ImageProcessor",
        {"size": {"height": 16, "width": 16}},
        {"image_seq_length": 4},
        {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"},
    ),
    "paligemma": (
        "PaliGemmaProcessor",
        "SiglipImageProcessor",
        {"size": {"height": 16, "width": 16}, "image_seq_length": 16},
        {},
        {"image_token": "<image>"},
    ),
    "qwen2_vl": ("Qwen2VLProcessor", "Qwen2VLImageProcessor", _PIXELS, {}, {}),
    "qwen2_5_vl": ("Qwen2_5_VLProcessor", "Qwen2VLImageProcessor", _PIXELS, {}, {}),
    "qwen3_vl": ("Qwen3VLProcessor", "Qwen2VLImageProcessor", _PIXELS, {}, {}),
}


def write(model_type: str, folder: Path, plain: str) -> None:
    """Writes the files of a processor, if there is one for the type; `plain`: a tokenizer.json without its tokens."""
    if model_type not in MADE:
        return
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    processor, images, settings, own, tokens = MADE[model_type]
    library = Tokenizer.from_str(plain)
    library.add_special_tokens(list(SPECIAL))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=library,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=tokens,
    )
    fast.save_pretrained(folder)
    named = {"processor_class": processor, "image_processor_type": images}
    (folder / "preprocessor_config.json").write_text(json.dumps(named | settings))
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": processor} | own))
