"""The curves of the page "Watch attention form": loss, metrics and learning rate of a run, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from attnviz.figures import Curve, Panel
from attnviz.training.tasks import TASKS
from attnviz.web.jobs.training_runs import Run

WINDOW = 20  # a twentieth of the steps is what the loss is smoothed over
POINTS = 300  # of a curve: more would not be seen
NAMES = {"accuracy": "right", "exact": "all right", "induction": "induction", "alignment": "aligned"}


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
    metrics = (run.evaluations[-1].metrics or {}) if run.evaluations else {}
    first = TASKS[run.config.task].metric
    others = [name for name in metrics if name not in ("loss", "bits_per_byte", "exact", first)]
    return [*([first] if first in metrics and first != "loss" else []), *others]


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
    metrics = {step.number: step.metrics or {} for step in list(run.evaluations)}
    for name in ["loss", *measured(run)] if metrics else []:
        columns[f"held_out_{name}"] = [metrics.get(step.number, {}).get(name) for step in steps]
    return pd.DataFrame(columns).rename(columns={"number": "step"})
