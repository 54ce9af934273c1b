"""Training: `train(config)` is a generator of steps: a page draws them, a terminal prints them, a test takes three.

    for step in train(preset("induction")):
        print(step.number, step.loss)

Everything random follows from the seed: the batch of a step from (seed, step), so that a training that was stopped and
resumed is bit for bit the one that was not. (With dropout this holds for one training at a time in a process: torch
draws dropout from one generator.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer
from attnviz.training import checkpoints, induction_warmup
from attnviz.training.config import OPTIMIZERS, PRESETS, TrainConfig, preset
from attnviz.training.tasks import IGNORED, TASKS, Batch
from attnviz.training.tasks.texts import Language

__all__ = ("OPTIMIZERS", "PRESETS", "Step", "TrainConfig", "Training", "preset", "train")

SMOOTHING = 0.98  # of the running mean of the loss


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

    def __init__(
        self, config: TrainConfig, text: str | None = None, between: Callable[[], object] = lambda: None
    ) -> None:
        """`text` is what a task on text trains on; without it, the app's examples. Errors: InvalidParameterError.

        `between` is called again and again as a text is read, and may raise to end that.
        """
        self.config = config
        self.task = TASKS[config.task].of(config.length, config.vocab_size, config.repeats, text, between)
        self.model = Transformer(config.model(**self.task.model_fields), torch.Generator().manual_seed(config.seed))
        initialise(self.model, torch.Generator().manual_seed(config.seed))
        if not config.attention_dropout:
            self.model.keep_attention_whole()
        self.optimizer = optimizer_for(self.model, config)
        self.learning: list[int] = []  # the head of each layer that learns in the induction warm-up, once it has begun
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
        alone = config.in_induction_warmup(self.done)
        if config.induction_warmup and self.done - config.induction_warmup_at in (0, config.induction_warmup):
            self._cross_border()
        rate = config.rate(self.done)
        for group, decay in zip(self.optimizer.param_groups, (config.weight_decay, 0.0), strict=True):
            group["lr"], group["weight_decay"] = rate, 0.0 if alone else decay  # what stands still does not shrink
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
            induction_warmup.hold(self.model, induction_warmup.learners(self.model, self.learning))
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
        if not config.induction_warmup:
            return [self.task.batch(config.batch, generator)]
        assert isinstance(self.task, Language)
        if config.in_induction_warmup(self.done):
            progress = (self.done - config.induction_warmup_at) / config.induction_warmup
            return self.task.warmup_batches(config.batch, generator, progress)
        return [self.task.around_warmup(config.batch, generator, over=config.after_induction_warmup(self.done))]

    def _cross_border(self) -> None:
        """Into the induction warm-up, or out of it."""
        if self.done == self.config.induction_warmup_at:
            assert isinstance(self.task, Language)
            self.learning = induction_warmup.choose(self.task.heads(self.model.eval()).previous)
        for p in induction_warmup.learners(self.model, self.learning):
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
            "config": asdict(self.config),
            "done": self.done,
            "smoothed": self.smoothed,
            "best": self.best,
            "since_best": self.since_best,
            "data": self.task.fingerprint,
            "learning": self.learning,
        }
        checkpoints.save(path, self.model, self.optimizer, about)

    @classmethod
    def resume(cls, path: Path, text: str | None = None, between: Callable[[], object] = lambda: None) -> Training:
        """Goes on from a checkpoint, bit for bit, on the same text as before.

        Errors: ModelError if it is no whole checkpoint, of another architecture, or of other data.
        """
        about, tensors = checkpoints.load(path)
        try:
            training = cls(TrainConfig.of(about["config"]), text, between)
            restored = (about["done"], about["smoothed"], about["best"], about["since_best"])
            training.learning = list(about.get("learning", []))
            if training.config.induction_warmup and restored[0] > training.config.induction_warmup_at:
                induction_warmup.learners(training.model, training.learning)  # one head for each layer
        except InvalidParameterError as error:
            raise ModelError(f"{path.name} is a checkpoint of a training that cannot be resumed: {error}.") from None
        except (KeyError, TypeError, IndexError, ValueError, AttributeError):
            raise ModelError(
                f"{path.name} is a checkpoint of a training that cannot be resumed: what it says of it is not whole."
            ) from None
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
