"""The curves of the page "Watch attention form": loss, metrics and learning rate of a run, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from attnviz.figures import Curve, Panel
from attnviz.training.tasks import TASKS
from attnviz.web.jobs.training_runs import Run

WINDOW = 20  # a twentieth of the steps is what the loss is smoothed over
POINTS = 300  # of a curve: more would not be seen
EXACT = "whole answers correct"
NAMES = {"exact": EXACT, "induction": "induction", "alignment": "aligned"}


def panels(run: Run) -> list[Panel]:
    """Loss, metrics and learning rate over the steps so far."""
    steps, held_out = list(run.steps), list(run.evaluations)
    window = max(1, run.config.steps // WINDOW)
    loss, held_out_loss = [step.loss for step in steps], [(step.metrics or {})["loss"] for step in held_out]
    shown = thinned(len(steps))
    numbers, at = [steps[i].number for i in shown], [step.number for step in held_out]
    smooth = trailing(loss, window)
    losses = [
        Curve("each step", numbers, [loss[i] for i in shown], faint=True),
        *([Curve("each evaluation", at, held_out_loss, faint=True)] if window > 1 else []),
        Curve("training", numbers, [smooth[i] for i in shown]),
        Curve("held out", at, trailing_between(at, held_out_loss, window)),
    ]
    shares = [
        Curve(named(name, run.config.task), at, [(step.metrics or {})[name] for step in held_out])
        for name in measured(run)
    ]
    rate = Curve("", numbers, [steps[i].learning_rate for i in shown])
    how = f", both as means over the last {window} steps" if window > 1 else ""
    return [
        Panel(f"loss, nats per label{how}", losses),
        Panel("on held-out examples", shares, top=1.0, share=True),
        Panel("learning rate", [rate]),
    ]


def named(metric: str, task: str) -> str:
    """A metric as its curve is named."""
    return f"{TASKS[task].labels} correct" if metric == "accuracy" else NAMES.get(metric, metric)


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


def trailing_between(at: Sequence[int], values: Sequence[float], window: int) -> list[float]:
    """The same mean of values that were measured at some steps only: between them they count as on a straight line."""
    if not at:
        return []
    smooth = trailing(np.interp(np.arange(at[0], at[-1] + 1), at, values).tolist(), window)
    return [smooth[step - at[0]] for step in at]


def thinned(n: int, most: int = POINTS) -> range:
    """The places of at most so many of n points, evenly, the last among them."""
    every = max(1, math.ceil(n / most))
    return range((n - 1) % every, n, every) if n else range(0)


def table(run: Run) -> dict[str, list[Any]]:
    """Every step with its numbers; metrics where they were measured."""
    steps = list(run.steps)
    names = ("loss", "smoothed", "learning_rate", "grad_norm", "tokens_per_second")
    columns: dict[str, list[Any]] = {"step": [step.number for step in steps]}
    columns |= {name: [getattr(step, name) for step in steps] for name in names}
    metrics = {step.number: step.metrics or {} for step in list(run.evaluations)}
    for name in ["loss", *measured(run)] if metrics else []:
        columns[f"held_out_{name}"] = [metrics.get(step.number, {}).get(name) for step in steps]
    return columns
