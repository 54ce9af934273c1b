"""Dropout that costs nothing where nothing is dropped."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Dropout):
    """torch.nn.Dropout, which in evaluation calls no function to leave its input as it is."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, a share p of it set to 0 and the rest scaled up in training. Srivastava et al. 2014, section 4."""
        return F.dropout(input, self.p, True, self.inplace) if self.training else input
