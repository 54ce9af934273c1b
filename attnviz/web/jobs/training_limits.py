"""How large a training may be on a public server; each limit has a variable of the environment to raise it."""

from __future__ import annotations

import os

from attnviz.errors import InvalidParameterError
from attnviz.training.loop import TrainConfig
from attnviz.training.tasks import TASKS
from attnviz.training.tasks.texts import Language

MAX_TRAININGS = int(os.environ.get("ATTNVIZ_MAX_TRAININGS", 2))  # at a time, all sessions together
MAX_STEPS = int(os.environ.get("ATTNVIZ_MAX_STEPS", 10_000))
MAX_PARAMETERS = int(os.environ.get("ATTNVIZ_MAX_PARAMETERS", 3_000_000))
MAX_CORPUS_BYTES = int(os.environ.get("ATTNVIZ_MAX_CORPUS_BYTES", 2_000_000))  # of a text: seconds to cut into tokens
MAX_VOCABULARY = int(os.environ.get("ATTNVIZ_MAX_VOCABULARY", 4_096))  # tokens
MAX_TOKENS = int(os.environ.get("ATTNVIZ_MAX_TOKENS", 8_192))  # of a step: batch × length
MAX_WEIGHTS = int(os.environ.get("ATTNVIZ_MAX_WEIGHTS", 16_000_000))  # of attention, of a step: 64 MB as float32


def reads_text(task: str) -> bool:
    """Whether a task trains on a text of the reader's."""
    return issubclass(TASKS[task], Language)


def check(config: TrainConfig, text: str | None) -> None:
    """Errors: InvalidParameterError if a training is larger than this server allows."""
    vocabulary = config.vocab_size if reads_text(config.task) else 128
    model = config.model(TASKS[config.task].kind, vocabulary, config.length)
    weights = config.n_layers * config.n_heads * config.batch * config.length**2
    for count, most, unit in (
        (config.steps, MAX_STEPS, "steps"),
        (config.batch * config.length, MAX_TOKENS, f"tokens a step ({config.batch} × {config.length})"),
        (model.n_parameters, MAX_PARAMETERS, "parameters"),
        (weights, MAX_WEIGHTS, "attention weights a step (layers × heads × batch × length²)"),
        (0 if text is None else len(text.encode("utf-8", "replace")), MAX_CORPUS_BYTES, "bytes of text"),
        (config.vocab_size if reads_text(config.task) else 0, MAX_VOCABULARY, "tokens of a vocabulary"),
    ):
        if count > most:
            raise InvalidParameterError(f"{count:,} {unit} are more than the {most:,} that this server allows.")
