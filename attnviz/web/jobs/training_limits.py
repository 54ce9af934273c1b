"""How large a training may be on a public server."""

from __future__ import annotations

from attnviz.errors import InvalidParameterError
from attnviz.training.loop import TrainConfig
from attnviz.training.tasks import TASKS
from attnviz.training.tasks.texts import Language
from attnviz.web.limits import LIMITS

MAX_TRAININGS = LIMITS.max_trainings  # at a time, all sessions together
MAX_STEPS = LIMITS.max_steps
MAX_PARAMETERS = LIMITS.max_parameters
MAX_CORPUS_BYTES = LIMITS.max_corpus_bytes  # of a text: seconds to cut into tokens
MAX_VOCABULARY = LIMITS.max_vocabulary  # tokens
MAX_TOKENS = LIMITS.max_tokens  # of a step: batch × length
MAX_WEIGHTS = LIMITS.max_weights  # of attention, of a step: 64 MB as float32


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
