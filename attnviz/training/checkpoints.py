"""Checkpoints: one safetensors file with everything that a training needs to go on as if it had not stopped.

A file is written beside the old one and takes its place in one step of the file system: killed at any moment, what
stands under the name is the old checkpoint or the new one, whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.errors import ModelError
from attnviz.inputs.atomic_write import write_whole
from attnviz.models.safetensors_io import MAX_FILE_BYTES

FORMAT = "attnviz checkpoint 1"


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, about: dict[str, Any]) -> None:
    """Weights, optimizer and `about` (JSON: config, step, …) in one file. Errors: ModelError."""
    from safetensors.torch import save as to_bytes

    tensors = {f"model.{name}": x for name, x in model.state_dict().items()}
    tensors |= {
        f"optimizer.{i}.{name}": x
        for i, state in optimizer.state_dict()["state"].items()
        for name, x in state.items()
        if isinstance(x, Tensor)
    }
    whole = {name: x.detach().clone(memory_format=torch.contiguous_format) for name, x in tensors.items()}
    write_whole(path, to_bytes(whole, {"format": FORMAT, "about": json.dumps(about)}))


def load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """`about` and the tensors of a checkpoint. Errors: ModelError if it is missing, truncated or something else."""
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{path.name} has {path.stat().st_size:,} bytes, more than {MAX_FILE_BYTES:,} allowed.")
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            if notes.get("format") != FORMAT:
                raise ModelError(f"{path.name} is not a checkpoint of a training.")
            return json.loads(notes["about"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror or 'the system refuses it'}.") from None
    except ModelError:  # a ValueError too
        raise
    except (SafetensorError, ValueError, KeyError, RecursionError):
        raise ModelError(f"{path.name} is not a whole checkpoint of a training.") from None


def restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, name: str) -> None:
    """Puts a checkpoint's tensors back. Errors: ModelError, nothing changed, if they belong to other shapes."""
    weights = {key.removeprefix("model."): x for key, x in tensors.items() if key.startswith("model.")}
    expected = {key: tuple(x.shape) for key, x in model.state_dict().items()}
    given = {key: tuple(x.shape) for key, x in weights.items()}
    if expected != given:
        odd = sorted(key for key in expected.keys() | given.keys() if expected.get(key) != given.get(key))
        shapes = f"{odd[0]} is {given.get(odd[0], 'missing')} there and {expected.get(odd[0], 'missing')} here"
        raise ModelError(f"{name} is of another architecture: {shapes}.")
    states: dict[int, dict[str, Tensor]] = {}
    for key, x in tensors.items():
        if key.startswith("optimizer."):
            _, number, what = key.split(".", 2)
            states.setdefault(int(number), {})[what] = x
    model.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
