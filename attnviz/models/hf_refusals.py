"""Why a model of transformers is not looked into: which of its parts stands in the way, in one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from attnviz.errors import ModelError

GIVEN = {"text": ("input_ids",), "image": ("pixel_values",), "sound": ("input_values", "input_features")}
INPUTS = tuple(name for names in GIVEN.values() for name in names)
BESIDE = (*INPUTS, "bbox")  # what may be asked for beside a text, an image or a sound
STAGES = {"num_heads": "heads", "num_attention_heads": "heads", "hidden_sizes": "numbers a patch"}  # one a stage
NO_GRID = "its layers have no one grid of patches to show attention on"
# What stands in the place of attention, by a part of the type's name.
INSTEAD = {
    "mamba": "state spaces",
    "rwkv": "a recurrence (which it calls attention)",
    "xlstm": "recurrent cells",
    "fnet": "Fourier transforms",
    "resnet": "convolutions",
    "convnext": "convolutions",
    "poolformer": "averages over neighbours",
}


class Hidden(ModelError):
    """Of one part of a model the attention was seen, and of another not."""


def cannot_attend(inner: Any) -> ModelError:
    """What a model is refused with of whose attention nothing was seen."""
    kind = inner.config.model_type
    name = f"A model of the type {kind}"
    instead = next((what for part, what in INSTEAD.items() if part in str(kind)), None)
    if instead is not None:
        return ModelError(f"{name} has no attention: its layers mix tokens by {instead}.")
    if attention_class(inner):
        return ModelError(f"{name} attends {in_own_code(inner)}, where nobody else can look.")
    return ModelError(f"{name} has no attention: no part of it is called so.")


def attention_class(inner: nn.Module) -> str:
    """The class of the first part whose name speaks of attention, and that has no such part itself; "" without any."""
    for module in inner.modules():
        named = [type(part).__name__ for part in module.modules() if "Attention" in type(part).__name__]
        if len(named) == 1 and named[0] == type(module).__name__:
            return named[0]
    return ""


def in_own_code(inner: nn.Module) -> str:
    """ "in code of its own (YosoSelfAttention)", with the class where its name tells it."""
    own = attention_class(inner)
    return f"in code of its own ({own})" if own else "in code of its own"


def check_input(inner: Any, kind: str) -> None:
    """Errors: ModelError for a model whose input is none that is given here; `kind`: what it is taken to read."""
    name, main = f"A model of the type {inner.config.model_type}", str(inner.main_input_name)
    if type(inner).forward is nn.Module.forward:
        raise ModelError(f"{name} has no forward pass of its own, only those of its parts.")
    takes = inspect.signature(inner.forward).parameters
    if kind == "sound" and takes.keys() & set(INPUTS):  # two models in one call theirs "inputs", and take it by name
        return
    if main not in INPUTS or (kind == "text" and "input_ids" not in takes):
        raise ModelError(f"{name} reads {main!r}, which is neither a text nor an image nor a sound as given here.")


def needed_too(inner: Any, given: str) -> str:
    """ ", without a, b": what a model's forward pass takes beside what it is `given`, or cannot do without; or ""."""
    takes = inspect.signature(inner.forward).parameters.values()
    named = [one for one in takes if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    known = (*GIVEN[given], "attention_mask")
    missing = [one.name for one in named if (one.default is one.empty or one.name in BESIDE) and one.name not in known]
    return f", without {', '.join(missing)}" if missing else ""


def check_even(name: str, given: Any) -> None:
    """Errors: ModelError for a model of images or sounds that merges patches on the way, or has shifted windows."""
    windows = hasattr(given, "window_size") and hasattr(given, "depths")  # Swin and its kin
    attends = hasattr(given, "num_attention_heads") or hasattr(given, "num_heads")
    for what, words in STAGES.items():
        by_stage = getattr(given, what, None)
        if attends and isinstance(by_stage, list | tuple) and len(set(by_stage)) > 1:
            by_stage = by_stage[: len(getattr(given, "depths", by_stage))]
            sizes = f"merges its patches from stage to stage ({', '.join(map(str, by_stage))} {words})"
            inside = ", and attends inside windows, which are shifted in every other layer" * windows
            raise ModelError(f"{name} {sizes}{inside}: {NO_GRID}.")
    if windows:
        raise ModelError(f"{name} attends inside windows, which are shifted in every other layer: {NO_GRID}.")


def check_length(name: str, place: str, states: Sequence[Any]) -> None:
    """Errors: ModelError for a stack that pools its tokens on the way."""
    lengths = [x.shape[1] for x in states if isinstance(x, Tensor) and x.dim() == 3]  # Pegasus-X gives pairs
    if len(set(lengths)) > 1:
        counts = ", ".join(map(str, dict.fromkeys(lengths)))
        raise ModelError(
            f"{name} pools its tokens on the way ({counts} in the layers of its {place}): they have no one row of "
            "tokens to show attention on."
        )


def uneven(name: str, place: str, attentions: int, n_layers: int) -> ModelError:
    """What a model is refused with whose attentions in a place are not one a layer."""
    layers = "one layer" if n_layers == 1 else f"{n_layers} layers"
    why = "a layer is shown with one" if attentions > n_layers else "in which of them cannot be told"
    return ModelError(f"{name} attends {attentions} times in its {layers} ({place}): {why}.")


def hidden(inner: Any, place: str) -> Hidden:
    """What a model is refused with of whose attention in one place nothing was seen, and in another some."""
    part = inner.get_encoder() if place == "encoder" else inner.get_decoder()
    name = f"A model of the type {inner.config.model_type}"
    return Hidden(f"{name} attends in its {place} {in_own_code(part)}, where nobody else can look.")
