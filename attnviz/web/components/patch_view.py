"""Attention over a picture, patch by patch, as a Streamlit component: weights go in, the reader's choices come out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnviz.analysis.rollout import rolled_out
from attnviz.browser import bundle
from attnviz.browser.framing import Payload, frame
from attnviz.formatting import special_words
from attnviz.nn.trace import Trace
from attnviz.web.components import bridge

ROLLOUT = -1  # in the place of a head
MOST_BYTES = 1_000_000  # of weights for every patch that may look; of a larger run, the rows of one patch are sent
LARGEST_SIDE = 256  # of the picture that is sent

_mount = bridge.component(
    "attnviz_patches",
    "widgets/patches.js",
    f'<div class="ap-root"></div>{bridge.NO_SCRIPT}',
    bundle.css("widgets/patches.css"),
)


@dataclass(frozen=True)
class Look:
    """What the reader looks at."""

    layer: int = 0
    head: int = ROLLOUT
    query: int = 0  # the token that looks
    off: str = ""  # switched-off heads: "2.0,1.3"


def reported(key: str) -> Look | None:
    """What the reader last did in the view `key`; None before that, or if a browser sent something else."""
    return bridge.reported_as(key, "look", Look())


def patches_view(
    message: bytes,
    look: Look,
    *,
    key: str,
    alt: str,
    answer: Sequence[tuple[str, float, float]] = (),
    changed: str = "",
    on_change: Callable[[], None],
) -> None:
    """Draws the view.

    Arguments
        message: from `pack`. While it stays the same, no bytes are sent again.
        look: what to show. What the view itself reported is not sent back to it.
        alt: the picture's text alternative.
        answer: classes with their probabilities as trained and now, from 0 to 1, drawn as bars.
        changed: what was done to the model, for the titles; "" for nothing.
        on_change: called before the run that follows what the reader did; `reported` says what that was.
    """
    sent = bridge.to_send(key, "look", look, reported(key), insist=True)
    payload = Payload()
    payload.add(message)
    about = {
        "id": zlib.crc32(message),
        "number": sent.number,
        "look": asdict(sent.state),
        "alt": alt,
        "changed": changed,
        "answer": [list(row) for row in answer],
    }
    _mount(data=frame(about, payload), key=key, on_look_change=on_change)


def pack(trace: Trace, seen: np.ndarray, query: int) -> bytes:
    """A vision model's run on one picture: a frame whose payload holds float32 weights, then uint8 pixels.

    Weights are (L, H + 1, Q, T), the last of each layer's rows its rollout; Q is all T tokens, or `query` alone if
    these would be too many. `seen`: uint8 (height, width, channels), what the model read.
    """
    config, labels = trace.config, trace.encodings[0].labels
    n_tokens = len(labels)
    size = 4 * config.n_layers * (config.n_heads + 1) * n_tokens * n_tokens
    queries = list(range(n_tokens)) if size <= MOST_BYTES else [query]
    step = -(-max(seen.shape) // LARGEST_SIDE)
    seen = np.ascontiguousarray(seen[::step, ::step])
    about: dict[str, Any] = {
        "layers": config.n_layers,
        "heads": config.n_heads,
        "tokens": n_tokens,
        "special": config.n_special,
        "names": [[name, special_words(name)] for name in config.special_names],
        "side": config.image_size // config.patch_size,
        "queries": queries,
        "picture": list(seen.shape),
    }
    payload = Payload()
    payload.add(rows(trace, queries).numpy(), seen)
    return frame(about, payload)


def rows(trace: Trace, queries: list[int]) -> Tensor:
    """Attention rows of every layer and head, and after them of the layer's rollout: (L, H + 1, Q, T)."""
    attentions = trace.attentions
    heads = torch.stack([weights[0][:, queries] for weights in attentions])  # (L, H, Q, T)
    return torch.cat([heads, rolled_out(attentions)[:, :1, queries]], dim=1).contiguous()


def same_place(token: int, before: tuple[int, int], now: tuple[int, int]) -> int:
    """The patch in the middle of what a patch covers in another model's grid; a special token stays the class token.

    Arguments
        before, now: special tokens, and patches on a side.
    """
    (n_special, side), (n_now, side_now) = before, now
    if not n_special <= token < n_special + side**2:
        return 0
    row, column = ((2 * place + 1) * side_now // (2 * side) for place in divmod(token - n_special, side))
    return n_now + row * side_now + column
