"""What is trained, and how: `TrainConfig`, and the presets of each task."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from attnviz.errors import InvalidParameterError, no_json
from attnviz.nn.checks import check_bool, check_divisible, check_finite, check_probability, check_sizes
from attnviz.nn.config import POSITIONS, ModelConfig
from attnviz.training.schedules import SCHEDULES, warmed
from attnviz.training.tasks import TASKS
from attnviz.training.tasks.texts import Language

PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("adamw", "adam", "sgd")
ENTRY = 50  # steps in which the rate rises into an induction warm-up, and out of it
RENAMED = {"interlude": "induction_warmup", "interlude_at": "induction_warmup_at"}  # files and commands say so still
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
        induction_warmup, induction_warmup_at: of a language model: so many steps, after so many on text alone, in which
            one head of each layer learns to repeat and all else stands still: see `induction_warmup.py`. `repeats`
            begin after it.
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
    induction_warmup: int = 0
    induction_warmup_at: int = 0
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
            d_model=self.d_model,
            n_heads=self.n_heads,
            n_layers=self.n_layers,
            length=self.length,
            batch=self.batch,
            steps=self.steps,
            eval_every=self.eval_every,
            vocab_size=self.vocab_size,
        )
        check_sizes(0, d_ff=self.d_ff, warmup=self.warmup, patience=self.patience, seed=self.seed)
        check_sizes(0, induction_warmup=self.induction_warmup, induction_warmup_at=self.induction_warmup_at)
        check_bool("attention_dropout", self.attention_dropout)
        check_divisible("d_model", self.d_model, "n_heads", self.n_heads)
        for name in ("dropout", "label_smoothing", "repeats"):
            check_probability(name, getattr(self, name))
        choices: dict[str, Any] = {
            "task": TASKS,
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "positions": POSITIONS,
            "precision": PRECISIONS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}")
        for name in ("weight_decay", "clip"):
            if check_finite(name, getattr(self, name)) < 0:
                raise InvalidParameterError(f"{name}={getattr(self, name)} is negative")
        if not 0 < check_finite("learning_rate", self.learning_rate) <= ABOVE_RATE:
            raise InvalidParameterError(f"learning_rate={self.learning_rate:g} is not within 0 … {ABOVE_RATE:g}")
        if self.induction_warmup and self.task != Language.name:
            raise InvalidParameterError(
                f"induction_warmup={self.induction_warmup} is for the task {Language.name}, not {self.task}"
            )
        if self.induction_warmup and self.induction_warmup_at + self.induction_warmup > self.steps:
            raise InvalidParameterError(
                f"induction_warmup={self.induction_warmup} from induction_warmup_at={self.induction_warmup_at} on ends "
                f"after steps={self.steps}"
            )
        if self.warmup > self.steps:
            raise InvalidParameterError(f"warmup={self.warmup} is longer than steps={self.steps}")

    def model(self, kind: str, vocab_size: int, max_len: int, head: str = "lm", **others: Any) -> ModelConfig:
        """The model that a task needs; `others` as in `ModelConfig`. Errors: InvalidParameterError."""
        return ModelConfig(
            kind=kind,
            vocab_size=vocab_size,
            max_len=max_len,
            d_model=self.d_model,
            n_heads=self.n_heads,
            n_layers=self.n_layers,
            d_ff=self.d_ff,
            norm_first=self.norm_first,
            final_norm=self.norm_first,
            positions=self.positions,
            dropout=self.dropout,
            head=head,
            **others,
        )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        planned = self.learning_rate * SCHEDULES[self.schedule](step, self.steps, self.warmup)
        if not self.induction_warmup or step < self.induction_warmup_at:
            return planned
        border = self.induction_warmup_at + (self.induction_warmup if self.after_induction_warmup(step) else 0)
        return planned * warmed(step - border, ENTRY)

    def in_induction_warmup(self, step: int) -> bool:
        """Whether a step, counted from 0, is one in which one head of each layer learns alone."""
        return self.induction_warmup_at <= step < self.induction_warmup_at + self.induction_warmup

    def after_induction_warmup(self, step: int) -> bool:
        """Whether there was an induction warm-up before a step."""
        return bool(self.induction_warmup) and step >= self.induction_warmup_at + self.induction_warmup

    def to_json(self) -> str:
        """All fields as JSON; `from_json` gives an equal config."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Errors: InvalidParameterError if it is no JSON object, or names a field that does not exist."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidParameterError(f"the training's config is not JSON: {no_json(error)}") from None
        return cls.of(given if isinstance(given, dict) else {"JSON": given})

    @classmethod
    def of(cls, given: dict[str, Any]) -> TrainConfig:
        """From fields by name. Errors: InvalidParameterError for one that does not exist, or a wrong value."""
        given = {RENAMED.get(name, name): value for name, value in given.items()}
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise InvalidParameterError(f"a training has no setting {', '.join(unknown)}")
        return cls(**given)


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
