"""The sentences of the page "Watch attention form", worked out from a run's numbers."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import TYPE_CHECKING

from attnviz.browser import live
from attnviz.formatting import counted, minutes, ordinal, percent
from attnviz.nn.positions import SCHEMES, described
from attnviz.training.loop import TrainConfig
from attnviz.training.tasks import TASKS

if TYPE_CHECKING:
    from attnviz.web.jobs.training_queue import Place
    from attnviz.web.jobs.training_runs import Run

POSITIONS = {name: described(name).label for name in SCHEMES}
RECENT = 10  # steps, whose mean stands for now
SIZES = {"small": "Small", "default": "Default", "large": "Large"}
TRIES = (  # what it says, task, size, what to change
    ("One layer only: can an induction head form?", "induction", "default", {"n_layers": 1}),
    ("No positions: can it reverse?", "reverse", "default", {"positions": "none"}),
    ("A learning rate of 3, a thousand times the usual one", "copy", "small", {"learning_rate": 3.0}),
)
METRICS: dict[str, Callable[[str], str]] = {
    "induction": lambda share: f"the best head puts {share} of its attention on the token that followed last time",
    "exact": lambda share: f"{share} of the held-out answers are correct from the first letter to the last",
}


def sentence(run: Run | None) -> str:
    """What is going on now."""
    if run is None:
        return "Pick a task and press Start: a small transformer learns it here, and you see what its heads look at."
    if run.status == "failed":
        return f"{run.error} What you set is still there: change it, and start again."
    place = run.place
    if place is not None:
        return in_line(place)
    error = f" − {run.error}" if run.error else ""
    if not run.steps:
        return preparing(run) if run.active else f"{run.status.capitalize()} before the first step.{error}"
    of = f"step {run.done:,} of {run.config.steps:,}"
    begins = {
        "preparing": f"Going on after {of}",
        "running": of.capitalize(),
        "paused": f"Paused at {of}",
        "stopped": f"Stopped at {of}, and nothing is lost",
        "done": f"Done after {run.done:,} steps in {minutes(run.seconds)}",
    }[run.status]
    return f"{begins}: {'; '.join([learned(run), *measured(run)])}.{matters(run)}{error}"


def matters(run: Run) -> str:
    """Which head the trained model misses most; "" while it is not known, or where none is missed."""
    most = None if run.active or run.heads is None else run.heads.most
    if most is None:
        return ""
    worth = run.heads
    assert worth is not None
    return (
        f" Of its heads {name_of(most)} matters most: without it the held-out loss is {nats(worth.without[most])}, "
        f"not {nats(worth.whole)}."
    )


def in_line(place: Place) -> str:
    """Where a training stands that has to wait, and for how long."""
    many = f"{place.n_running} trainings run" if place.n_running > 1 else "1 training runs"
    where = "next" if place.number == 1 else f"{ordinal(place.number)} in line"
    if place.seconds is None:
        when = "how long that takes shows when the others have taken a few steps"
    else:
        when = f"{'at least' if place.at_least else 'about'} {minutes(place.seconds)} at their present pace"
    return (
        f"{many} on this server now, as many as it takes at a time. You are {where}: {when}. Yours then begins by "
        "itself, also while you read another page."
    )


def preparing(run: Run) -> str:
    """Before the first step."""
    if run.corpus is not None:
        return f"Preparing: a tokenizer learns its {run.config.vocab_size:,} tokens from your text."
    return "Preparing the first step."


def learned(run: Run) -> str:
    """What became of the loss."""
    first, now = run.steps[0].loss, mean(step.loss for step in run.steps[-RECENT:])
    a, b = nats(first), nats(now)
    if a == b:
        return f"the training loss stands at {a}"
    return f"the training loss {'fell' if now < first else 'rose'} from {a} to {b}\u202fnats"


def measured(run: Run) -> list[str]:
    """The task's metric at the last evaluation, in words; none before the first."""
    if not run.evaluations:
        return []
    metrics, task = run.evaluations[-1].metrics or {}, TASKS[run.config.task]
    if task.metric in METRICS and task.metric in metrics:
        return [METRICS[task.metric](percent(metrics[task.metric]))]
    if "accuracy" in metrics:
        return [f"{percent(metrics['accuracy'])} of the held-out {task.labels} are predicted correctly"]
    return []


def title(run: Run) -> str:
    """The point of the curves."""
    sentence = learned(run)
    return sentence[0].upper() + sentence[1:]


def nats(loss: float) -> str:
    """A loss with two digits after the point, or three where it is small."""
    return f"{loss:.3f}" if loss < 0.1 else f"{loss:.2f}"


def progress(run: Run) -> str:
    """Under the bar: how fast, and how long still."""
    parts = [f"{run.done:,} of {run.config.steps:,} steps"]
    if run.status == "paused":
        parts.append("paused; its place in line is kept")
    left = run.seconds_left
    if run.active and left is not None:
        parts.append(f"{minutes(left)} left")
    if run.steps:
        rate = mean(step.tokens_per_second for step in run.steps[-RECENT:])
        parts.append(f"{rate:,.0f} tokens/s")
    return " · ".join(parts)


def architecture(config: TrainConfig) -> str:
    """A training in a line."""
    return (
        f"{TASKS[config.task].title} · {counted(config.n_layers, 'layer')} × {counted(config.n_heads, 'head')}, width "
        f"{config.d_model}, positions {POSITIONS[config.positions]} · {counted(config.steps, 'step')} at a learning "
        f"rate of {config.learning_rate:g}"
    )


def name_of(head: tuple[int, int]) -> str:
    """A head by its place."""
    return f"layer {head[0]}, head {head[1]}"


def most_changed(head: tuple[int, int], share: float) -> str:
    """Which head's attention moved furthest since the start, and how much of it."""
    if share < 0.005:
        return "No head has changed yet: each looks where random weights make it look"
    return f"{name_of(head).capitalize()} has changed most: {percent(share)} of its attention has moved elsewhere"


def upload(name: str, corpus: str) -> str:
    """Which text a training reads, where there is a file beside the field."""
    n_bytes = len(corpus.encode())
    return f"Trains on {name} ({n_bytes:,} bytes), not on the text in the field. The link does not carry it."


def too_large_for_a_page(n_parameters: int) -> str:
    """Why there is no page in which the trained model runs."""
    return (
        f"The model has {n_parameters / 1e6:.1f} million parameters; a live page from here holds at most "
        f"{live.MOST_PARAMETERS // 1_000_000} million. Download it: python -m attnviz live writes larger ones."
    )
