"""Reads weights from safetensors and builds a `Transformer` of exactly these.

Every tensor's name and shape is checked; what is missing or left over is named.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attnviz.errors import ModelError, no_json
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer

MAX_FILE_BYTES = 4_000_000_000
MAX_JSON_BYTES = 50_000_000
MAX_HEADER_BYTES = 10_000_000  # of a safetensors file: what is in it, a hundred bytes a tensor
PIECE = 8 << 20  # bytes of a file that are hashed at a time
BYTES_PER_NUMBER = 4  # in memory, where all weights are float32
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True)
class Loaded:
    """A model with its weights, and the file's tensors that it has no use for (a pooler, say)."""

    transformer: Transformer
    unused_weights: tuple[str, ...]
    classes: tuple[str, ...] = ()  # what a classifier's numbers stand for


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Errors: ModelError if it is missing or is none."""
    try:
        if (size := path.stat().st_size) > MAX_JSON_BYTES:
            raise ModelError(f"{path.name} has {size:,} bytes; at most {MAX_JSON_BYTES:,} are read.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read from {path.parent}: {error.strerror}.") from None
    except ModelError:  # a ValueError too
        raise
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {no_json(error)}.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} holds a JSON {type(content).__name__}, not an object.")
    return content


def weight_files(path: Path, max_bytes: int = MAX_FILE_BYTES) -> list[Path]:
    """A safetensors file, or all in a folder. Errors: ModelError if there is none, or they are too large together."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise ModelError(f"{path} holds no .safetensors file; other weight formats are not read.")
    size = sum(file.stat().st_size for file in files if file.exists())
    if size > max_bytes:
        raise ModelError(f"The weights take {size:,} bytes, more than the {max_bytes:,} allowed.")
    return files


def check_headers(folder: Path, max_bytes: int = MAX_FILE_BYTES) -> int:
    """Bytes of a folder's weights in memory, as float32.

    Errors: ModelError if they are more than `max_bytes`, or a file is not whole.

    Only what the files say of themselves is read: 8 bytes, the length of the JSON that follows (Hugging Face's
    safetensors format).
    """
    n = sum(_count(file) for file in weight_files(folder, max_bytes))
    if n * BYTES_PER_NUMBER > max_bytes:
        raise ModelError(
            f"The weights are {n:,} numbers: {n * BYTES_PER_NUMBER:,} bytes of memory as float32, more than the "
            f"{max_bytes:,} allowed."
        )
    return n * BYTES_PER_NUMBER


def _count(file: Path) -> int:
    """Numbers in a safetensors file, as its header has them. Errors: ModelError."""
    return sum(math.prod(map(abs, entry["shape"])) for entry in _header(file).values())


def n_of_each(folder: Path) -> dict[str, int]:
    """How many floating point numbers each tensor of a folder's files holds, by its name in the file.

    Errors: ModelError if there is no such file, or one is not whole.
    """
    entries = {name: entry for file in weight_files(folder) for name, entry in _header(file).items()}
    return {name: math.prod(entry["shape"]) for name, entry in entries.items() if "F" in entry["dtype"]}


def _header(file: Path) -> dict[str, Any]:
    """What a safetensors file says of its tensors, by name: dtype, shape, data_offsets. Errors: ModelError."""
    try:
        size = file.stat().st_size
        with file.open("rb") as data:
            length = int.from_bytes(data.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ModelError(
                    f"{file.name} has a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read."
                )
            if 8 + length > size:
                raise ModelError(f"{file.name} is not a whole safetensors file: it ends in its header.")
            header = json.loads(data.read(length))
        tensors = {str(name): entry for name, entry in header.items() if name != "__metadata__"}
        ends = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        if ends != size - 8 - length:
            raise ModelError(
                f"{file.name} is not a whole safetensors file: {size - 8 - length:,} of {ends:,} bytes are there."
            )
        for entry in tensors.values():
            math.prod(map(abs, entry["shape"]))
        return tensors
    except OSError as error:
        raise ModelError(f"{file.name} cannot be read: {error.strerror}.") from None
    except ModelError:  # a ValueError too
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise ModelError(f"{file.name} is not a safetensors file.") from None


def read_safetensors(path: Path, max_bytes: int = MAX_FILE_BYTES) -> dict[str, Tensor]:
    """All tensors of a safetensors file, or of all in a folder. Errors: ModelError in one sentence.

    A mapping is given back when none of its tensors is left: those that `build` copies have one of their own.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in weight_files(path, max_bytes):
        try:
            copied, kept = load_file(file), load_file(file)  # a mapping each; neither takes memory before it is read
        except (SafetensorError, OSError, ValueError):
            _header(file)  # which says what is wrong of most
            why = "what its header says of its tensors does not fit them"
            raise ModelError(f"{file.name} is not a whole safetensors file: {why}.") from None
        tensors |= {name: copied[name] if _is_laid_out(x) else x for name, x in kept.items()}
    return tensors


def sha256(file: Path) -> str:
    """In large pieces: a mapped file would count whole to the process, small ones wait for Python's lock at each."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(PIECE))
    try:
        with file.open("rb", buffering=0) as data:
            while n_read := data.readinto(piece):
                digest.update(piece[:n_read])
    except OSError as error:
        raise ModelError(f"{file.name} cannot be read: {error.strerror}.") from None
    return digest.hexdigest()


def class_names(given: dict[str, Any], n_classes: int) -> tuple[str, ...]:
    """What the config says the classes are called, numbers where it does not; from strangers, so cut to 100 letters."""
    names = given.get("id2label")
    names = names if isinstance(names, dict) else {}
    return tuple(str(names.get(str(i), i))[:100] for i in range(n_classes))


def build(config: ModelConfig, weights: dict[str, Tensor]) -> Transformer:
    """A frozen model in eval mode with exactly these weights, as float32.

    Errors: ModelError that names what is missing, left over, misshapen or not finite.
    """
    model = unfilled(config)
    if config.head == "lm" and config.tied:
        weights.setdefault("head.out.weight", weights.get("embed.tokens.weight", torch.empty(0)))
    expected = model.state_dict()
    report("are missing from the file", expected.keys() - weights.keys())
    report("are unknown to the model", weights.keys() - expected.keys())
    for name, x in weights.items():
        if x.shape != expected[name].shape:
            raise ModelError(f"{name} is {tuple(x.shape)}, but the config needs {tuple(expected[name].shape)}.")
        check_dtype(name, x)
    full = {name: x.float() for name, x in weights.items()}
    for name, x in full.items():
        check_numbers(name, x)
    model.load_state_dict({name: _laid_out(x) for name, x in full.items()}, assign=True)
    if config.head == "lm" and config.tied:
        assert model.head is not None
        model.head["out"].weight = model.embed["tokens"].weight
    return model.eval().requires_grad_(False)


def unfilled(config: ModelConfig) -> Transformer:
    """A model with its shapes and without memory or numbers, on torch's meta device."""
    with torch.device("meta"), _Unfilled():
        return Transformer(config)


class _Unfilled(TorchFunctionMode):
    """Leaves out every random number: to draw them without memory, torch would import its compiler (1.3 s)."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _laid_out(x: Tensor) -> Tensor:
    """The same matrix, column by column in memory where it is not taller than wide.

    MKL multiplies a few hundred tokens by such a matrix in 0.6 to 0.8 of the time (taller ones: slower).
    """
    return x.t().contiguous().t() if _is_laid_out(x) else x


def _is_laid_out(x: Tensor) -> bool:
    return x.dim() == 2 and x.shape[0] <= x.shape[1]


def report(what: str, names: set[str]) -> None:
    """Errors: ModelError that names tensors, if there are any."""
    if names:
        shown = ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise ModelError(f"{len(names)} tensors {what}: {shown}.")


def check_numbers(name: str, x: Tensor) -> None:
    """Errors: ModelError for NaN or infinite numbers.

    A finite sum has finite terms, and is read in one pass; only a sum that is not has to be looked at number by number.
    """
    if not bool(torch.isfinite(x.sum())) and not bool(torch.isfinite(x).all()):
        raise ModelError(f"{name} holds NaN or infinite numbers.")


def check_dtype(name: str, x: Tensor) -> None:
    """Errors: ModelError for what is no floating point number."""
    if x.dtype not in FLOATS:
        raise ModelError(f"{name} is {x.dtype}; only {', '.join(map(str, FLOATS))} weights are read.")
