"""What a model of transformers is run on to find out what it is made of: a few tokens, a black image, some silence."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import ModelError
from attnviz.nn.config import MAX_PATCHES

SECOND = 16_000  # samples
MAX_SIDE = 4096  # pixels
MAX_CHANNELS = 16
USUAL_SIDE = 224  # pixels, of images whose size a config does not say
FRAMES = 100  # of a spectrogram
MAX_FEATURES = 2_000_000  # numbers of a spectrogram; Whisper's have 384,000
BINS = ("feature_projection_input_dim", "input_feat_per_channel", "num_mel_bins")  # what configs call its height
Given = Tensor | Mapping[str, Tensor]  # ids (B, T), pixels (B, channels, height, width), or transformers' own arguments


def reads(inner: Any) -> str:
    """What a PreTrainedModel is given: "text", "image" or "sound"; text if it can do with text alone."""
    given = kinds(inner)
    if "text" in given and inner.main_input_name == "input_ids":
        return "text"
    return "image" if "image" in given else "sound" if "audio" in given else "text"


def kinds(inner: Any) -> tuple[str, ...]:
    """What its class says that it takes."""
    given = getattr(type(inner), "input_modalities", "text")
    return (given,) if isinstance(given, str) else tuple(given)


def probe(inner: Any, side: int | None = None, n: int = 3) -> Given:
    """Something to read: n tokens, a black image with this side, or a second of silence. Errors: ModelError."""
    config = inner.config
    kind = reads(inner)
    if kind == "image":
        return _image(config, side)
    if kind == "sound":
        return _sound(inner)
    end, known = text_number(config, "eos_token_id"), text_number(config, "vocab_size")
    return torch.full((1, n), end if 0 <= end < known else 0)


def text_number(config: Any, name: str) -> int:
    """A setting of the text's part, wherever the config keeps it; 0 if there is none."""
    for part in (config, config.get_text_config()):
        if isinstance(value := getattr(part, name, None), int):
            return value
    return 0


def image_side(config: Any, usual: int = USUAL_SIDE) -> int:
    """Pixels on a side that the config names, or else the usual one. Errors: ModelError unless it is square."""
    vision = getattr(config, "vision_config", None) or getattr(config, "encoder", None) or config
    side = getattr(vision, "image_size", None) or usual
    if isinstance(side, list | tuple) and len(set(side)) == 1:
        side = side[0]
    if not isinstance(side, int) or side < 1:
        raise ModelError(f"The config says image_size={side!r}: only square pictures are read.")
    return side


def patch_side(config: Any) -> int:
    """Pixels on a side of a patch; 0 where the config names no square ones."""
    vision = getattr(config, "vision_config", None) or getattr(config, "encoder", None) or config
    side = getattr(vision, "patch_size", 0)
    if isinstance(side, list | tuple) and len(set(side)) == 1:
        side = side[0]
    return side if isinstance(side, int) else 0


def channels(config: Any) -> int:
    """Colours of a pixel."""
    vision = getattr(config, "vision_config", None) or getattr(config, "encoder", None) or config
    return int(getattr(vision, "num_channels", 3))


def _image(config: Any, side: int | None) -> Tensor:
    side = side or image_side(config)
    patch = patch_side(config)
    if side > MAX_SIDE or channels(config) > MAX_CHANNELS:
        raise ModelError(
            f"Pictures of {side:,} × {side:,} pixels in {channels(config):,} colours are more than the "
            f"{MAX_SIDE:,} × {MAX_SIDE:,} in {MAX_CHANNELS} that are read."
        )
    if patch and (side // patch) ** 2 > MAX_PATCHES:
        raise ModelError(f"{(side // patch) ** 2:,} patches of an image are more than the {MAX_PATCHES:,} allowed.")
    return torch.zeros(1, channels(config), side, side)


def _sound(inner: Any) -> dict[str, Tensor]:
    """Silence in the form that the model's main input has: samples, or a spectrogram."""
    takes, source = inspect.signature(inner.forward).parameters, getattr(inner, "encoder", inner)
    parts = (getattr(inner.config, name, None) for name in ("encoder", "encoder_config"))
    config = next((part for part in parts if part is not None), inner.config)  # of two in one, the one that listens
    usual = getattr(source, "main_input_name", inner.main_input_name)
    name = next(name for name in (usual, "input_features", "input_values") if name in takes)
    bins = next((n for n in BINS if isinstance(getattr(config, n, None), int)), None)
    if name == "input_values" and bins is None:
        return {name: torch.zeros(1, SECOND)}
    width = 80 if bins is None else int(getattr(config, bins))
    whisper = config.model_type == "whisper"  # reads 30 seconds, whatever a sound's length
    frames = 2 * config.max_source_positions if whisper else int(getattr(config, "max_length", FRAMES))
    if not 0 < frames * width <= MAX_FEATURES:
        raise ModelError(f"A spectrogram of {frames:,} × {width:,} numbers is not read; at most {MAX_FEATURES:,} are.")
    return {name: torch.zeros((1, width, frames) if whisper else (1, frames, width))}
