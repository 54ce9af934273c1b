"""A tiny random model of a class of transformers as a folder, as one downloads it: config, weights, preprocessor."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.support.zoo import processors, recipes

TEXTS = ("The animal didn't cross the street, because it was too tired.", "A cat sat.")
TARGET = "O animal"
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
AS_FORMULA = ("embed_positions", "pos_enc", "inv_freq")  # made again when a model is read, whatever the file says


@contextmanager
def quietly() -> Iterator[None]:
    """Without the remarks of other libraries."""
    from transformers.utils import logging as library

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def random_model(name: str, seed: int = 0) -> Any:
    """A model of the class with random weights, norms and biases too."""
    import transformers

    kind = getattr(transformers, name)
    torch.manual_seed(seed)
    model = kind._from_config(recipes.config(kind), attn_implementation="eager").eval().float()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter, p in model.named_parameters():
            if p.is_floating_point() and not any(part in parameter for part in AS_FORMULA):
                p.copy_(torch.nan_to_num(p).clamp(-1, 1) + 0.1 * torch.randn_like(p))
    if model.can_generate():
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            if getattr(model.generation_config, name, None) is None:
                setattr(model.generation_config, name, recipes.TINY[name])
    return model.requires_grad_(False)


def write(name: str, folder: Path) -> Any:
    """Writes the folder of a random model of the class, and returns the model."""
    model = random_model(name)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    reads = inputs(model)
    if "text" in reads:
        (folder / "tokenizer.json").write_text(tokenizer())
    if "image" in reads:
        (folder / "preprocessor_config.json").write_text(json.dumps(image_settings(model.config)))
        processors.write(model.config.model_type, folder, tokenizer(processors.FIRST))
    if "sound" in reads:
        extractor(model.config).save_pretrained(folder)
    if getattr(model.config, "is_encoder_decoder", False):
        (folder / "tokenizer.json").write_text(tokenizer())
    return model


def inputs(model: Any) -> str:
    """What a model reads: "text", "image", "sound", or "text and image", "text and sound"."""
    kinds = type(model).input_modalities
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    other = "image" if "image" in kinds else "sound" if "audio" in kinds else ""
    parts = getattr(model.config, "sub_configs", {})
    if not other or ("text" in kinds and model.main_input_name == "input_ids" and not parts):
        return "text"
    return f"text and {other}" if "text" in kinds and model.main_input_name == "input_ids" else other


@cache
def tokenizer(n: int = 300) -> str:
    """A tokenizer.json of n tokens in bytes, with a start and an end around each text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=n, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    library.train_from_iterator([*TEXTS, TARGET] * 3, trainer)
    library.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return str(library.to_str())


def image_settings(config: Any) -> dict[str, Any]:
    """A preprocessor_config.json for images of the size that the model reads."""
    vision = getattr(config, "vision_config", config)
    side = getattr(vision, "image_size", 16)
    height, width = side if isinstance(side, list | tuple) else (side, side)
    channels = getattr(vision, "num_channels", 3)
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3][:channels],
        "image_std": [0.2, 0.3, 0.4][:channels],
    }


def extractor(config: Any) -> Any:
    """transformers' feature extractor for the sounds that a model reads."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor
    from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING

    kind = FEATURE_EXTRACTOR_MAPPING.get(type(config), Wav2Vec2FeatureExtractor)
    if config.model_type == "wav2vec2-bert":
        return SeamlessM4TFeatureExtractor()
    bins = getattr(getattr(config, "encoder_config", config), "num_mel_bins", None)
    settings = {} if bins is None else {"feature_size": bins, "num_mel_bins": bins}
    if hasattr(config, "max_source_positions"):
        settings["chunk_length"] = 2 * config.max_source_positions // 100  # seconds, of 100 frames
    if hasattr(config, "frequency_stride"):
        settings["max_length"] = config.max_length
    return kind(**settings)


def sound(seed: int = 0) -> np.ndarray:
    """A second of noise: float32 (16,000,)."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, 16_000).astype(np.float32)


def image(seed: int = 0) -> np.ndarray:
    """A random picture: uint8 (20, 24, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)


os.environ.setdefault("HF_HUB_OFFLINE", "1")
