"""Tokens per second of greedy decoding against transformers' generate, as ratios measured side by side in one run.

    python -m attnviz bench generate

Both remember keys and values, on the same random GPT-2 weights; ours keeps every step's run, and so the attention of
the whole text. transformers is timed without its attentions, and with them (kept by its eager attention).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import attnviz
from attnviz.generation.sampling import Prompt, Token, recorded, tokens
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.model import Model

SIZES = [("tiny: 2 × 2 heads, width 32", 2, 2, 32), ("12 × 12 heads, width 768", 12, 12, 768)]
N_TOKENS = {2: 100, 12: 40}
ROUNDS = {2: 15, 12: 6}
PROMPT = tuple(range(5, 25))
VOCABULARY = 1000


def library(n_layers: int, n_heads: int, width: int, kind: str) -> Any:
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=256,
        n_embd=width,
        n_layer=n_layers,
        n_head=n_heads,
        bos_token_id=1,
        eos_token_id=VOCABULARY - 1,
        attn_implementation=kind,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def loaded(theirs: Any, folder: Path) -> Model:
    theirs.save_pretrained(folder)
    Tokenizer.train_bpe(["a b c"], VOCABULARY).save(folder / "tokenizer.json")
    return attnviz.load(str(folder))


def ours(model: Model, n: int) -> list[Token]:
    """n tokens with the attention of all of them, as one trace."""
    begin = Prompt(None, PROMPT, (), 256)
    spoken = [token for token, _ in zip(tokens(model, begin), range(n), strict=False)]
    recorded(model, begin, spoken)
    return spoken


def generated(theirs: Any, n: int, attentions: bool) -> list[int]:
    ids = torch.tensor([PROMPT])
    out = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=n,
        min_new_tokens=n,
        do_sample=False,
        pad_token_id=0,
        output_attentions=attentions,
        return_dict_in_generate=attentions,
    )
    return list((out.sequences if attentions else out)[0, len(PROMPT) :].tolist())


def main() -> None:
    """Prints the table."""
    table = Table(title="Greedy decoding, one text", title_justify="left", box=None, pad_edge=False)
    for title in ("GPT-2", "threads", "ours, attention kept", "vs generate (≥ 0.9)", "vs generate with attentions"):
        table.add_column(title, justify="left" if title == "GPT-2" else "right")
    for name, n_layers, n_heads, width in SIZES:
        fused, eager = (library(n_layers, n_heads, width, kind) for kind in ("sdpa", "eager"))
        with tempfile.TemporaryDirectory() as folder:
            model = loaded(fused, Path(folder))
        n = N_TOKENS[n_layers]
        for threads in (1, 2):
            torch.set_num_threads(threads)
            runs = [
                lambda: [token.id for token in ours(model, n)],  # noqa: B023
                lambda: generated(fused, n, False),  # noqa: B023
                lambda: generated(eager, n, True),  # noqa: B023
            ]
            times: list[list[float]] = [[], [], []]
            answers = {}
            for turn in range(ROUNDS[n_layers] + 1):
                for i, run in enumerate(runs):
                    begun = time.perf_counter()
                    answers[i] = run()
                    if turn:
                        times[i].append(time.perf_counter() - begun)
            assert answers[0] == answers[1] == answers[2]
            speed = n / statistics.median(times[0])
            ratios = [statistics.median(b / a for a, b in zip(times[0], one, strict=True)) for one in times[1:]]
            table.add_row(name, str(threads), f"{speed:.0f} tokens/s", *(f"{ratio:.2f} ×" for ratio in ratios))
    Console(width=110).print(table)
    Console().print(f"{os.cpu_count()} cores, {n_tokens_said()}")


def n_tokens_said() -> str:
    """How much was said."""
    return ", ".join(f"{n} tokens with {layers} layers" for layers, n in N_TOKENS.items())


if __name__ == "__main__":
    main()
