"""What the Train page can be set to, and what it shows of a run: curves, tables and attention."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from attnviz.browser import attention_message
from attnviz.errors import InvalidParameterError
from attnviz.figures import Curve, Panel
from attnviz.nn.config import POSITIONS
from attnviz.nn.trace import Trace
from attnviz.training import loop
from attnviz.training.loop import TrainConfig
from attnviz.training.tasks import TASKS
from attnviz.web.jobs.training_runs import Run, reads_text

LARGEST = 10**9  # of a number that somebody types; what is too much says the server in a sentence
EVALUATIONS = 16  # at least so many over a run, so that its metric is a curve
WARMUP = 10  # the learning rate rises over a tenth of the steps at most
WINDOW = 20  # and a twentieth of them is what the loss is smoothed over
POINTS = 300  # of a curve: more would not be seen
NAMES = {"accuracy": "right", "exact": "all right", "induction": "induction", "alignment": "aligned"}

# The House That Jack Built (first printed 1755): short, and each verse says the one before again.
_JACK = (
    ("the house that Jack built", "lay in"),
    ("the malt", "ate"),
    ("the rat", "killed"),
    ("the cat", "worried"),
    ("the dog", "tossed"),
    ("the cow with the crumpled horn", "milked"),
    ("the maiden all forlorn", "kissed"),
    ("the man all tattered and torn", "married"),
    ("the priest all shaven and shorn", "waked"),
    ("the cock that crowed in the morn", "kept"),
    ("the farmer sowing his corn", "belonged to"),
    ("the horse and the hound and the horn", ""),
)


def rhyme() -> str:
    """A nursery rhyme to train on, until somebody has a text of their own: 2,340 bytes."""
    verses = []
    for last in range(len(_JACK)):
        lines = [f"This is {_JACK[last][0]}"]
        lines += [f"That {did} {what}" for what, did in reversed(_JACK[:last])]
        verses.append("\n".join(lines) + ".")
    return "\n\n".join(verses)


RHYME = rhyme()


@dataclass(frozen=True)
class Settings:
    """What the reader has set. Numbers are taken as typed: a sentence says which of them cannot be."""

    task: str = "induction"
    size: str = "default"  # the preset that the numbers began with
    n_layers: int = 2
    n_heads: int = 4
    d_model: int = 64
    d_ff: int = 0
    positions: str = "alibi"
    learning_rate: float = 3e-3
    steps: int = 800
    batch: int = 64
    length: int = 64
    vocab_size: int = 300
    seed: int = 0
    corpus: str = RHYME
    head: int = -1  # layer · n_heads + head, −1: the one that changed most

    def __post_init__(self) -> None:
        for name, allowed in (("task", TASKS), ("size", loop.PRESETS), ("positions", POSITIONS)):
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not on offer")
        numbers = {name: value for name, value in asdict(self).items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            if not (math.isfinite(value) and -1 <= value <= LARGEST):
                raise InvalidParameterError(f"{name}={value} is not a number to type here")


def suggested(task: str, size: str) -> dict[str, Any]:
    """The settings of a task's preset, by field; the vocabulary goes with the text."""
    fields = asdict(preset(task, size))
    return {name: fields[name] for name in asdict(Settings()) if name in fields and name != "vocab_size"} | {"head": -1}


def preset(task: str, size: str) -> TrainConfig:
    """The library's preset; for a text of a few pages, shorter."""
    changes = {"length": 48, "steps": 300} if reads_text(task) else {}
    return loop.preset(task, size, **changes)


def config_of(chosen: Settings) -> TrainConfig:
    """The training that the settings ask for. Errors: InvalidParameterError."""
    base = preset(chosen.task, chosen.size)
    fields = {name: value for name, value in asdict(chosen).items() if name in asdict(base)}
    if not reads_text(chosen.task):
        del fields["vocab_size"]
    often = max(1, min(base.eval_every, chosen.steps // EVALUATIONS))
    warmup = max(0, min(base.warmup, chosen.steps // WARMUP))
    return replace(base, **fields, warmup=warmup, eval_every=often)


def vocabulary(n_bytes: int) -> int:
    """How many tokens a text of so many bytes bears: 300 for a page, 2,048 for a book."""
    return max(300, min(2048, 256 + n_bytes // 200))


def decoded(name: str, data: bytes) -> str:
    """An uploaded file as text. Errors: InvalidParameterError if it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidParameterError(
            f"{name} is not text in UTF-8: byte {error.start:,} is 0x{data[error.start]:02X}. Save it as UTF-8 first."
        ) from None
    if "\0" in text:
        raise InvalidParameterError(f"{name} is not text: byte {data.index(0):,} is 0, as in binary files.")
    return text


# ---- what a run shows ----------------------------------------------------------------------------------


def panels(run: Run) -> list[Panel]:
    """Loss, metrics and learning rate over the steps so far."""
    steps, held_out = list(run.steps), list(run.evaluations)
    loss = [step.loss for step in steps]
    smooth = trailing(loss, max(1, run.config.steps // WINDOW))
    shown = thinned(len(steps))
    numbers, at = [steps[i].number for i in shown], [step.number for step in held_out]
    losses = [
        Curve("each step", numbers, [loss[i] for i in shown], faint=True),
        Curve("training", numbers, [smooth[i] for i in shown]),
        Curve("held out", at, [(step.metrics or {})["loss"] for step in held_out]),
    ]
    shares = [
        Curve(NAMES.get(name, name), at, [(step.metrics or {})[name] for step in held_out]) for name in measured(run)
    ]
    rate = Curve("", numbers, [steps[i].learning_rate for i in shown])
    return [
        Panel("loss, nats", losses),
        Panel("on held-out examples", shares, top=1.0, share=True),
        Panel("learning rate", [rate]),
    ]


def measured(run: Run) -> list[str]:
    """The metrics that are shares of 1, the task's own first."""
    found = (run.evaluations[-1].metrics or {}) if run.evaluations else {}
    own = TASKS[run.config.task].metric
    others = [name for name in found if name not in ("loss", "bits_per_byte", "exact", own)]
    return [*([own] if own in found and own != "loss" else []), *others]


def trailing(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and those before it, `window` in all, fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - window)
    mean: list[float] = ((total[ends] - total[begins]) / (ends - begins)).tolist()
    return mean


def thinned(n: int, most: int = POINTS) -> range:
    """The places of at most so many of n points, evenly, the last among them."""
    every = max(1, math.ceil(n / most))
    return range((n - 1) % every, n, every) if n else range(0)


def table(run: Run) -> pd.DataFrame:
    """Every step with its numbers; metrics where they were measured."""
    steps = list(run.steps)
    names = ("number", "loss", "smoothed", "learning_rate", "grad_norm", "tokens_per_second")
    columns: dict[str, Any] = {name: [getattr(step, name) for step in steps] for name in names}
    found = {step.number: step.metrics or {} for step in list(run.evaluations)}
    for name in ["loss", *measured(run)] if found else []:
        columns[f"held_out_{name}"] = [found.get(step.number, {}).get(name) for step in steps]
    return pd.DataFrame(columns).rename(columns={"number": "step"})


def stack(trace: Trace) -> str:
    """The attention to look at: from target to source where there are both."""
    return "cross" if trace.source is not None else "self"


def weights(trace: Trace) -> np.ndarray:
    """The attention of every head on the probe: (L, H, T, S)."""
    return np.stack([one.weights[0].numpy() for one in attention_message.attentions(trace, stack(trace))])


def moved(before: Trace, now: Trace) -> np.ndarray:
    """How much of each head's attention lies elsewhere than before, 0 to 1, mean over the queries: (L, H)."""
    share: np.ndarray = np.abs(weights(now) - weights(before)).sum(axis=-1).mean(axis=-1) / 2
    return share


def head_table(found: np.ndarray) -> pd.DataFrame:
    """Every weight of (L, H, T, S) in a row of its own."""
    layer, head, query, key = (axis.ravel() for axis in np.indices(found.shape))
    return pd.DataFrame({"layer": layer, "head": head, "query": query, "key": key, "weight": found.ravel()})


def zipped(run: Run) -> bytes:
    """The files of the trained model as one archive with a folder."""
    data, folder = io.BytesIO(), f"attnviz-{run.config.task}"
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in run.files().items():
            archive.writestr(f"{folder}/{name}", content)
    return data.getvalue()
