"""How the input of a model of transformers is read, as its folder says: images, sounds, or images in a text."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from attnviz.errors import ModelError
from attnviz.inputs import images
from attnviz.inputs.illustrated import Illustrated
from attnviz.inputs.images import Preprocessing
from attnviz.inputs.sounds import RATES, Hearing
from attnviz.models.safetensors_io import read_json

SETTINGS: tuple[str, ...] = (
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
)
SETTINGS += ("do_normalize", "image_mean", "image_std")
MAX_SETTING = 100_000_000  # of any number in a preprocessor's settings
MOST = {"sampling_rate": RATES[1], "feature_size": 1024, "num_mel_bins": 1024, "n_fft": 65_536, "chunk_length": 30}
MOST |= {"hop_length": 65_536, "max_length": 100_000, "nb_max_frames": 10_000, "n_samples": 960_000}
SHORTER_SIDE = ("CLIP", "ChineseCLIP", "Bit")  # image processors of which a size that is one number means that side
PROCESSORS = "processor_config.json"  # of several kinds of input together, in newer folders


def of_images(folder: Path, size: int, channels: int) -> Preprocessing:
    """How the pictures of a folder's model are read. Errors: ModelError."""
    given = image_settings(folder)
    given = _usual(given) | given
    kind = str(given.get("image_processor_type", given.get("feature_extractor_type", "")))
    if kind.startswith(SHORTER_SIDE) and isinstance(given.get("size"), int):
        given |= {"size": {"shortest_edge": given["size"]}}
    return Preprocessing.of(given, size, channels)


def image_side(folder: Path) -> int | None:
    """Pixels on a side of what a folder's preprocessing of images ends in; None if it does not say, or not a square."""
    try:
        given = image_settings(folder)
    except ModelError:
        return None
    given = _usual(given) | given
    size = given.get("crop_size" if given.get("do_center_crop") else "size")
    sides = set(size.values()) if isinstance(size, dict) else {size}
    side = sides.pop() if len(sides) == 1 else None
    return side if isinstance(side, int) and 0 < side <= images.MAX_SIDE else None


def _usual(given: dict[str, Any]) -> dict[str, Any]:
    """What the named image processor of transformers does where the settings say nothing; {} of an unknown one."""
    name = str(given.get("image_processor_type", given.get("feature_extractor_type", "")))
    if not name or find_spec("transformers") is None:
        return {}
    import transformers

    kind = getattr(transformers, name.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor") + "Pil", None)
    found = {setting: getattr(kind, setting, None) for setting in SETTINGS}
    usual = {setting: value for setting, value in found.items() if value is not None}
    return usual | ({"resample": int(usual["resample"])} if "resample" in usual else {})


def image_settings(folder: Path) -> dict[str, Any]:
    """What a folder says of images, wherever it says so. Errors: ModelError."""
    file = folder / images.FILE
    if not file.exists() and (folder / PROCESSORS).exists():
        inner = read_json(folder / PROCESSORS).get("image_processor")
        if isinstance(inner, dict):
            return inner
    return read_json(file)


def of_sounds(folder: Path, config: Any) -> Hearing:
    """How the sounds of a folder's model are read; `config`: transformers'. Errors: ModelError."""
    extractor, config = _extractor(folder), getattr(config, "encoder", config)
    rate = getattr(extractor, "sampling_rate", 0)
    if not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
        raise ModelError(f"The sound preprocessing says sampling_rate={rate!r}, which no sound has.")
    strides = getattr(config, "conv_stride", None)
    if isinstance(strides, list | tuple) and strides:
        return Hearing(extractor, rate, stride=prod(strides))
    if hasattr(config, "frequency_stride"):  # a spectrogram in patches
        bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        return Hearing(extractor, rate, bands=bands, special=2)
    return Hearing(extractor, rate)


def of_texts_with_images(folder: Path, config: Any) -> Illustrated | None:
    """How an image is put into a text, if the model has a place for it, and its folder says how."""
    ids = (getattr(config, name, None) for name in ("image_token_id", "image_token_index"))
    image_id = next((x for x in ids if isinstance(x, int)), None)
    if image_id is None or not ((folder / PROCESSORS).exists() or (folder / images.FILE).exists()):
        return None
    try:
        processor = _processor(folder)
    except Exception:  # the library checks each processor's settings in its own way; a text alone is read all the same
        return None
    token = getattr(processor, "image_token", None)
    return Illustrated(processor, image_id, str(getattr(processor, "boi_token", None) or token)) if token else None


def _extractor(folder: Path) -> Any:
    """transformers' feature extractor of a folder; only JSON is read. Errors: ModelError."""
    from transformers import AutoFeatureExtractor

    file = folder / images.FILE
    settings = read_json(file if file.exists() or not (folder / PROCESSORS).exists() else folder / PROCESSORS)
    _check(settings, "sound")
    try:
        return AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError:
        raise ModelError("The sound preprocessing of this model needs the package torchaudio.") from None
    except Exception:  # the library checks each extractor's settings in its own way
        raise ModelError(f"The sound preprocessing of {folder.name} cannot be used.") from None


def _processor(folder: Path) -> Any:
    """transformers' processor of a folder; one for videos too is made without them, which need further packages."""
    import transformers
    from transformers import AutoImageProcessor, AutoTokenizer
    from transformers.processing_utils import ProcessorMixin

    settings, _ = ProcessorMixin.get_processor_dict(folder, local_files_only=True)
    _check(settings, "image")
    named = getattr(transformers, str(settings.get("processor_class")), None)
    if not (isinstance(named, type) and issubclass(named, ProcessorMixin)):
        raise ModelError(f"{folder.name} names no processor that transformers knows.")
    kind: Any = named

    made: dict[str, Any] = {
        "image_processor": AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
        "tokenizer": AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
    }
    _check(made["image_processor"].to_dict(), "image")
    parts = [made.get(name) for name in kind.get_attributes()]
    return _still(kind).from_args_and_dict(parts, settings)


@functools.cache
def _still(kind: Any) -> Any:
    """A processor for images and videos that does without a part for videos; it may be pickled."""

    class Still(kind):
        def check_argument_for_proper_class(self, name: str, given: Any) -> Any:
            return None if given is None else super().check_argument_for_proper_class(name, given)

        def __reduce__(self) -> tuple[Any, ...]:
            return _unmade, (kind,), self.__dict__

    Still.__name__ = kind.__name__
    return Still


def _unmade(kind: Any) -> Any:
    return object.__new__(_still(kind))


def _check(settings: dict[str, Any], what: str) -> None:
    """Errors: ModelError for numbers that would take memory before anything is read."""
    for name, value in settings.items():
        if isinstance(value, dict):
            _check(value, what)
        elif isinstance(value, int) and abs(value) > MOST.get(name, MAX_SETTING):
            raise ModelError(
                f"The {what} preprocessing says {name}={value:,}; at most {MOST.get(name, MAX_SETTING):,}."
            )
