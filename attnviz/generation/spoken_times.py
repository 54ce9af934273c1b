"""What times Whisper may write next: in pairs, none before an earlier one, and none where a word is likelier than all.

Source: Radford et al. 2022, section 2.3; the processor of transformers' generate.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from attnviz.models.hf_spoken import Times


def timed(scores: Tensor, answers: Sequence[Sequence[int]], times: Times) -> Tensor:
    """(N, V) → (N, V): scores, or log p, of the token after each of N answers, whose tokens from `begin` are times."""
    scores, begin = scores.clone(), times.begin
    scores[:, begin - 1] = -torch.inf  # "no timestamps"
    for row, answer in zip(scores, answers, strict=True):
        said = [token for token in answer if token >= begin]
        after_time = bool(answer) and answer[-1] >= begin
        pair = len(answer) < 2 or answer[-2] >= begin  # two times stand last, or an answer's first one
        if after_time and pair:
            row[begin:] = -torch.inf
        elif after_time:  # its second one, or the end
            row[: times.end] = -torch.inf
        if said:
            row[begin : said[-1] + (not after_time or pair)] = -torch.inf
        if not answer:
            row[:begin] = -torch.inf
            if times.latest is not None:
                row[begin + times.latest + 1 :] = -torch.inf
        log_p = row.float().log_softmax(dim=-1)
        if log_p[begin:].logsumexp(dim=-1) > log_p[:begin].max():
            row[:begin] = -torch.inf
    return scores
