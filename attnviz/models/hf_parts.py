"""Models of several parts: two towers (a text's and an image's), and language models that look at images or listen.

The parts of two towers are models of their own, loaded by name: "#text", "#image" or "#sound". In a language model that
sees, the attention of a run is that of the text; what its eyes do meanwhile is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from attnviz.errors import ModelError
from attnviz.models.hf_attention import RUN, Run
from attnviz.models.hf_probe import kinds, reads

NAMES = {"text": "text", "image": "image", "audio": "sound"}  # transformers' word → ours


def parts(inner: Any) -> dict[str, Any]:
    """The models inside a model that read one kind of input each: "text", "image" or "sound" → the outermost such."""
    from transformers import PreTrainedModel

    found: dict[str, Any] = {}
    for module in inner.modules():
        if module is inner or not isinstance(module, PreTrainedModel):
            continue
        read = {NAMES[kind] for kind in kinds(module) if kind in NAMES}
        if len(read) == 1:
            found.setdefault(read.pop(), module)
    return found


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
    if len(found) > 1 and not inner.can_generate() and set(found) <= {NAMES.get(one) for one in kinds(inner)}:
        ways = " or ".join(f"#{name}" for name in found)
        raise ModelError(f"A model of the type {kind} is {len(found)} models in one: put {ways} after its name.")
    return inner


@dataclass
class Aside(Run):
    """A run within a run, of a part that nobody looks at."""

    outer: Run | None = None


def look_away(inner: Any) -> None:
    """From now on, in a model that reads text, the attention of its other parts is no part of a run."""
    from transformers import PreTrainedModel

    if reads(inner) != "text":
        return
    for module in inner.modules():
        if module is not inner and isinstance(module, PreTrainedModel) and "text" not in kinds(module):
            module.register_forward_pre_hook(_begin)
            module.register_forward_hook(_end)


def _begin(module: nn.Module, inputs: Any) -> None:
    if (run := RUN.get(None)) is not None:
        RUN.set(Aside(None, outer=run))


def _end(module: nn.Module, inputs: Any, output: Any) -> None:
    if isinstance(run := RUN.get(None), Aside) and run.outer is not None:
        RUN.set(run.outer)
