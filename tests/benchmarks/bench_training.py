"""Training: our steps against a plain loop around torch.nn.TransformerEncoder, and the time to an induction head.

    python -m attnviz bench training

Same task, sizes, batches, optimizer and clipping on both sides. A round is a few steps of one and then of the other, so
that a busy machine slows both; the ratio is the median over the rounds, torch's seconds over ours.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.training.loop import TrainConfig, Training, optimizer_for, preset
from attnviz.training.tasks import IGNORED, Batch
from attnviz.training.tasks.sequences import WORDS

ROUNDS, STEPS = 15, 8  # in each round, of each
CASES = {
    "copy, default": preset("copy"),
    "copy, large": preset("copy", "large"),
    "language, default": preset("language", positions="learned"),
    "language, as austen": preset(
        "language", positions="learned", d_model=128, n_layers=4, d_ff=512, length=128, batch=8, vocab_size=1024
    ),
    "language, as austen, bfloat16": preset(
        "language",
        positions="learned",
        d_model=128,
        n_layers=4,
        d_ff=512,
        length=256,
        batch=8,
        vocab_size=2048,
        precision="bfloat16",
    ),
    "masked, default": preset("masked", positions="learned"),
}
TEXT = " ".join(random.Random(0).choices(WORDS.split(), k=30_000))  # what it says does not matter here
GOAL, SECONDS = 0.5, 60


class Plain(nn.Module):
    """The same sizes, built from torch.nn."""

    def __init__(self, config: TrainConfig, vocab_size: int, max_len: int, causal: bool) -> None:
        super().__init__()
        c = config.d_model
        self.tokens, self.positions = nn.Embedding(vocab_size, c), nn.Embedding(max_len, c)
        layer = nn.TransformerEncoderLayer(
            c, config.n_heads, config.d_ff, config.dropout, F.gelu, batch_first=True, norm_first=config.norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, config.n_layers, nn.LayerNorm(c), enable_nested_tensor=False)
        self.out = nn.Linear(c, vocab_size)
        self.out.weight = self.tokens.weight
        self.causal = causal

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, T, V)."""
        n = batch.ids.shape[1]
        padding = None
        if batch.lengths is not None and min(batch.lengths) < n:
            padding = torch.arange(n) >= torch.tensor(batch.lengths)[:, None]
        mask = torch.ones(n, n, dtype=torch.bool).triu(1) if self.causal else None
        x = self.tokens(batch.ids) + self.positions.weight[:n]
        return self.out(self.encoder(x, mask, padding, is_causal=self.causal))


def plain_loop(ours: Training) -> Callable[[], None]:
    """One step of torch's model per call, on the batches of our training."""
    config, task = ours.config, ours.task
    net = Plain(config, task.tokenizer.vocab_size, task.max_len, task.kind == "decoder")
    optimizer = optimizer_for(net, config)  # type: ignore[arg-type]
    numbers = count()

    def step() -> None:
        batch = task.batch(config.batch, torch.Generator().manual_seed(next(numbers)))
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss = F.cross_entropy(net(batch).flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), config.clip)
        optimizer.step()
        loss.item()

    return step


def seconds(step: Callable[[], object], times: int) -> float:
    """Of so many steps."""
    began = time.perf_counter()
    for _ in range(times):
        step()
    return time.perf_counter() - began


def against_torch(out: Console, rounds: int = ROUNDS) -> None:
    """Prints steps per second of each case, with 1 thread and with 2."""
    table = Table(title="Training steps against torch.nn.TransformerEncoder", title_justify="left", box=None)
    for title in ("case", "threads", "ours, steps/s", "torch, steps/s", "ours / torch (≥ 0.95)"):
        table.add_column(title, justify="left" if title == "case" else "right")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, config in CASES.items():
            endless = replace(config, steps=10**9, eval_every=10**9, schedule="constant")
            ours = Training(endless, TEXT if config.task in ("language", "masked") else None)
            theirs = plain_loop(ours)
            seconds(ours._step, 2), seconds(theirs, 2)
            pairs = [(seconds(ours._step, STEPS), seconds(theirs, STEPS)) for _ in range(rounds)]
            rates = [f"{STEPS / statistics.median(one):.1f}" for one in zip(*pairs, strict=True)]
            ratio = statistics.median(b / a for a, b in pairs)
            table.add_row(name, str(threads), *rates, f"{ratio:.2f}")
    out.print(table)


def until_induction(out: Console) -> None:
    """Prints how long the default preset takes until a head's induction score passes the goal, on two threads."""
    torch.set_num_threads(2)
    began = time.perf_counter()
    training = Training(preset("induction", eval_every=20))
    for step in training.steps():
        if step.metrics is not None and step.metrics["induction"] > GOAL:
            spent = time.perf_counter() - began
            out.print(
                f"Induction score {step.metrics['induction']:.2f} at step {step.number}: {spent:.0f} s (≤ {SECONDS} s)"
            )
            return
    out.print(f"No induction head within {training.config.steps} steps.")


def main() -> None:
    """Prints both."""
    out = Console(width=110)
    against_torch(out)
    until_induction(out)


if __name__ == "__main__":
    main()
