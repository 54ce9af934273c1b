"""Training from the command line: a progress bar, checkpoints, and at the end a folder with the model and its log."""

from __future__ import annotations

import json
import math
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.atomic_write import write_whole
from attnviz.models import folders
from attnviz.models.safetensors_io import read_json
from attnviz.training import snapshots
from attnviz.training.loop import Step, TrainConfig, Training

CHECKPOINT = "checkpoint.safetensors"
LOG = "training.json"
LOGGED = 200  # points of the log's curves


def setting(pair: str) -> tuple[str, Any]:
    """ "d_model=64" → ("d_model", 64). Errors: InvalidParameterError."""
    name, sign, value = pair.partition("=")
    if not sign:
        raise InvalidParameterError(f"--set {pair!r} is not of the form name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word, such as cosine


def run(
    config: TrainConfig,
    text: str | None,
    folder: Path,
    *,
    title: str | None,
    resume: bool,
    command: list[str],
    keep: int = 0,
) -> None:
    """Trains, shows how it goes, writes a checkpoint at every evaluation and the model at the end.

    keep: how many checkpoints the folder's history holds, 0 for none; see `attnviz.training.snapshots.moments`.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    checkpoint = folder / CHECKPOINT
    training = Training.resume(checkpoint, text) if resume else Training(config, text)
    _check_same(training.config, config)
    log = Log.resume(folder / LOG, training.done) if resume else Log()
    recorder = recorder_for(training, folder / snapshots.FILE, keep, resume)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn()) as progress:
        bar = progress.add_task("starting", total=training.config.steps, completed=training.done)
        for step in training.steps():
            log.add(step, training.config)
            if recorder:
                recorder.see(step.number, training.model)
            progress.update(bar, completed=step.number, description=f"loss {step.smoothed:.3f}")
            if step.metrics is not None:
                shown = ", ".join(f"{name} {value:.3f}" for name, value in step.metrics.items())
                progress.console.print(f"step {step.number}: {shown}", markup=False)
                # before the checkpoint, so that it never lacks either: what is ahead of it is dropped, and made again
                if recorder:
                    recorder.write(folder / snapshots.FILE)
                write_whole(folder / LOG, json.dumps(log.content).encode())
                training.save(checkpoint)
    write(training, log, folder, title or training.task.title, command)
    checkpoint.unlink(missing_ok=True)


def _check_same(stored: TrainConfig, asked: TrainConfig) -> None:
    """Errors: InvalidParameterError if a checkpoint's training is not the one that was asked for."""
    for name, value in asdict(asked).items():
        if getattr(stored, name) != value:
            raise InvalidParameterError(
                f"the checkpoint is of a training with {name}={getattr(stored, name)}, not {value}"
            )


def recorder_for(training: Training, file: Path, keep: int, resume: bool) -> snapshots.Recorder | None:
    """What keeps the history of a training, if one is kept: begun, or gone on with."""
    if resume and file.exists():
        return snapshots.Recorder.resume(file, training.model, training.done)
    if not keep:
        file.unlink(missing_ok=True)  # that of another training
        return None
    if resume:
        raise InvalidParameterError("A history begins with the training: --keep goes with --resume only if it did.")
    recorder = snapshots.Recorder(snapshots.moments(training.config.steps, keep), training.model)
    recorder.see(0, training.model)
    return recorder


def write(training: Training, log: Log, folder: Path, title: str, command: list[str]) -> None:
    """The folder of a trained model, its metrics measured on the test split with the weights as stored."""
    stored = {k: v.half().float() for k, v in training.model.state_dict().items()}
    training.model.load_state_dict(stored)  # the metrics are those of the weights that are written
    metrics = training.evaluate("test")
    with torch.inference_mode():
        roles = training.task.roles(training.model)
    about = {
        "command": "python -m attnviz " + shlex.join(command),
        "config": asdict(training.config),
        "metrics": metrics,
        **({"heads": [asdict(role) for role in roles]} if roles else {}),
        "steps": training.done,
        "seconds": log.seconds,
        "torch": torch.__version__,
        **log.content,
    }
    model, preprocessor = training.model, training.task.preprocessor
    folders.write(folder, model, preprocessor, title=title, training=about, card=card(title, training, about))


class Log:
    """The curves of a training: about `LOGGED` points, and every evaluation."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.content: dict[str, Any] = {"curve": [], "evaluations": [], "seconds_before": 0.0}

    @classmethod
    def resume(cls, path: Path, done: int) -> Log:
        """Goes on with the log of a training of which `done` steps are saved; later ones will be made again.

        Errors: ModelError.
        """
        log = cls()
        stored = read_json(path)
        try:
            log.content["curve"] = [point for point in stored["curve"] if point[0] <= done]
            log.content["evaluations"] = [one for one in stored["evaluations"] if one["step"] <= done]
            log.content["seconds_before"] = float(stored.get("seconds_so_far", 0.0))
        except (KeyError, TypeError, ValueError, IndexError):
            raise ModelError(f"{path.name} is no log of a training.") from None
        return log

    @property
    def seconds(self) -> float:
        """Of training in all, pauses between a stop and a resume left out."""
        return float(self.content["seconds_before"]) + time.monotonic() - self.began

    def add(self, step: Step, config: TrainConfig) -> None:
        """Keeps a step, if it is due."""
        self.content["seconds_so_far"] = self.seconds
        if step.number % math.ceil(config.steps / LOGGED) == 0 or step.number == 1:
            self.content["curve"].append([step.number, step.smoothed, step.learning_rate, step.grad_norm])
        if step.metrics is not None:
            self.content["evaluations"].append({"step": step.number, **step.metrics})


def card(title: str, training: Training, about: dict[str, Any]) -> str:
    """The model card: what it is, how it was made, how good it is."""
    config, task = training.model.config, training.task
    minutes = f"{about['steps']:,} steps, {about['seconds'] / 60:.0f} minutes, torch {about['torch']}"
    metrics = "\n".join(f"| {name} | {value:.4g} |" for name, value in about["metrics"].items())
    return f"""# {title}

{task.explains}

{config.kind}, {config.n_layers} layers, {config.n_heads} heads, width {config.d_model}, feed-forward {config.d_ff},
positions {config.positions}, {config.n_parameters:,} parameters; stored as float16. Licence: MIT, like the rest.

Made by (seed {training.config.seed}, {minutes}):

    {about["command"]}

Measured on examples that were held out of the training:

| metric | value |
|---|---|
{metrics}
{heads(about.get("heads", []))}
`training.json` holds the settings and the curves.
"""


def heads(roles: list[dict[str, Any]]) -> str:
    """The part of the card that says what single heads do; "" if none has a job that is known."""
    if not roles:
        return ""
    rows = "\n".join(
        f"| {role['what']} | layer {role['layer']}, head {role['head']} | {role['score']:.1%} | {role['by_place']:.1%} "
        f"| {role['by_chance']:.1%} |"
        for role in roles
    )
    return f"""
What heads do, as often as the argmax of their weights is right (heads chosen on the validation split, measured on the
test split; layers and heads count from 0), beside the best rule that knows only positions, and chance:

| from → to | head | right | by place | by chance |
|---|---|---|---|---|
{rows}
"""
