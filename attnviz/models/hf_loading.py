"""Any other architecture, from a folder with config.json and safetensors, through the transformers library.

Llama, Mistral, Qwen, Gemma, SmolLM, GPT-NeoX, OPT, BART, Marian, T5, ModernBERT, …: transformers lets a model's
attention be any function under a name (its AttentionInterface), and calls ours. Only config and safetensors are read;
code that comes with a model never runs.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

from attnviz.errors import ModelError, check_installed
from attnviz.models import decoding_rules, hf_download, hf_parts, hf_preprocessors, strangers
from attnviz.models.hf_attention import attention
from attnviz.models.hf_faults import LOG, fields_at_fault, one_sentence
from attnviz.models.hf_heads import classes_of
from attnviz.models.hf_model import HFModel
from attnviz.models.hf_probe import image_side, reads
from attnviz.models.safetensors_io import (
    BYTES_PER_NUMBER,
    MAX_FILE_BYTES,
    Loaded,
    check_numbers,
    class_names,
    n_of_each,
    read_json,
    report,
    weight_files,
)
from attnviz.nn.config import MAX_LAYERS, MAX_PARAMETERS

NAME = "attnviz"  # of our attention in transformers' AttentionInterface
EAGER = "eager"  # a model's own attention, which is watched where it cannot be ours
MAX_NUMBER = 20_000_000  # of any size in a config
# How many of something a model has: the last word of a name says of what.
COUNTS = re.compile(r"(^|_)(layers?|experts?|blocks?|depth|labels)$")
MOST = {"labels": 100_000}  # else as many as layers
NO_SIZE = re.compile(r"(^|_)(theta|base|factor|freq|seed|id|ids|scale|period|interval|every|version)$")
MAX_TABLE = 200_000_000  # numbers in a table of positions
SHARED = 2  # times as many parameters as numbers in its files: an embedding may be the output matrix too
MAX_MISSING = 1_000_000  # parameters that are found to be missing by their names, once there is memory for them


def load(folder: Path, max_bytes: int = MAX_FILE_BYTES, part: str = "") -> Loaded:
    """A model of any architecture that shows its attention, or its part that reads a "text", "image" or "sound".

    Errors: ModelError in one sentence.
    """
    given = read_json(folder / "config.json")
    _check_sizes(given)
    if strangers.isolated():
        _check_references(given)
    _check_files(folder, max_bytes)
    check_installed(f"A model of the type {given.get('model_type')!r:.60}", "transformers")
    with one_sentence(f"{folder.name}, a model of the type {given.get('model_type')}", "cannot be loaded"), _quietly():
        hf_download.watch_requests()
        config = _config(folder, given)
        _check_tables(config)
        kind = _class(config)
        attends = _check_memory(kind, config, given, max_bytes, sum(n_of_each(folder).values()))
        inner, outcome = _weights(kind, config, folder, attends)
        inner = hf_parts.chosen(inner, part)
        try:
            model = _looked_into(inner, folder, watched=attends == EAGER)
        except ModelError as error:
            raise hf_parts.hinted(error, inner) from error.__cause__
    classes = classes_of(type(inner).__name__, class_names(given, model.config.n_classes))
    return Loaded(model, tuple(sorted(outcome["unexpected_keys"])), classes)


def _looked_into(inner: Any, folder: Path, *, watched: bool) -> HFModel:
    """The model, on images of the size that its folder's preprocessing ends in. Errors: ModelError."""
    side = hf_preprocessors.image_side(folder) if reads(inner) == "image" else None
    if side is None or side == image_side(inner.config, side):
        return HFModel(inner, side, watched=watched)
    try:
        return HFModel(inner, side, watched=watched)  # many can read other sizes than that of their config
    except ModelError:
        wanted = image_side(inner.config)
        raise ModelError(
            f"The image preprocessing ends in {side} × {side} pixels, the model reads {wanted} × {wanted}."
        ) from None


def tokenizer_json(name: str) -> str:
    """The fast tokenizer that transformers has for a folder or a name on the hub. Errors: ModelError."""
    check_installed("A tokenizer by its name", "transformers")
    from transformers import AutoTokenizer

    try:
        with _quietly():
            return str(AutoTokenizer.from_pretrained(name, trust_remote_code=False).backend_tokenizer.to_str())
    except Exception:  # the library raises many kinds
        raise ModelError(
            f"No tokenizer of {name!r:.100} can be read here; give one: load(model, tokenizer=…)."
        ) from None


def attend_as_ours(model: Any) -> bool:
    """Gives a PreTrainedModel our attention for its own; False where it keeps its own, which is to be watched."""
    register()
    with _quietly():
        try:
            model.set_attn_implementation(NAME)
        except Exception as error:  # a class that knows no attention but its own
            LOG.info("attention", exc_info=error)
        if model.config._attn_implementation == NAME:
            return True
        model.set_attn_implementation(EAGER)
        return False


def made_again(inner: Any, side: int | None, watched: bool) -> HFModel:
    """A model that was pickled, maybe in a process that has made none of its class. Errors: as `HFModel`."""
    register()
    with torch.device("meta"), _quietly():
        type(inner)(copy.deepcopy(inner.config))  # transformers notes then what this class and its parts give out
    return HFModel(inner, side, watched=watched)


@cache
def register() -> None:
    """Makes our attention known to transformers, under `NAME`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, eager_mask)  # never replaced by a flag: what may be seen is always said


def _check_sizes(given: dict[str, Any]) -> None:
    """Errors: ModelError for numbers that no model has, before anything of that size is made."""
    for name, value in given.items():
        if isinstance(value, dict):
            _check_sizes(value)
        if isinstance(value, bool) or not isinstance(value, int) or NO_SIZE.search(name):
            continue
        counted = COUNTS.search(name)
        most = MOST.get(counted[2], MAX_LAYERS) if counted else MAX_NUMBER
        if value > most:
            raise ModelError(f"The config says {name}={value:,}; at most {most:,} is read.")
    if str(given.get("position_embedding_type", "")).startswith("relative_key"):
        raise ModelError("The config asks for positions by relative keys, which transformers no longer computes.")
    if given.get("quantization_config"):
        raise ModelError("The weights are quantised, which is not read; take the repository of the full weights.")


def _check_references(given: dict[str, Any]) -> None:
    """Errors: ModelError for a config that names another model, which its library would ask the hub for."""
    for name, value in given.items():
        if isinstance(value, dict):
            _check_references(value)
        timm = name in ("model_type", "backbone_type") and str(value).startswith("timm")
        if timm or ("backbone" in name and isinstance(value, str) and name != "backbone_type"):
            raise ModelError(
                f"The config says {name}={value!r:.80}: a part of another model, which is not in the folder."
            )


def _check_tables(config: Any) -> None:
    """Errors: ModelError for a table of positions that is too large, where the architecture has one."""
    for part in (config, *(one for one in vars(config).values() if hasattr(one, "model_type"))):
        kind = type(part)  # what the file calls a setting says nothing: it may have any
        if hasattr(kind, "rope_parameters") or hasattr(kind, "rotary_dim"):
            continue
        positions, width = (getattr(part, name, None) for name in ("max_position_embeddings", "hidden_size"))
        if isinstance(positions, int) and isinstance(width, int) and positions * width > MAX_TABLE:
            raise ModelError(
                f"The config asks for a table of {positions:,} × {width:,} numbers, more than {MAX_TABLE:,}."
            )


def _check_files(folder: Path, max_bytes: int) -> None:
    """Errors: ModelError if there are no weights, too many of them, or an index that leads out of the folder."""
    names, index = {file.name for file in weight_files(folder, max_bytes)}, folder / "model.safetensors.index.json"
    shards = read_json(index).get("weight_map") if index.exists() else {}
    if not isinstance(shards, dict) or not {str(name) for name in shards.values()} <= names:
        raise ModelError(f"{index.name} of {folder.name} names files that are not in the folder.")


def _config(folder: Path, given: dict[str, Any]) -> Any:
    from transformers import CONFIG_MAPPING, AutoConfig

    kind = given.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        with_code = "comes with code of its own, which is never run here, and " if "auto_map" in given else ""
        raise ModelError(
            f"{folder.name} {with_code}is of the type {kind!r}, which the installed transformers does not know."
        )
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library checks each architecture's config in its own way
        raise _unusable(f"The config of {folder.name}", error, given) from error


def _class(config: Any) -> Any:
    """The class that the config names, if it is transformers' own for it; else the model without a head."""
    import transformers

    for name in config.architectures or ():
        kind = getattr(transformers, str(name), None)
        if isinstance(kind, type) and getattr(kind, "config_class", None) is type(config):
            return kind
    try:
        return transformers.AutoModel._model_mapping[type(config)]
    except KeyError:
        raise ModelError(f"transformers has no model for a config of the type {config.model_type!r}.") from None


def _check_memory(kind: Any, config: Any, given: dict[str, Any], max_bytes: int, n_stored: int) -> str:
    """Builds the model without memory, and says how it attends: by our attention, or by its own.

    n_stored: numbers in the files. Errors: ModelError if it is too large, much larger than its files, or its config
    does not fit together.
    """
    register()
    attends, skeleton = NAME, None
    try:
        skeleton = _skeleton(kind, config, NAME)
    except Exception as error:
        if NAME not in str(error):  # sizes that do not fit together; else a class that knows no attention but its own
            raise _unusable("The config", error, given) from error
    if skeleton is None:
        attends = EAGER
        try:
            skeleton = _skeleton(kind, config, EAGER)
        except Exception as error:
            raise _unusable("The config", error, given) from error
    parameters = sum(p.numel() for p in skeleton.parameters())
    size = parameters + sum(buffer.numel() for buffer in skeleton.buffers())
    if size > MAX_PARAMETERS:
        raise ModelError(f"The model has {size:,} parameters, more than the {MAX_PARAMETERS:,} allowed.")
    if size * BYTES_PER_NUMBER > max_bytes:
        raise ModelError(
            f"The config asks for {size:,} parameters: {size * BYTES_PER_NUMBER:,} bytes of memory as float32, more "
            f"than the {max_bytes:,} allowed."
        )
    if parameters > SHARED * n_stored + MAX_MISSING:  # else memory is taken for what is then found to be missing
        raise ModelError(f"The config asks for {parameters:,} parameters, and the files hold {n_stored:,} numbers.")
    strangers.reserve(size * BYTES_PER_NUMBER)
    return attends


def _skeleton(kind: Any, config: Any, attends: str) -> Any:
    with torch.device("meta"):
        return kind._from_config(config, attn_implementation=attends)


def _check_rules(folder: Path) -> None:
    """Errors: ModelError if transformers refuses generation_config.json, which it reads with the weights."""
    import transformers

    if (folder / decoding_rules.FILE).exists():
        try:
            transformers.GenerationConfig.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # a value out of range, or two that do not go together
            raise ModelError(f"{decoding_rules.FILE} of {folder.name} is none that transformers takes.") from error


def _weights(kind: Any, config: Any, folder: Path, attends: str) -> tuple[Any, dict[str, Any]]:
    """The model with the folder's weights as float32, and what was missing or left over. Errors: ModelError."""
    try:
        model, outcome = kind.from_pretrained(
            folder,
            config=config,
            attn_implementation=attends,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # a broken file, shapes that do not fit: the library raises many kinds
        LOG.info("weights", exc_info=error)
        _check_rules(folder)
        raise ModelError(f"The weights of {folder.name} cannot be read: they do not fit its config.") from error
    report("are missing from the file", set(outcome["missing_keys"]))
    for name, x in model.named_parameters():
        check_numbers(name, x)
    return model, outcome


def _unusable(subject: str, error: Exception, given: dict[str, Any]) -> ModelError:
    """What a config is refused with, which names the fields that the library's error speaks of."""
    LOG.info("config", exc_info=error)
    return ModelError(f"{subject} cannot be used{fields_at_fault(error, given)}.")


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's remarks and progress bars."""
    from transformers.utils import logging as library

    level, bar = logging.root.manager.disable, library.is_progress_bar_enabled()
    logging.disable(logging.WARNING)
    library.disable_progress_bar()
    try:
        yield
    finally:
        logging.disable(level)
        if bar:
            library.enable_progress_bar()
