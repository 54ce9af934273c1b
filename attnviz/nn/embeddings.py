"""What a transformer reads, as vectors: token ids or the patches of an image, with their positions.

ids    ─▶ tokens + positions (+ segments) ─▶ norm       Vaswani et al. 2017, section 3.4
pixels ─▶ class token, patches; + positions             Dosovitskiy et al. 2021, section 3.1
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from attnviz.errors import DTypeError, InvalidParameterError, ShapeError
from attnviz.nn import positions
from attnviz.nn.checks import check_tensor
from attnviz.nn.config import ModelConfig
from attnviz.nn.encoding import Encoding


class Embeddings(nn.ModuleDict):
    """The tables and the patch projection of a `ModelConfig`, and how they make a model's first vectors."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, c = config, config.d_model
        if config.channels:
            self["patches"] = nn.Conv2d(config.channels, c, config.patch_size, config.patch_size)
            self["special"] = nn.Embedding(config.n_special, c)
        else:
            self["tokens"] = nn.Embedding(config.vocab_size, c)
        if config.scheme.learned:
            self["positions"] = nn.Embedding(config.max_len, c)
        if config.n_types:
            self["types"] = nn.Embedding(config.n_types, c)
        if config.embed_norm:
            self["norm"] = nn.LayerNorm(c, eps=config.norm_eps)

    def forward(self, inputs: Tensor, types: Tensor | None, scheme: str, start: int = 0) -> Tensor:
        """Ids (B, T), or pixels (B, channels, height, width) → (B, T, C).

        `types` are segments (B, T), `scheme` is the kind of positions, `start` the first token's. Errors: as `lengths`.
        """
        if types is not None:
            self._check_types(types, inputs)
        x = self._patches(inputs) if self.config.channels else self["tokens"](inputs)
        if self.config.n_types:
            x = x + self["types"](torch.zeros_like(inputs) if types is None else types)
        own = cast(nn.Embedding, self["positions"]) if "positions" in self else None
        added = positions.described(scheme).added(x.shape[1], self.config.d_model, start, own, x)
        x = x if added is None else x + added
        return self["norm"](x) if self.config.embed_norm else x

    def _patches(self, pixels: Tensor) -> Tensor:
        """The special tokens, then the patches row by row: (B, channels, height, width) → (B, T, C)."""
        patches = self["patches"](pixels).flatten(2).transpose(1, 2)  # (B, T − special, C)
        batch = pixels.shape[0]  # unlike len(pixels), this stays free in an export
        special = self["special"](torch.arange(self.config.n_special, device=pixels.device)).expand(batch, -1, -1)
        return torch.cat([special, patches], dim=1)

    def lengths(self, inputs: Tensor, lengths: Sequence[int] | None, start: int = 0) -> tuple[int, ...]:
        """Real tokens of each text or image of a batch, `lengths` if given, after `start` earlier ones.

        Errors: ShapeError, DTypeError or InvalidParameterError for what the model cannot read, with the numbers.
        """
        if self.config.channels:
            return real_lengths("pixels", inputs, self._check_pixels(inputs), lengths)
        return real_lengths("token ids", inputs, check_ids(inputs, self.config, start), lengths)

    def _check_pixels(self, pixels: Tensor) -> int:
        check_tensor("pixels", pixels)
        expected = cast(nn.Conv2d, self["patches"]).weight.dtype
        if pixels.dtype != expected:
            raise DTypeError(f"pixels are {pixels.dtype}; this model computes in {expected}")
        side = self.config.image_size
        if pixels.dim() != 4 or not len(pixels) or pixels.shape[1:] != (self.config.channels, side, side):
            wanted = f"(B, {self.config.channels}, {side}, {side})"
            raise ShapeError(f"pixels are {wanted} with at least one image, not {tuple(pixels.shape)}")
        if has_values(pixels) and (broken := int((~torch.isfinite(pixels)).sum())):
            raise InvalidParameterError(f"{broken} of {pixels.numel()} pixels are NaN or infinite")
        return self.config.max_len

    def _check_types(self, types: Tensor, inputs: Tensor) -> None:
        n = self.config.n_types
        check_tensor("types", types)
        if types.shape != inputs.shape:
            raise ShapeError(f"types {tuple(types.shape)} do not match token ids {tuple(inputs.shape)}")
        if types.dtype not in (torch.int64, torch.int32):
            raise DTypeError(f"types are {types.dtype}; they have to be int64")
        if has_values(types) and (not n or int(types.min()) < 0 or int(types.max()) >= n):
            raise InvalidParameterError(f"types reach {int(types.max())}, but the model has {n} of them")


def has_values(x: Tensor) -> bool:
    """Whether numbers can be looked at: not on the meta device, nor while a graph is made of the run."""
    return not x.is_meta and not torch.compiler.is_compiling()


def check_ids(ids: Tensor, config: ModelConfig, start: int = 0) -> int:
    """How many tokens (B, T) has per text, after `start` ones. Errors: as `Embeddings.lengths`."""
    check_tensor("token ids", ids)
    if ids.is_nested:
        raise ShapeError("token ids are a nested tensor; pad the texts and give their lengths")
    if ids.dtype not in (torch.int64, torch.int32):
        raise DTypeError(f"token ids are {ids.dtype}; they have to be int64")
    if ids.dim() != 2 or 0 in ids.shape:
        raise ShapeError(f"token ids are (B, T) with at least one token, not {tuple(ids.shape)}")
    if start + ids.shape[1] > config.max_len:
        raise ShapeError(f"{start + ids.shape[1]} tokens are more than the model's {config.max_len}")
    if has_values(ids):
        low, high = map(int, ids.aminmax())
        if low < 0 or high >= config.vocab_size:
            raise InvalidParameterError(f"token ids {low}…{high} are outside 0…{config.vocab_size - 1}")
    return ids.shape[1]


def real_lengths(what: str, inputs: Tensor, longest: int, lengths: Sequence[int] | None) -> tuple[int, ...]:
    """The real tokens of each text or image: `lengths` if given, else all. Errors: ShapeError."""
    if lengths is None:
        return (longest,) * len(inputs)
    if not isinstance(lengths, Sequence) or not all(isinstance(n, int) for n in lengths):
        raise ShapeError(f"lengths={lengths!r} is not a list with one length per text")
    if len(lengths) != len(inputs) or not all(1 <= n <= longest for n in lengths):
        raise ShapeError(f"lengths {tuple(lengths)} do not fit {what} {tuple(inputs.shape)}")
    return tuple(lengths)


@lru_cache(maxsize=16)
def patch_names(config: ModelConfig) -> Encoding:
    """The tokens of a vision transformer's image: [CLS] and the like, then each patch as "row,column", counted from 0.

    As a text: every patch is a word, and its id is its place.
    """
    side = config.image_size // config.patch_size
    patches = [f"{row},{column}" for row in range(side) for column in range(side)]
    special = config.special_names
    names, n = (*special, *patches), len(special)
    offsets, at = [(0, 0)] * n, 0
    for name in patches:
        offsets.append((at, at + len(name)))
        at += len(name) + 1
    return Encoding(
        " ".join(patches),
        tuple(range(len(names))),
        names,
        names,
        tuple(offsets),
        (*(None,) * n, *range(len(patches))),
        (*(True,) * n, *(False,) * len(patches)),
    )
