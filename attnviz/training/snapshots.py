"""The history of a training: its weights at some of its steps, in one file beside the model that it ended with.

`python -m attnviz train induction --keep 32` writes it, and the page "Replay" runs the model as it was at each of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.atomic_write import write_whole
from attnviz.models import folders
from attnviz.models.safetensors_io import build
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer

FORMAT = "attnviz history 1"
FILE = "history.safetensors"
MOST = 200  # checkpoints
MOST_BYTES = 100_000_000  # of the file, which is read into memory whole


def moments(steps: int, keep: int) -> tuple[int, ...]:
    """The steps of a training at which its weights are kept: steps · (i / (keep − 1))², rounded, for i = 0, 1, ….

    The first is 0, before any training, the last is the end; early on, where most happens, they lie closest.
    Errors: InvalidParameterError.
    """
    if not 2 <= keep <= MOST:
        raise InvalidParameterError(f"keep={keep} is not within 2 … {MOST}")
    return tuple(sorted({round(steps * (i / (keep - 1)) ** 2) for i in range(keep)}))


class Recorder:
    """Collects the weights of a model in training at the steps that are to be kept, as float16."""

    def __init__(self, at: tuple[int, ...], model: Transformer) -> None:
        """Errors: InvalidParameterError if it would be too much to keep."""
        size = 2 * len(at) * model.config.n_parameters
        if size > MOST_BYTES:
            raise InvalidParameterError(
                f"{len(at)} checkpoints of {model.config.n_parameters:,} parameters take {size:,} bytes; "
                f"at most {MOST_BYTES:,} are kept"
            )
        self.at = at
        self.kept: list[dict[str, Tensor]] = []

    @classmethod
    def resume(cls, path: Path, model: Transformer, done: int) -> Recorder:
        """Goes on from a file that a stopped training left, with what it kept up to step `done`. Errors: ModelError."""
        at, stacked = _read(path)
        recorder = cls(at, model)
        n_kept = len(next(iter(stacked.values())))
        reached = [i for i in range(n_kept) if at[i] <= done]
        recorder.kept = [{name: x[i].clone() for name, x in stacked.items()} for i in reached]
        return recorder

    def see(self, step: int, model: Transformer) -> None:
        """Keeps the weights, if this is the step whose turn it is."""
        if len(self.kept) < len(self.at) and step == self.at[len(self.kept)]:
            self.kept.append(folders.half_weights(model))

    def write(self, path: Path) -> None:
        """The weights so far, in one file. Errors: ModelError, the old file intact."""
        from safetensors.torch import save

        stacked = {name: torch.stack([one[name] for one in self.kept]) for name in self.kept[0]}
        write_whole(path, save(stacked, {"format": FORMAT, "steps": json.dumps(self.at)}))


@dataclass(frozen=True, eq=False)
class Snapshots:
    """A training's checkpoints: the weights after each of some steps."""

    config: ModelConfig
    steps: tuple[int, ...]  # K, ascending, the first being 0
    weights: dict[str, Tensor]  # by name, float16 (K, …)

    def model(self, index: int) -> Transformer:
        """The model after `steps[index]` steps, frozen. Errors: InvalidParameterError, ModelError."""
        if not 0 <= index < len(self.steps):
            raise InvalidParameterError(f"checkpoint {index} is not within 0 … {len(self.steps) - 1}")
        return build(self.config, {name: x[index] for name, x in self.weights.items()})


def read(folder: Path, max_bytes: int = MOST_BYTES) -> Snapshots:
    """The history in a model's folder. Errors: ModelError in one sentence."""
    _, _, config = folders.describe(folder)
    at, weights = _read(folder / FILE, max_bytes)
    return Snapshots(config, at[: len(next(iter(weights.values())))], weights)


def _read(path: Path, max_bytes: int = MOST_BYTES) -> tuple[tuple[int, ...], dict[str, Tensor]]:
    """The steps that were to be kept, and the weights that were, stacked. Errors: ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > max_bytes:
            raise ModelError(f"{path.name} has {path.stat().st_size:,} bytes, more than {max_bytes:,} allowed.")
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            if notes.get("format") != FORMAT:
                raise ModelError(f"{path.name} is not the history of a training.")
            steps = json.loads(notes.get("steps", ""))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror or 'the system refuses it'}.") from None
    except ModelError:  # a ValueError too
        raise
    except (SafetensorError, ValueError, RecursionError):
        raise ModelError(f"{path.name} is not a whole history of a training.") from None
    lengths = {len(x) if x.dim() else 0 for x in weights.values()}
    ascending = isinstance(steps, list) and all(type(step) is int for step in steps) and steps == sorted({*steps})
    if not ascending or not steps or steps[0] != 0 or len(steps) > MOST or len(lengths) != 1:
        raise ModelError(f"{path.name} does not say of which steps its weights are.")
    if not 1 <= min(lengths) <= len(steps):
        raise ModelError(f"{path.name} holds {min(lengths)} checkpoints of {len(steps)} steps.")
    return tuple(steps), weights
