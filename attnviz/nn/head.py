"""What a transformer says of its last vectors: the next token, or a class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnviz.nn.config import ModelConfig
from attnviz.nn.layers import ACTIVATIONS


class Head(nn.ModuleDict):
    """The last maps of a `ModelConfig` with a head, from the final vectors to logits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, c = config, config.d_model
        if config.head != "lm":
            for name in ("out", "distilled") if config.head == "distillation" else ("out",):
                self[name] = nn.Linear(c, config.n_classes)
            return
        self["out"] = nn.Linear(c, config.vocab_size)
        if config.head_transform:
            self["dense"], self["norm"] = nn.Linear(c, c), nn.LayerNorm(c, eps=config.norm_eps)

    def forward(self, final: Tensor, lengths: tuple[int, ...]) -> Tensor:
        """(B, T, V) of a language model; (B, n_classes) from [CLS], or from a decoder's last real token."""
        if self.config.head == "distillation":
            return (self["out"](final[:, 0]) + self["distilled"](final[:, 1])) / 2
        if self.config.head == "classification":
            rows = torch.arange(len(lengths), device=final.device)
            last = torch.tensor(lengths, device=final.device) - 1
            return self["out"](final[:, 0] if self.config.kind == "encoder" else final[rows, last])
        if self.config.head_transform:
            final = self["norm"](ACTIVATIONS[self.config.activation](self["dense"](final)))
        return self["out"](final)
