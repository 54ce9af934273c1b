"""What a model of another library says at its end: which kind of head its class has, and where its numbers stand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

LM = "lm"  # a score per token of the vocabulary at every token
CLASSIFICATION = "classification"  # a score per class for the whole text or image
TOKENS = "token-classification"  # a score per class at every token
ANSWER = "question-answering"  # at every token, how well an answer begins and ends there
REPLACED = "replaced-token"  # at every token, whether it was put in the place of another
SEVERAL = "multiple-choice"
NEXT = "next-sentence"  # BERT's second head: whether the second text follows the first where both were written
ORDER = "sentence-order"  # ALBERT's: whether two texts that follow each other stand in their order

SECOND = {  # what transformers calls the numbers of a second head → its kind
    "seq_relationship_logits": NEXT,
    "sop_logits": ORDER,
}
SECOND_CLASSES = {NEXT: ("follows", "does not follow"), ORDER: ("in order", "swapped")}  # as its labels 0 and 1 are

_MAPPINGS = {
    "CAUSAL_LM": LM,
    "MASKED_LM": LM,
    "SEQ_TO_SEQ_CAUSAL_LM": LM,
    "SPEECH_SEQ_2_SEQ": LM,
    "IMAGE_TEXT_TO_TEXT": LM,
    "SEQUENCE_CLASSIFICATION": CLASSIFICATION,
    "NEXT_SENTENCE_PREDICTION": CLASSIFICATION,
    "IMAGE_CLASSIFICATION": CLASSIFICATION,
    "AUDIO_CLASSIFICATION": CLASSIFICATION,
    "TOKEN_CLASSIFICATION": TOKENS,
    "QUESTION_ANSWERING": ANSWER,
    "MULTIPLE_CHOICE": SEVERAL,
}
_ENDINGS = {  # of classes that no mapping of the library names
    "DoubleHeadsModel": LM,
    "LMHeadModel": LM,
    "ForCausalLM": LM,
    "ForMaskedLM": LM,
    "ForConditionalGeneration": LM,
    "ForSequenceClassification": CLASSIFICATION,
    "ForNextSentencePrediction": CLASSIFICATION,
    "ForTokenClassification": TOKENS,
    "ForQuestionAnswering": ANSWER,
    "ForMultipleChoice": SEVERAL,
}


def head_of(name: str, out: Any) -> str | None:
    """The kind of head of a class, from the library's own lists; None where it has none that is known.

    `out`: what it gave, for the classes of pre-training, which have several heads of kinds of their own.
    """
    if getattr(out, "prediction_logits", None) is not None:
        return LM
    if getattr(out, "logits", None) is None and getattr(out, "start_logits", None) is None:
        return None
    if name in _heads():
        return _heads()[name]
    if name.endswith("ForPreTraining"):
        return REPLACED if out.logits.dim() == 2 else LM
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)


def named_head(name: str) -> str | None:
    """The kind of head that a class's name ends in, as far as the name says it."""
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)


@cache
def _heads() -> dict[str, str]:
    """A class's name → its kind of head."""
    from transformers.models.auto import modeling_auto

    return {
        name: kind
        for mapping, kind in reversed(_MAPPINGS.items())
        for name in _names(getattr(modeling_auto, f"MODEL_FOR_{mapping}_MAPPING_NAMES", {}).values())
    }


def _names(values: Any) -> Iterator[str]:
    for value in values:
        yield from (value,) if isinstance(value, str) else value


def logits_of(out: Any) -> Tensor | None:
    """The numbers at a model's end; of one that answers questions (B, T, 2): where an answer begins, and ends."""
    for name in ("prediction_logits", "logits"):
        if (found := getattr(out, name, None)) is not None:
            return found
    if (start := getattr(out, "start_logits", None)) is not None:
        return torch.stack([start, out.end_logits], dim=-1)
    return None


def second_of(out: Any) -> str | None:
    """The kind of the second head of a class of pre-training; None where there is one head or none."""
    return next((kind for name, kind in SECOND.items() if getattr(out, name, None) is not None), None)


def second_logits_of(out: Any) -> Tensor | None:
    """The numbers of a second head, (B, 2)."""
    return next((found for name in SECOND if (found := getattr(out, name, None)) is not None), None)


def classes_of(name: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """A classifier's classes, as its config names them; of next sentences, whose configs name none, what they mean."""
    unnamed = all(label in (str(i), f"LABEL_{i}") for i, label in enumerate(given))
    return SECOND_CLASSES[NEXT] if unnamed and name.endswith("ForNextSentencePrediction") else given


def n_classes(head: str | None, logits: Tensor | None) -> int:
    """Classes of a classifier, of texts or of tokens; 0 where there are none."""
    return logits.shape[-1] if logits is not None and head in (CLASSIFICATION, TOKENS, ANSWER) else 0
