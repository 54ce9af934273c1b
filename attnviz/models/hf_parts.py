"""Models of several parts: two towers (a text's and an image's), and language models that look at images or listen.

The parts of two towers are models of their own, loaded by name: "#text", "#image" or "#sound". In a language model that
sees, the attention of a run is that of the text; what its eyes do meanwhile is not part of it.
"""

from __future__ import annotations

from typing import Any

from attnviz.errors import ModelError
from attnviz.models.hf_probe import kinds
from attnviz.models.hf_refusals import INPUTS

KEYS = {"text": "text", "vision": "image", "image": "image", "audio": "sound"}  # a part's name in a config → ours
NAMES = {"text": "text", "image": "image", "audio": "sound"}  # transformers' word → ours


def parts(inner: Any) -> dict[str, Any]:
    """The models inside a model that read one kind of input each: "text", "image" or "sound" → the outermost such."""
    from transformers import PreTrainedModel

    found: dict[str, Any] = {}
    for module in inner.modules():
        if module is inner or not isinstance(module, PreTrainedModel):
            continue
        read = {NAMES[kind] for kind in kinds(module) if kind in NAMES}
        key = str(getattr(type(module.config), "base_config_key", "")).removesuffix("_config")
        part = KEYS.get(key, "") or (read.pop() if len(read) == 1 else "")
        if part:
            found.setdefault(part, module)
    return found


def hinted(error: ModelError, inner: Any) -> ModelError:
    """What a whole model is refused with, and which of its parts may run by themselves."""
    found = {name: part for name, part in parts(inner).items() if part.main_input_name in INPUTS}  # what is given here
    if len(found) < 2 or not str(error).endswith("."):
        return error
    return ModelError(f"{error} A part of it may run: put {' or '.join(f'#{name}' for name in found)} after its name.")


def chosen(inner: Any, part: str) -> Any:
    """The part of a model that is named, or the model if none is.

    Errors: ModelError for a part that it does not have, or for two towers if none is named.
    """
    kind, found = inner.config.model_type, parts(inner)
    if part:
        if part not in found:
            has = f"it has {' and '.join(found)}" if found else "it has none"
            raise ModelError(f"A model of the type {kind} has no part #{part}: {has}.")
        return found[part]
    stacks = getattr(inner.config, "is_encoder_decoder", False)  # which are no towers: one reads the other
    towers = not stacks and not inner.can_generate() and set(found) <= {NAMES.get(one) for one in kinds(inner)}
    if len(found) > 1 and towers:
        ways = " or ".join(f"#{name}" for name in found)
        raise ModelError(f"A model of the type {kind} is {len(found)} models in one: put {ways} after its name.")
    return inner
