"""Sparse attention patterns: which positions a query may attend to.

Each pattern is a bool keep array, torch (T, T), row = query, column = key, True = may attend; O(T²) memory. They
combine with `&` and `|`, and go into `attend(..., keep=…)` and `Mask(dense=…)` as they are; `.numpy()` makes them
numpy. Every query may attend to itself in each of them, so no row is empty.

    causal(4)      window(4, 1)   block(4, 2)    strided(4, 0, 2)   prefix(4, 2)
    1 0 0 0        1 1 0 0        1 1 0 0        1 0 1 0            1 1 0 0
    1 1 0 0        1 1 1 0        1 1 0 0        0 1 0 1            1 1 0 0
    1 1 1 0        0 1 1 1        0 0 1 1        1 0 1 0            1 1 1 0
    1 1 1 1        0 0 1 1        0 0 1 1        0 1 0 1            1 1 1 1
"""

from __future__ import annotations

import torch
from torch import Tensor

from attnviz.nn import masks
from attnviz.nn.checks import check_index, check_sizes


def causal(n: int) -> Tensor:
    """Bool (T, T): query i may attend to keys 0…i (Vaswani et al. 2017, section 3.2.3). T = n."""
    check_sizes(n=n)
    return masks.causal(n)


def window(n: int, size: int) -> Tensor:
    """Bool (T, T): keys at most `size` positions away, on both sides (Beltagy et al. 2020, section 3.1). T = n.

    `size` 0 leaves the diagonal. Errors: InvalidParameterError for a negative size.
    """
    check_sizes(n=n)
    return masks.window(n, size=check_index("window size", size))


def strided(n: int, size: int, stride: int) -> Tensor:
    """Bool (T, T): keys at most `size` away, and every `stride`-th one from the query. T = n.

    The union of the two heads of Child et al. 2019, section 4.2, which factorise full attention when size and
    stride are near √T: any key is reached in two layers. Theirs is causal: `strided(n, size, stride) & causal(n)`.
    Errors: InvalidParameterError for a negative size or a stride below 1.
    """
    check_sizes(n=n, stride=stride)
    i = torch.arange(n)
    return window(n, size) | ((i[:, None] - i[None, :]) % stride == 0)


def block(n: int, size: int) -> Tensor:
    """Bool (T, T): keys in the query's own block of `size` positions. T = n; the last block may be shorter.

    Blockwise attention with the identity permutation (Qiu et al. 2020, section 3.1).
    Errors: InvalidParameterError for a size below 1.
    """
    check_sizes(n=n, size=size)
    number = torch.arange(n) // size
    return number[:, None] == number[None, :]


def prefix(n: int, length: int) -> Tensor:
    """Bool (T, T): the first `length` keys for every query, and the past. T = n.

    Inside the prefix attention is bidirectional, after it causal (Dong et al. 2019, section 2.2; Raffel et al. 2020,
    section 3.2.1). `length` 0 is causal, n or more forbids nothing.
    Errors: InvalidParameterError for a negative length.
    """
    check_sizes(n=n)
    return causal(n) | (torch.arange(n) < check_index("prefix length", length))[None, :]
