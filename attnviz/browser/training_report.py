"""A training to keep: one HTML file with its curves, its numbers, and what the trained model attends to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attnviz.browser import report
from attnviz.browser.bundle import FOLDER
from attnviz.errors import ModelError
from attnviz.figures.palette import DARK, LIGHT
from attnviz.models import catalogue
from attnviz.models.safetensors_io import read_json
from attnviz.training.loop import SMOOTHING, TrainConfig
from attnviz.training.tasks import TASKS
from attnviz.training.tasks.texts import Language, example_text

if TYPE_CHECKING:
    import jinja2

    from attnviz.models.model import Model
    from attnviz.nn.intervention import Intervention
    from attnviz.nn.trace import Trace

WIDTH, HEIGHT = 560, 170  # of a chart's plot, in units of its SVG
TICKS = 4  # about so many on an axis
AMBER_TEXT = "#B26A00"  # a curve's name has its colour, and on paper the palette's amber is too light for text
CURVES = tuple(zip((LIGHT.categories[0], AMBER_TEXT, *LIGHT.categories[2:]), DARK.categories, strict=True))

NAMES = {
    "loss": "loss, nats per label",
    "accuracy": "labels predicted correctly",
    "exact": "whole answers correct",
    "bits_per_byte": "bits per byte",
    "previous": "attention of the best head on the previous token",
    "induction": "attention of the best head on the token that followed last time",
    "alignment": "alignment",
}
MEMORY = round(1 / (1 - SMOOTHING))  # steps
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A curve of a chart, in the plot's units, y downwards."""

    name: str
    points: str  # "x,y x,y …", as SVG takes them
    last: float  # its last value


@dataclass(frozen=True)
class Chart:
    """Curves over the steps that share an axis from 0."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[tuple[float, str], ...]  # ticks: where, what
    up: tuple[tuple[float, str], ...]


def html(folder: Path, intervention: Intervention | None = None) -> str:
    """The report on a model that this app trained: curves, metrics, settings, and the view of its task's example.

    `intervention` changes the run that the view shows. Errors: ModelError, or InvalidParameterError.
    """
    from jinja2 import UndefinedError

    log = read_json(folder / "training.json")
    model = catalogue.load(str(folder.absolute()))
    config = TrainConfig.of(log.get("config", {}))
    drawn = charts(log, config.steps)
    try:
        lead = _template().render(
            title=model.info.title,
            n_parameters=model.info.n_parameters,
            explains=TASKS[config.task].explains,
            log=log,
            charts=drawn,
            curves=CURVES,
            metrics=[(NAMES.get(name, name), value) for name, value in _rows(log.get("metrics"))],
            settings=_rows(log["config"]),
            heads=log.get("heads"),
        )
    except (TypeError, ValueError, UndefinedError):
        raise ModelError("training.json holds what cannot be shown: a field is missing, or of another kind.") from None
    trace = probe(model, config, intervention)
    return report.html(trace, title=f"How it was trained: {model.info.title}", lead=lead)


def probe(model: Model, config: TrainConfig, intervention: Intervention | None = None) -> Trace:
    """The model on its task's example; on a reader's text, which is not part of the folder: on the app's first one."""
    task = TASKS[config.task]
    if issubclass(task, Language):
        return model.run(example_text().splitlines()[0], intervention=intervention)
    changed: Any = partial(model.transformer, intervention=intervention)
    with torch.inference_mode():
        trace = task.of(config.length, config.vocab_size, config.repeats, None).probe(changed)
    source = None if trace.source is None else replace(trace.source, title=model.info.title)
    return replace(trace, source=source, title=model.info.title)


def charts(log: dict[str, Any], steps: int) -> list[Chart]:
    """Loss, the metrics on held-out examples, learning rate and gradient of a training.json. Errors: ModelError."""
    try:
        curve = [[float("nan") if x is None else float(x) for x in point[:4]] for point in log["curve"]]
        evaluations = [
            {name: float(x) for name, x in evaluation.items() if x is not None} for evaluation in log["evaluations"]
        ]
        trained, rate, gradient = ([(point[0], point[i]) for point in curve] for i in (1, 2, 3))
        measured = {
            NAMES.get(name, name): [(each["step"], each[name]) for each in evaluations if name in each]
            for name in dict.fromkeys(name for evaluation in evaluations for name in evaluation if name != "step")
        }
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise ModelError("training.json holds no curves that can be drawn.") from None
    held_out = running_mean(measured.pop(NAMES["loss"], []))
    shares = {name: points for name, points in measured.items() if all(0 <= y <= 1 for _, y in points)}
    others = {name: points for name, points in measured.items() if name not in shares}
    return [
        chart(
            f"Loss, nats per label: running means over about {MEMORY} steps",
            {"training": trained, "held out": held_out},
            steps,
        ),
        *([chart("On held-out examples, 0 to 1", shares, steps, 1.0)] if shares else []),
        *(chart(f"{name}, held out", {name: points}, steps) for name, points in others.items()),
        chart("Learning rate", {"learning rate": rate}, steps),
        chart("Norm of the gradient, before clipping", {"gradient": gradient}, steps),
    ]


def running_mean(points: Points) -> Points:
    """Values that were measured at some steps, smoothed as the training's loss is, so that the two can be compared.

    Between two steps they count as on a straight line.
    """
    if not points:
        return []
    smooth = [points[0]]
    for (before, low), (step, high) in pairwise(points):
        n, old = step - before, smooth[-1][1]
        if n <= 0:
            smooth.append((step, high))
            continue
        kept = SMOOTHING**n  # of the mean so far; the rest is the sum of a straight line's values, each fading
        line = (high - low) / n * (n - SMOOTHING * (1 - kept) / (1 - SMOOTHING))
        smooth.append((step, kept * old + (1 - kept) * low + line))
    return smooth


def chart(title: str, curves: dict[str, Points], steps: int, top: float | None = None) -> Chart:
    """Curves as SVG points; values that are no numbers are left out."""
    whole = {name: [(x, y) for x, y in points if math.isfinite(x + y)] for name, points in curves.items()}
    drawn = {name: points for name, points in whole.items() if points}
    high = top or max((y for points in drawn.values() for _, y in points), default=0.0) or 1.0
    end = max([float(steps), *(x for points in drawn.values() for x, _ in points)])

    def placed(points: Points) -> str:
        return " ".join(f"{x / end * WIDTH:.1f},{HEIGHT - y / high * HEIGHT:.1f}" for x, y in points)

    lines = tuple(Line(name, placed(points), points[-1][1]) for name, points in drawn.items())
    across = tuple((x / end * WIDTH, f"{x:,g}") for x in ticks(end))
    return Chart(title, lines, across, tuple((HEIGHT - y / high * HEIGHT, f"{y:.4g}") for y in ticks(high)))


def ticks(high: float) -> list[float]:
    """0 and multiples of 1, 2 or 5 times a power of ten up to `high`, about `TICKS` of them."""
    rough = high / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.7 * rough)
    return [i * step for i in range(int(high / step * (1 + 1e-9)) + 1)]


def _rows(settings: Any) -> Sequence[tuple[str, str]]:
    pairs: Iterable[tuple[Any, Any]] = settings.items() if isinstance(settings, dict) else ()
    return [(str(name), value if isinstance(value, str) else json.dumps(value)) for name, value in pairs]


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string((FOLDER / "widgets/training.html").read_text("utf-8"))
