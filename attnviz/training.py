"""Training: `train(config)` is a generator of steps: a page draws them, a terminal prints them, a test takes three.

    for step in train(preset("induction")):
        print(step.number, step.loss)

Everything random follows from the seed: the batch of a step from (seed, step), so that a training that was stopped and
resumed is bit for bit the one that was not. (With dropout this holds for one training at a time in a process: torch
draws dropout from one generator.)
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz import checkpoints, interlude
from attnviz.checks import check_bool, check_divisible, check_finite, check_probability, check_sizes
from attnviz.config import POSITIONS, ModelConfig
from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.schedules import SCHEDULES, warmed
from attnviz.tasks import IGNORED, TASKS, Batch
from attnviz.tasks.texts import Language
from attnviz.transformer import Trace, Transformer

PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("adamw", "adam", "sgd")
SMOOTHING = 0.98  # of the running mean of the loss
ENTRY = 50  # steps of warm-up into an interlude, and out of it
ABOVE_RATE = 10.0  # no schedule is sensible beyond it


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, and how. Errors: InvalidParameterError with the offending numbers.

    Arguments
        task: a name in `tasks.TASKS`; it decides on the model's kind and its vocabulary.
        d_model … dropout: the model, as in `ModelConfig`.
        length: tokens of an example or a window of text; batch: examples per step.
        vocab_size, repeats: of tasks on text: the tokenizer's size, and the share of windows that are random tokens
            said again and again, so that induction heads form (Olsson et al. 2022).
        interlude, interlude_at: of a language model: so many steps, after so many on text alone, in which one head of
            each layer learns to repeat and all else stands still: see `interlude.py`. `repeats` begin after it.
        attention_dropout: whether dropout is also applied to the attention weights: a third of what dropout costs.
        steps, learning_rate (the peak), schedule, warmup (steps): see `schedules`.
        weight_decay: on matrices and embeddings, never on norms and biases.
        clip: the gradient's norm is cut to it, 0 for never. label_smoothing: ε of Szegedy et al. 2016.
        eval_every: steps between evaluations on the validation split, each with the attention on the probe.
        precision: "float32", or "bfloat16" for the matrix products (torch.autocast), faster where the processor can.
        patience: stops after so many evaluations without a better validation loss; 0 for never.
    """

    task: str = "induction"
    d_model: int = 64
    n_heads: int = 4
    n_layers: int = 2
    d_ff: int = 256
    positions: str = "rope"
    norm_first: bool = True
    dropout: float = 0.0
    attention_dropout: bool = True
    length: int = 64
    vocab_size: int = 2048
    repeats: float = 0.0
    interlude: int = 0
    interlude_at: int = 0
    batch: int = 32
    steps: int = 1000
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    warmup: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    label_smoothing: float = 0.0
    eval_every: int = 100
    patience: int = 0
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_sizes(
            d_model=self.d_model, n_heads=self.n_heads, n_layers=self.n_layers, length=self.length, batch=self.batch,
            steps=self.steps, eval_every=self.eval_every, vocab_size=self.vocab_size,
        )  # fmt: skip
        check_sizes(0, d_ff=self.d_ff, warmup=self.warmup, patience=self.patience, seed=self.seed)
        check_sizes(0, interlude=self.interlude, interlude_at=self.interlude_at)
        check_bool("attention_dropout", self.attention_dropout)
        check_divisible("d_model", self.d_model, "n_heads", self.n_heads)
        for name in ("dropout", "label_smoothing", "repeats"):
            check_probability(name, getattr(self, name))
        choices: dict[str, Any] = {
            "task": TASKS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "positions": POSITIONS,
            "precision": PRECISIONS,
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}")
        for name in ("weight_decay", "clip"):
            if check_finite(name, getattr(self, name)) < 0:
                raise InvalidParameterError(f"{name}={getattr(self, name)} is negative")
        if not 0 < check_finite("learning_rate", self.learning_rate) <= ABOVE_RATE:
            raise InvalidParameterError(f"learning_rate={self.learning_rate:g} is not within 0 … {ABOVE_RATE:g}")
        if self.interlude and self.task != Language.name:
            raise InvalidParameterError(f"interlude={self.interlude} is for the task {Language.name}, not {self.task}")
        if self.interlude and self.interlude_at + self.interlude > self.steps:
            raise InvalidParameterError(
                f"interlude={self.interlude} from interlude_at={self.interlude_at} on ends after steps={self.steps}"
            )
        if self.warmup > self.steps:
            raise InvalidParameterError(f"warmup={self.warmup} is longer than steps={self.steps}")

    def model(self, kind: str, vocab_size: int, max_len: int, head: str = "lm", **others: Any) -> ModelConfig:
        """The model that a task needs; `others` as in `ModelConfig`. Errors: InvalidParameterError."""
        return ModelConfig(
            kind=kind, vocab_size=vocab_size, max_len=max_len, d_model=self.d_model, n_heads=self.n_heads,
            n_layers=self.n_layers, d_ff=self.d_ff, norm_first=self.norm_first, final_norm=self.norm_first,
            positions=self.positions, dropout=self.dropout, head=head, **others,
        )  # fmt: skip

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        planned = self.learning_rate * SCHEDULES[self.schedule](step, self.steps, self.warmup)
        if not self.interlude or step < self.interlude_at:
            return planned
        border = self.interlude_at + (self.interlude if self.interlude_over(step) else 0)
        return planned * warmed(step - border, ENTRY)

    def in_interlude(self, step: int) -> bool:
        """Whether a step, counted from 0, is one in which one head of each layer learns alone."""
        return self.interlude_at <= step < self.interlude_at + self.interlude

    def interlude_over(self, step: int) -> bool:
        """Whether there was an interlude before a step."""
        return bool(self.interlude) and step >= self.interlude_at + self.interlude

    def to_json(self) -> str:
        """All fields as JSON; `from_json` gives an equal config."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Errors: InvalidParameterError if it is no JSON object, or names a field that does not exist."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidParameterError(f"the training's config is not JSON: {error}") from None
        return cls.of(given if isinstance(given, dict) else {"JSON": given})

    @classmethod
    def of(cls, given: dict[str, Any]) -> TrainConfig:
        """From fields by name. Errors: InvalidParameterError for one that does not exist, or a wrong value."""
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise InvalidParameterError(f"a training has no setting {', '.join(unknown)}")
        return cls(**given)


@dataclass(frozen=True, eq=False)
class Step:
    """What one step of a training says of itself."""

    number: int  # steps done, from 1
    loss: float  # mean over the batch's labels, nats
    smoothed: float  # its running mean
    learning_rate: float
    grad_norm: float  # before clipping
    tokens_per_second: float  # labels and other real tokens of the batch
    metrics: dict[str, float] | None = None  # on the validation split, at evaluations
    probe: Trace | None = None  # the model on the task's probe, at evaluations
    done: bool = False  # the last one


class Training:
    """A model being trained, its optimizer and its place in the run; `steps()` goes on from there."""

    def __init__(self, config: TrainConfig, text: str | None = None) -> None:
        """`text` is what a task on text trains on; without it, the app's examples. Errors: InvalidParameterError."""
        self.config = config
        self.task = TASKS[config.task].of(config.length, config.vocab_size, config.repeats, text)
        self.model = Transformer(config.model(**self.task.model_fields), torch.Generator().manual_seed(config.seed))
        initialise(self.model, torch.Generator().manual_seed(config.seed))
        if not config.attention_dropout:
            self.model.keep_attention_whole()
        self.optimizer = optimizer_for(self.model, config)
        self.learning: list[int] = []  # the head of each layer that learns in the interlude, once it has begun
        self.done, self.smoothed = 0, math.nan
        self.best, self.since_best = math.inf, 0

    def steps(self) -> Iterator[Step]:
        """Trains, one step per item. Closing it at any point loses nothing.

        Errors: TrainingError when the loss is no number any more.
        """
        while self.done < self.config.steps:
            step = self._step()
            yield step
            if step.done:
                return

    def _step(self) -> Step:
        config, began = self.config, time.perf_counter()
        batches = self._batches(_generator(config.seed, self.done))
        alone = config.in_interlude(self.done)
        if config.interlude and self.done - config.interlude_at in (0, config.interlude):
            self._cross_border()
        rate = config.rate(self.done)
        for group, decay in zip(self.optimizer.param_groups, (config.weight_decay, 0.0), strict=True):
            group["lr"], group["weight_decay"] = rate, 0.0 if alone else decay
        self.model.train(not alone)
        if config.dropout:
            torch.manual_seed(config.seed * 1_000_003 + self.done)
        with torch.enable_grad():
            with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
                losses = [batch_loss(self.model, batch, config.label_smoothing) for batch in batches]
            loss = torch.stack(losses).mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        if alone:
            interlude.hold(self.model, interlude.learners(self.model, self.learning))
        limit = config.clip or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise TrainingError(
                f"The loss is {value:g} with a gradient of {norm:g} at step {self.done + 1}, at a learning rate of "
                f"{rate:.2g}: the weights have run away. Lower the learning rate, or warm up longer."
            )
        self.optimizer.step()
        seconds = time.perf_counter() - began
        self.done += 1
        first = math.isnan(self.smoothed)
        self.smoothed = value if first else SMOOTHING * self.smoothed + (1 - SMOOTHING) * value
        step = Step(self.done, value, self.smoothed, rate, norm, sum(batch.n_tokens for batch in batches) / seconds)
        last = self.done == config.steps
        return self._evaluated(step, last) if last or self.done % config.eval_every == 0 else step

    def _batches(self, generator: torch.Generator) -> list[Batch]:
        config = self.config
        if not config.interlude:
            return [self.task.batch(config.batch, generator)]
        assert isinstance(self.task, Language)
        if config.in_interlude(self.done):
            progress = (self.done - config.interlude_at) / config.interlude
            return self.task.interlude(config.batch, generator, progress)
        return [self.task.around_interlude(config.batch, generator, over=config.interlude_over(self.done))]

    def _cross_border(self) -> None:
        """Into the interlude, or out of it."""
        if self.done == self.config.interlude_at:
            assert isinstance(self.task, Language)
            self.learning = interlude.choose(self.task.heads(self.model.eval()).previous)
        for p in interlude.learners(self.model, self.learning):
            self.optimizer.state.pop(p, None)  # averages of other gradients: the first steps would be far too long

    def _evaluated(self, step: Step, last: bool) -> Step:
        metrics = self.evaluate("val")
        self.since_best = 0 if metrics["loss"] < self.best else self.since_best + 1
        self.best = min(self.best, metrics["loss"])
        stop = bool(self.config.patience) and self.since_best >= self.config.patience
        return replace(step, metrics=metrics, probe=self.probe(), done=last or stop)

    def evaluate(self, split: str) -> dict[str, float]:
        """The loss, and the task's own metrics, on a split that no batch is drawn from: "val" or "test"."""
        self.model.eval()
        with torch.inference_mode():
            return self.task.evaluate(self.model, split)

    def probe(self) -> Trace:
        """The model's run on the task's fixed example."""
        self.model.eval()
        with torch.inference_mode():
            return self.task.probe(self.model)

    def save(self, path: Path) -> None:
        """Writes a checkpoint; the one that stood there stays whole until the new one is. Errors: ModelError."""
        about = {
            "config": asdict(self.config), "done": self.done, "smoothed": self.smoothed, "best": self.best,
            "since_best": self.since_best, "data": self.task.fingerprint, "learning": self.learning,
        }  # fmt: skip
        checkpoints.save(path, self.model, self.optimizer, about)

    @classmethod
    def resume(cls, path: Path, text: str | None = None) -> Training:
        """Goes on from a checkpoint, bit for bit, on the same text as before.

        Errors: ModelError if it is no whole checkpoint, of another architecture, or of other data.
        """
        about, tensors = checkpoints.load(path)
        try:
            training = cls(TrainConfig.of(about["config"]), text)
            restored = (about["done"], about["smoothed"], about["best"], about["since_best"])
            training.learning = list(about.get("learning", []))
        except (KeyError, TypeError, InvalidParameterError) as error:
            raise ModelError(f"{path.name} is a checkpoint of a training that cannot be resumed: {error}.") from None
        if about.get("data") != training.task.fingerprint:
            raise ModelError(f"{path.name} was trained on other data than these.")
        checkpoints.restore(tensors, training.model, training.optimizer, path.name)
        training.done, training.smoothed, training.best, training.since_best = restored
        return training


def train(config: TrainConfig, text: str | None = None) -> Iterator[Step]:
    """Trains a model of `config` on its task: a generator of steps. Errors: TrainingError, InvalidParameterError."""
    yield from Training(config, text).steps()


def initialise(model: Transformer, generator: torch.Generator) -> None:
    """Matrices from N(0, 2 / 5C), those that write to the residual stream smaller by √(2L); biases 0.

    Source: Nguyen and Salazar 2019, section 2.2 ("SmallInit"); Radford et al. 2019, section 2.3.
    """
    std = math.sqrt(2 / (5 * model.config.d_model))
    for name, p in model.named_parameters():
        if p.dim() >= 2:
            writes = name.endswith(("out_proj.weight", "linear2.weight"))
            scale = std / math.sqrt(2 * model.config.n_layers) if writes else std
            with torch.no_grad():
                p.normal_(0.0, scale, generator=generator)


def batch_loss(model: Transformer, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the batch's labels, in nats; what is padding or not asked for does not count."""
    logits = batch.run(model).logits
    assert logits is not None
    asked = batch.labels != IGNORED  # only what counts goes through the softmax
    return F.cross_entropy(logits[asked], batch.labels[asked], label_smoothing=label_smoothing)


def optimizer_for(model: Transformer, config: TrainConfig) -> torch.optim.Optimizer:
    """torch's optimizer; weight decay on matrices and embeddings, not on norms and biases."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-9, fused=True)


def _generator(seed: int, step: int) -> torch.Generator:
    """Random numbers that belong to one step of one training."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


PRESETS: dict[str, TrainConfig] = {
    "small": TrainConfig(d_model=32, n_heads=2, steps=400, eval_every=40),
    "default": TrainConfig(),
    "large": TrainConfig(d_model=128, n_heads=8, n_layers=4, d_ff=512, steps=4000, eval_every=200, learning_rate=1e-3),
}


def preset(task: str, size: str = "default", **changes: Any) -> TrainConfig:
    """The settings of a task at a size, with some changed. Errors: InvalidParameterError."""
    if size not in PRESETS:
        raise InvalidParameterError(f"preset {size!r} is not one of {', '.join(PRESETS)}")
    if task not in TASKS:
        raise InvalidParameterError(f"task={task!r} is not one of {', '.join(TASKS)}")
    return TrainConfig.of({**asdict(PRESETS[size]), "task": task, **TASKS[task].defaults, **changes})
