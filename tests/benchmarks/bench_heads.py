"""Previous-token, duplicate-token and induction scores of all heads against TransformerLens's detector, in one run.

    python -m attnviz bench heads

Three ratios on the same causal models and texts, of processor time with one thread:

    scores      both are given the attention
    one run     from tokens: one run of the model, whose attention all kinds share; ours stops before the logits
    as called   from tokens: ours as before, theirs as `detect_head` is called on a text, with a run for every kind

The model that both run is ours, so that detectors are compared, not models. Where TransformerLens is not installed,
what its `detect_head` (version 4.3) does is worked out here in its steps: a pattern per kind, then head by head.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import attnviz
from attnviz.analysis import heads
from attnviz.nn.trace import Trace

LENGTHS = (64, 128)
ROUNDS = 9
CLOSE = 1e-6  # theirs adds up in single precision


def by_its_steps(weights: Sequence[Tensor], ids: Tensor, kind: str) -> Tensor:
    """What `detect_head` does on one text by "mul": (L, H). `weights`: of each layer, (H, T, T)."""
    n = len(ids)
    if kind == "previous-token":
        wanted = torch.zeros(n, n)
        wanted[1:, :-1] = torch.eye(n - 1)
    else:
        wanted = (ids[:, None] == ids[None, :]).fill_diagonal_(False).tril().float()
        if kind == "induction":
            wanted = torch.cat((torch.zeros(n, 1), wanted.roll(1, dims=1)[:, 1:]), dim=1)
    wanted = wanted.tril()
    if not set(wanted.unique().tolist()) <= {0, 1} or not torch.equal(wanted, wanted.tril()):
        raise AssertionError("the pattern is none of its")
    found = -torch.ones(len(weights), len(weights[0]))
    for layer, of_layer in enumerate(weights):
        for head in range(len(of_layer)):
            attention = of_layer[head, :, :]
            found[layer, head] = ((attention * wanted).sum() / attention.sum()).item()
    return found


def by_itself(weights: Sequence[Tensor], ids: Tensor, kind: str) -> Tensor:
    """TransformerLens's own function, with the attention as its cache."""
    from transformer_lens.head_detector import detect_head

    sizes = {"n_layers": len(weights), "n_heads": len(weights[0])}
    cfg = SimpleNamespace(device="cpu", n_ctx=10_000, dtype=torch.float32, **sizes)
    model: Any = SimpleNamespace(cfg=cfg, to_tokens=lambda _: ids[None])
    cache: Any = {("pattern", layer, "attn"): one for layer, one in enumerate(weights)}
    found: Tensor = detect_head(model, "", kind.replace("-", "_") + "_head", cache=cache)
    return found


def measured(transformer: Any, n_tokens: int, detect: Callable[..., Tensor]) -> tuple[float, list[float], float]:
    """Seconds of our scores, theirs over ours in the three ways, and the largest difference of a score."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randint(transformer.config.vocab_size, (n_tokens // 2,), generator=generator)
    ids = torch.cat((half, half))
    text = [ids.tolist()]

    def run() -> Trace:
        trace: Trace = transformer(ids[None])
        return trace

    def ran() -> list[Tensor]:
        return [layer.attention.weights[0] for layer in run().layers]

    def fit(weights: list[Tensor]) -> Tensor:
        masks = heads._masks(heads._wanted(heads.KINDS, text[0], n_tokens), True, True)
        return torch.stack([heads._fit(one, masks) for one in weights], dim=1)

    def theirs(weights: Callable[[], list[Tensor]]) -> Tensor:
        return torch.stack([detect(weights(), ids, kind) for kind in heads.KINDS])

    with torch.inference_mode():
        given = ran()
        sides: tuple[Callable[[], Tensor], ...] = (
            lambda: fit(given),
            lambda: theirs(lambda: given),
            lambda: heads.detect(transformer, ids[None]),
            lambda: (lambda weights: theirs(lambda: weights))(ran()),
            lambda: theirs(ran),
        )
        times: list[list[float]] = [[] for _ in sides]
        found = [side() for side in sides]
        for _ in range(ROUNDS):
            for side, seconds in zip(sides, times, strict=True):
                begin = time.process_time()
                side()
                seconds.append(time.process_time() - begin)
    pairs = ((1, 0), (3, 2), (4, 2))
    ratios = [statistics.median(a / b for a, b in zip(times[i], times[j], strict=True)) for i, j in pairs]
    return statistics.median(times[0]), ratios, max(float((one - found[1]).abs().max()) for one in found)


def main() -> None:
    """Prints the table; ends in an error where a score differs."""
    torch.set_num_threads(1)
    is_there = importlib.util.find_spec("transformer_lens") is not None
    detect, theirs = (by_itself, "its own function") if is_there else (by_its_steps, "its steps, worked out here")
    table = Table(title="Three kinds of heads, theirs / ours", title_justify="left", box=None, pad_edge=False)
    for title in ("model", "heads", "tokens", "our scores", "scores (≥ 3)", "one run", "as called (≥ 3)", "apart by"):
        table.add_column(title, justify="left" if title == "model" else "right")
    wide = attnviz.preset("gpt", n_layers=12, n_heads=12, d_model=768, d_ff=3072, vocab_size=50257)
    models = {
        "austen": attnviz.load("austen").transformer,
        "random, of GPT-2's size": attnviz.Transformer(wide, torch.Generator().manual_seed(0)).eval(),
    }
    for name, transformer in models.items():
        n_heads = transformer.config.n_layers * transformer.config.n_heads
        for n_tokens in LENGTHS:
            seconds, ratios, apart = measured(transformer, n_tokens, detect)
            written = [f"{ratio:.1f} ×" for ratio in ratios]
            table.add_row(name, str(n_heads), str(n_tokens), f"{1e3 * seconds:.2f} ms", *written, f"{apart:.0e}")
            if apart > CLOSE:
                raise AssertionError(f"{name} at {n_tokens} tokens: scores differ by {apart:.1e}")
    out = Console(width=110)
    out.print(table)
    out.print(f"TransformerLens: {theirs}")


if __name__ == "__main__":
    main()
