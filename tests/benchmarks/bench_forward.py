"""Forward passes, ours and in transformers, memory of a trace, patching, import time, as ratios in one run.

    python -m attnviz bench forward

Each ratio is the median over rounds; a round times the competitors one right after the other, so that a
busy machine slows all of them.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

import attnviz
from attnviz.analysis import outcomes, patching_gradient
from attnviz.analysis import patching as exact
from attnviz.models.catalogue import minilm_folder
from attnviz.nn.transformer import Transformer

LENGTHS = (16, 64, 128, 256, 512)
ROUNDS = {16: 60, 64: 40, 128: 30, 256: 16, 512: 10}


def rounds(competitors: list[Callable[[], object]], n: int) -> list[list[float]]:
    """Seconds of each competitor in each of n rounds, after two rounds of warming up."""
    times: list[list[float]] = [[] for _ in competitors]
    for i in range(n + 2):
        for run, seconds in zip(competitors, times, strict=True):
            begin = time.perf_counter()
            run()
            if i >= 2:
                seconds.append(time.perf_counter() - begin)
    return times


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median over the rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def bare(model: Transformer, ids: Tensor) -> list[tuple[Tensor, ...]]:
    """What a run of minilm computes and keeps, by torch's functions alone: no modules, no checks, no record."""
    c, heads = model.config.d_model, model.config.n_heads
    x, kept = model.embed(ids, None, "learned"), []

    def norm(y: Tensor, by: nn.LayerNorm) -> Tensor:
        return F.layer_norm(y, (c,), by.weight, by.bias, by.eps)

    for layer in model.encoder["layers"]:
        own = layer.self_attn
        packed = F.linear(x, own.in_proj_weight, own.in_proj_bias).view(*x.shape[:-1], 3, heads, c // heads)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind()
        z = F.scaled_dot_product_attention(q, k, v)
        out = F.linear(z.transpose(1, 2).flatten(2), own.out_proj.weight, own.out_proj.bias)
        mid = norm(x + out, layer.norm1)
        hidden = F.gelu(F.linear(mid, layer.linear1.weight, layer.linear1.bias))
        kept.append((x, q, k, v, z, out, mid))
        x = norm(mid + F.linear(hidden, layer.linear2.weight, layer.linear2.bias), layer.norm2)
    return [*kept, (x,)]


def forward(out: Console) -> None:
    """minilm with the full trace against Hugging Face, eager with attentions and fused without.

    Beside it the least that a run costs by torch's functions: what is above it is modules, checks and the record.
    """
    from transformers import AutoModel

    folder = str(minilm_folder())
    ours = attnviz.load("minilm").transformer
    eager = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    fused = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()
    table = Table(title="Forward pass of minilm", title_justify="left", box=None, pad_edge=False)
    for title in (
        "threads",
        "tokens",
        "ours, full trace",
        "vs HF eager + attentions (≤ 0.9)",
        "vs HF fused (≤ 1.0)",
        "bare torch calls vs HF eager",
    ):
        table.add_column(title, justify="right")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for n_tokens in LENGTHS:
            ids = torch.randint(1000, 30_000, (1, n_tokens))
            full = torch.ones_like(ids)
            with torch.inference_mode():
                a, b, c, d = rounds(
                    [
                        lambda ids=ids: ours(ids),
                        lambda ids=ids, full=full: eager(
                            ids, attention_mask=full, output_attentions=True, output_hidden_states=True
                        ),
                        lambda ids=ids, full=full: fused(ids, attention_mask=full),
                        lambda ids=ids: bare(ours, ids),
                    ],
                    ROUNDS[n_tokens],
                )
            table.add_row(
                str(threads),
                str(n_tokens),
                f"{statistics.median(a) * 1e3:.1f} ms",
                f"{ratio(a, b):.2f}",
                f"{ratio(a, c):.2f}",
                f"{ratio(d, b):.2f}",
            )
    out.print(table)


def hf_model(out: Console) -> None:
    """A random GPT-2 of 12 layers, width 768, through our attention, against itself eager with attentions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from attnviz.models import hf_loading
    from attnviz.models.hf_model import HFModel

    hf_loading.register()
    eager = GPT2LMHeadModel._from_config(GPT2Config(), attn_implementation="eager").eval()
    inner = GPT2LMHeadModel._from_config(GPT2Config(), attn_implementation=hf_loading.NAME)
    inner.load_state_dict(eager.state_dict())
    ours = HFModel(inner)
    table = Table(title="GPT-2 of 12 layers in transformers", title_justify="left", box=None, pad_edge=False)
    for title in ("threads", "tokens", "ours, full trace", "vs HF eager + attentions (≤ 1.0)"):
        table.add_column(title, justify="right")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for n_tokens in (16, 128, 512):
            ids = torch.randint(50_000, (1, n_tokens))
            asked = {"attention_mask": torch.ones_like(ids), "output_attentions": True, "output_hidden_states": True}
            with torch.inference_mode():
                a, b = rounds(
                    [
                        lambda ids=ids: ours(ids),
                        lambda ids=ids, asked=asked: eager(ids, use_cache=False, **asked),
                    ],
                    ROUNDS[n_tokens] // 2,
                )
            milliseconds = f"{statistics.median(a) * 1e3:.0f} ms"
            table.add_row(str(threads), str(n_tokens), milliseconds, f"{ratio(a, b):.2f}")
    out.print(table)


def memory(out: Console) -> None:
    """What a trace of minilm holds, and what the weights alone would take."""
    model = attnviz.load("minilm").transformer
    table = Table(title="Memory of a trace of minilm", title_justify="left", box=None, pad_edge=False)
    for title in ("tokens", "bytes held", "bytes per token", "all weights would take"):
        table.add_column(title, justify="right")
    for n_tokens in (128, 256, 512):
        with torch.inference_mode():
            trace = model(torch.randint(1000, 30_000, (1, n_tokens)))
        weights = 4 * 6 * 12 * n_tokens**2
        table.add_row(str(n_tokens), f"{trace.nbytes:,}", f"{trace.nbytes / n_tokens:,.0f}", f"{weights:,}")
    out.print(table)


def patching(out: Console) -> None:
    """A sweep over all heads, exactly and by one gradient, against forward passes: one for each head, and one."""
    table = Table(title="Patching all heads, 64 tokens", title_justify="left", box=None, pad_edge=False)
    for title in ("model", "heads", "one forward", "sweep vs heads × forward (≤ 0.6)", "by gradient vs forward (≤ 4)"):
        table.add_column(title, justify="right")
    torch.set_num_threads(1)
    for name in ("minilm", "austen"):
        model = attnviz.load(name)
        length = 64
        drawn = torch.randint(300, model.tokenizer.vocab_size, (2, length), generator=torch.Generator().manual_seed(0))
        here, other = (model.run(ids) for ids in drawn.tolist())
        outcome = outcomes.usual(here, other)

        def sweep(model=model, here=here, other=other, outcome=outcome) -> object:
            return list(exact.heads(model.transformer, here, outcome, other=other))

        def gradient(model=model, here=here, other=other, outcome=outcome) -> object:
            return patching_gradient.heads(model.transformer, here, outcome, other=other)

        with torch.inference_mode():
            one, all_heads, near = rounds(
                [lambda model=model, ids=drawn[:1]: model.transformer(ids), sweep, gradient], 10
            )
        n_heads = len(here.layers) * model.transformer.config.n_heads
        table.add_row(
            name,
            str(n_heads),
            f"{1000 * statistics.median(one):.1f} ms",
            f"{ratio(all_heads, one) / n_heads:.2f}",
            f"{ratio(near, one):.2f}",
        )
    out.print(table)


def imports(out: Console) -> None:
    """`from attnviz import load` and `import attnviz` against `import torch`, each in a fresh process."""

    def fresh(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    alone, ours, torchs = rounds([fresh("import attnviz"), fresh("from attnviz import load"), fresh("import torch")], 9)
    for code, seconds in (("from attnviz import load", ours), ("import attnviz", alone)):
        out.print(f"{code}: {statistics.median(seconds):.2f} s, {ratio(seconds, torchs):.2f} × import torch (≤ 1.15)")


LOADED = """
import gc, time, safetensors.torch, tokenizers, torch
from attnviz import load
torch.set_num_threads(1)  # two would wait for each other where other work runs
{first}
gc.collect()  # of what the imports left: it would else fall into one of the two, by chance
begin, used = time.perf_counter(), time.process_time()
{does}
print(time.perf_counter() - begin, time.process_time() - used)
"""


def loading(out: Console) -> None:
    """Models with their tokenizers, against their tensors alone, read into memory; each in fresh processes.

    What transformers prepares once in a process, with the first model that it reads, is not counted.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    minilm = minilm_folder()
    assert minilm is not None
    _loading(out, "minilm", "minilm", minilm, "")
    with TemporaryDirectory() as place:
        for name, width, n_layers in (("large", 768, 8), ("small", 32, 1)):
            sizes = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": n_layers}
            config = LlamaConfig(vocab_size=30_522, num_attention_heads=4, **sizes)
            LlamaForCausalLM(config).save_pretrained(Path(place, name))
            shutil.copy(minilm / "tokenizer.json", Path(place, name))
        large, small = Path(place, "large"), Path(place, "small")
        _loading(out, "a Llama of 8 layers, through transformers", str(large), large, f"load({str(small)!r})")


def _loading(out: Console, title: str, name: str, folder: Path, first: str) -> None:
    file = str(folder / "model.safetensors")
    does = (
        f"model = load({name!r})",
        # load_file only maps the file; a copy reads it
        f"tensors = {{name: x.clone() for name, x in safetensors.torch.load_file({file!r}).items()}}",
    )
    passed: tuple[list[float], list[float]] = ([], [])
    worked: tuple[list[float], list[float]] = ([], [])
    for _ in range(9):
        for i, one in enumerate(does):
            command = [sys.executable, "-c", LOADED.format(first=first, does=one)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            passed[i].append(float(said[0]))
            worked[i].append(float(said[1]))
    out.print(f"loading {title}: {statistics.median(passed[0]):.2f} s, {ratio(*passed):.2f} × its tensors alone (≤ 2)")
    out.print(f"  in processor time, of all threads: {ratio(*worked):.2f} ×")


def main() -> None:
    """Prints all of them."""
    out = Console(width=110)
    forward(out)
    hf_model(out)
    memory(out)
    patching(out)
    imports(out)
    loading(out)


if __name__ == "__main__":
    main()
