"""Models with random weights, by preset and seed: what "untrained" looks like."""

from __future__ import annotations

from dataclasses import replace

import torch

from attnviz.errors import ModelError
from attnviz.inputs.assets import ASSETS
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import strangers
from attnviz.models.model import Model, ModelInfo
from attnviz.models.safetensors_io import BYTES_PER_NUMBER
from attnviz.nn.config import PRESETS, preset
from attnviz.nn.transformer import Transformer

SCRATCH_TOKENIZER = ASSETS / "tokenizers" / "minilm"  # MiniLM's, so that trained and untrained read the same tokens
SCRATCH_VOCAB = 30_522  # of it
UNTRAINED = {"tiny": "Encoder", "base": "Encoder-decoder", "bert": "BERT", "gpt": "GPT", "test": "Encoder"}  # families


def load(name: str) -> Model:
    """ "scratch", "scratch:PRESET" or "scratch:PRESET?seed=N"."""
    body, _, query = name.removeprefix("scratch").removeprefix(":").partition("?")
    which = body or "tiny"
    if which not in PRESETS:
        raise ModelError(f"{name!r} names no preset; there are {', '.join(PRESETS)}.")
    seed = _seed(name, query)
    tokenizer = Tokenizer.from_file(SCRATCH_TOKENIZER)
    config = preset(which, vocab_size=SCRATCH_VOCAB)
    strangers.reserve(config.n_parameters * BYTES_PER_NUMBER)
    generator = torch.Generator().manual_seed(seed)  # not the global one: other threads draw from that
    transformer = Transformer(config, generator).eval().requires_grad_(False)
    return Model(replace(info(which, seed), n_parameters=config.n_parameters), transformer, tokenizer)


def _seed(name: str, query: str) -> int:
    if not query:
        return 0
    key, _, value = query.partition("=")
    if key != "seed" or not (value.isascii() and value.isdigit() and len(value) <= 10):
        raise ModelError(f"{name!r} is not of the form scratch:preset?seed=number, of 10 digits at most.")
    return int(value)


def info(which: str, seed: int) -> ModelInfo:
    config = preset(which, vocab_size=SCRATCH_VOCAB)
    suffix = f"?seed={seed}" if seed else ""
    return ModelInfo(
        f"scratch:{which}{suffix}",
        f"Untrained {which}",
        UNTRAINED[which],
        config.n_layers,
        config.n_heads,
        config.d_model,
        config.max_len,
        config.n_parameters,
        False,
        f"random, seed {seed}",
    )
