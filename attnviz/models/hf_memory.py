"""A model of transformers in somebody's memory, run like ours: its weights are shared, itself stays as it was."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from attnviz.errors import ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import hf_loading
from attnviz.models.hf_model import HFModel


def adopted(given: nn.Module) -> HFModel:
    """A twin of a PreTrainedModel that computes with our attention on the same weights, and takes no memory for them.

    Its training mode, hooks, gradients and attention stay its own. Errors: ModelError in one sentence.
    """
    kind = type(given).__name__
    if not hasattr(given, "set_attn_implementation") or not hasattr(given, "config"):
        raise ModelError(f"A {kind} is no model of transformers: load takes a name, a folder or a PreTrainedModel.")
    shared: dict[int, Tensor] = {id(x): nn.Parameter(x.detach(), requires_grad=False) for x in given.parameters()}
    shared |= {id(x): x for x in given.buffers()}
    twin = copy.deepcopy(given, dict(shared))  # what is in the second argument counts as copied
    return HFModel(twin, watched=not hf_loading.attend_as_ours(twin))


def tokenizer_of(model: nn.Module, given: Any) -> Tokenizer:
    """What `load` was given as tokenizer, or what lies where the model came from. Errors: ModelError."""
    import tokenizers

    given = given if given is not None else getattr(model, "name_or_path", "")
    if isinstance(given, Tokenizer):
        return given
    backend = getattr(given, "backend_tokenizer", given)  # transformers wraps the one of tokenizers
    if isinstance(backend, tokenizers.Tokenizer):
        return Tokenizer.from_str(backend.to_str())
    if isinstance(given, str | Path) and str(given):
        if Path(given).is_dir() and (Path(given) / "tokenizer.json").exists():
            return Tokenizer.from_file(Path(given))
        return Tokenizer.from_str(hf_loading.tokenizer_json(str(given)))
    raise ModelError("A model in memory needs its tokenizer: load(model, tokenizer=…).")
